import { randomBytes } from 'node:crypto';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { type CaptureServer, startCapture } from '../../src/capture/capture.ts';
import { countersAgree, runningCampaign, type TestCampaign } from '../support/campaign.ts';
import { type FreshDatabase, freshDatabase } from '../support/database.ts';
import { endSenders, type Sender, startSender } from '../support/sender.ts';
import { truth } from '../support/truth.ts';

// Processes are started and leases run out: a few seconds, and many on a machine that does other things as well.
vi.setConfig({ testTimeout: 90_000 });

let fresh: FreshDatabase;
let relay: CaptureServer;
beforeEach(async () => {
  fresh = await freshDatabase({ max: 8 });
  relay = await startCapture();
});
afterEach(async () => {
  await endSenders();
  await relay.close();
  await fresh.drop();
});

/** A setting for every session that connects to this database from now on, as an operator would make it. */
const setForAll = async (setting: string) => {
  const { rows } = await fresh.pool.query<{ name: string }>('select current_database() as name');
  await fresh.pool.query(`alter database ${rows[0]?.name} set ${setting}`);
};

const sender = (campaign: TestCampaign, more: { batch?: number } = {}): Promise<Sender> =>
  startSender({ databaseUrl: fresh.url, relay: relay.url, campaign: campaign.name, ...more });

/** Every recipient got one mail, whatever the database refused on the way. */
async function everybodyOnce({ campaignId }: TestCampaign, people: number): Promise<void> {
  expect(await truth(fresh.pool, campaignId, relay)).toMatchObject({
    status: 'finished',
    outcomes: { sent: people },
    duplicates: 0,
    doubtful: 0,
    stuck: 0,
    open: 0,
  });
  expect(relay.accepted).toBe(people);
  await countersAgree(fresh.database, campaignId);
}

/** Waits until one of the worker's statements waits for a lock. */
const somebodyWaits = () =>
  expect
    .poll(
      async () =>
        (
          await fresh.pool.query(
            `select 1 from pg_stat_activity where datname = current_database() and application_name = 'sendstate' and wait_event_type = 'Lock'`,
          )
        ).rowCount,
      { timeout: 30_000, interval: 5 },
    )
    .toBeGreaterThan(0);

test('no connection is left (53300): the worker waits for one and loses nothing', async () => {
  const role = `sendstate_few_${randomBytes(4).toString('hex')}`;
  await fresh.pool.query(
    `create role ${role} login password 'few' in role pg_read_all_data, pg_write_all_data`,
  );
  try {
    const campaign = await runningCampaign(fresh.database, 400, { rate: 150 });
    const url = new URL(fresh.url);
    [url.username, url.password] = [role, 'few'];
    const worker = await startSender({
      databaseUrl: url.href,
      relay: relay.url,
      campaign: campaign.name,
    });
    await relay.waitFor(60);
    await fresh.pool.query(`alter role ${role} connection limit 0`);
    // Again and again: who was past the limit but not yet in the list when it was read has a connection still.
    const refusal = async () => {
      await fresh.pool.query(`select pg_terminate_backend(pid) from pg_stat_activity where usename = $1`, [
        role,
      ]);
      return await worker.app.database.pool.query('select 1').catch((error: unknown) => error);
    };
    // It asks, and is refused with that very code.
    await expect.poll(refusal).toMatchObject({ code: 'database-full', cause: { code: '53300' } });
    await worker.event('database-lost');
    await fresh.pool.query(`alter role ${role} connection limit -1`);
    await worker.event('database-back');
    expect(await worker.end).toBe('ended');
    await everybodyOnce(campaign, 400);
  } finally {
    await fresh.pool.query(`alter role ${role} connection limit -1`);
    await endSenders();
    await fresh.pool.query(`drop role ${role}`);
  }
});

test('statement_timeout (57014): what took too long is done again until it goes through', async () => {
  await setForAll(`statement_timeout = '300ms'`);
  const campaign = await runningCampaign(fresh.database, 400, { rate: 150 });
  const worker = await sender(campaign);
  await relay.waitFor(60);
  // Longer than any statement may wait, and over whatever the worker does: claims, results, heartbeats.
  const client = await fresh.pool.connect();
  await client.query('begin; lock table recipient, worker in access exclusive mode');
  const { why } = await worker.event('database-lost');
  expect(why).toMatch(/statement timeout/);
  await client.query('commit');
  client.release();
  await worker.event('database-back');
  expect(await worker.end).toBe('ended');
  await everybodyOnce(campaign, 400);
});

describe('conflicts between transactions', () => {
  test.each(['repeatable read', 'serializable'])(
    'default_transaction_isolation = %s (40001): statements that collide are done again',
    async (level) => {
      await setForAll(`default_transaction_isolation = '${level}'`);
      const campaign = await runningCampaign(fresh.database, 1200, { rate: 600 });
      const workers = [];
      for (let n = 0; n < 3; n++) workers.push(await sender(campaign, { batch: 20 }));
      await relay.waitFor(100);
      // A counter that changes while a worker waits for it is a collision by definition.
      const client = await fresh.pool.connect();
      await client.query('begin; update counter set sent = sent where lane = 1');
      await somebodyWaits();
      await client.query('commit');
      client.release();
      const { why } = await Promise.race(workers.map((worker) => worker.event('database-lost')));
      expect(why).toMatch(/could not serialize access/);
      for (const worker of workers) expect(await worker.end).toBe('ended');
      await everybodyOnce(campaign, 1200);
    },
  );

  test('a deadlock with an operator that changes rows by hand (40P01): the worker yields and writes again', async () => {
    const campaign = await runningCampaign(fresh.database, 200, { rate: 60 });
    const worker = await sender(campaign);
    await relay.waitFor(20);
    const client = await fresh.pool.connect();
    // The worker's record changes recipients first and its counter last. The other session takes them the other way round, and
    // is the more patient of the two.
    await client.query(`set deadlock_timeout = '60s'`);
    await client.query('begin; select 1 from counter where lane = 1 for update');
    await somebodyWaits();
    await client.query('select 1 from recipient where send_state = 1 for update');
    const { why } = await worker.event('database-lost');
    expect(why).toMatch(/deadlock detected/);
    await client.query('commit');
    client.release(true);
    expect(await worker.end).toBe('ended');
    await everybodyOnce(campaign, 200);
  });
});
