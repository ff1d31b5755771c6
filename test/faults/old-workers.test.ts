import { afterEach, describe, expect, test, vi } from 'vitest';
import { type CaptureOptions, type CaptureServer, startCapture } from '../../src/capture/capture.ts';
import { openDatabase } from '../../src/database/connect.ts';
import { countersAgree, runningCampaign, type TestCampaign } from '../support/campaign.ts';
import { FLAGS, WINDOW } from '../support/crash.ts';
import { type FreshDatabase, freshDatabase } from '../support/database.ts';
import { firstRelease } from '../support/first-release.ts';
import { type CliProcess, endProcesses, runCli, startCli } from '../support/process.ts';
import { truth } from '../support/truth.ts';

// Processes are started and leases run out: a few seconds, and many on a machine that does other things as well.
vi.setConfig({ testTimeout: 150_000 });

/** Mails a second: a campaign has to last longer than two programs take to start on a machine that is busy. */
const RATE = 40;

const ends: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  await endProcesses();
  for (const end of ends.splice(0).reverse()) await end();
});

interface World {
  readonly fresh: FreshDatabase;
  readonly relay: CaptureServer;
  readonly campaign: TestCampaign;
  /** A worker of the first release. */
  old(...args: string[]): Promise<CliProcess>;
  /** A worker of this version. */
  current(...args: string[]): Promise<CliProcess>;
  /** How many recipients this process has come to an end with. */
  done(worker: CliProcess): Promise<number>;
}

/** The tables of the first release, made by itself, with a campaign that runs for some seconds. */
async function world(people: number, capture: CaptureOptions = {}, set: object = {}): Promise<World> {
  const { program, remove } = await firstRelease();
  ends.push(remove);
  const fresh = await freshDatabase({ migrated: false });
  ends.push(() => fresh.drop());
  const relay = await startCapture(capture);
  ends.push(() => relay.close());
  const env = { DATABASE_URL: fresh.url, SMTP_URL: `${relay.url}?connections=2` };
  const migrated = await runCli(['migrate'], { env, program });
  expect(migrated.stderr + migrated.code).toMatch(/0$/);
  const database = await openDatabase(fresh.url, { applicationName: 'sendstate-test' });
  ends.push(() => database.close());
  const campaign = await runningCampaign(database, people, { rate: RATE, ...set });
  return {
    fresh,
    relay,
    campaign,
    old: (...args) => startCli([...args, ...FLAGS], { env, program }),
    current: (...args) => startCli([...args, ...FLAGS], { env }),
    done: async (worker) => {
      const { rows } = await fresh.pool.query(
        `select count(*)::int as n from worker w join claim c using (worker_id) join recipient r using (campaign_id, claim_id)
         where w.pid = $1 and r.send_state = 2`,
        [worker.pid],
      );
      return rows[0]?.n ?? 0;
    },
  };
}

const SOON = { timeout: 100_000, interval: 20 };

/** Migrates with this version's program while the old worker is at it. */
async function upgrade({ fresh }: World): Promise<void> {
  const migrated = await runCli(['migrate'], { env: { DATABASE_URL: fresh.url } });
  expect(migrated.stderr + migrated.code).toMatch(/0$/);
}

/** That the worker goes on from here. */
async function goesOn({ done }: World, worker: CliProcess): Promise<void> {
  const before = await done(worker);
  await expect.poll(() => done(worker), SOON).toBeGreaterThan(before);
}

describe('a worker of the first release', () => {
  test('goes on while this version migrates and works beside it: every recipient once, and both took part', async () => {
    // Refused for good, and put off once: what this version writes into tables that the old one does not know.
    const all = await world(900, {
      policy: (recipient, nth) => {
        if (/^person\d*7@/.test(recipient)) return { at: 'rcpt', reply: '550 5.1.1 unknown' };
        return nth === 1 && /^person\d*3@/.test(recipient) ? { at: 'rcpt', reply: '450 4.7.1 later' } : null;
      },
    });
    const { fresh, relay, campaign } = all;
    const old = await all.old('work');
    await relay.waitFor(60);
    await upgrade(all);
    await goesOn(all, old);
    const current = await all.current('work');
    await expect.poll(() => all.done(current), SOON).toBeGreaterThan(0);
    await goesOn(all, old);
    // A deferred recipient is due, whichever version sends to them now.
    const waiting = `select count(*)::int as n from recipient where send_state <> 2`;
    await expect
      .poll(async () => {
        await fresh.pool.query(
          'update recipient set retry_at = now() where send_state = 0 and retry_at > now()',
        );
        return (await fresh.pool.query(waiting)).rows[0]?.n;
      }, SOON)
      .toBe(0);
    for (const worker of [old, current]) {
      worker.signal('SIGTERM');
      expect((await worker.ended).code).toBe(0);
    }
    expect(await truth(fresh.pool, campaign.campaignId, relay)).toMatchObject({
      status: 'finished',
      outcomes: { sent: 810, rejected: 90 },
      lost: [],
      duplicates: 0,
      stuck: 0,
      open: 0,
      doubtful: 0,
    });
    await countersAgree(fresh.database, campaign.campaignId);
    expect((await all.done(old)) + (await all.done(current))).toBe(900);
    expect((await fresh.pool.query('select 1 from worker where presumed_dead')).rowCount).toBe(0);
  });

  test.each([
    ['takes over from one of this version that was killed', 'current'],
    ['is taken over by this version when it is killed', 'old'],
  ] as const)('%s', async (_, dies) => {
    const all = await world(900);
    const { fresh, relay, campaign } = all;
    const old = await all.old('work');
    await relay.waitFor(30);
    await upgrade(all);
    const current = await all.current('work');
    await expect.poll(() => all.done(current), SOON).toBeGreaterThan(0);
    const [killed, heir] = dies === 'old' ? [old, current] : [current, old];
    killed.signal('SIGKILL');
    await killed.ended;
    await heir.says(/Took over/);
    const status = 'select status from campaign';
    await expect.poll(async () => (await fresh.pool.query(status)).rows[0]?.status, SOON).toBe('finished');
    heir.signal('SIGTERM');
    expect((await heir.ended).code).toBe(0);
    const found = await truth(fresh.pool, campaign.campaignId, relay);
    expect(found).toMatchObject({ outcomes: { sent: 900 }, lost: [], unnamed: [], stuck: 0, open: 0 });
    expect(found.duplicates).toBeLessThanOrEqual(WINDOW);
    expect(found.doubtful).toBeLessThanOrEqual(WINDOW);
    await countersAgree(fresh.database, campaign.campaignId);
  });

  test('knows no limit of a domain: it holds once the old ones have stopped', async () => {
    const all = await world(600);
    const { fresh, relay, campaign } = all;
    const old = await all.old('work');
    await relay.waitFor(30);
    await upgrade(all);
    const env = { DATABASE_URL: fresh.url };
    expect((await runCli(['limit', 'example.com', '1/h'], { env })).code).toBe(0);
    await relay.waitFor(relay.accepted + 100);
    old.signal('SIGTERM');
    expect((await old.ended).code).toBe(0);
    const taken = relay.accepted;
    const current = await all.current('work', '--drain');
    expect((await current.ended).code).toBe(0);
    expect(relay.accepted - taken).toBeLessThanOrEqual(1);
    await countersAgree(fresh.database, campaign.campaignId);
  });

  test('refuses to start on the tables of this version, and says what to do', async () => {
    const all = await world(1);
    await upgrade(all);
    const late = await (await all.old('work', '--drain')).ended;
    expect(late.code).toBe(1);
    expect(late.stderr).toMatch(/is at version \w+; this program knows only 0002_views/);
    expect(late.stderr).toContain('Upgrade sendstate');
    expect(all.relay.accepted).toBe(0);
  });
});
