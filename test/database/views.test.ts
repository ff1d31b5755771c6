import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { cancelCampaign, pauseCampaign, resumeCampaign } from '../../src/campaigns/life.ts';
import type { Claim, Outcome } from '../../src/model/states.ts';
import { claimDue, claimFresh } from '../../src/queue/claim.ts';
import { Heartbeat } from '../../src/queue/heartbeat.ts';
import { record } from '../../src/queue/record.ts';
import { rescue } from '../../src/queue/rescue.ts';
import { retryOutcome, sweepCancelled } from '../../src/queue/sweep.ts';
import { readFailures, readProgress, readRecipients, readWorkers } from '../../src/report/progress.ts';
import { reasonOf } from '../../src/worker/retry.ts';
import { addPeople, countersAgree, registered, result, runningCampaign } from '../support/campaign.ts';
import { type FreshDatabase, freshDatabase } from '../support/database.ts';

let fresh: FreshDatabase;
beforeAll(async () => {
  fresh = await freshDatabase();
});
afterAll(() => fresh.drop());

const progressOf = async (name: string) => (await readProgress(fresh.database, name))[0];

describe('campaign_progress is right at each moment', () => {
  test('of a life: draft, claimed, recorded, deferred, rescued, retried, paused, cancelled', async () => {
    const db = fresh.database;
    const { campaignId, name } = await runningCampaign(db, 20);
    const expects = async (counts: object, outcomes: object = {}) => {
      const progress = await progressOf(name);
      expect(progress).toMatchObject({ total: 20, ...counts, outcomes });
      const { waiting = 0, claimed = 0, done = 0 } = progress ?? {};
      expect(waiting + claimed + done).toBe(20);
      const counted = await countersAgree(db, campaignId);
      expect(progress).toMatchObject({
        claimed: counted.claimed,
        retrying: counted.retrying,
        waiting: (counted.waiting ?? 0) + (counted.retrying ?? 0),
      });
    };
    await expects({ waiting: 20, retrying: 0, claimed: 0, done: 0, status: 'running' });

    const workerId = await registered(db, 1);
    const claim = (await claimFresh(db, { campaignId, workerId, limit: 12, after: 0 })) as Claim;
    await expects({ waiting: 8, claimed: 12, done: 0 });

    const ids = claim.recipients.map(({ recipientId }) => recipientId);
    const ends: (Outcome | null)[] = [
      'sent',
      'sent',
      'sent',
      'rejected',
      'expired',
      'invalid',
      'unconfirmed',
      null,
    ];
    await record(
      db,
      campaignId,
      workerId,
      ends.map((outcome, i) => result(claim.claimId, ids[i] as number, outcome, { retrySeconds: 0 })),
      [{ claimId: claim.claimId, handedThrough: ids[9] as number, close: false }],
    );
    const ended = {
      sent: 3,
      rejected: 1,
      expired: 1,
      invalid: 1,
      unconfirmed: 1,
      suppressed: 0,
      cancelled: 0,
    };
    await expects({ waiting: 9, retrying: 1, claimed: 4, done: 7 }, ended);
    const busy = await progressOf(name);
    expect(busy?.perSecond).toBeGreaterThan(0);
    expect(busy?.secondsLeft).toBeGreaterThan(0);

    await fresh.pool.query(
      `update worker set heartbeat_at = now() - interval '1 minute' where worker_id = $1`,
      [workerId],
    );
    await rescue(db);
    await expects({ waiting: 13, retrying: 5, claimed: 0, done: 7 }, ended);

    const other = await registered(db);
    const due = (await claimDue(db, { campaignId, workerId: other, limit: 100 })) as Claim;
    await expects({ waiting: 8, retrying: 0, claimed: 5 }, ended);
    await record(
      db,
      campaignId,
      other,
      due.recipients.map(({ recipientId }) => result(due.claimId, recipientId, 'sent')),
      [{ claimId: due.claimId, handedThrough: 0, close: true }],
    );
    await expects({ waiting: 8, retrying: 0, claimed: 0, done: 12 }, { ...ended, sent: 8 });

    expect(await retryOutcome(db, campaignId, 'rejected', reasonOf)).toBe(1);
    await expects({ waiting: 9, retrying: 1, done: 11 }, { ...ended, sent: 8, rejected: 0 });

    const { rows } = await fresh.pool.query<{ suppress: boolean }>(
      `select suppress($1, 'Person20@example.com')`,
      [name],
    );
    expect(rows[0]?.suppress).toBe(true);
    await expects({ waiting: 8, done: 12 }, { ...ended, sent: 8, rejected: 0, suppressed: 1 });

    await pauseCampaign(db, name, 'a reason');
    expect(await progressOf(name)).toMatchObject({
      status: 'paused',
      statusReason: 'a reason',
      perSecond: null,
      secondsLeft: null,
    });
    await resumeCampaign(db, name);
    await cancelCampaign(db, name);
    await sweepCancelled(db, campaignId);
    await expects(
      { status: 'cancelled', waiting: 0, claimed: 0, done: 20 },
      { ...ended, sent: 8, rejected: 0, suppressed: 1, cancelled: 8 },
    );
  });

  test('a campaign without people, and one that was never started', async () => {
    const { name } = await runningCampaign(fresh.database, 0, { status: 'draft' });
    expect(await progressOf(name)).toMatchObject({
      total: 0,
      waiting: 0,
      done: 0,
      perSecond: null,
      secondsLeft: null,
    });
    const begun = await runningCampaign(fresh.database, 5);
    expect(await progressOf(begun.name)).toMatchObject({ perSecond: 0, secondsLeft: null });
    expect(await readProgress(fresh.database, 'absent')).toEqual([]);
  });

  test('the time that is left follows the rate of the last minute', async () => {
    const { campaignId, name } = await runningCampaign(fresh.database, 1000);
    await fresh.pool.query(
      `update campaign set started_at = now() - interval '1 hour' where campaign_id = $1`,
      [campaignId],
    );
    await fresh.pool.query(
      `insert into timeline (campaign_id, at, worker_id, sent) values
         ($1, now() - interval '10 minutes', 1, 50000), ($1, now() - interval '50 seconds', 1, 400), ($1, now() - interval '10 seconds', 2, 100)`,
      [campaignId],
    );
    const progress = await progressOf(name);
    expect(progress?.perSecond).toBeCloseTo(10, 0);
    expect(progress?.secondsLeft).toBeGreaterThanOrEqual(99);
    expect(progress?.secondsLeft).toBeLessThanOrEqual(102);
  });
});

describe('campaign_failures', () => {
  test('groups by reason over workers, with an example, the most frequent first; taken back by a retry', async () => {
    const db = fresh.database;
    const { campaignId } = await runningCampaign(db, 9);
    const workers = [await registered(db), await registered(db), await registered(db)];
    for (const [i, workerId] of workers.entries()) {
      const claim = (await claimFresh(db, { campaignId, workerId, limit: 3, after: 0 })) as Claim;
      await record(
        db,
        campaignId,
        workerId,
        claim.recipients.map(({ recipientId }, n) =>
          n < 2
            ? result(claim.claimId, recipientId, 'rejected', {
                reply: 'no such user',
                replyCode: 550,
                reason: '550 no such user',
              })
            : result(claim.claimId, recipientId, 'invalid', { reply: `no ${i}`, reason: `no ${i}` }),
        ),
        [{ claimId: claim.claimId, handedThrough: 0, close: true }],
      );
    }
    const failures = await readFailures(db, campaignId);
    expect(failures.map(({ outcome, reason, recipients }) => [outcome, reason, recipients])).toEqual([
      ['rejected', '550 no such user', 6],
      ['invalid', 'no 0', 1],
      ['invalid', 'no 1', 1],
      ['invalid', 'no 2', 1],
    ]);
    const rejected = new Set<string>();
    for await (const row of readRecipients(db, campaignId, 'rejected')) rejected.add(row.address);
    expect(rejected.size).toBe(6);
    expect(rejected).toContain(failures[0]?.example);
    expect((await readFailures(db, campaignId, 1)).length).toBe(1);
    await retryOutcome(db, campaignId, 'rejected', reasonOf);
    expect((await readFailures(db, campaignId)).map(({ outcome }) => outcome)).toEqual([
      'invalid',
      'invalid',
      'invalid',
    ]);
    // Folding the rows of workers that are gone changes nothing to be seen.
    const before = await readFailures(db, campaignId);
    await fresh.pool.query(`update worker set heartbeat_at = now() - interval '1 hour'`);
    await fresh.pool.query('update worker set stopped_at = now()');
    await rescue(db);
    expect(await readFailures(db, campaignId)).toEqual(before);
  });
});

describe('worker_activity', () => {
  test('alive, silent, presumed dead, stopped: and what each holds and did', async () => {
    const db = fresh.database;
    const { campaignId, name } = await runningCampaign(db, 40);
    const [alive, silent, dead] = [await registered(db), await registered(db), await registered(db)];
    const stopped = await Heartbeat.register(db, 'test', 60);
    const claim = (await claimFresh(db, { campaignId, workerId: alive, limit: 10, after: 0 })) as Claim;
    await claimFresh(db, { campaignId, workerId: silent, limit: 7, after: 0 });
    await record(
      db,
      campaignId,
      alive,
      claim.recipients.slice(0, 4).map(({ recipientId }) => result(claim.claimId, recipientId, 'sent')),
      [],
    );
    await fresh.pool.query(
      `update worker set heartbeat_at = now() - interval '2 minutes' where worker_id = $1`,
      [silent],
    );
    await fresh.pool.query(
      'update worker set stopped_at = now(), presumed_dead = true where worker_id = $1',
      [dead],
    );
    await stopped.stop();
    const ids = [alive, silent, dead, stopped.workerId];
    const seen = (await readWorkers(db)).filter(({ workerId }) => ids.includes(workerId));
    expect(seen).toMatchObject([
      { workerId: alive, state: 'alive', campaign: name, holds: 6, doneLastMinute: 4, pid: process.pid },
      { workerId: silent, state: 'silent', campaign: name, holds: 7, doneLastMinute: 0 },
      { workerId: dead, state: 'presumed dead', campaign: null, holds: 0 },
      { workerId: stopped.workerId, state: 'stopped', campaign: null, holds: 0 },
    ]);
    await fresh.pool.query(`update worker set stopped_at = now() - interval '2 hours' where worker_id = $1`, [
      dead,
    ]);
    expect((await readWorkers(db)).map(({ workerId }) => workerId)).not.toContain(dead);
  });

  test('a worker of two campaigns has a line for each', async () => {
    const db = fresh.database;
    const workerId = await registered(db);
    for (const { campaignId } of [await runningCampaign(db, 3), await runningCampaign(db, 4)])
      await claimFresh(db, { campaignId, workerId, limit: 10, after: 0 });
    const lines = (await readWorkers(db)).filter((line) => line.workerId === workerId);
    expect(lines.map(({ holds }) => holds).sort()).toEqual([3, 4]);
  });
});

describe('what it costs', () => {
  const PEOPLE = 50_000;
  /** Blocks that a statement looked at. */
  async function blocks(statement: string, values: readonly unknown[]): Promise<number> {
    const { rows } = await fresh.pool.query<{ 'QUERY PLAN': [{ Plan: Record<string, number> }] }>(
      `explain (analyze, buffers, format json) ${statement}`,
      [...values],
    );
    const plan = rows[0]?.['QUERY PLAN'][0].Plan ?? {};
    return (plan['Shared Hit Blocks'] ?? 0) + (plan['Shared Read Blocks'] ?? 0);
  }
  const few = { campaignId: 0, name: '' };
  const many = { campaignId: 0, name: '' };
  beforeAll(async () => {
    const db = fresh.database;
    for (const [which, people] of [
      [few, 10],
      [many, PEOPLE],
    ] as const) {
      Object.assign(which, await runningCampaign(db, 0));
      await addPeople(db, which.campaignId, 1, people);
      const workerId = await registered(db);
      const claim = (await claimFresh(db, {
        campaignId: which.campaignId,
        workerId,
        limit: Math.min(people, 5_000),
        after: 0,
      })) as Claim;
      const results = claim.recipients.map(({ recipientId }, n) =>
        result(claim.claimId, recipientId, n % 2 === 0 ? 'sent' : 'rejected', { reason: `reason ${n % 4}` }),
      );
      await record(db, which.campaignId, workerId, results, [
        { claimId: claim.claimId, handedThrough: 0, close: true },
      ]);
    }
    await fresh.pool.query('vacuum analyze');
  }, 60_000);

  test.each([
    ['campaign_progress', 'select * from campaign_progress where name = $1', 'name'],
    ['campaign_failures', 'select * from campaign_failures where campaign_id = $1', 'campaignId'],
    ['worker_activity', 'select * from worker_activity where campaign = $1', 'name'],
    [
      'one person',
      `select * from recipient where campaign_id = $1 and lower(address) = 'person7@example.com'`,
      'campaignId',
    ],
  ] as const)('%s reads as much of a campaign of 50,000 as of one of 10', async (_, statement, by) => {
    // The first look of a session reads the catalogue as well.
    for (const campaign of [few, many]) await blocks(statement, [campaign[by]]);
    const [small, large] = [await blocks(statement, [few[by]]), await blocks(statement, [many[by]])];
    expect(small).toBeGreaterThan(0);
    expect(large).toBeLessThanOrEqual(small * 1.5 + 10);
  });

  test('a page of recipients costs the same at the end as at the beginning', async () => {
    const page = `select * from recipient where campaign_id = $1 and recipient_id > $2 order by recipient_id limit 100`;
    const { rows } = await fresh.pool.query<{ late: number }>(
      'select max(recipient_id) - 1000 as late from recipient where campaign_id = $1',
      [many.campaignId],
    );
    const first = await blocks(page, [many.campaignId, 0]);
    expect(await blocks(page, [many.campaignId, rows[0]?.late])).toBeLessThanOrEqual(first * 2 + 10);
  });
});

describe('the tables explain themselves', () => {
  test('every table, view, function and type has a comment', async () => {
    const { rows } = await fresh.pool.query<{ name: string }>(
      `select relname as name from pg_class c where relnamespace = 'public'::regnamespace and relkind in ('r', 'v', 'p')
         and relname not like 'sendstate_migration%' and obj_description(c.oid, 'pg_class') is null
       union all
       select proname from pg_proc p where pronamespace = 'public'::regnamespace and obj_description(p.oid, 'pg_proc') is null`,
    );
    expect(rows.map(({ name }) => name)).toEqual([]);
  });

  test('every column whose name does not say it all has one: states, marks, times, reasons', async () => {
    const { rows } = await fresh.pool.query<{ name: string }>(
      `select c.relname || '.' || a.attname as name from pg_class c join pg_attribute a on a.attrelid = c.oid
       where c.relnamespace = 'public'::regnamespace and a.attnum > 0 and not a.attisdropped
         and col_description(c.oid, a.attnum) is not null`,
    );
    const commented = rows.map(({ name }) => name);
    for (const name of [
      'recipient.send_state',
      'recipient.claim_id',
      'recipient.retry_at',
      'recipient.attempts',
      'recipient.maybe_sent',
      'recipient.reply',
      'claim.handed_through',
      'campaign.on_unconfirmed',
      'campaign.rate',
      'worker.stopped_at',
      'campaign_progress.waiting',
      'campaign_progress.time_left',
      'campaign_failures.reason',
      'worker_activity.state',
    ])
      expect(commented).toContain(name);
  });
});
