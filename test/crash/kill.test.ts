import { afterEach, describe, expect, test } from 'vitest';
import { addPeople, runningCampaign } from '../support/campaign.ts';
import { FLAGS, type Scene, startScene, WINDOW } from '../support/crash.ts';

let scene: Scene;
afterEach(() => scene.end());

describe('SIGKILL', () => {
  test('in full flight: another worker finishes, no recipient is lost, every duplicate is named', async () => {
    scene = await startScene();
    const { campaignId, name } = await runningCampaign(scene.fresh.database, 1500);
    const first = await scene.cli('send', name, ...FLAGS);
    await scene.relay.waitFor(300);
    first.signal('SIGKILL');
    expect(await first.ended).toMatchObject({ signal: 'SIGKILL' });
    const second = await (await scene.cli('send', name, ...FLAGS)).ended;
    expect(second).toMatchObject({ code: 0 });
    expect(second.stderr).toMatch(/Took over \d+ recipients from 1 workers? that died/);
    const found = await scene.whole(campaignId, 1500, 1);
    expect(found.outcomes).toEqual({ sent: 1500 });
    expect(scene.relay.recipients.size).toBe(1500);
  });

  test('after the relay took mails and before their replies came: they are sent again, as many as the window at most', async () => {
    scene = await startScene();
    const { campaignId, name } = await runningCampaign(scene.fresh.database, 300);
    const first = await scene.cli('send', name, ...FLAGS);
    await scene.relay.waitFor(60);
    // At this moment the relay has taken the sixtieth mail and its reply is on the way.
    scene.toRelay.freezeReplies();
    first.signal('SIGKILL');
    await first.ended;
    scene.toRelay.thaw();
    expect((await (await scene.cli('send', name, ...FLAGS)).ended).code).toBe(0);
    const found = await scene.whole(campaignId, 300, 1);
    expect(found.outcomes).toEqual({ sent: 300 });
    expect(found.duplicates).toBeGreaterThan(0);
  });

  test('with several campaigns at once: all of them together leave one window in doubt', async () => {
    scene = await startScene({ replyDelayMs: 5 });
    const campaigns = [];
    for (let n = 0; n < 3; n++) {
      const campaign = await runningCampaign(scene.fresh.database, 0);
      // The relay counts by address: no recipient is in two of them.
      await addPeople(scene.fresh.database, campaign.campaignId, n * 300 + 1, n * 300 + 300);
      campaigns.push(campaign);
    }
    const first = await scene.cli('work', ...FLAGS);
    const begun = () => scene.number('select count(distinct campaign_id) from counter where sent > 0');
    await expect.poll(begun, { timeout: 30_000, interval: 5 }).toBe(3);
    scene.toRelay.freezeReplies();
    first.signal('SIGKILL');
    await first.ended;
    scene.toRelay.thaw();
    const found = [];
    for (const { campaignId, name } of campaigns) {
      expect((await (await scene.cli('send', name, ...FLAGS)).ended).code).toBe(0);
      found.push(await scene.whole(campaignId, 300, 1));
    }
    const doubtful = found.reduce((sum, one) => sum + one.doubtful, 0);
    expect(doubtful).toBeGreaterThan(0);
    expect(doubtful).toBeLessThanOrEqual(WINDOW);
  });

  test('with hold: no duplicate at all, and every held row is one that really is in doubt', async () => {
    scene = await startScene();
    const { campaignId, name } = await runningCampaign(scene.fresh.database, 300, { on_unconfirmed: 'hold' });
    const first = await scene.cli('send', name, ...FLAGS);
    await scene.relay.waitFor(60);
    scene.toRelay.freezeReplies();
    first.signal('SIGKILL');
    await first.ended;
    // What the dead one had asked for last is done before its marks are read.
    await expect
      .poll(
        () =>
          scene.number(
            `select count(*) from pg_stat_activity where datname = current_database() and application_name = 'sendstate'`,
          ),
        { timeout: 10_000, interval: 10 },
      )
      .toBe(0);
    const { rows: marks } = await scene.fresh.pool.query<{ claim: number; mark: number }>(
      'select claim_id as claim, handed_through as mark from claim where closed_at is null',
    );
    scene.toRelay.thaw();
    const second = await (await scene.cli('send', name, ...FLAGS)).ended;
    expect(second.code).toBe(0);
    const found = await scene.whole(campaignId, 300, 1);
    expect(found.duplicates).toBe(0);
    const { sent = 0, unconfirmed = 0 } = found.outcomes;
    expect(sent + unconfirmed).toBe(300);
    expect(unconfirmed).toBeGreaterThan(0);
    const { rows: held } = await scene.fresh.pool.query<{
      recipient_id: number;
      claim_id: number;
      address: string;
      maybe_sent: number;
      reply: string;
    }>(
      `select recipient_id, claim_id, address, maybe_sent, reply from recipient where outcome = 'unconfirmed' order by recipient_id`,
    );
    for (const row of held) {
      expect(row.maybe_sent).toBe(1);
      expect(row.reply).toMatch(/reply of the relay was not seen/);
      expect(marks.some(({ claim, mark }) => claim === row.claim_id && row.recipient_id <= mark)).toBe(true);
    }
    // Every recipient that the relay took and the table does not call sent is among them.
    const heldAddresses = new Set(held.map(({ address }) => address));
    const { rows: sentRows } = await scene.fresh.pool.query<{ address: string }>(
      `select address from recipient where outcome = 'sent'`,
    );
    const sentAddresses = new Set(sentRows.map(({ address }) => address));
    for (const address of scene.relay.recipients.keys())
      expect(sentAddresses.has(address) || heldAddresses.has(address)).toBe(true);
    expect(second.stdout).toContain(`${unconfirmed} unconfirmed`);
  });

  test('just after claiming, with nothing handed over that the relay answered: no recipient is sent to twice', async () => {
    scene = await startScene();
    scene.toRelay.freezeReplies();
    const { campaignId, name } = await runningCampaign(scene.fresh.database, 200);
    const first = await scene.cli('send', name, ...FLAGS);
    const claimed = () => scene.number('select count(*) from recipient where send_state = 1');
    await expect.poll(claimed, { interval: 10, timeout: 10_000 }).toBeGreaterThan(0);
    first.signal('SIGKILL');
    await first.ended;
    scene.toRelay.thaw();
    expect(scene.relay.accepted).toBe(0);
    expect((await (await scene.cli('send', name, ...FLAGS)).ended).code).toBe(0);
    const found = await scene.whole(campaignId, 200, 1);
    expect(found.duplicates).toBe(0);
    expect(found.outcomes).toEqual({ sent: 200 });
  });

  test('ten times over, two workers side by side', { timeout: 60_000 }, async () => {
    scene = await startScene({ replyDelayMs: 2 });
    const { campaignId } = await runningCampaign(scene.fresh.database, 2000);
    const start = () => scene.cli('work', ...FLAGS);
    let [one, other] = [await start(), await start()];
    for (let kills = 1; kills <= 10; kills++) {
      await scene.relay.waitFor(scene.relay.accepted + 60);
      one.signal('SIGKILL');
      await one.ended;
      [one, other] = [other, await start()];
    }
    await expect
      .poll(() => scene.number(`select count(*) from campaign where status = 'finished'`), {
        timeout: 40_000,
        interval: 100,
      })
      .toBe(1);
    const found = await scene.whole(campaignId, 2000, 10);
    expect(found.outcomes).toEqual({ sent: 2000 });
    expect(scene.relay.recipients.size).toBe(2000);
  });
});
