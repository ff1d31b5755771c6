import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { type CaptureOptions, type CaptureServer, startCapture } from '../../src/smtp/capture.ts';
import { countersAgree, runningCampaign } from '../support/campaign.ts';
import { type FreshDatabase, freshDatabase } from '../support/database.ts';
import { endSenders, startSender } from '../support/sender.ts';

let fresh: FreshDatabase;
let relay: CaptureServer | undefined;
beforeAll(async () => {
  fresh = await freshDatabase();
});
afterEach(async () => {
  await endSenders();
  await relay?.close();
});
afterAll(() => fresh.drop());

/** So many workers, each with a pool and a place in the worker table of its own, as processes have. */
async function workers(count: number, name: string, policy: CaptureOptions['policy']) {
  relay = await startCapture(policy === undefined ? {} : { policy });
  const url = `${relay.url}?connections=2`;
  const all = Array.from({ length: count }, () =>
    startSender({ databaseUrl: fresh.url, relay: url, campaign: name, leaseSeconds: 30 }),
  );
  return await Promise.all(all);
}

async function statusOf(campaignId: number): Promise<{ status: string; status_reason: string | null }> {
  const { rows } = await fresh.pool.query(
    'select status, status_reason from campaign where campaign_id = $1',
    [campaignId],
  );
  return rows[0];
}

test('three workers whose mails are refused for their content pause the campaign, with the relay’s words', async () => {
  const { campaignId, name } = await runningCampaign(fresh.database, 3000);
  const all = await workers(3, name, () => ({ at: 'final', reply: '554 5.7.1 This looks like spam to us' }));
  for (const worker of all) expect(await worker.end).toBe('ended');
  expect(await statusOf(campaignId)).toEqual({
    status: 'paused',
    status_reason: expect.stringContaining('This looks like spam to us'),
  });
  const { rejected = 0 } = await countersAgree(fresh.database, campaignId);
  // Each counts for itself: fifty each at most, and what goes out until the pause is written and seen.
  expect(rejected).toBeGreaterThanOrEqual(50);
  expect(rejected).toBeLessThan(3 * 150);
});

test('a relay that greylists everybody pauses nothing and refuses nobody', async () => {
  const { campaignId, name } = await runningCampaign(fresh.database, 300, {
    retry_after: '1 second',
    max_attempts: 10,
  });
  const all = await workers(2, name, (_, nth) =>
    nth === 1 ? { at: 'rcpt', reply: '450 4.7.1 Greylisted, come back in a minute' } : null,
  );
  for (const worker of all) expect(await worker.end).toBe('ended');
  expect(await statusOf(campaignId)).toEqual({ status: 'finished', status_reason: null });
  expect(await countersAgree(fresh.database, campaignId)).toMatchObject({
    sent: 300,
    rejected: 0,
    expired: 0,
  });
  const { rows } = await fresh.pool.query(
    'select event, reply_code, count(*)::int as n from attempt where campaign_id = $1 group by 1, 2',
    [campaignId],
  );
  expect(rows).toEqual([{ event: 'deferred', reply_code: 450, n: 300 }]);
});
