import type pg from 'pg';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Database } from '../../src/database/connect.ts';
import type { Claim } from '../../src/model/states.ts';
import { claimFresh } from '../../src/queue/claim.ts';
import { record } from '../../src/queue/record.ts';
import { RESCUE, rescue } from '../../src/queue/rescue.ts';
import { countersAgree, registered, result, runningCampaign } from '../support/campaign.ts';
import { type FreshDatabase, freshDatabase } from '../support/database.ts';

/*
 * Two sessions in a chosen order: the first one's statement has run and has not committed when the second one's begins,
 * as in the isolation tests of PostgreSQL.
 */
let fresh: FreshDatabase;
beforeAll(async () => {
  fresh = await freshDatabase({ max: 6 });
});
afterAll(() => fresh.drop());

/** Runs `first` in a transaction, begins `second`, and commits once `second` waits for it or has ended. */
async function overlapped<A, B>(
  first: (session: Database) => Promise<A>,
  second: () => Promise<B>,
  waits: boolean,
): Promise<[A, B]> {
  const client = await fresh.pool.connect();
  try {
    await client.query('begin');
    // Without the names of prepared statements: behind a pooler a name may be unknown, and the statement that finds this out
    // ends the transaction.
    const pool = { query: ({ name: _, ...query }: pg.QueryConfig) => client.query(query) };
    const before = await first({ ...fresh.database, pool: pool as unknown as pg.Pool });
    const running = second();
    if (waits) await expect.poll(waiting, { timeout: 20_000 }).toBe(1);
    else await running;
    await client.query('commit');
    return [before, await running];
  } finally {
    await client.query('rollback');
    client.release();
  }
}

/** Sessions of this database that wait for a lock. */
async function waiting(): Promise<number> {
  const { rows } = await fresh.pool.query<{ n: number }>(
    `select count(*) as n from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'`,
  );
  return Number(rows[0]?.n);
}

const PEOPLE = 5;

async function claimed() {
  const { campaignId, name } = await runningCampaign(fresh.database, PEOPLE);
  const workerId = await registered(fresh.database);
  const claim = (await claimFresh(fresh.database, { campaignId, workerId, limit: 10, after: 0 })) as Claim;
  const { claimId, recipients } = claim;
  const sent = (count: number) =>
    recipients.slice(0, count).map(({ recipientId }) => result(claimId, recipientId, 'sent'));
  const declareDead = () =>
    fresh.pool.query('update worker set stopped_at = now(), presumed_dead = true where worker_id = $1', [
      workerId,
    ]);
  return { campaignId, name, workerId, claimId, recipients, sent, declareDead };
}

test('a rescue that waits for a record keeps its results and gives back only the rest', async () => {
  const { campaignId, workerId, claimId, recipients, sent, declareDead } = await claimed();
  // The mark moves in the record: the third and fourth row are in doubt, the fifth is certainly unsent.
  const marks = [{ claimId, handedThrough: recipients[3]?.recipientId as number, close: false }];
  const [recorded, rescued] = await overlapped(
    (session) => record(session, campaignId, workerId, sent(2), marks),
    async () => {
      await declareDead();
      return await rescue(fresh.database);
    },
    true,
  );
  expect(recorded).toEqual({ written: 2, held: new Set([claimId]) });
  expect(rescued).toMatchObject({ recipients: 3, ambiguous: 2 });
  expect(await countersAgree(fresh.database, campaignId)).toMatchObject({ sent: 2, retrying: 3, claimed: 0 });
});

test('a rescue that waits for the last record of a claim finds nothing to give back', async () => {
  const { campaignId, workerId, claimId, sent, declareDead } = await claimed();
  const marks = [{ claimId, handedThrough: 0, close: true }];
  const [, rescued] = await overlapped(
    (session) => record(session, campaignId, workerId, sent(PEOPLE), marks),
    async () => {
      await declareDead();
      return await rescue(fresh.database);
    },
    true,
  );
  expect(rescued).toMatchObject({ recipients: 0, ambiguous: 0 });
  expect(await countersAgree(fresh.database, campaignId)).toMatchObject({ sent: PEOPLE, claimed: 0 });
});

test('a record that waits for a rescue writes nothing and loses its claim', async () => {
  const { campaignId, workerId, claimId, sent, declareDead } = await claimed();
  await declareDead();
  const marks = [{ claimId, handedThrough: 0, close: true }];
  const [rescued, recorded] = await overlapped(
    (session) => RESCUE<[n: number, ambiguous: number]>(session, [campaignId, claimId]),
    () => record(fresh.database, campaignId, workerId, sent(PEOPLE), marks),
    true,
  );
  expect(rescued).toEqual([[PEOPLE, 0]]);
  expect(recorded).toEqual({ written: 0, held: new Set() });
  expect(await countersAgree(fresh.database, campaignId)).toMatchObject({ retrying: PEOPLE, sent: 0 });
});

test('of two rescues of one claim the second waits and finds it closed', async () => {
  const { campaignId, claimId, declareDead } = await claimed();
  await declareDead();
  const take = (session: Database) => RESCUE<[n: number, ambiguous: number]>(session, [campaignId, claimId]);
  const both = await overlapped(take, () => take(fresh.database), true);
  expect(both).toEqual([[[PEOPLE, 0]], [[0, 0]]]);
  expect(await countersAgree(fresh.database, campaignId)).toMatchObject({ retrying: PEOPLE, claimed: 0 });
});

test('a claim passes by rows that an open claim of another worker has locked', async () => {
  const { campaignId } = await runningCampaign(fresh.database, PEOPLE);
  const [one, two] = [await registered(fresh.database), await registered(fresh.database)];
  const take = (db: Database, workerId: number, limit: number) =>
    claimFresh(db, { campaignId, workerId, limit, after: 0 });
  const [first, second] = await overlapped(
    (session) => take(session, one, 3),
    () => take(fresh.database, two, 10),
    false,
  );
  const ids = [first, second].flatMap(
    (claim) => claim?.recipients.map(({ recipientId }) => recipientId) ?? [],
  );
  expect([first?.recipients.length, second?.recipients.length]).toEqual([3, 2]);
  expect(new Set(ids).size).toBe(PEOPLE);
  expect(await countersAgree(fresh.database, campaignId)).toMatchObject({ claimed: PEOPLE, waiting: 0 });
});

test('suppress() that waits for a claim says that it came too late', async () => {
  const { campaignId, name } = await runningCampaign(fresh.database, PEOPLE);
  const workerId = await registered(fresh.database);
  const [claim, suppressed] = await overlapped(
    (session) => claimFresh(session, { campaignId, workerId, limit: 10, after: 0 }),
    () => fresh.pool.query(`select suppress($1, 'person1@example.com') as done`, [name]),
    true,
  );
  expect(claim?.recipients).toHaveLength(PEOPLE);
  expect(suppressed.rows).toEqual([{ done: false }]);
  expect(await countersAgree(fresh.database, campaignId)).toMatchObject({ claimed: PEOPLE, suppressed: 0 });
});
