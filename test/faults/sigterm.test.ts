import { readdir } from 'node:fs/promises';
import { afterEach, describe, expect, test, vi } from 'vitest';
import { countersAgree, runningCampaign } from '../support/campaign.ts';
import { type Shell, startShell } from '../support/cli.ts';
import { FLAGS, type Scene, startScene } from '../support/crash.ts';
import type { FreshDatabase } from '../support/database.ts';
import type { CliProcess } from '../support/process.ts';

// Processes are started and leases run out: a few seconds, and many on a machine that does other things as well.
vi.setConfig({ testTimeout: 90_000 });

/*
 * The phases in which a signal can come, and where each is shown:
 *
 *   a worker    before it has registered, before its first claim, while the database does not answer,
 *               while it rescues, woken as one presumed dead, while it registers anew     here
 *               with mails in flight, while it waits for people                           crash/signals.test.ts
 *               a second signal                                                           crash/signals.test.ts
 *   an import, a migration                                                                here
 */

let scene: Scene | undefined;
let shell: Shell | undefined;
afterEach(async () => {
  await scene?.end();
  await shell?.end();
  [scene, shell] = [undefined, undefined];
});

/** Does something while another transaction holds what the statement locks. */
async function holding<T>(fresh: FreshDatabase, statement: string, work: () => Promise<T>): Promise<T> {
  const client = await fresh.pool.connect();
  try {
    await client.query(`begin; ${statement}`);
    return await work();
  } finally {
    client.release(true);
  }
}

/** Resolves once a statement waits for a lock; `like` names the statement. */
async function waitsForLock({ pool }: Pick<FreshDatabase, 'pool'>, like = '%'): Promise<void> {
  const waiting = `select 1 from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'
    and application_name = 'sendstate' and query like $1`;
  await expect
    .poll(async () => (await pool.query(waiting, [like])).rowCount, { timeout: 30_000, interval: 20 })
    .toBe(1);
}

/** Every worker that ever ran has ended in order; so many were there. */
async function goneAre(here: Scene, workers: number): Promise<void> {
  expect(await here.number('select count(*) from worker where stopped_at is null')).toBe(0);
  expect(await here.number('select count(*) from worker')).toBe(workers);
}

/** A worker that has mails in flight, sleeps beyond its lease, and whose claims another one has taken. */
async function sleeper(
  here: Scene,
): Promise<{ asleep: CliProcess; rescuer: CliProcess; campaignId: number }> {
  const { campaignId } = await runningCampaign(here.fresh.database, 200);
  const asleep = await here.cli('work', ...FLAGS);
  await here.relay.waitFor(50);
  here.toRelay.freezeReplies();
  asleep.signal('SIGSTOP');
  // The other one only rescues: the relay is silent for it as well.
  await here.fresh.pool.query(`update campaign set status = 'paused'`);
  const rescuer = await here.cli('work', ...FLAGS);
  await rescuer.says(/Took over [1-9]\d* recipients from 1 workers? that died/);
  return { asleep, rescuer, campaignId };
}

describe('SIGTERM to a worker', () => {
  test('before it has registered: it registers, ends, and no recipient was touched', async () => {
    scene = await startScene();
    const { cli, fresh } = scene;
    const { campaignId } = await runningCampaign(fresh.database, 100);
    const worker = await holding(fresh, 'lock table worker in share mode', async () => {
      const starting = await cli('work', ...FLAGS);
      await waitsForLock(fresh, '%insert into worker%');
      starting.signal('SIGTERM');
      await starting.says(/Finishing what is in flight/);
      return starting;
    });
    expect(await worker.ended).toMatchObject({ code: 0 });
    expect(await scene.number('select count(*) from recipient where send_state = 0')).toBe(100);
    await goneAre(scene, 1);
    expect((await (await cli('work', '--drain', ...FLAGS)).ended).code).toBe(0);
    expect((await scene.whole(campaignId, 100, 0)).outcomes).toEqual({ sent: 100 });
  });

  test('before its first claim: it ends, and no recipient was touched', async () => {
    scene = await startScene();
    const { cli } = scene;
    // No worker can claim, so that the signal comes before the first claim for certain.
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

  test('while it takes over from a dead one: that round ends in order, and what it left is taken by the next', async () => {
    scene = await startScene();
    const { cli, fresh, relay } = scene;
    const { campaignId } = await runningCampaign(fresh.database, 400, { rate: 200 });
    const dead = await cli('work', ...FLAGS);
    await relay.waitFor(50);
    dead.signal('SIGKILL');
    await dead.ended;
    const worker = await holding(
      fresh,
      'select 1 from claim where closed_at is null for update',
      async () => {
        const rescuing = await cli('work', ...FLAGS);
        await waitsForLock(fresh, '%with orphan as%');
        rescuing.signal('SIGTERM');
        await rescuing.says(/Finishing what is in flight/);
        // It has left the living already, and only the statement keeps it.
        await expect
          .poll(() => scene?.number('select count(*) from worker where stopped_at is null'), {
            timeout: 30_000,
          })
          .toBe(0);
        return rescuing;
      },
    );
    const { code, stderr } = await worker.ended;
    expect(code).toBe(0);
    expect(stderr).toContain('Took over');
    expect(stderr).not.toContain('does not answer');
    await goneAre(scene, 2);
    await countersAgree(fresh.database, campaignId);
    expect((await (await cli('work', '--drain', ...FLAGS)).ended).code).toBe(0);
    expect((await scene.whole(campaignId, 400, 1)).outcomes).toEqual({ sent: 400 });
  });

  test('woken as one presumed dead: it ends, and changes nothing that others took', async () => {
    scene = await startScene();
    const { asleep, rescuer, campaignId } = await sleeper(scene);
    const before = await countersAgree(scene.fresh.database, campaignId);
    // Both reach it at once.
    asleep.signal('SIGTERM');
    asleep.signal('SIGCONT');
    scene.toRelay.thaw();
    expect(await asleep.ended).toMatchObject({ code: 0 });
    expect(await countersAgree(scene.fresh.database, campaignId)).toEqual(before);
    await goesOnWith(scene, rescuer, campaignId);
  });

  test('while it waits to register anew: it ends, and no row of it lives on', async () => {
    scene = await startScene();
    const { asleep, rescuer, campaignId } = await sleeper(scene);
    const before = await countersAgree(scene.fresh.database, campaignId);
    asleep.signal('SIGCONT');
    // Until its mails are answered it counts none: those answers have not come yet.
    await asleep.says(/silent for too long/);
    asleep.signal('SIGTERM');
    await asleep.says(/Finishing what is in flight/);
    scene.toRelay.thaw();
    expect(await asleep.ended).toMatchObject({ code: 0 });
    expect(await countersAgree(scene.fresh.database, campaignId)).toEqual(before);
    await goesOnWith(scene, rescuer, campaignId);
  });
});

/** The one that is left sends to all other recipients, and ends last. */
async function goesOnWith(here: Scene, rescuer: CliProcess, campaignId: number): Promise<void> {
  expect(await here.number('select count(*) from worker where stopped_at is null')).toBe(1);
  await here.fresh.pool.query(`update campaign set status = 'running'`);
  await expect
    .poll(() => here.number(`select count(*) from campaign where status = 'finished'`), { timeout: 30_000 })
    .toBe(1);
  expect((await here.whole(campaignId, 200, 1)).outcomes).toEqual({ sent: 200 });
  rescuer.signal('SIGTERM');
  expect((await rescuer.ended).code).toBe(0);
  expect(await here.number('select count(*) from worker where stopped_at is null')).toBe(0);
}

describe('SIGTERM to another command', () => {
  test('import: nothing is imported, no file is left, and the next import takes every row', async () => {
    shell = await startShell();
    await shell.write('t.txt', 'Hello');
    await shell.run(['create', 'list', '--from', 'n@example.com', '--subject', 'Hi', '--text', 't.txt']);
    const rows = Array.from({ length: 20_000 }, (_, n) => `p${n}@example.com,Name\nnobody${n},x\n`).join('');
    await shell.write('people.csv', `email,name\n${rows}`);
    const before = await readdir(shell.directory);
    const { start, fresh } = shell;
    // It has read people and cannot put them into the table yet.
    const running = await holding(shell.fresh, 'lock table recipient in share mode', async () => {
      const cli = await start(['import', 'list', 'people.csv']);
      await waitsForLock(fresh);
      cli.signal('SIGTERM');
      return cli;
    });
    expect((await running.ended).code).not.toBe(0);
    expect(await readdir(shell.directory)).toEqual(before);
    expect((await shell.fresh.pool.query('select 1 from recipient limit 1')).rowCount).toBe(0);
    const again = await shell.run(['import', 'list', 'people.csv', '--json']);
    expect(again.code).toBe(0);
    expect((await shell.fresh.pool.query('select count(*) as n from recipient')).rows).toEqual([
      { n: 20_000 },
    ]);
  });

  test('migrate: nothing is migrated, and the next one does it all', async () => {
    shell = await startShell({}, { migrated: false });
    const { start, fresh } = shell;
    // The lock under which migrations run, held by another session.
    const lock = `select pg_advisory_xact_lock(x'73656e6473746174'::bigint)`;
    await holding(shell.fresh, lock, async () => {
      const running = await start(['migrate']);
      await waitsForLock(fresh);
      running.signal('SIGTERM');
      await running.ended;
    });
    const tables = `select 1 from pg_tables where schemaname = 'public'`;
    await expect.poll(async () => (await shell?.fresh.pool.query(tables))?.rowCount).toBe(0);
    expect((await shell.run(['migrate'])).code).toBe(0);
    expect((await shell.run(['doctor'])).stdout).toContain('counters');
  });
});
