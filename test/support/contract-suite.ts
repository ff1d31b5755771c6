import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { BrokerPool } from '../../bench/broker-pool.ts';
import { missing } from '../../bench/brokers/index.ts';
import { runCampaign } from '../../bench/campaign-run.ts';
import type { BrokerName, Design } from '../../bench/contract.ts';
import { type CrashRun, crashFault, runCrash, runPublisherCrash } from '../../bench/crash-run.ts';
import { mailHand } from '../../bench/deliver.ts';
import { DESIGN_NAMES, loadDesign } from '../../bench/designs/index.ts';
import { countOf, type Fate } from '../../bench/fate.ts';
import { BARE } from '../../bench/installed.ts';
import { runQueue } from '../../bench/queue-run.ts';
import { type Line, linesOf, Stage } from '../../bench/stage.ts';
import { runTell } from '../../bench/tell-run.ts';
import { VerifyingSink } from '../../bench/verifying-sink.ts';

const PEOPLE = 200;
const FAILURES = { temporary: 0.05, permanent: 0.03, seed: 7 };
/** The same with people whose attempts run out. */
const STUBBORN = { ...FAILURES, stubborn: 0.03 };
const MAX_ATTEMPTS = 2;
/** A run that takes longer is broken, milliseconds. */
const PATIENCE_MS = 60_000;
/** How long is waited for people who, by the design's own account, will never come, milliseconds. */
const STUCK_PATIENCE_MS = 6_000;
/** More than any publisher keeps back before it sends it. */
const PUBLISHED = { people: 1_500, after: 1_200, patienceMs: PATIENCE_MS };

/**
 * What every design of the benchmark promises, tried against its real broker with real processes that are really killed. All
 * designs of one broker, or those of them that are asked for; where the broker is not installed they are left out and it is said, but not where CI is set.
 */
export async function contractSuite(
  broker: BrokerName,
  which: (name: string) => boolean = () => true,
): Promise<void> {
  const all = await Promise.all(DESIGN_NAMES.map(loadDesign));
  const designs = all.filter((one) => one.broker === broker && which(one.name));
  const how = broker === 'none' ? null : missing(broker);
  if (how !== null && (process.env.CI === undefined || BARE)) {
    process.stderr.write(`Without the contract of the designs on ${broker}: ${how}\n`);
    test.skip(`${broker} is not installed here`);
    return;
  }
  let stage: Stage;
  beforeAll(async () => {
    stage = new Stage(await VerifyingSink.start(), new BrokerPool(), 5);
    if (broker !== 'none') await stage.pool.only(broker, 'A');
  }, 120_000);
  afterAll(async () => {
    await stage.pool.stop();
    await stage.sink.stop();
  }, 60_000);

  describe.each(designs.map((design) => ({ name: design.name, design })))('$name', ({ design }) => {
    suite(design, () => stage);
  });
}

/** The design's own bound with as many in flight as its consumers have here; all people where it gives none. */
function twiceAtMost({ relay }: Stage, { twiceAtMost: bound }: Design, killed: CrashRun['killed']): number {
  // It opens no connection before the first mail.
  const { capacity } = mailHand(relay);
  return bound?.(capacity, killed) ?? Number.POSITIVE_INFINITY;
}

function suite(design: Design, stage: () => Stage): void {
  const [line] = linesOf(design, false) as [Line];
  const people = design.oneAtATime === true ? 40 : PEOPLE;
  const delayMs = design.oneAtATime === true ? 1 : 5;
  const timeout = 3 * PATIENCE_MS;
  /** So many that those who were sent before the kill are more than may get a second mail, or the bound would say nothing. */
  const crowd = (at: Stage, killed: CrashRun['killed']): number => {
    const bound = twiceAtMost(at, design, killed);
    return Number.isFinite(bound) ? Math.max(people, Math.ceil(3.5 * bound)) : people;
  };

  test('says what it promises and what it cannot tell', () => {
    expect(design.guarantees).toMatch(/\.$/);
    expect(design.cannotTell).toMatch(/\.$/);
    expect(design.tiers.length).toBeGreaterThan(0);
  });

  test('every person gets one right mail; refusals are tried again or named', { timeout }, async () => {
    const run = await runCampaign(stage(), line, {
      people,
      delayMs: 0,
      failures: STUBBORN,
      maxAttempts: MAX_ATTEMPTS,
      patienceMs: PATIENCE_MS,
    });
    const count = (fate: Fate) => countOf(STUBBORN, people, fate);
    const attempts = design.broker === 'none' ? 1 : MAX_ATTEMPTS;
    const refused = {
      temporary: count('temporary') + attempts * count('stubborn'),
      permanent: count('permanent'),
    };
    for (const fate of ['temporary', 'stubborn', 'permanent'] as const)
      expect(count(fate)).toBeGreaterThan(0);
    expect(run.seen).toMatchObject({ wrong: 0, why: null, duplicated: 0, ...refused });
    expect(run.seen.read).toBe(run.seen.accepted);
    // Without a queue no record of deferred people is kept.
    expect(run.seen.lost).toBe(design.broker === 'none' ? count('temporary') : 0);
    // Who used up the attempts is a dead letter as well.
    if (run.deadLetters !== null) expect(run.deadLetters).toBe(count('permanent') + count('stubborn'));
  });

  if (design.broker !== 'none') {
    test('hands every person out without mail too', { timeout }, async () => {
      const run = await runQueue(stage(), line, people, PATIENCE_MS);
      expect(run.consumePerSecond).toBeGreaterThan(0);
    });

    test('after a kill -9 of the publisher every person can be published again', { timeout }, async () => {
      const after = design.afterPublisherKilled ?? 'again';
      const run = await runPublisherCrash(stage(), line, PUBLISHED);
      expect(run.wrong).toBe(0);
      if (after !== 'loses') expect(run.lost).toBe(0);
      if (after === 'once') expect(run.duplicated).toBe(0);
      // Those that the first one had published, and no others.
      else expect(run.duplicated).toBeGreaterThan(0);
      expect(run.duplicated).toBeLessThanOrEqual(PUBLISHED.after);
    });
  }

  test('after a kill -9 of the consumer it is as it says', { timeout }, async () => {
    const after = design.afterConsumerKilled ?? 'resumes';
    const patienceMs = after === 'stuck' ? STUCK_PATIENCE_MS : PATIENCE_MS;
    const all = crowd(stage(), 'consumer');
    const run = await runCrash(stage(), line, 'consumer', { people: all, delayMs, patienceMs });
    expect(run.wrong).toBe(0);
    expect(run.before).toBeLessThan(all);
    expect(run.consumersStarted).toBeGreaterThan(0);
    if (after === 'resumes') expect(run).toMatchObject({ lost: 0, stuck: 0 });
    expect(run.duplicated).toBeLessThanOrEqual(twiceAtMost(stage(), design, 'consumer'));
    if (after === 'stuck')
      expect(run).toMatchObject({ lost: 0, duplicated: 0, stuck: expect.toSatisfy((n) => n > 0) });
    if (after === 'starts again') {
      expect(run).toMatchObject({ lost: 0, stuck: 0 });
      expect(run.duplicated).toBeGreaterThanOrEqual(run.before);
    }
    // What was in hand and no more: those who were still in the queue are not touched by a consumer's end.
    if (after === 'loses') expect(run.lost + run.stuck).toBeLessThan(all / 2);
  });

  if (design.broker !== 'none') {
    test('after a kill -9 of the broker it is as it says', { timeout }, async () => {
      const after = design.afterBrokerKilled ?? 'resumes';
      const patienceMs = after === 'stuck' ? STUCK_PATIENCE_MS : PATIENCE_MS;
      const all = crowd(stage(), 'broker');
      const run = await runCrash(stage(), line, 'broker', { people: all, delayMs, patienceMs });
      expect(run.wrong).toBe(0);
      expect(run.before).toBeLessThan(all);
      if (after === 'resumes') expect(run).toMatchObject({ lost: 0, stuck: 0 });
      // What was in hand when the result could not be written, and no more.
      if (after === 'stuck') expect(run).toMatchObject({ lost: 0 });
      if (after === 'loses') expect(run.lost + run.stuck).toBeGreaterThan(0);
      expect(crashFault(line, run)).toBeNull();
      expect(run.duplicated).toBeLessThanOrEqual(twiceAtMost(stage(), design, 'broker'));
    });
  }

  test('answers while it runs, and what it answers is so', { timeout }, async () => {
    const run = await runTell(stage(), line, {
      people,
      delayMs,
      failures: FAILURES,
      patienceMs: PATIENCE_MS,
    });
    for (const { observed } of [run.progress, run.failures, run.stopOne, run.pause])
      expect(observed).not.toMatch(/^it failed|all the same$|never caught up$|more than the/);
    if (design.broker === 'postgres')
      expect([run.progress.yes, run.failures.yes, run.stopOne.yes]).toEqual([true, true, true]);
    if (design.name === 'postgres') expect(run.pause).toMatchObject({ yes: true });
  });
}
