import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import type { Claim } from '../../src/model/states.ts';
import { claimDue, claimFresh } from '../../src/queue/claim.ts';
import { writeLimit } from '../../src/queue/domain-limit.ts';
import { DRAW } from '../../src/queue/domain-pace.ts';
import { record } from '../../src/queue/record.ts';
import { rescue } from '../../src/queue/rescue.ts';
import { retryOutcome, sweepCancelled } from '../../src/queue/sweep.ts';
import { countersAgree, registered, result, runningCampaign } from '../support/campaign.ts';
import { type FreshDatabase, freshDatabase } from '../support/database.ts';

/*
 * A recipient table with a partition a campaign. Rows of different campaigns then have the same ctid, each in its own
 * partition, so a statement that finds its rows by ctid must name the campaign as well.
 */
let fresh: FreshDatabase;
beforeAll(async () => {
  fresh = await freshDatabase();
  await fresh.pool.query(`
    alter table recipient rename to flat;
    create table recipient (
      like flat including defaults including constraints, primary key (campaign_id, recipient_id)
    ) partition by range (campaign_id);
    create index on recipient (campaign_id, retry_at) where retry_at is not null;
    create unique index on recipient (lower(address), campaign_id)`);
  for (let id = 1; id <= 40; id++) {
    await fresh.pool.query(
      `create table recipient_${id} partition of recipient for values from (${id}) to (${id + 1}) with (fillfactor = 30)`,
    );
  }
});
afterAll(() => fresh.drop());

const PEOPLE = 20;
let one: number;
let others: number[];
/** Campaign one beside others whose rows have the same ctids: a draft, a running one, one whose rows were all sent. */
beforeEach(async () => {
  ({ campaignId: one } = await runningCampaign(fresh.database, PEOPLE));
  const draft = await runningCampaign(fresh.database, PEOPLE, { status: 'draft' });
  const running = await runningCampaign(fresh.database, PEOPLE);
  const sent = await runningCampaign(fresh.database, PEOPLE);
  await recordAll(sent.campaignId, 'sent');
  others = [draft.campaignId, running.campaignId, sent.campaignId];
});

async function claimAll(campaignId: number, workerId: number): Promise<Claim> {
  const claim = await claimFresh(fresh.database, { campaignId, workerId, limit: 500, after: 0 });
  if (claim === null) throw new Error('nothing was claimed');
  return claim;
}

async function recordAll(campaignId: number, outcome: 'sent' | 'rejected' | null): Promise<void> {
  const workerId = await registered(fresh.database);
  const { claimId, recipients } = await claimAll(campaignId, workerId);
  const results = recipients.map(({ recipientId }) => result(claimId, recipientId, outcome));
  const marks = [{ claimId, handedThrough: 0, close: true }];
  expect((await record(fresh.database, campaignId, workerId, results, marks)).written).toBe(PEOPLE);
}

/** Runs a step on campaign one and compares every row of the others before and after it. */
async function touchesOnlyOne(step: () => Promise<void>): Promise<void> {
  const rows = async () =>
    (
      await fresh.pool.query(
        'select *, xmin::text from recipient where campaign_id = any ($1) order by recipient_id',
        [others],
      )
    ).rows;
  const before = await rows();
  expect(before).toHaveLength(others.length * PEOPLE);
  await step();
  expect(await rows()).toEqual(before);
  for (const campaignId of [one, ...others]) await countersAgree(fresh.database, campaignId);
}

test('a claim of fresh rows takes rows of its own campaign alone', async () => {
  const workerId = await registered(fresh.database);
  await touchesOnlyOne(async () => {
    const claim = await claimFresh(fresh.database, { campaignId: one, workerId, limit: 5, after: 0 });
    expect(claim?.recipients).toHaveLength(5);
  });
});

test('a claim of rows that are due takes rows of its own campaign alone', async () => {
  await recordAll(one, null);
  const workerId = await registered(fresh.database);
  await touchesOnlyOne(async () => {
    const claim = await claimDue(fresh.database, { campaignId: one, workerId, limit: 5 });
    expect(claim?.recipients).toHaveLength(5);
  });
});

test.each(['sent', 'rejected', null] as const)(
  'a record of %s writes rows of its own campaign alone',
  async (outcome) => {
    await touchesOnlyOne(() => recordAll(one, outcome));
  },
);

test('cancelling a campaign cancels its own rows alone', async () => {
  await fresh.pool.query(`update campaign set status = 'cancelled' where campaign_id = $1`, [one]);
  await touchesOnlyOne(async () => {
    expect(await sweepCancelled(fresh.database, one)).toBe(PEOPLE);
  });
});

test('retrying what was rejected puts back rows of its own campaign alone', async () => {
  await recordAll(one, 'rejected');
  await touchesOnlyOne(async () => {
    expect(await retryOutcome(fresh.database, one, 'rejected', () => 'because')).toBe(PEOPLE);
  });
});

test('a rescue gives back rows of its own campaign alone', async () => {
  const workerId = await registered(fresh.database);
  await claimAll(one, workerId);
  await touchesOnlyOne(async () => {
    await fresh.pool.query(
      `update worker set heartbeat_at = now() - interval '2 minutes', lease = interval '1 ms' where worker_id = $1`,
      [workerId],
    );
    expect(await rescue(fresh.database)).toMatchObject({ workers: 1, recipients: PEOPLE, ambiguous: 0 });
  });
});

test('a draw for limited domains puts back rows of its own campaign alone', async () => {
  await writeLimit(fresh.database, 'example.com', 1);
  const workerId = await registered(fresh.database);
  const { claimId, recipients } = await claimAll(one, workerId);
  const ids = recipients.map(({ recipientId }) => recipientId);
  await touchesOnlyOne(async () => {
    const values = [one, workerId, claimId, ids, ids.map(() => 'example.com'), PEOPLE, true];
    const [row] = await DRAW<[put: number[]]>(fresh.database, values);
    expect(row?.[0]).toHaveLength(PEOPLE - 1);
  });
});
