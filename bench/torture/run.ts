import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { isTransient } from '../../src/database/prepare.ts';
import { keepEvidence } from './evidence.ts';
import { type Rig, Torturer } from './faults.ts';
import { look, Monitor } from './monitor.ts';
import { DEATHS, type Fault, type Kind, plan } from './plan.ts';
import { SinkProcess } from './process.ts';
import { startTortureServer, type TortureServer } from './server.ts';
import { CAMPAIGN, CONNECTIONS, FINAL_TIMEOUT, type Stage, setStage } from './stage.ts';
import { type Verdict, verify } from './verify.ts';

export interface TortureOptions {
  readonly seed: number;
  readonly kills: number;
  readonly recipients: number;
  readonly workers: number;
  readonly leaseSeconds: number;
  readonly window: number;
  readonly batch: number;
  readonly policy: 'resend' | 'hold';
  /** How long `stop-database` stops it, milliseconds; longer than the lease. */
  readonly outageMs: number;
  readonly kinds: readonly Kind[];
  /** Whether rescues that take longer than the lease and 2 s break a promise. */
  readonly judgesRescues: boolean;
  readonly say: (line: string) => void;
}

/** What happens, and how fast mails go meanwhile. */
export interface Scenario {
  readonly faults: readonly Fault[];
  /** Reply delay of the sink, milliseconds; and when the last fault has struck. */
  readonly delayMs: number;
  readonly lastDelayMs: number;
  /** How long a fault is waited for when no mail moves, milliseconds. */
  readonly patienceMs: number;
}

export interface TortureResult extends Verdict {
  /** Deaths that were carried out. */
  readonly kills: number;
  readonly faults: Readonly<Record<string, number>>;
  readonly faultsLeftOut: readonly Kind[];
  /** From the campaign's start to its end. */
  readonly seconds: number;
}

/** A relay that is left alone does not stop the torture: the next fault strikes after this, milliseconds. */
const PATIENCE_MS = 2_500;
/** The first mail comes within this, milliseconds. */
const FIRST_MAIL_MS = 60_000;
/** Seconds from one fault to the next, by which the sink's delay is chosen. */
const SECONDS_PER_FAULT = 1.1;
/** Longest reply delay, milliseconds: shorter than any timeout of the client. */
const LONGEST_DELAY_MS = 400;
/** Reply delay when the last fault has struck, milliseconds. */
const LAST_DELAY_MS = 5;
/** When nothing has moved for so long it never will, milliseconds. The longest pause of a relay's breaker is 120 s. */
const STUCK_AFTER_MS = 150_000;
const LOOK_EVERY_MS = 100;

/** What the seed says, at a pace at which each fault finds mails under way. */
function scenarioOf(options: TortureOptions, leftOut: readonly Kind[]): Scenario {
  const faults = plan({ ...options, kinds: options.kinds.filter((kind) => !leftOut.includes(kind)) });
  const rate = options.recipients / Math.max(faults.length, 1) / SECONDS_PER_FAULT;
  const delayMs = Math.min((1000 * options.workers * CONNECTIONS) / rate, LONGEST_DELAY_MS);
  return { faults, delayMs, lastDelayMs: LAST_DELAY_MS, patienceMs: PATIENCE_MS };
}

/** One campaign under torture, from an empty server to the verdict. Without a scenario the seed makes one. */
export async function torture(options: TortureOptions, scenario?: Scenario): Promise<TortureResult> {
  const { kinds, recipients, say } = options;
  const server = await startTortureServer(recipients, kinds.includes('fill-disk'));
  try {
    const sink = await SinkProcess.start(path.join(server.scratch, 'sink.log'));
    try {
      const leftOut: Kind[] = server.disk === null && kinds.includes('fill-disk') ? ['fill-disk'] : [];
      if (leftOut.length > 0) say(`fill-disk is left out: ${server.diskMissing}`);
      return await tortured(options, scenario ?? scenarioOf(options, leftOut), server, sink, leftOut);
    } finally {
      await sink.stop();
    }
  } finally {
    await server.remove();
  }
}

async function tortured(
  options: TortureOptions,
  scenario: Scenario,
  server: TortureServer,
  sink: SinkProcess,
  faultsLeftOut: readonly Kind[],
): Promise<TortureResult> {
  const { recipients, policy, window, leaseSeconds, batch, say } = options;
  const { faults } = scenario;
  const bounds = { lease: leaseSeconds, window, batch };
  const workArguments = Object.entries(bounds).flatMap(([name, value]) => [`--${name}`, String(value)]);
  const stage = await setStage(server, sink, { policy, workers: options.workers, workArguments, say });
  const { first, slices } = slicesOf(recipients, faults);
  await stage.importer.run(1, first);
  await stage.start();
  const started = performance.now();
  const monitor = new Monitor(server.database, stage.campaignId);
  const workers = stage.startWorkers();
  const hangMs = (FINAL_TIMEOUT + 1) * 1000;
  const { campaignId, importer } = stage;
  const torturer = new Torturer({
    ...{ server, sink, workers, importer, campaignId, campaign: CAMPAIGN, leaseSeconds, slices, say, hangMs },
    outageMs: options.outageMs,
  } satisfies Rig);
  try {
    await strikeAll(torturer, scenario, sink, monitor, say);
    await torturer.settle();
    sink.tell({ kind: 'pace', delayMs: scenario.lastDelayMs, ceiling: Number.MAX_SAFE_INTEGER });
    const broken = await untilFinished(monitor, sink, recipients, stage, say);
    const seconds = (performance.now() - started) / 1000;
    await untilClosed(server, campaignId, leaseSeconds);
    const codes = await workers.end();
    if (codes.some((code) => code !== 0)) broken.push(`workers ended with ${codes} after SIGTERM`);
    await monitor.stop();
    const log = await readFile(sink.logFile, 'utf8');
    const verdict = await verify({
      ...{ database: server.database, campaignId, people: recipients, policy, window, leaseSeconds, monitor },
      ...{ log, absences: torturer.absences, judgesRescues: options.judgesRescues, say },
      lives: workers.lives,
      deaths: torturer.deaths,
    });
    const died = DEATHS.reduce((sum, kind) => sum + (torturer.done.get(kind) ?? 0), 0);
    if (died < faults.filter(({ kind }) => isDeath(kind)).length)
      broken.push(`only ${died} deaths were carried out`);
    const all = [...torturer.broken, ...broken, ...verdict.broken];
    if (all.length > 0)
      say(`evidence: ${await keepEvidence(options.seed, server.database, log, workers.lives)}`);
    return {
      ...verdict,
      broken: all,
      kills: died,
      faults: Object.fromEntries(torturer.done),
      faultsLeftOut,
      seconds,
    };
  } finally {
    await monitor.stop();
    await workers.end();
  }
}

const isDeath = (kind: Kind) => (DEATHS as readonly Kind[]).includes(kind);

/** Half of the people are there from the beginning; the others come with the importing processes, a slice each. */
export function slicesOf(
  recipients: number,
  faults: readonly Fault[],
): { first: number; slices: { from: number; to: number }[] } {
  const imports = faults.filter(({ kind }) => kind === 'kill-import').length;
  if (imports === 0) return { first: recipients, slices: [] };
  const first = Math.ceil(recipients / 2);
  const end = (n: number) => first + Math.floor(((recipients - first) * n) / imports);
  const slices = Array.from({ length: imports }, (_, n) => ({ from: end(n) + 1, to: end(n + 1) }));
  return { first, slices };
}

/** Each fault when the sink has taken so many mails. Until the next one has struck mails trickle beyond where it stands. */
async function strikeAll(
  torturer: Torturer,
  { faults, delayMs, patienceMs }: Scenario,
  sink: SinkProcess,
  monitor: Monitor,
  say: (line: string) => void,
): Promise<void> {
  sink.tell({ kind: 'pace', delayMs, ceiling: faults[0]?.at ?? Number.MAX_SAFE_INTEGER });
  // A machine that is slow to start the workers gets its time.
  await sink.reaches(1, FIRST_MAIL_MS);
  for (const [i, fault] of faults.entries()) {
    monitor.check();
    await sink.reaches(fault.at, patienceMs);
    const next = faults[i + 1]?.at ?? Number.MAX_SAFE_INTEGER;
    sink.tell({ kind: 'pace', delayMs, ceiling: next });
    say(
      `${String(i + 1).padStart(3)}/${faults.length} at ${sink.accepted} mails (${monitor.latest?.done ?? 0} done): ${fault.kind}`,
    );
    await torturer.strike(fault);
  }
}

/** Resolves when everybody is done, whatever the campaign says; returns what went wrong on the way. */
async function untilFinished(
  monitor: Monitor,
  sink: SinkProcess,
  people: number,
  stage: Stage,
  say: (line: string) => void,
): Promise<string[]> {
  let moved = performance.now();
  let before = '';
  for (;;) {
    monitor.check();
    const latest = monitor.latest;
    const now = `${sink.accepted}/${latest?.done}/${latest?.status}`;
    if (now !== before) moved = performance.now();
    before = now;
    if (latest?.status === 'finished' && latest.done === people) return [];
    if (latest?.status === 'paused') {
      if (latest.reason?.includes('imported after it had finished') !== true)
        return [`the campaign paused itself: ${latest.reason}`];
      say('everybody was done when the last people came; started again');
      await stage.start();
    }
    if (performance.now() - moved > STUCK_AFTER_MS)
      return [`nothing has moved for ${STUCK_AFTER_MS / 1000} s: ${JSON.stringify(latest)}`];
    await wait(LOOK_EVERY_MS);
  }
}

/** A claim may be closed a moment after its last row; of a dead worker, by the next rescue. */
async function untilClosed(
  { database }: TortureServer,
  campaignId: number,
  leaseSeconds: number,
): Promise<void> {
  const end = performance.now() + (leaseSeconds + 2) * 1000;
  while (performance.now() < end) {
    try {
      if ((await look(database, campaignId)).openClaims === 0) return;
    } catch (error) {
      if (!isTransient(error)) throw error;
    }
    await wait(LOOK_EVERY_MS);
  }
}
