import { afterEach, describe, expect, test } from 'vitest';
import { runningCampaign } from '../support/campaign.ts';
import { FLAGS, type Scene, startScene } from '../support/crash.ts';
import { through } from '../support/proxy.ts';
import { endSenders, startSender } from '../support/sender.ts';
import { truth } from '../support/truth.ts';

let scene: Scene;
afterEach(async () => {
  await endSenders();
  await scene.end();
});

/** Both are at work: a process that loses its database while it starts says so and ends, which is another matter. */
const bothRegistered = () =>
  expect
    .poll(() => scene.number('select count(*) from worker where stopped_at is null'), {
      timeout: 10_000,
      interval: 20,
    })
    .toBe(2);
const finished = () => scene.number(`select count(*) from campaign where status = 'finished'`);

describe('the database goes away while mails are sent', () => {
  test('every connection is ended, again and again: results are kept, no recipient is lost or doubled', async () => {
    scene = await startScene();
    const { campaignId, name } = await runningCampaign(scene.fresh.database, 1500, { rate: 400 });
    const workers = [await scene.cli('send', name), await scene.cli('send', name)];
    await bothRegistered();
    for (let round = 1; round <= 8; round++) {
      await scene.relay.waitFor(Math.min(scene.relay.accepted + 60, 1500));
      await scene.fresh.pool.query(
        `select pg_terminate_backend(pid) from pg_stat_activity
         where datname = current_database() and application_name = 'sendstate' and pid <> pg_backend_pid()`,
      );
    }
    for (const worker of workers) expect(await worker.ended).toMatchObject({ code: 0 });
    const found = await scene.whole(campaignId, 1500, 0);
    expect(found.outcomes).toEqual({ sent: 1500 });
    expect(scene.relay.accepted).toBe(1500);
  });

  test('refused for a while: the worker says so, goes on by itself, and no worker was presumed dead', async () => {
    scene = await startScene();
    const { campaignId, name } = await runningCampaign(scene.fresh.database, 1000, { rate: 250 });
    const workers = [
      await scene.cliThroughProxy('send', name, ...FLAGS),
      await scene.cliThroughProxy('send', name, ...FLAGS),
    ];
    await bothRegistered();
    await scene.relay.waitFor(scene.relay.accepted + 50);
    scene.toDatabase.refuse();
    for (const worker of workers) await worker.says(/The database does not answer/);
    // Longer than the lease of both, by the database's clock.
    await expect
      .poll(() => scene.number('select count(*) from worker where heartbeat_at < now() - lease'), {
        timeout: 10_000,
      })
      .toBe(2);
    scene.toDatabase.accept();
    for (const worker of workers) {
      await worker.says(/The database is back/);
      expect(await worker.ended).toMatchObject({ code: 0 });
    }
    const found = await scene.whole(campaignId, 1000, 0);
    expect(found.outcomes).toEqual({ sent: 1000 });
    expect(scene.relay.accepted).toBe(1000);
    expect(await scene.number('select count(*) from worker where presumed_dead')).toBe(0);
  });

  test('the answer to a claim is lost: the unknown claim is found again', async () => {
    scene = await startScene();
    const { campaignId, name } = await runningCampaign(scene.fresh.database, 400);
    let lost = 0;
    scene.toDatabase.spy = (piece) => {
      if (lost < 2 && piece.includes('order by recipient_id limit')) lost++;
      else return false;
      return true;
    };
    // So few that the server's answer is one piece, which it sends after the commit.
    const worker = await scene.cliThroughProxy('send', name, ...FLAGS, '--batch', '20');
    expect(await worker.ended).toMatchObject({ code: 0 });
    expect(lost).toBe(2);
    const found = await scene.whole(campaignId, 400, 0);
    expect(found.outcomes).toEqual({ sent: 400 });
    expect(scene.relay.accepted).toBe(400);
  });

  test('the answers to records are lost: what was written is not written twice', async () => {
    scene = await startScene();
    const { campaignId, name } = await runningCampaign(scene.fresh.database, 400);
    let lost = 0;
    scene.toDatabase.spy = (piece) => {
      if (lost < 3 && piece.includes('update recipient t set')) lost++;
      else return false;
      return true;
    };
    const worker = await scene.cliThroughProxy('send', name, ...FLAGS);
    expect(await worker.ended).toMatchObject({ code: 0 });
    expect(lost).toBe(3);
    const found = await scene.whole(campaignId, 400, 0);
    expect(found.outcomes).toEqual({ sent: 400 });
    expect(scene.relay.accepted).toBe(400);
  });

  test('a server that vanishes without a word: its connections are given up, and another one is used', async () => {
    scene = await startScene();
    const { campaignId, name } = await runningCampaign(scene.fresh.database, 600, { rate: 200 });
    const databaseUrl = through(scene.fresh.url, scene.toDatabase);
    const worker = await startSender({
      ...{ databaseUrl, relay: scene.relay.url, campaign: name, leaseSeconds: 20 },
      answerWithinMs: 1_000,
    });
    await scene.relay.waitFor(100);
    scene.toDatabase.strand();
    const { why } = await worker.event('database-lost');
    expect(why).toMatch(/does not answer|timeout/);
    await worker.event('database-back');
    expect(await worker.end).toBe('ended');
    expect((await scene.whole(campaignId, 600, 0)).outcomes).toEqual({ sent: 600 });
    expect(scene.relay.accepted).toBe(600);
    expect(await scene.number('select count(*) from worker where presumed_dead')).toBe(0);
  });

  test('silent, neither answering nor refusing: two signals end the worker all the same', async () => {
    scene = await startScene();
    const { campaignId, name } = await runningCampaign(scene.fresh.database, 2000);
    const worker = await scene.cliThroughProxy('send', name, ...FLAGS);
    await scene.relay.waitFor(50);
    scene.toDatabase.freezeReplies();
    worker.signal('SIGTERM');
    await worker.says(/Finishing what is in flight/);
    const asked = performance.now();
    worker.signal('SIGTERM');
    expect((await worker.ended).code).toBe(1);
    expect(performance.now() - asked).toBeLessThan(5_000);
    scene.toDatabase.thaw();
    scene.toDatabase.cut();
    expect((await (await scene.cli('send', name, ...FLAGS)).ended).code).toBe(0);
    expect((await scene.whole(campaignId, 2000, 1)).outcomes).toEqual({ sent: 2000 });
  });
});

test('a worker that cannot reach its database does not keep others from finishing', async () => {
  scene = await startScene();
  const { campaignId, name } = await runningCampaign(scene.fresh.database, 500);
  const cutOff = await scene.cliThroughProxy('work', ...FLAGS);
  await scene.relay.waitFor(100);
  scene.toDatabase.refuse();
  await cutOff.says(/The database does not answer/);
  const other = await scene.cli('send', name, ...FLAGS);
  expect(await other.ended).toMatchObject({ code: 0 });
  await scene.whole(campaignId, 500, 1);
  const before = await truth(scene.fresh.pool, campaignId, scene.relay);
  scene.toDatabase.accept();
  await cutOff.says(/silent for too long/);
  await expect
    .poll(() => scene.number('select count(*) from worker where stopped_at is null'), { timeout: 5_000 })
    .toBe(1);
  expect(await truth(scene.fresh.pool, campaignId, scene.relay)).toEqual(before);
  expect(await finished()).toBe(1);
});
