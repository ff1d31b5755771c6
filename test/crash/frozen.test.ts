import { afterEach, describe, expect, test } from 'vitest';
import { addPeople, countersAgree, runningCampaign } from '../support/campaign.ts';
import { FLAGS, type Scene, startScene, WINDOW } from '../support/crash.ts';

let scene: Scene;
afterEach(() => scene.end());

const rowsOf = async (campaignId: number) =>
  (
    await scene.fresh.pool.query(
      'select * from recipient where campaign_id = $1 and send_state = 2 order by recipient_id',
      [campaignId],
    )
  ).rows;

describe('SIGSTOP beyond the lease', () => {
  test('the late writer changes nothing, registers anew and goes on', async () => {
    scene = await startScene();
    const { relay, toRelay, number } = scene;
    const { campaignId } = await runningCampaign(scene.fresh.database, 400);
    const frozen = await scene.cli('work', ...FLAGS);
    await relay.waitFor(50);
    // It holds replies in its socket buffers that it has not read, and results that it has not written.
    toRelay.freezeReplies();
    frozen.signal('SIGSTOP');
    toRelay.cut();
    toRelay.thaw();
    const other = await scene.cli('work', ...FLAGS);
    await other.says(/Took over [1-9]\d* recipients from 1 workers? that died/);
    await expect
      .poll(() => number(`select count(*) from campaign where status = 'finished'`), { timeout: 15_000 })
      .toBe(1);
    await scene.whole(campaignId, 400, 1);
    const before = await rowsOf(campaignId);

    frozen.signal('SIGCONT');
    await frozen.says(/silent for too long/);
    const alive = 'select count(*) from worker where pid = $1 and stopped_at is null';
    await expect.poll(() => number(alive, [frozen.pid]), { timeout: 10_000 }).toBe(1);
    expect(await rowsOf(campaignId)).toEqual(before);
    await countersAgree(scene.fresh.database, campaignId);

    // It works again: the other one is gone, and new people come.
    other.signal('SIGTERM');
    expect((await other.ended).code).toBe(0);
    await addPeople(scene.fresh.database, campaignId, 401, 450);
    await scene.fresh.pool.query(`update campaign set status = 'running', finished_at = null`);
    await expect
      .poll(() => number(`select count(*) from campaign where status = 'finished'`), { timeout: 15_000 })
      .toBe(1);
    await scene.whole(campaignId, 450, 1);
    frozen.signal('SIGTERM');
    expect((await frozen.ended).code).toBe(0);
    expect(await number('select count(*) from worker where stopped_at is null')).toBe(0);
    expect(await number('select count(*) from worker where pid = $1', [frozen.pid])).toBe(2);
  });

  test('with replies that come after the wake-up: they belong to a claim that others took, and are dropped', async () => {
    scene = await startScene();
    const { relay, toRelay, number } = scene;
    const { campaignId } = await runningCampaign(scene.fresh.database, 150, { on_unconfirmed: 'hold' });
    const frozen = await scene.cli('work', ...FLAGS);
    await relay.waitFor(50);
    toRelay.freezeReplies();
    frozen.signal('SIGSTOP');
    // Only the frozen worker's connections are frozen; they stay open all the time.
    const held = toRelay.open;
    expect(held).toBeGreaterThan(0);
    await scene.fresh.pool.query(`update campaign set status = 'paused'`);
    const rescuer = await scene.cli('work', ...FLAGS);
    await rescuer.says(/Took over [1-9]\d* recipients from 1 workers? that died/);
    const before = await rowsOf(campaignId);
    const doubtful = before.filter(({ outcome }) => outcome === 'unconfirmed').length;
    expect(doubtful).toBeGreaterThan(0);
    expect(doubtful).toBeLessThanOrEqual(WINDOW);

    frozen.signal('SIGCONT');
    toRelay.thaw();
    await frozen.says(/silent for too long/);
    const alive = 'select count(*) from worker where pid = $1 and stopped_at is null';
    await expect.poll(() => number(alive, [frozen.pid]), { timeout: 10_000 }).toBe(1);
    expect(await rowsOf(campaignId)).toEqual(before);
    expect(await countersAgree(scene.fresh.database, campaignId)).toMatchObject({ claimed: 0 });
    await scene.fresh.pool.query(`update campaign set status = 'running'`);
    await expect
      .poll(() => number(`select count(*) from campaign where status = 'finished'`), { timeout: 15_000 })
      .toBe(1);
    const found = await scene.whole(campaignId, 150, 1);
    expect(found.duplicates).toBe(0);
    expect(found.outcomes).toEqual({ sent: 150 - doubtful, unconfirmed: doubtful });
    // One worker row for each time it was counted among the living, and no more.
    expect(await number('select count(*) from worker where pid = $1', [frozen.pid])).toBe(2);
  });

  test('the only worker there is wakes up and simply goes on', async () => {
    scene = await startScene({ replyDelayMs: 2 });
    const { relay, number } = scene;
    const { campaignId, name } = await runningCampaign(scene.fresh.database, 300);
    const only = await scene.cli('send', name, ...FLAGS);
    await relay.waitFor(50);
    only.signal('SIGSTOP');
    await expect
      .poll(() => number('select count(*) from worker where heartbeat_at < now() - lease'), {
        timeout: 10_000,
      })
      .toBe(1);
    only.signal('SIGCONT');
    expect(await only.ended).toMatchObject({ code: 0 });
    const found = await scene.whole(campaignId, 300, 0);
    expect(found.outcomes).toEqual({ sent: 300 });
  });
});
