import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Claim } from '../../src/model/states.ts';
import { record } from '../../src/queue/record.ts';
import { Claimer } from '../../src/worker/claimer.ts';
import { registered, result, runningCampaign } from '../support/campaign.ts';
import { type FreshDatabase, freshDatabase } from '../support/database.ts';

let fresh: FreshDatabase;
beforeAll(async () => {
  fresh = await freshDatabase();
});
afterAll(() => fresh.drop());

test('who was just rescued comes before those who never were claimed', async () => {
  const { campaignId } = await runningCampaign(fresh.database, 100);
  const workerId = await registered(fresh.database);
  const claimer = new Claimer(fresh.database, workerId, { campaignId, rate: null });
  const claims: Claim[] = [];
  const next = async () => {
    expect(await claimer.next(10, (claim) => claims.push(claim))).toBe('claimed');
    return claims.at(-1) as Claim;
  };
  const first = await next();
  const back = first.recipients.map(({ recipientId }) => recipientId);
  const results = back.map((id) => result(first.claimId, id, null));
  await record(fresh.database, campaignId, workerId, results, []);
  claimer.lookForDue();
  expect((await next()).recipients.map(({ recipientId }) => recipientId)).toEqual(back);
});
