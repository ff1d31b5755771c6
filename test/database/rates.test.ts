import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { setLimit } from '../../src/api/limits.ts';
import { type CaptureServer, startCapture } from '../../src/capture/capture.ts';
import { CATCH_UP_SECONDS } from '../../src/queue/domain-pace.ts';
import { BURST_SECONDS } from '../../src/queue/pace.ts';
import { addPeople, countersAgree, runningCampaign } from '../support/campaign.ts';
import { type FreshDatabase, freshDatabase } from '../support/database.ts';
import { endSenders, startSender } from '../support/sender.ts';

/** Mails a second that are asked for. */
const RATE = 60;
/** How long it is watched, seconds. The bench watches for 30 and with processes: npm run bench:rates. */
const SECONDS = 5;
const WORKERS = 4;
/** Connections are opened in the beginning, and mails come later after their token than they do from then on. */
const WARM_UP_MS = 1_000;

let fresh: FreshDatabase;
let relay: CaptureServer | undefined;
let arrivals: { readonly at: number; readonly to: string }[] = [];
beforeAll(async () => {
  fresh = await freshDatabase();
});
afterEach(async () => {
  await endSenders();
  await relay?.close();
  await fresh.pool.query(`update campaign set status = 'finished', finished_at = now()`);
});
afterAll(() => fresh.drop());

/** Four workers on everything that runs; arrivals are written down until the time is over. */
async function watch(fits: (to: string) => boolean): Promise<number[]> {
  arrivals = [];
  relay = await startCapture({
    onMail: ({ to }) => arrivals.push({ at: performance.now(), to: to[0] ?? '' }),
  });
  const url = `${relay.url}?connections=2`;
  const workers = Array.from({ length: WORKERS }, () =>
    startSender({ databaseUrl: fresh.url, relay: url, batch: 200, window: 200, leaseSeconds: 30 }),
  );
  await Promise.all(workers);
  const times = () => arrivals.filter(({ to }) => fits(to)).map(({ at }) => at);
  await expect.poll(() => times().length, { timeout: 20_000 }).toBeGreaterThan(0);
  const first = (times()[0] ?? 0) + WARM_UP_MS;
  await expect
    .poll(() => performance.now() - first, { timeout: 20_000, interval: 50 })
    .toBeGreaterThan(SECONDS * 1000);
  return times().filter((at) => at >= first && at < first + SECONDS * 1000);
}

/*
 * Upwards the margin is what a bucket may hold when the watch begins, and as much that was drawn and lay in a worker's
 * hands. Downwards it is what a machine that is busy with other tests may leave undone: a second and a quarter.
 */
const most = (held: number) => RATE * (SECONDS + held + BURST_SECONDS);
const LEAST = RATE * (SECONDS - 1.25);

describe('four workers together', () => {
  test('keep to the rate of the campaign', async () => {
    const { campaignId } = await runningCampaign(fresh.database, RATE * SECONDS * 3, { rate: RATE });
    const times = await watch(() => true);
    expect(times.length).toBeLessThanOrEqual(most(BURST_SECONDS));
    expect(times.length).toBeGreaterThanOrEqual(LEAST);
    await endSenders();
    expect(await countersAgree(fresh.database, campaignId)).toMatchObject({ claimed: 0 });
  });

  test('keep to the limit of a domain, over two campaigns, and delay no other domain', async () => {
    await setLimit(
      { database: fresh.database, embedded: false, close: async () => undefined },
      'naver.com',
      RATE,
    );
    const campaigns = [await runningCampaign(fresh.database, 0), await runningCampaign(fresh.database, 0)];
    const people = RATE * SECONDS;
    for (const { campaignId } of campaigns) {
      await addPeople(fresh.database, campaignId, 1, 2 * people);
      await fresh.pool.query(
        `update recipient set address = 'person' || recipient_id || '@naver.com' where campaign_id = $1 and recipient_id % 2 = 0`,
        [campaignId],
      );
    }
    const times = await watch((to) => to.endsWith('@naver.com'));
    expect(times.length).toBeLessThanOrEqual(most(CATCH_UP_SECONDS));
    expect(times.length).toBeGreaterThanOrEqual(LEAST);
    // Who is not limited was sent to as fast as they can, long before the last turn.
    const others = () => arrivals.filter(({ to }) => to.endsWith('@example.com')).length;
    await expect.poll(others).toBe(2 * people);
    expect(arrivals.length).toBeLessThan(4 * people);
    await endSenders();
    for (const { campaignId } of campaigns) {
      expect(await countersAgree(fresh.database, campaignId)).toMatchObject({ claimed: 0, waiting: 0 });
      const { rows } = await fresh.pool.query(
        `select count(*) filter (where attempts > 1 or maybe_sent > 0) as tried_twice,
           (select count(*) from attempt a where a.campaign_id = $1) as logged,
           (select coalesce(sum(retried), 0) from timeline t where t.campaign_id = $1) as retried
         from recipient where campaign_id = $1`,
        [campaignId],
      );
      expect(rows[0]).toMatchObject({ tried_twice: 0, logged: 0 });
      // No recipient was deferred by the relay; what the end of the test released is all that the timeline has.
      expect(Number(rows[0].retried)).toBeLessThanOrEqual(WORKERS * 200);
    }
  });
});
