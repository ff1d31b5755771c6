import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { cancel } from '../../src/api/lifecycle.ts';
import type { Opened } from '../../src/api/open.ts';
import { retry } from '../../src/api/recipients.ts';
import { finishCampaign, startCampaign } from '../../src/campaigns/life.ts';
import type { Claim } from '../../src/model/states.ts';
import { claimDue, claimFresh } from '../../src/queue/claim.ts';
import { lookForDue } from '../../src/queue/due.ts';
import { Heartbeat } from '../../src/queue/heartbeat.ts';
import { drawTokens, returnTokens } from '../../src/queue/pace.ts';
import { record } from '../../src/queue/record.ts';
import { rescue } from '../../src/queue/rescue.ts';
import { retryOutcome, sweepCancelled } from '../../src/queue/sweep.ts';
import { reasonOf, released } from '../../src/worker/retry.ts';
import { addPeople, countersAgree, registered, result, runningCampaign } from '../support/campaign.ts';
import { type FreshDatabase, freshDatabase } from '../support/database.ts';

let fresh: FreshDatabase;
beforeAll(async () => {
  fresh = await freshDatabase({ max: 6 });
});
afterAll(() => fresh.drop());

const ids = (claim: Claim | null) => claim?.recipients.map(({ recipientId }) => recipientId) ?? [];
const claimAll = async (campaignId: number, workerId: number, limit = 500) => {
  const claim = await claimFresh(fresh.database, { campaignId, workerId, limit, after: 0 });
  if (claim === null) throw new Error('nothing was claimed');
  return claim;
};
const row = async (recipientId: number) =>
  (await fresh.pool.query('select * from recipient where recipient_id = $1', [recipientId])).rows[0];

describe('claim', () => {
  test('hands out rows in order of id, with what the templates need, and counts them', async () => {
    const { campaignId } = await runningCampaign(fresh.database, 30);
    const workerId = await registered(fresh.database);
    const claim = await claimFresh(fresh.database, { campaignId, workerId, limit: 10, after: 0 });
    expect(claim?.recipients).toHaveLength(10);
    expect(claim?.recipients[0]).toMatchObject({
      address: 'person1@example.com',
      vars: { name: 'Person 1' },
      attempts: 0,
      maybeSent: 0,
    });
    expect(ids(claim)).toEqual([...ids(claim)].sort((a, b) => a - b));
    const next = await claimFresh(fresh.database, {
      campaignId,
      workerId,
      limit: 100,
      after: ids(claim).at(-1) as number,
    });
    expect(next?.recipients).toHaveLength(20);
    expect(next?.claimId).toBeGreaterThan(claim?.claimId as number);
    expect(await countersAgree(fresh.database, campaignId)).toMatchObject({ waiting: 0, claimed: 30 });
  });

  test('two claims at the same moment never share a row', async () => {
    const { campaignId } = await runningCampaign(fresh.database, 1000);
    const workers = [
      await registered(fresh.database),
      await registered(fresh.database),
      await registered(fresh.database),
    ];
    const claims: (Claim | null)[] = [];
    for (let round = 0; round < 5; round++) {
      claims.push(
        ...(await Promise.all(
          workers.map((workerId) =>
            claimFresh(fresh.database, { campaignId, workerId, limit: 70, after: 0 }),
          ),
        )),
      );
    }
    const all = claims.flatMap(ids);
    expect(new Set(all).size).toBe(all.length);
    expect(all.length).toBe(1000);
    expect(await countersAgree(fresh.database, campaignId)).toMatchObject({ waiting: 0, claimed: 1000 });
  });

  test('passes over rows that another session has locked instead of waiting', async () => {
    const { campaignId } = await runningCampaign(fresh.database, 20);
    const workerId = await registered(fresh.database);
    const other = await fresh.pool.connect();
    try {
      await other.query('begin');
      await other.query(
        'select from recipient where campaign_id = $1 order by recipient_id limit 5 for update',
        [campaignId],
      );
      const claim = await claimFresh(fresh.database, { campaignId, workerId, limit: 20, after: 0 });
      expect(claim?.recipients).toHaveLength(15);
    } finally {
      await other.query('rollback');
      other.release();
    }
    expect((await claimAll(campaignId, workerId)).recipients).toHaveLength(5);
  });

  test('gets nothing of a campaign that is paused, and nothing for a worker that was presumed dead', async () => {
    const { campaignId } = await runningCampaign(fresh.database, 5, { status: 'paused' });
    const workerId = await registered(fresh.database);
    const request = { campaignId, workerId, limit: 5, after: 0 };
    expect(await claimFresh(fresh.database, request)).toBeNull();
    await fresh.pool.query(`update campaign set status = 'running' where campaign_id = $1`, [campaignId]);
    await fresh.pool.query(
      'update worker set stopped_at = now(), presumed_dead = true where worker_id = $1',
      [workerId],
    );
    expect(await claimFresh(fresh.database, request)).toBeNull();
    expect(
      await claimFresh(fresh.database, { ...request, workerId: await registered(fresh.database) }),
    ).not.toBeNull();
  });

  test('a pause that is not committed yet does not stop a claim; one that is committed does, also in the middle', async () => {
    const { campaignId, name } = await runningCampaign(fresh.database, 10);
    const workerId = await registered(fresh.database);
    const operator = await fresh.pool.connect();
    try {
      await operator.query('begin');
      await operator.query(`update campaign set status = 'paused' where name = $1`, [name]);
      expect(
        (await claimFresh(fresh.database, { campaignId, workerId, limit: 4, after: 0 }))?.recipients,
      ).toHaveLength(4);
      await operator.query('commit');
    } finally {
      operator.release();
    }
    expect(await claimFresh(fresh.database, { campaignId, workerId, limit: 4, after: 0 })).toBeNull();
  });

  test('an import that commits late, behind the cursor, is found by a look from the start', async () => {
    const { campaignId } = await runningCampaign(fresh.database, 0);
    const workerId = await registered(fresh.database);
    const late = await fresh.pool.connect();
    try {
      await late.query('begin');
      await late.query(`insert into recipient (campaign_id, address) values ($1, 'late@example.com')`, [
        campaignId,
      ]);
      // The sequence hands out ids in caches of 100 to each session; this session's ids all lie beyond.
      await fresh.pool.query(`select setval('recipient_id_seq', nextval('recipient_id_seq') + 1000)`);
      await addPeople(fresh.database, campaignId, 1, 3);
      const claim = await claimAll(campaignId, workerId);
      const cursor = Math.max(...ids(claim));
      await late.query('commit');
      expect(await claimFresh(fresh.database, { campaignId, workerId, limit: 5, after: cursor })).toBeNull();
      const found = await claimAll(campaignId, workerId);
      expect(found.recipients.map(({ address }) => address)).toEqual(['late@example.com']);
    } finally {
      late.release();
    }
  });
});

describe('record', () => {
  test('writes every kind of result, moves the counters by what changed, and closes the claim', async () => {
    const { campaignId } = await runningCampaign(fresh.database, 6);
    const workerId = await registered(fresh.database);
    const claim = await claimAll(campaignId, workerId);
    const [a, b, c, d, e, f] = ids(claim) as [number, number, number, number, number, number];
    const reply = `5.1.1 <p@x.kr>: "no\\such" user, {odd}, 없는 사용자\0`;
    const recorded = await record(
      fresh.database,
      campaignId,
      workerId,
      [
        result(claim.claimId, a, 'sent'),
        result(claim.claimId, b, 'rejected', { replyCode: 550, reply }),
        result(claim.claimId, c, null, { retrySeconds: 300, replyCode: 451, reply: '4.7.1 later' }),
        result(claim.claimId, d, 'invalid', { charged: 0 }),
        result(claim.claimId, e, 'unconfirmed', { charged: 0, maybeSent: 1 }),
        released(claim.claimId, f, false),
      ],
      [{ claimId: claim.claimId, handedThrough: e, close: true }],
    );
    expect(recorded).toEqual({ written: 6, held: new Set([claim.claimId]) });
    expect(await row(a)).toMatchObject({
      send_state: 2,
      outcome: 'sent',
      attempts: 1,
      reply_code: 250,
      retry_at: null,
    });
    expect(await row(b)).toMatchObject({
      send_state: 2,
      outcome: 'rejected',
      reply_code: 550,
      reply: reply.replace('\0', ''),
    });
    const c1 = await row(c);
    expect(c1).toMatchObject({ send_state: 0, outcome: null, attempts: 1, done_at: null });
    expect(c1.retry_at.getTime() - Date.now()).toBeGreaterThan(290_000);
    expect(await row(e)).toMatchObject({ outcome: 'unconfirmed', maybe_sent: 1, attempts: 0 });
    expect(await row(f)).toMatchObject({ send_state: 0, attempts: 0 });
    expect(await countersAgree(fresh.database, campaignId)).toMatchObject({
      claimed: 0,
      sent: 1,
      rejected: 1,
      retrying: 2,
      invalid: 1,
      unconfirmed: 1,
    });
    const { rows } = await fresh.pool.query(
      'select closed_at, handed_through from claim where claim_id = $1',
      [claim.claimId],
    );
    expect(rows[0]).toMatchObject({ closed_at: expect.any(Date), handed_through: e });
    const due = await claimDue(fresh.database, { campaignId, workerId, limit: 10 });
    expect(ids(due)).toEqual([f]);
  });

  test('a late record with an old claim number changes nothing and is told so', async () => {
    const { campaignId } = await runningCampaign(fresh.database, 3);
    const first = await registered(fresh.database, 1);
    const claim = await claimAll(campaignId, first);
    await fresh.pool.query(
      `update worker set heartbeat_at = now() - interval '2 minutes', lease = interval '1 ms' where worker_id = $1`,
      [first],
    );
    expect(await rescue(fresh.database)).toMatchObject({ workers: 1, recipients: 3, ambiguous: 0 });
    const second = await registered(fresh.database);
    const again = (await claimDue(fresh.database, { campaignId, workerId: second, limit: 10 })) as Claim;
    expect(ids(again)).toEqual(ids(claim));
    const late = await record(
      fresh.database,
      campaignId,
      first,
      ids(claim).map((id) => result(claim.claimId, id, 'rejected')),
      [{ claimId: claim.claimId, handedThrough: ids(claim)[2] as number, close: false }],
    );
    expect(late).toEqual({ written: 0, held: new Set() });
    expect(await countersAgree(fresh.database, campaignId)).toMatchObject({ claimed: 3, rejected: 0 });
  });

  test('the same statement twice counts once', async () => {
    const { campaignId } = await runningCampaign(fresh.database, 4);
    const workerId = await registered(fresh.database);
    const claim = await claimAll(campaignId, workerId);
    const results = ids(claim).map((id) => result(claim.claimId, id, id % 2 ? 'sent' : 'rejected'));
    const marks = [{ claimId: claim.claimId, handedThrough: 0, close: true }];
    expect((await record(fresh.database, campaignId, workerId, results, marks)).written).toBe(4);
    expect((await record(fresh.database, campaignId, workerId, results, marks)).written).toBe(0);
    expect(await countersAgree(fresh.database, campaignId)).toMatchObject({
      sent: 2,
      rejected: 2,
      claimed: 0,
    });
  });

  test('an ordinary journey writes no index entry: both updates of every row are heap-only', async () => {
    // A database of its own: what others have updated is in no other test's way, and one session has all the counts.
    const own = await freshDatabase({ max: 1 });
    try {
      const { campaignId } = await runningCampaign(own.database, 400);
      const workerId = await registered(own.database);
      for (let done = 0; done < 400; done += 100) {
        const claim = await claimFresh(own.database, { campaignId, workerId, limit: 100, after: 0 });
        if (claim === null) throw new Error('nothing was claimed');
        const results = ids(claim).map((id) => result(claim.claimId, id, 'sent'));
        await record(own.database, campaignId, workerId, results, []);
      }
      const updates = async () => {
        // A session's counts arrive when it is told to, or some seconds after it went idle.
        await own.pool.query('select pg_stat_force_next_flush()');
        const { rows } = await own.pool.query<{ updates: number; hot: number }>(
          `select n_tup_upd as updates, n_tup_hot_upd as hot from pg_stat_user_tables where relname = 'recipient'`,
        );
        return rows[0];
      };
      await expect.poll(updates, { timeout: 20_000 }).toMatchObject({ updates: 800 });
      expect((await updates())?.hot).toBeGreaterThan(0.95 * 800);
    } finally {
      await own.drop();
    }
  });
});

describe('rescue', () => {
  const dead = async (onUnconfirmed: 'resend' | 'hold', status = 'running') => {
    const { campaignId } = await runningCampaign(fresh.database, 10, { on_unconfirmed: onUnconfirmed });
    const workerId = await registered(fresh.database, 1);
    const claim = await claimAll(campaignId, workerId);
    const [a, , , d] = ids(claim) as [number, number, number, number];
    await record(
      fresh.database,
      campaignId,
      workerId,
      [result(claim.claimId, a, 'sent')],
      [{ claimId: claim.claimId, handedThrough: d, close: false }],
    );
    await fresh.pool.query('update campaign set status = $2::campaign_status where campaign_id = $1', [
      campaignId,
      status,
    ]);
    await fresh.pool.query(
      `update worker set heartbeat_at = now() - interval '61 seconds', lease = interval '1 ms' where worker_id = $1`,
      [workerId],
    );
    expect(await rescue(fresh.database)).toMatchObject({ workers: 1, recipients: 9, ambiguous: 3 });
    return { campaignId, rows: await Promise.all(ids(claim).map(row)), workerId };
  };

  test('resend: rows within the mark come back and are named, rows beyond come back untouched', async () => {
    const { campaignId, rows, workerId } = await dead('resend');
    expect(rows.map(({ maybe_sent }) => maybe_sent)).toEqual([0, 1, 1, 1, 0, 0, 0, 0, 0, 0]);
    expect(await countersAgree(fresh.database, campaignId)).toMatchObject({
      sent: 1,
      retrying: 9,
      claimed: 0,
    });
    const { rows: left } = await fresh.pool.query('select from counter where worker_id = $1', [workerId]);
    expect(left).toHaveLength(0);
  });

  test('hold: exactly the rows within the mark end as unconfirmed', async () => {
    const { campaignId, rows } = await dead('hold');
    expect(rows.map(({ outcome }) => outcome)).toEqual([
      'sent',
      'unconfirmed',
      'unconfirmed',
      'unconfirmed',
      ...Array(6).fill(null),
    ]);
    expect(await countersAgree(fresh.database, campaignId)).toMatchObject({
      sent: 1,
      unconfirmed: 3,
      retrying: 6,
    });
    const { rows: failures } = await fresh.pool.query(
      'select outcome, recipients, example from campaign_failures where campaign_id = $1',
      [campaignId],
    );
    expect(failures).toEqual([{ outcome: 'unconfirmed', recipients: 3, example: 'person2@example.com' }]);
    expect(await retryOutcome(fresh.database, campaignId, 'unconfirmed', reasonOf)).toBe(3);
    expect(
      (await fresh.pool.query('select from campaign_failures where campaign_id = $1', [campaignId])).rows,
    ).toHaveLength(0);
    await countersAgree(fresh.database, campaignId);
  });

  test('of a cancelled campaign nothing comes back', async () => {
    const { campaignId } = await dead('resend', 'cancelled');
    expect(await countersAgree(fresh.database, campaignId)).toMatchObject({
      sent: 1,
      unconfirmed: 3,
      cancelled: 6,
      retrying: 0,
    });
  });

  test('rows that came back and were claimed again are found by their ids', async () => {
    const { campaignId } = await runningCampaign(fresh.database, 50);
    const first = await registered(fresh.database);
    const claim = await claimAll(campaignId, first);
    const some = ids(claim).filter((_, index) => index % 17 === 0);
    const results = ids(claim).map((id) => result(claim.claimId, id, some.includes(id) ? null : 'sent'));
    await record(fresh.database, campaignId, first, results, [
      { claimId: claim.claimId, handedThrough: 0, close: true },
    ]);
    const second = await registered(fresh.database, 1);
    expect(ids(await claimDue(fresh.database, { campaignId, workerId: second, limit: 10 }))).toEqual(some);
    await fresh.pool.query(
      `update worker set heartbeat_at = now() - interval '61 seconds', lease = interval '1 ms' where worker_id = $1`,
      [second],
    );
    expect(await rescue(fresh.database)).toMatchObject({ workers: 1, recipients: 3, ambiguous: 0 });
    expect(await countersAgree(fresh.database, campaignId)).toMatchObject({ sent: 47, retrying: 3 });
  });

  test('ten rescuers at once take each row once', async () => {
    const { campaignId } = await runningCampaign(fresh.database, 300);
    for (let i = 0; i < 3; i++) {
      const workerId = await registered(fresh.database, 1);
      await claimFresh(fresh.database, { campaignId, workerId, limit: 100, after: 0 });
      await fresh.pool.query(
        `update worker set heartbeat_at = now() - interval '61 seconds', lease = interval '1 ms' where worker_id = $1`,
        [workerId],
      );
    }
    const rescues = await Promise.all(Array.from({ length: 10 }, () => rescue(fresh.database)));
    expect(rescues.reduce((sum, { recipients }) => sum + recipients, 0)).toBe(300);
    expect(rescues.reduce((sum, { workers }) => sum + workers, 0)).toBe(3);
    expect(await countersAgree(fresh.database, campaignId)).toMatchObject({ retrying: 300, claimed: 0 });
  });

  test('no mark of a worker marked dead moves, also of a claim that no rescue has taken apart yet', async () => {
    const { campaignId } = await runningCampaign(fresh.database, 5);
    const heart = await Heartbeat.register(fresh.database, 'test', 60);
    const claim = await claimAll(campaignId, heart.workerId);
    const mark = { claimId: claim.claimId, handedThrough: ids(claim)[2] as number, close: false };
    const write = () => record(fresh.database, campaignId, heart.workerId, [], [mark]);
    await fresh.pool.query(
      'update worker set stopped_at = now(), presumed_dead = true where worker_id = $1',
      [heart.workerId],
    );
    expect((await write()).held.size).toBe(0);
    expect(await rescue(fresh.database)).toMatchObject({ recipients: 5, ambiguous: 0 });
  });

  test('a living worker keeps its claims; one that is marked dead cannot beat again', async () => {
    const { campaignId } = await runningCampaign(fresh.database, 5);
    const heart = await Heartbeat.register(fresh.database, 'test', 1);
    await claimAll(campaignId, heart.workerId);
    expect(await rescue(fresh.database)).toMatchObject({ recipients: 0 });
    expect(await heart.beat()).toBe(true);
    await fresh.pool.query(
      `update worker set heartbeat_at = now() - interval '61 seconds', lease = interval '1 ms' where worker_id = $1`,
      [heart.workerId],
    );
    expect(await rescue(fresh.database)).toMatchObject({ workers: 1, recipients: 5 });
    expect(await heart.beat()).toBe(false);
  });

  test('stopping leaves the counters to worker 0 and the sum where it was', async () => {
    const { campaignId } = await runningCampaign(fresh.database, 5);
    const heart = await Heartbeat.register(fresh.database, 'test', 1);
    const claim = await claimAll(campaignId, heart.workerId);
    await record(
      fresh.database,
      campaignId,
      heart.workerId,
      ids(claim).map((id) => result(claim.claimId, id, 'rejected')),
      [],
    );
    const before = await countersAgree(fresh.database, campaignId);
    await heart.stop();
    expect(await countersAgree(fresh.database, campaignId)).toEqual(before);
    const { rows } = await fresh.pool.query('select distinct worker_id from counter where campaign_id = $1', [
      campaignId,
    ]);
    expect(rows).toEqual([{ worker_id: 0 }]);
  });
});

describe('pace', () => {
  test('all workers together draw no more than the rate and its burst', async () => {
    const { campaignId } = await runningCampaign(fresh.database, 0, { rate: 200 });
    const start = performance.now();
    const drawn: number[] = [];
    const worker = async () => {
      while (performance.now() - start < 1500) drawn.push(await drawTokens(fresh.database, campaignId, 20));
    };
    await Promise.all([worker(), worker(), worker(), worker()]);
    const seconds = (performance.now() - start) / 1000;
    const total = drawn.reduce((sum, tokens) => sum + tokens, 0);
    expect(total).toBeLessThanOrEqual(200 * seconds + 50 + 1);
    expect(total).toBeGreaterThan(200 * seconds * 0.9 - 20);
  });

  test('what a claim did not need goes back', async () => {
    const { campaignId } = await runningCampaign(fresh.database, 0, { rate: 0.001 });
    await fresh.pool.query('insert into pace (campaign_id, tokens, refilled_at) values ($1, 1, now())', [
      campaignId,
    ]);
    expect(await drawTokens(fresh.database, campaignId, 5)).toBe(1);
    expect(await drawTokens(fresh.database, campaignId, 5)).toBe(0);
    await returnTokens(fresh.database, campaignId, 1);
    expect(await drawTokens(fresh.database, campaignId, 5)).toBe(1);
  });
});

describe('the life of a campaign', () => {
  test('is finished only when no recipient is waiting or claimed', async () => {
    const { campaignId } = await runningCampaign(fresh.database, 2);
    const workerId = await registered(fresh.database);
    expect(await finishCampaign(fresh.database, campaignId)).toBe(false);
    const claim = await claimAll(campaignId, workerId);
    expect(await finishCampaign(fresh.database, campaignId)).toBe(false);
    await record(
      fresh.database,
      campaignId,
      workerId,
      ids(claim).map((id) => result(claim.claimId, id, 'sent')),
      [],
    );
    expect(await finishCampaign(fresh.database, campaignId)).toBe(true);
    expect(await finishCampaign(fresh.database, campaignId)).toBe(false);
  });

  test('cancelling turns the waiting into cancelled, fresh and returned alike, and leaves the claimed to their worker', async () => {
    const { campaignId } = await runningCampaign(fresh.database, 10);
    const workerId = await registered(fresh.database);
    const claim = (await claimFresh(fresh.database, { campaignId, workerId, limit: 4, after: 0 })) as Claim;
    const [a, b] = ids(claim) as [number, number];
    await record(
      fresh.database,
      campaignId,
      workerId,
      [result(claim.claimId, a, null), result(claim.claimId, b, null)],
      [],
    );
    await fresh.pool.query(`update campaign set status = 'cancelled' where campaign_id = $1`, [campaignId]);
    expect(await sweepCancelled(fresh.database, campaignId)).toBe(8);
    expect(await countersAgree(fresh.database, campaignId)).toMatchObject({ cancelled: 8, claimed: 2 });
    expect(await retryOutcome(fresh.database, campaignId, 'cancelled', reasonOf)).toBe(8);
    expect(await countersAgree(fresh.database, campaignId)).toMatchObject({
      cancelled: 0,
      claimed: 2,
      retrying: 8,
    });
  });

  test('a campaign without people cannot be started, and the error says how to go on', async () => {
    const { name } = await runningCampaign(fresh.database, 0, { status: 'draft' });
    await expect(startCampaign(fresh.database, name)).rejects.toMatchObject({
      code: 'campaign-empty',
      hint: expect.stringContaining('sendstate import'),
    });
  });

  test("a scheduled one begins when the database's clock says so", async () => {
    const past = await runningCampaign(fresh.database, 1, {
      status: 'scheduled',
      start_at: new Date(Date.now() - 1000),
    });
    const future = await runningCampaign(fresh.database, 1, {
      status: 'scheduled',
      start_at: new Date(Date.now() + 3_600_000),
    });
    const due = await lookForDue(fresh.database, [future.campaignId]);
    expect(due.find(({ campaignId }) => campaignId === past.campaignId)).toMatchObject({
      status: 'running',
      due: true,
      waiting: 1,
    });
    expect(due.find(({ campaignId }) => campaignId === future.campaignId)).toMatchObject({
      status: 'scheduled',
    });
  });

  test('suppress takes out the waiting recipient, and no other', async () => {
    const { campaignId, name } = await runningCampaign(fresh.database, 3);
    const ask = async (address: string) =>
      (await fresh.pool.query('select suppress($1, $2)', [name, address])).rows[0].suppress;
    expect(await ask('PERSON2@example.com')).toBe(true);
    expect(await ask('person2@example.com')).toBe(false);
    expect(await ask('nobody@example.com')).toBe(false);
    expect(await countersAgree(fresh.database, campaignId)).toMatchObject({ waiting: 2, suppressed: 1 });
  });
});

describe('retry of a cancelled campaign', () => {
  test('requeued recipients are not cancelled again, and those that still waited stay cancelled', async () => {
    const { campaignId, name } = await runningCampaign(fresh.database, 6);
    const workerId = await registered(fresh.database);
    const claim = await claimFresh(fresh.database, { campaignId, workerId, limit: 2, after: 0 });
    const results = ids(claim).map((id) => result(claim?.claimId ?? 0, id, 'rejected'));
    await record(fresh.database, campaignId, workerId, results, []);
    await fresh.pool.query(`update campaign set status = 'cancelled' where campaign_id = $1`, [campaignId]);
    const app = { database: fresh.database, embedded: false, close: async () => undefined };
    expect(await retry(app, name, 'rejected')).toBe(2);
    // A worker that saw the campaign cancelled a moment ago looks after it now.
    expect(await sweepCancelled(fresh.database, campaignId)).toBe(0);
    expect(await countersAgree(fresh.database, campaignId)).toMatchObject({ retrying: 2, cancelled: 4 });
    const status = 'select status from campaign where campaign_id = $1';
    expect((await fresh.pool.query(status, [campaignId])).rows).toEqual([{ status: 'paused' }]);
    expect((await startCampaign(fresh.database, name)).status).toBe('running');
  });

  test('with no recipient to requeue it stays cancelled', async () => {
    const { campaignId, name } = await runningCampaign(fresh.database, 2);
    await fresh.pool.query(`update campaign set status = 'cancelled' where campaign_id = $1`, [campaignId]);
    const app = { database: fresh.database, embedded: false, close: async () => undefined };
    expect(await retry(app, name, 'rejected')).toBe(0);
    const status = 'select status from campaign where campaign_id = $1';
    expect((await fresh.pool.query(status, [campaignId])).rows).toEqual([{ status: 'cancelled' }]);
  });
});

describe('retry of a finished campaign', () => {
  const app = (): Opened => ({ database: fresh.database, embedded: false, close: async () => undefined });

  /** Two people, both rejected, and none left. */
  async function ended(status: 'finished' | 'running'): Promise<{ campaignId: number; name: string }> {
    const { campaignId, name } = await runningCampaign(fresh.database, 2);
    const workerId = await registered(fresh.database);
    const claim = await claimFresh(fresh.database, { campaignId, workerId, limit: 2, after: 0 });
    const results = ids(claim).map((id) => result(claim?.claimId ?? 0, id, 'rejected'));
    await record(fresh.database, campaignId, workerId, results, []);
    if (status === 'finished') expect(await finishCampaign(fresh.database, campaignId)).toBe(true);
    return { campaignId, name };
  }

  const stateOf = async (campaignId: number) =>
    (
      await fresh.pool.query(
        'select status, status_reason, finished_at from campaign where campaign_id = $1',
        [campaignId],
      )
    ).rows[0];

  test('pauses it with the reason; it can be sent, and it can be taken back', async () => {
    const { campaignId, name } = await ended('finished');
    expect(await retry(app(), name, 'rejected')).toBe(2);
    expect(await stateOf(campaignId)).toEqual({
      status: 'paused',
      status_reason: `people were put back after it was finished. To send to them: sendstate send ${name}`,
      finished_at: null,
    });
    expect((await startCampaign(fresh.database, name)).statusReason).toBeNull();
    expect((await cancel(app(), name)).cancelled).toBe(2);
  });

  test('with no recipient to requeue it stays finished', async () => {
    const { campaignId, name } = await ended('finished');
    expect(await retry(app(), name, 'invalid')).toBe(0);
    expect(await stateOf(campaignId)).toMatchObject({ status: 'finished', finished_at: expect.any(Date) });
  });

  test('a running one goes on, unless a worker finishes it at that moment', async () => {
    const going = await ended('running');
    expect(await retry(app(), going.name, 'rejected')).toBe(2);
    expect((await stateOf(going.campaignId)).status).toBe('running');

    const { campaignId, name } = await ended('running');
    // No recipient can be requeued before the campaign has finished, and `retry` has seen it running.
    const holder = await fresh.pool.connect();
    try {
      await holder.query('begin');
      await holder.query('select from recipient where campaign_id = $1 for update', [campaignId]);
      const put = retry(app(), name, 'rejected');
      const waits = async () =>
        (
          await fresh.pool.query(
            `select count(*)::int as n from pg_stat_activity
             where datname = current_database() and wait_event_type = 'Lock' and query like '%''retried''%'`,
          )
        ).rows[0].n;
      await expect.poll(waits, { timeout: 60_000 }).toBe(1);
      expect(await finishCampaign(fresh.database, campaignId)).toBe(true);
      await holder.query('commit');
      expect(await put).toBe(2);
    } finally {
      holder.release(true);
    }
    expect((await stateOf(campaignId)).status).toBe('paused');
  });
});
