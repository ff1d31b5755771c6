import { afterEach, describe, expect, test } from 'vitest';
import { countersAgree, runningCampaign } from '../support/campaign.ts';
import { FLAGS, type Scene, startScene } from '../support/crash.ts';

let scene: Scene;
afterEach(() => scene.end());

const finished = () => scene.number(`select count(*) from campaign where status = 'finished'`);

describe('work', () => {
  test('--drain sends what is due, of every campaign, and ends with 0', async () => {
    scene = await startScene();
    const one = await runningCampaign(scene.fresh.database, 30);
    const two = await runningCampaign(scene.fresh.database, 40);
    const paused = await runningCampaign(scene.fresh.database, 5, { status: 'paused' });
    const { code, stdout, stderr } = await (await scene.cli('work', '--drain')).ended;
    expect({ code, stdout }).toEqual({ code: 0, stdout: '' });
    for (const { name } of [one, two]) expect(stderr).toContain(`${name}: finished`);
    expect(await countersAgree(scene.fresh.database, one.campaignId)).toMatchObject({ sent: 30 });
    expect(await countersAgree(scene.fresh.database, two.campaignId)).toMatchObject({ sent: 40 });
    expect(scene.relay.accepted).toBe(70);
    expect(await countersAgree(scene.fresh.database, paused.campaignId)).toMatchObject({ waiting: 5 });
  });

  test('--cron drains at each tick and never overlaps itself, however slow the relay is', async () => {
    scene = await startScene({ replyDelayMs: 60 });
    // Five connections, several round trips a mail: several ticks of a second pass before the first drain is over.
    const { campaignId } = await runningCampaign(scene.fresh.database, 150);
    const worker = await scene.cli('work', '--cron', '* * * * * *');
    await expect.poll(finished, { timeout: 25_000, interval: 100 }).toBe(1);
    const later = await runningCampaign(scene.fresh.database, 3);
    await expect.poll(finished, { timeout: 10_000, interval: 100 }).toBe(2);
    worker.signal('SIGTERM');
    const { code, stderr } = await worker.ended;
    expect(code).toBe(0);
    expect(stderr).toContain('Waiting for * * * * * *');
    expect(await countersAgree(scene.fresh.database, campaignId)).toMatchObject({ sent: 150 });
    expect(await countersAgree(scene.fresh.database, later.campaignId)).toMatchObject({ sent: 3 });
    expect(scene.relay.accepted).toBe(153);
    const { rows } = await scene.fresh.pool.query<{ started_at: Date; stopped_at: Date }>(
      'select started_at, stopped_at from worker order by started_at',
    );
    expect(rows.length).toBeGreaterThan(1);
    const first = rows[0] as (typeof rows)[0];
    expect(first.stopped_at.getTime() - first.started_at.getTime()).toBeGreaterThan(1_000);
    for (const [i, row] of rows.entries()) {
      const before = rows[i - 1];
      if (before !== undefined)
        expect(row.started_at.getTime()).toBeGreaterThanOrEqual(before.stopped_at.getTime());
    }
  });

  test('--cron goes on after a tick that failed', async () => {
    scene = await startScene();
    const { campaignId } = await runningCampaign(scene.fresh.database, 3);
    await scene.fresh.pool.query('alter table timeline rename to elsewhere');
    const worker = await scene.cli('work', '--cron', '* * * * * *', '--lease', '2');
    await worker.says(/This tick failed: .*timeline/);
    await scene.fresh.pool.query('alter table elsewhere rename to timeline');
    await expect.poll(finished, { timeout: 15_000, interval: 100 }).toBe(1);
    worker.signal('SIGINT');
    expect((await worker.ended).code).toBe(0);
    await countersAgree(scene.fresh.database, campaignId);
  });

  test('SIGTERM says where running campaigns stand, on stderr, and ends with 0', async () => {
    scene = await startScene({ replyDelayMs: 20 });
    const { campaignId, name } = await runningCampaign(scene.fresh.database, 500);
    const worker = await scene.cli('work', ...FLAGS);
    await scene.relay.waitFor(10);
    worker.signal('SIGTERM');
    const { code, stdout, stderr } = await worker.ended;
    expect({ code, stdout }).toEqual({ code: 0, stdout: '' });
    expect(stderr).toMatch(new RegExp(`${name}: \\d+ sent, \\d+ waiting`));
    expect(await countersAgree(scene.fresh.database, campaignId)).toMatchObject({
      sent: scene.relay.accepted,
      claimed: 0,
    });
  });
});

describe('--processes', () => {
  test('share the campaign: every recipient gets one mail, one report is printed', async () => {
    scene = await startScene({ replyDelayMs: 10 });
    // Three seconds for one process alone: the others, which start in half a second, find something to do.
    const { campaignId, name } = await runningCampaign(scene.fresh.database, 3000);
    const send = await scene.cli('send', name, ...FLAGS, '--processes', '3', '--json');
    const { code, stdout } = await send.ended;
    expect(code).toBe(0);
    expect(JSON.parse(stdout)).toMatchObject({ end: 'ended', status: 'finished', outcomes: { sent: 3000 } });
    await scene.whole(campaignId, 3000, 0);
    expect(scene.relay.accepted).toBe(3000);
    expect(await scene.number('select count(distinct worker_id) from claim')).toBe(3);
    expect(await scene.number('select count(*) from worker where stopped_at is null')).toBe(0);
  });

  test('SIGTERM to the parent ends them all, gracefully', async () => {
    scene = await startScene({ replyDelayMs: 5 });
    const { campaignId, name } = await runningCampaign(scene.fresh.database, 2000);
    const send = await scene.cli('send', name, ...FLAGS, '--processes', '2');
    const claimants = () => scene.number('select count(distinct worker_id) from claim');
    await expect.poll(claimants, { timeout: 10_000, interval: 20 }).toBe(2);
    send.signal('SIGTERM');
    expect((await send.ended).code).toBe(1);
    expect(await scene.number('select count(*) from worker where stopped_at is null or presumed_dead')).toBe(
      0,
    );
    expect(await countersAgree(scene.fresh.database, campaignId)).toMatchObject({
      claimed: 0,
      sent: scene.relay.accepted,
    });
  });

  test('SIGKILL of the parent: the child finishes what is in flight and ends as well', async () => {
    scene = await startScene({ replyDelayMs: 5 });
    const { campaignId, name } = await runningCampaign(scene.fresh.database, 2000);
    const send = await scene.cli('send', name, ...FLAGS, '--processes', '2');
    const claimants = () => scene.number('select count(distinct worker_id) from claim');
    await expect.poll(claimants, { timeout: 10_000, interval: 20 }).toBe(2);
    send.signal('SIGKILL');
    await send.ended;
    const childrenAlive = () =>
      scene.number('select count(*) from worker where stopped_at is null and pid <> $1', [send.pid]);
    await expect.poll(childrenAlive, { timeout: 10_000, interval: 50 }).toBe(0);
    expect(
      await scene.number('select count(*) from worker where presumed_dead and pid <> $1', [send.pid]),
    ).toBe(0);
    expect((await (await scene.cli('send', name, ...FLAGS)).ended).code).toBe(0);
    const found = await scene.whole(campaignId, 2000, 1);
    expect(found.outcomes).toEqual({ sent: 2000 });
  });
});
