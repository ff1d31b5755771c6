import { afterAll, beforeAll, expect, test } from 'vitest';
import { INDEX_ORDER, type Statement } from '../../src/database/prepare.ts';
import type { Claim } from '../../src/model/states.ts';
import { CLAIM_DUE, CLAIM_FRESH, claimFresh } from '../../src/queue/claim.ts';
import { DRAW } from '../../src/queue/domain-pace.ts';
import { RECORD, RECORD_AND_LOG, record } from '../../src/queue/record.ts';
import { RESCUE } from '../../src/queue/rescue.ts';
import { registered, result, runningCampaign } from '../support/campaign.ts';
import { type FreshDatabase, freshDatabase } from '../support/database.ts';

/*
 * The statistics of a table are older than the campaign that was imported a moment ago, and the planner believes that it
 * has one row; or there are none at all. No hot statement may depend on that: each reads about as many rows as it changes, not the whole campaign.
 */
let stale: FreshDatabase;
let never: FreshDatabase;
let fresh: FreshDatabase;
beforeAll(async () => {
  stale = await freshDatabase();
  never = await freshDatabase();
  for (const { pool } of [stale, never])
    await pool.query('alter table recipient set (autovacuum_enabled = false)');
  await runningCampaign(stale.database, 20_000);
  await stale.pool.query('analyze');
});
afterAll(async () => {
  await stale.drop();
  await never.drop();
});

const cases = [
  { statistics: 'stale', generic: true },
  { statistics: 'stale', generic: false },
  { statistics: 'none', generic: true },
  { statistics: 'none', generic: false },
] as const;
const use = (statistics: 'stale' | 'none') => {
  fresh = statistics === 'stale' ? stale : never;
};

interface Plan {
  readonly 'Actual Rows': number;
  readonly 'Actual Loops': number;
  readonly 'Rows Removed by Filter'?: number;
  readonly 'Rows Removed by Join Filter'?: number;
  readonly Plans?: readonly Plan[];
}

/** Rows that the nodes of a plan produced or threw away, all loops together. */
function rowsTouched(plan: Plan): number {
  const each =
    plan['Actual Rows'] + (plan['Rows Removed by Filter'] ?? 0) + (plan['Rows Removed by Join Filter'] ?? 0);
  return each * plan['Actual Loops'] + (plan.Plans ?? []).reduce((sum, child) => sum + rowsTouched(child), 0);
}

/** Runs a statement under EXPLAIN ANALYZE and takes it back. `generic`: with the plan of a prepared statement. */
async function touched(statement: Statement, values: readonly unknown[], generic: boolean): Promise<number> {
  const client = await fresh.pool.connect();
  try {
    await client.query('begin');
    await client.query(`set local plan_cache_mode = ${generic ? 'force_generic_plan' : 'force_custom_plan'}`);
    if (statement === CLAIM_FRESH || statement === CLAIM_DUE) await client.query(INDEX_ORDER);
    await client.query(`prepare hot as ${statement.text}`);
    const literals = values.map((value) =>
      typeof value === 'number' ? String(value) : client.escapeLiteral(String(value)),
    );
    const { rows } = await client.query(`explain (analyze, format json) execute hot(${literals.join(', ')})`);
    return rowsTouched(rows[0]['QUERY PLAN'][0].Plan);
  } finally {
    await client.query('rollback');
    await client.query('deallocate all');
    client.release();
  }
}

const BATCH = 500;
/** A claim passes each of its rows through about ten nodes. */
const ENOUGH = 20 * BATCH;
const list = (claim: Claim, value: (id: number, index: number) => unknown) =>
  `{${claim.recipients.map(({ recipientId }, index) => value(recipientId, index)).join(',')}}`;

test.each(cases)(
  'claims read what they take (statistics: $statistics, generic plan: $generic)',
  async ({ statistics, generic }) => {
    use(statistics);
    const { campaignId } = await runningCampaign(fresh.database, 30_000);
    const workerId = await registered(fresh.database);
    expect(await touched(CLAIM_FRESH, [campaignId, workerId, BATCH, 0], generic)).toBeLessThan(ENOUGH);
    const claim = (await claimFresh(fresh.database, {
      campaignId,
      workerId,
      limit: 5_000,
      after: 0,
    })) as Claim;
    const back = claim.recipients.map(({ recipientId }) => result(claim.claimId, recipientId, null));
    await record(fresh.database, campaignId, workerId, back, [
      { claimId: claim.claimId, handedThrough: 0, close: true },
    ]);
    // Five thousand are due and are sorted by when; the other five thousand are not looked at.
    expect(await touched(CLAIM_DUE, [campaignId, workerId, BATCH], generic)).toBeLessThan(ENOUGH + 4 * 5_000);
  },
);

test.each(cases)(
  'a record reads what it writes (statistics: $statistics, generic plan: $generic)',
  async ({ statistics, generic }) => {
    use(statistics);
    const { campaignId } = await runningCampaign(fresh.database, 10_000);
    const workerId = await registered(fresh.database);
    const claim = (await claimFresh(fresh.database, {
      campaignId,
      workerId,
      limit: BATCH,
      after: 0,
    })) as Claim;
    const each = (value: unknown) => list(claim, () => value);
    const values = [
      campaignId,
      workerId,
      list(claim, (id) => id),
      each(claim.claimId),
      each('sent'),
      each(250),
      each('ok'),
      each(0),
      each(1),
      each(0),
      each('null'),
    ];
    const marks = [`{${claim.claimId}}`, '{0}', '{true}'];
    expect(await touched(RECORD, [...values, ...marks], generic)).toBeLessThan(ENOUGH);
    values[4] = each('rejected');
    const relays = each('mx-1');
    expect(await touched(RECORD_AND_LOG, [...values, ...marks, relays], generic)).toBeLessThan(ENOUGH);
  },
);

test.each(cases)(
  'a draw reads the claim that it is for (statistics: $statistics, generic plan: $generic)',
  async ({ statistics, generic }) => {
    use(statistics);
    const { campaignId } = await runningCampaign(fresh.database, 10_000);
    const workerId = await registered(fresh.database);
    const request = { campaignId, workerId, limit: BATCH, after: 0 };
    const claim = (await claimFresh(fresh.database, request)) as Claim;
    await fresh.pool.query(
      `insert into domain_limit (domain, rate) values ('example.com', 1) on conflict (domain) do nothing`,
    );
    const domains = list(claim, () => 'example.com');
    const values = [campaignId, workerId, claim.claimId, list(claim, (id) => id), domains, BATCH, 'true'];
    expect(await touched(DRAW, values, generic)).toBeLessThan(ENOUGH);
  },
);

test.each([true, false])(
  'a rescue reads the claim that it takes apart (generic plan: %s)',
  async (generic) => {
    const { campaignId } = await runningCampaign(fresh.database, 10_000);
    const workerId = await registered(fresh.database);
    const claim = (await claimFresh(fresh.database, {
      campaignId,
      workerId,
      limit: BATCH,
      after: 0,
    })) as Claim;
    expect(await touched(RESCUE, [campaignId, claim.claimId], generic)).toBeLessThan(ENOUGH);
  },
);
