import { afterEach, describe, expect, test } from 'vitest';
import { countersAgree, runningCampaign } from '../support/campaign.ts';
import { FLAGS, type Scene, startScene, WINDOW } from '../support/crash.ts';
import { truth } from '../support/truth.ts';

let scene: Scene;
afterEach(() => scene.end());

describe.each(['SIGTERM', 'SIGINT'] as const)('%s', (signal) => {
  test('finishes what is in flight, releases the rest and says where things stand', async () => {
    scene = await startScene({ replyDelayMs: 20 });
    const { campaignId, name } = await runningCampaign(scene.fresh.database, 400);
    const worker = await scene.cli('send', name, ...FLAGS);
    await scene.relay.waitFor(30);
    worker.signal(signal);
    const { code, stdout, stderr } = await worker.ended;
    expect(code).toBe(1);
    expect(stderr).toContain('Finishing what is in flight');
    expect(stdout).toMatch(new RegExp(`^${name} is running: \\d+ sent, \\d+ waiting`));
    expect(stdout).toContain(`sendstate send ${name}`);
    const found = await truth(scene.fresh.pool, campaignId, scene.relay);
    expect(found).toMatchObject({ status: 'running', duplicates: 0, doubtful: 0, stuck: 0, open: 0 });
    expect(found.outcomes.sent).toBe(scene.relay.accepted);
    expect(found.outcomes.waiting).toBeGreaterThan(0);
    expect(await scene.number('select count(*) from worker where stopped_at is null or presumed_dead')).toBe(
      0,
    );
    await countersAgree(scene.fresh.database, campaignId);

    expect((await (await scene.cli('send', name, ...FLAGS)).ended).code).toBe(0);
    const whole = await scene.whole(campaignId, 400, 0);
    expect(whole.outcomes).toEqual({ sent: 400 });
  });

  test('a second one cuts the connections: what was in flight is in doubt, and nothing waits for the lease', async () => {
    scene = await startScene({ replyDelayMs: 20 });
    const { campaignId, name } = await runningCampaign(scene.fresh.database, 200);
    const worker = await scene.cli('send', name, ...FLAGS.slice(2), '--lease', '600');
    await scene.relay.waitFor(20);
    // Some have been answered and written down: the worker has something to tell.
    await expect
      .poll(() => scene.number('select coalesce(sum(sent), 0) from counter'), { interval: 5 })
      .toBeGreaterThan(0);
    scene.toRelay.freezeReplies();
    worker.signal(signal);
    await worker.says(/Finishing what is in flight/);
    const asked = performance.now();
    worker.signal(signal);
    const { code, stdout } = await worker.ended;
    expect(performance.now() - asked).toBeLessThan(3_000);
    expect(code).toBe(1);
    expect(stdout).toMatch(new RegExp(`^${name} is running: \\d+ sent`));
    scene.toRelay.thaw();

    expect((await (await scene.cli('send', name, ...FLAGS)).ended).code).toBe(0);
    const whole = await scene.whole(campaignId, 200, 1);
    expect(whole.outcomes).toEqual({ sent: 200 });
    expect(whole.doubtful).toBeGreaterThan(0);
  });
});

test('SIGHUP, also a second one, finishes what is in flight: the terminal has gone, and no recipient is in doubt', async () => {
  scene = await startScene({ replyDelayMs: 20 });
  const { campaignId, name } = await runningCampaign(scene.fresh.database, 400);
  const worker = await scene.cli('send', name, ...FLAGS);
  await scene.relay.waitFor(30);
  scene.toRelay.freezeReplies();
  worker.signal('SIGHUP');
  await worker.says(/Finishing what is in flight/);
  worker.signal('SIGHUP');
  scene.toRelay.thaw();
  expect((await worker.ended).code).toBe(1);
  const found = await truth(scene.fresh.pool, campaignId, scene.relay);
  expect(found).toMatchObject({ status: 'running', duplicates: 0, doubtful: 0, stuck: 0, open: 0 });
  expect(found.outcomes.sent).toBe(scene.relay.accepted);
  await countersAgree(scene.fresh.database, campaignId);
});

describe('the reader of its output has gone', () => {
  test.each(['words', 'json'])(
    'SIGINT afterwards finishes what is in flight, with --log %s',
    async (format) => {
      scene = await startScene({ replyDelayMs: 20 });
      const { campaignId, name } = await runningCampaign(scene.fresh.database, 400);
      const worker = await scene.cli('send', name, ...FLAGS, '--log', format);
      await scene.relay.waitFor(30);
      worker.closeErrors();
      worker.closeOutput();
      worker.signal('SIGINT');
      expect(await worker.ended).toMatchObject({ code: 1, signal: null });
      const found = await truth(scene.fresh.pool, campaignId, scene.relay);
      expect(found).toMatchObject({ status: 'running', duplicates: 0, doubtful: 0, stuck: 0, open: 0 });
      expect(found.outcomes.sent).toBe(scene.relay.accepted);
      expect(found.outcomes.waiting).toBeGreaterThan(0);
    },
  );

  test('the campaign goes on to its end', async () => {
    scene = await startScene();
    const { campaignId, name } = await runningCampaign(scene.fresh.database, 400);
    const worker = await scene.cli('send', name, ...FLAGS, '--log', 'json');
    worker.closeErrors();
    expect((await worker.ended).code).toBe(0);
    expect((await scene.whole(campaignId, 400, 0)).outcomes).toEqual({ sent: 400 });
  });
});

test('a second signal ends it also when the database does not answer', async () => {
  scene = await startScene();
  const { name } = await runningCampaign(scene.fresh.database, 2_000);
  const worker = await scene.cliThroughProxy('send', name, ...FLAGS);
  await scene.relay.waitFor(20);
  scene.toDatabase.refuse();
  await worker.says(/database does not answer/);
  worker.signal('SIGTERM');
  await worker.says(/Finishing what is in flight/);
  worker.signal('SIGTERM');
  const { code, stderr } = await worker.ended;
  expect(code).toBe(1);
  expect(stderr).toMatch(/does not answer/);
});

test('SIGTERM while waiting for people who were deferred ends at once', async () => {
  scene = await startScene({ policy: () => ({ at: 'rcpt', reply: '451 4.7.1 later' }) });
  const { campaignId, name } = await runningCampaign(scene.fresh.database, 5);
  const worker = await scene.cli('send', name, ...FLAGS);
  const deferred = () => scene.number('select count(*) from recipient where attempts = 1 and send_state = 0');
  await expect.poll(deferred, { timeout: 10_000 }).toBe(5);
  worker.signal('SIGTERM');
  expect((await worker.ended).code).toBe(1);
  expect(await countersAgree(scene.fresh.database, campaignId)).toMatchObject({ retrying: 5 });
});

describe('several at once', () => {
  test('three `send` of one campaign and a `work` beside them: every recipient gets one mail', async () => {
    scene = await startScene();
    const { campaignId, name } = await runningCampaign(scene.fresh.database, 1500, { status: 'draft' });
    const workers = await Promise.all([
      scene.cli('send', name, ...FLAGS),
      scene.cli('send', name, ...FLAGS),
      scene.cli('send', name, ...FLAGS),
      scene.cli('work', ...FLAGS),
    ]);
    const ends = await Promise.all(workers.slice(0, 3).map((worker) => worker.ended));
    for (const { code, stdout } of ends) {
      expect(code).toBe(0);
      expect(stdout).toMatch(new RegExp(`^${name} is finished.*: 1,500 sent`));
    }
    workers[3]?.signal('SIGTERM');
    expect((await workers[3]?.ended)?.code).toBe(0);
    const found = await scene.whole(campaignId, 1500, 0);
    expect(found.outcomes).toEqual({ sent: 1500 });
    expect(scene.relay.accepted).toBe(1500);
    expect(await scene.number('select count(distinct worker_id) from claim')).toBeGreaterThan(1);
  });

  test('the window bounds what a worker may leave in doubt at any moment', async () => {
    scene = await startScene();
    const { name } = await runningCampaign(scene.fresh.database, 300);
    const worker = await scene.cli('send', name, ...FLAGS);
    await scene.relay.waitFor(100);
    scene.toRelay.freezeReplies();
    worker.signal('SIGSTOP');
    const doubtful = await scene.number(
      `select count(*) from claim c join recipient r on r.campaign_id = c.campaign_id and r.claim_id = c.claim_id
       where r.send_state = 1 and r.recipient_id <= c.handed_through`,
    );
    expect(doubtful).toBeGreaterThan(0);
    expect(doubtful).toBeLessThanOrEqual(WINDOW);
  });
});
