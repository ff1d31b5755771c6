import { readdir } from 'node:fs/promises';
import { afterEach, describe, expect, test, vi } from 'vitest';
import { runningCampaign } from '../support/campaign.ts';
import { type Desk, startDesk } from '../support/cli.ts';
import { FLAGS, type Scene, startScene } from '../support/crash.ts';
import type { FreshDatabase } from '../support/database.ts';

// Processes are started and leases run out: a few seconds, and many on a machine that does other things as well.
vi.setConfig({ testTimeout: 90_000 });

let scene: Scene | undefined;
let desk: Desk | undefined;
afterEach(async () => {
  await scene?.end();
  await desk?.end();
  [scene, desk] = [undefined, undefined];
});

/** Does something while somebody else's transaction holds what the statement locks. */
async function holding<T>(fresh: FreshDatabase, statement: string, work: () => Promise<T>): Promise<T> {
  const client = await fresh.pool.connect();
  try {
    await client.query(`begin; ${statement}`);
    return await work();
  } finally {
    client.release(true);
  }
}

describe('SIGTERM to a worker', () => {
  test('before its first claim: it ends, and nobody was touched', async () => {
    scene = await startScene();
    const { cli } = scene;
    // Nobody can claim, so that the signal comes before the first claim for certain.
    const { campaignId } = await runningCampaign(scene.fresh.database, 100);
    await holding(scene.fresh, 'select 1 from recipient for update', async () => {
      const worker = await cli('work', ...FLAGS);
      await expect
        .poll(() => scene?.number('select count(*) from worker where stopped_at is null'), {
          timeout: 30_000,
        })
        .toBe(1);
      worker.signal('SIGTERM');
      expect((await worker.ended).code).toBe(0);
    });
    expect(await scene.number('select count(*) from recipient where send_state = 0')).toBe(100);
    expect(await scene.number('select count(*) from worker where stopped_at is null')).toBe(0);
    expect((await (await scene.cli('work', '--drain', ...FLAGS)).ended).code).toBe(0);
    expect((await scene.whole(campaignId, 100, 0)).outcomes).toEqual({ sent: 100 });
  });

  test('while the database does not answer: what was sent is kept and written before it ends', async () => {
    scene = await startScene();
    const { campaignId, name } = await runningCampaign(scene.fresh.database, 500, { rate: 150 });
    const worker = await scene.cliThroughProxy('send', name, ...FLAGS);
    await scene.relay.waitFor(60);
    scene.toDatabase.refuse();
    await worker.says(/The database does not answer/);
    worker.signal('SIGTERM');
    await worker.says(/Finishing what is in flight/);
    const taken = scene.relay.accepted;
    scene.toDatabase.accept();
    expect((await worker.ended).signal).toBeNull();
    // Everything that the relay took is recorded, and nothing else.
    expect(await scene.number(`select count(*) from recipient where outcome = 'sent'`)).toBe(
      scene.relay.accepted,
    );
    expect(scene.relay.accepted).toBeGreaterThanOrEqual(taken);
    expect(await scene.number('select count(*) from recipient where send_state = 1')).toBe(0);
    expect((await (await scene.cli('send', name, ...FLAGS)).ended).code).toBe(0);
    expect((await scene.whole(campaignId, 500, 0)).outcomes).toEqual({ sent: 500 });
    expect(scene.relay.accepted).toBe(500);
  });
});

describe('SIGTERM to another command', () => {
  const waitsForLock = () =>
    expect
      .poll(
        async () =>
          (
            await desk?.fresh.pool.query(
              `select 1 from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock' and application_name = 'sendstate'`,
            )
          )?.rowCount,
        { timeout: 30_000, interval: 20 },
      )
      .toBe(1);

  test('import: nothing is imported, no file is left, and the next import takes everybody', async () => {
    desk = await startDesk();
    await desk.write('t.txt', 'Hello');
    await desk.run(['create', 'list', '--from', 'n@example.com', '--subject', 'Hi', '--text', 't.txt']);
    const rows = Array.from({ length: 20_000 }, (_, n) => `p${n}@example.com,Name\nnobody${n},x\n`).join('');
    await desk.write('people.csv', `email,name\n${rows}`);
    const before = await readdir(desk.directory);
    const { start } = desk;
    // It has read people and cannot put them into the table yet.
    const running = await holding(desk.fresh, 'lock table recipient in share mode', async () => {
      const cli = await start(['import', 'list', 'people.csv']);
      await waitsForLock();
      cli.signal('SIGTERM');
      return cli;
    });
    expect((await running.ended).code).not.toBe(0);
    expect(await readdir(desk.directory)).toEqual(before);
    expect((await desk.fresh.pool.query('select 1 from recipient limit 1')).rowCount).toBe(0);
    const again = await desk.run(['import', 'list', 'people.csv', '--json']);
    expect(again.code).toBe(0);
    expect((await desk.fresh.pool.query('select count(*) as n from recipient')).rows).toEqual([
      { n: 20_000 },
    ]);
  });

  test('migrate: nothing is migrated, and the next one does it all', async () => {
    desk = await startDesk({}, { migrated: false });
    const { start } = desk;
    // The lock under which migrations run, held by somebody else.
    const lock = `select pg_advisory_xact_lock(x'73656e6473746174'::bigint)`;
    await holding(desk.fresh, lock, async () => {
      const running = await start(['migrate']);
      await waitsForLock();
      running.signal('SIGTERM');
      await running.ended;
    });
    const tables = `select 1 from pg_tables where schemaname = 'public'`;
    await expect.poll(async () => (await desk?.fresh.pool.query(tables))?.rowCount).toBe(0);
    expect((await desk.run(['migrate'])).code).toBe(0);
    expect((await desk.run(['doctor'])).stdout).toContain('counters');
  });
});
