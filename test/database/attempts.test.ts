import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { history } from '../../src/api/limits.ts';
import type { Opened } from '../../src/api/open.ts';
import { retry } from '../../src/api/recipients.ts';
import { inTransaction } from '../../src/database/connect.ts';
import { type Claim, type Outcome, RETRYABLE, type Result } from '../../src/model/states.ts';
import { claimDue, claimFresh } from '../../src/queue/claim.ts';
import { LOGGED_REPLY, MOST_LOGGED, record } from '../../src/queue/record.ts';
import { rescue } from '../../src/queue/rescue.ts';
import { reasonOf, released } from '../../src/worker/retry.ts';
import { countersAgree, registered, result, runningCampaign } from '../support/campaign.ts';
import { type FreshDatabase, freshDatabase } from '../support/database.ts';

let fresh: FreshDatabase;
let app: Opened;
let workerId: number;
beforeAll(async () => {
  fresh = await freshDatabase();
  app = { database: fresh.database, embedded: false, close: async () => undefined };
  workerId = await registered(fresh.database);
});
afterAll(() => fresh.drop());

const take = async (campaignId: number, by = workerId) =>
  (await claimFresh(fresh.database, { campaignId, workerId: by, limit: 100, after: 0 })) as Claim;
const takeDue = async (campaignId: number) => {
  await fresh.pool.query(
    'update recipient set retry_at = now() where campaign_id = $1 and retry_at is not null',
    [campaignId],
  );
  return (await claimDue(fresh.database, { campaignId, workerId, limit: 100 })) as Claim;
};
const write = (campaignId: number, results: readonly Result[]) =>
  record(fresh.database, campaignId, workerId, results, []);
const ids = (claim: Claim) => claim.recipients.map(({ recipientId }) => recipientId);

async function log(campaignId: number): Promise<unknown[]> {
  const { rows } = await fresh.pool.query(
    `select recipient_id as id, event, reply_code as code, reply, claim_id as claim, worker_id as worker
     from attempt where campaign_id = $1 order by recipient_id, attempt_id`,
    [campaignId],
  );
  return rows;
}

/** Results as the worker makes them, one for each way that an attempt can end. */
const deferred = { replyCode: 451, reply: '4.7.1 greylisted', charged: 1, retrySeconds: 300 } as const;
const trouble = { replyCode: 421, reply: '4.3.2 busy', charged: 0, retrySeconds: 5 } as const;
const ambiguous = { reply: 'the connection ended', charged: 0, maybeSent: 1 } as const;

describe('the log', () => {
  test('has a row for whatever happened but for being sent and for being released', async () => {
    const { campaignId } = await runningCampaign(fresh.database, 9);
    const claim = await take(campaignId);
    const [a = 0, b = 0, c = 0, d = 0, e = 0, f = 0, g = 0, h = 0, i = 0] = ids(claim);
    await write(campaignId, [
      result(claim.claimId, a, 'sent'),
      result(claim.claimId, b, null, deferred),
      result(claim.claimId, c, null, trouble),
      result(claim.claimId, d, null, ambiguous),
      result(claim.claimId, e, 'rejected', { replyCode: 550, reply: '5.1.1 unknown' }),
      result(claim.claimId, f, 'expired', { replyCode: 452, reply: '4.2.2 full' }),
      result(claim.claimId, g, 'invalid', { reply: 'no name', charged: 0 }),
      result(claim.claimId, h, 'unconfirmed', { reply: 'the connection ended', charged: 0, maybeSent: 1 }),
      released(claim.claimId, i, false),
    ]);
    const by = { claim: claim.claimId, worker: workerId };
    expect(await log(campaignId)).toEqual([
      { id: b, event: 'deferred', code: 451, reply: '4.7.1 greylisted', ...by },
      { id: c, event: 'trouble', code: 421, reply: '4.3.2 busy', ...by },
      { id: d, event: 'ambiguous', code: null, reply: 'the connection ended', ...by },
      { id: e, event: 'rejected', code: 550, reply: '5.1.1 unknown', ...by },
      { id: f, event: 'expired', code: 452, reply: '4.2.2 full', ...by },
      { id: g, event: 'invalid', code: null, reply: 'no name', ...by },
      { id: h, event: 'unconfirmed', code: null, reply: 'the connection ended', ...by },
    ]);
    await countersAgree(fresh.database, campaignId);
  });

  test('is written once, however often the statement is', async () => {
    const { campaignId } = await runningCampaign(fresh.database, 1);
    const claim = await take(campaignId);
    const said = [result(claim.claimId, ids(claim)[0] ?? 0, null, deferred)];
    await write(campaignId, said);
    await write(campaignId, said);
    expect(await log(campaignId)).toHaveLength(1);
  });

  test('names the relay that said so, and none where no relay was asked', async () => {
    const { campaignId } = await runningCampaign(fresh.database, 2);
    const claim = await take(campaignId);
    const [a = 0, b = 0] = ids(claim);
    await write(campaignId, [
      result(claim.claimId, a, null, { ...deferred, relay: 'mx-1' }),
      result(claim.claimId, b, 'invalid', { reply: 'no name', charged: 0 }),
    ]);
    const { rows } = await fresh.pool.query(
      'select event, relay from attempt where campaign_id = $1 order by recipient_id',
      [campaignId],
    );
    expect(rows).toEqual([
      { event: 'deferred', relay: 'mx-1' },
      { event: 'invalid', relay: null },
    ]);
  });

  test('keeps the beginning of a long reply; the row keeps all', async () => {
    const { campaignId } = await runningCampaign(fresh.database, 1);
    const claim = await take(campaignId);
    const reply = '4.7.1 '.concat('한'.repeat(2000));
    await write(campaignId, [result(claim.claimId, ids(claim)[0] ?? 0, null, { ...deferred, reply })]);
    expect(await log(campaignId)).toMatchObject([{ reply: reply.slice(0, LOGGED_REPLY) }]);
  });

  test('a relay that says the same again is one trouble, and one that always says something new has an end', async () => {
    const { campaignId } = await runningCampaign(fresh.database, 1);
    const first = await take(campaignId);
    const [id = 0] = ids(first);
    await write(campaignId, [result(first.claimId, id, null, trouble)]);
    for (let i = 0; i < 3; i++) {
      const again = await takeDue(campaignId);
      await write(campaignId, [result(again.claimId, id, null, trouble)]);
    }
    expect(await log(campaignId)).toHaveLength(1);
    await fresh.pool.query(
      `insert into attempt (campaign_id, recipient_id, event) select $1, $2, 'trouble' from generate_series(3, $3::int)`,
      [campaignId, id, MOST_LOGGED],
    );
    for (const n of [1, 2, 3]) {
      const again = await takeDue(campaignId);
      await write(campaignId, [result(again.claimId, id, null, { ...trouble, reply: `4.3.2 busy ${n}` })]);
    }
    expect(await log(campaignId)).toHaveLength(MOST_LOGGED);
    // What is charged has a bound of its own, and how it ended is always told.
    const last = await takeDue(campaignId);
    await write(campaignId, [
      result(last.claimId, id, 'rejected', { replyCode: 550, reply: '5.1.1 unknown' }),
    ]);
    expect((await log(campaignId)).at(-1)).toMatchObject({ event: 'rejected' });
  });

  test.each(['resend', 'hold'] as const)('tells what a rescue did (%s)', async (onUnconfirmed) => {
    const { campaignId } = await runningCampaign(fresh.database, 5, { on_unconfirmed: onUnconfirmed });
    const dead = await registered(fresh.database);
    const claim = await take(campaignId, dead);
    const [a = 0, b = 0, c = 0, d = 0, e = 0] = ids(claim);
    await record(
      fresh.database,
      campaignId,
      dead,
      [],
      [{ claimId: claim.claimId, handedThrough: b, close: false }],
    );
    await fresh.pool.query(
      'update worker set stopped_at = now(), presumed_dead = true where worker_id = $1',
      [dead],
    );
    await rescue(fresh.database);
    const by = { claim: claim.claimId, worker: dead, code: null };
    const event = onUnconfirmed === 'resend' ? 'ambiguous' : 'unconfirmed';
    const died = expect.stringContaining('a worker died');
    expect(await log(campaignId)).toEqual([
      ...[a, b].map((id) => ({ id, event, reply: died, ...by })),
      ...[c, d, e].map((id) => ({ id, event: 'returned', reply: null, ...by })),
    ]);
    await countersAgree(fresh.database, campaignId);
  });

  test('tells who was suppressed', async () => {
    const { campaignId, name } = await runningCampaign(fresh.database, 2);
    await fresh.pool.query(`select suppress($1, 'PERSON2@example.com'), suppress($1, 'nobody@example.com')`, [
      name,
    ]);
    expect(await log(campaignId)).toMatchObject([{ event: 'suppressed', claim: null, worker: null }]);
    expect(await countersAgree(fresh.database, campaignId)).toMatchObject({ suppressed: 1, waiting: 1 });
  });
});

describe('retry --outcome', () => {
  test.each(RETRYABLE)('%s puts exactly those back, at zero attempts, and tells it', async (outcome) => {
    const { campaignId, name } = await runningCampaign(fresh.database, 14);
    const claim = await take(campaignId);
    const ends: readonly Outcome[] = ['sent', ...RETRYABLE];
    // Two of each; suppressed and cancelled are what an operator says, and no reply of a relay.
    await write(
      campaignId,
      ids(claim).map((id, i) => {
        const end = ends[i % ends.length] ?? 'sent';
        const reply = { replyCode: 550, reply: `5.0.0 because ${end}` };
        const silent = end === 'suppressed' || end === 'cancelled';
        return result(
          claim.claimId,
          id,
          end,
          silent
            ? { reason: null }
            : { ...reply, reason: end === 'sent' ? null : reasonOf(550, reply.reply) },
        );
      }),
    );
    const before = await countersAgree(fresh.database, campaignId);
    expect(await retry(app, name, outcome)).toBe(2);
    const after = await countersAgree(fresh.database, campaignId);
    expect(after).toEqual({ ...before, [outcome]: 0, retrying: 2 });
    const { rows } = await fresh.pool.query(
      `select send_state, attempts, outcome, retry_at <= now() as due from recipient where campaign_id = $1 and send_state = 0`,
      [campaignId],
    );
    expect(rows).toEqual(
      Array.from({ length: 2 }, () => ({ send_state: 0, attempts: 0, outcome: null, due: true })),
    );
    const told = (await log(campaignId)).filter((row) => (row as { event: string }).event === 'retried');
    expect(told).toMatchObject([
      { reply: outcome, claim: null, worker: null },
      { reply: outcome, claim: null, worker: null },
    ]);
    expect(await retry(app, name, outcome)).toBe(0);
  });
});

describe('history', () => {
  test('is everything about one address in every campaign, in any case', async () => {
    const first = await runningCampaign(fresh.database, 3);
    const second = await runningCampaign(fresh.database, 3);
    const claim = await take(first.campaignId);
    const [id = 0] = ids(claim);
    await record(
      fresh.database,
      first.campaignId,
      workerId,
      [result(claim.claimId, id, null, deferred)],
      [{ claimId: claim.claimId, handedThrough: id, close: false }],
    );
    const again = await takeDue(first.campaignId);
    await write(first.campaignId, [
      result(again.claimId, id, 'rejected', { replyCode: 550, reply: '5.1.1 unknown' }),
    ]);
    await retry(app, first.name, 'rejected');
    const last = await takeDue(first.campaignId);
    await write(first.campaignId, [result(last.claimId, id, 'sent')]);

    const found = (await history(app, 'Person1@EXAMPLE.com')).filter(({ campaignId }) =>
      [first.campaignId, second.campaignId].includes(campaignId),
    );
    expect(found.map(({ campaign }) => campaign)).toEqual([second.name, first.name]);
    expect(found[0]).toMatchObject({ sendState: 0, outcome: null, claim: null, events: [] });
    expect(found[1]).toMatchObject({
      address: 'person1@example.com',
      sendState: 2,
      outcome: 'sent',
      attempts: 1,
      reply: '2.0.0 Ok',
      claim: { claimId: last.claimId, workerId, pid: process.pid, withinMark: false, rescued: false },
    });
    expect(found[1]?.events.map(({ event, replyCode, reply }) => [event, replyCode, reply])).toEqual([
      ['deferred', 451, '4.7.1 greylisted'],
      ['rejected', 550, '5.1.1 unknown'],
      ['retried', null, 'rejected'],
    ]);
    expect(found[1]?.events[0]?.at).toBeInstanceOf(Date);
    expect(await history(app, 'nobody@example.net')).toEqual([]);
    expect(await history(app, "' or true --")).toEqual([]);

    const { rows } = await fresh.pool.query(
      `select campaign, event, reply from recipient_history('PERSON1@example.com') where campaign in ($1, $2)`,
      [first.name, second.name],
    );
    expect(rows).toEqual([
      { campaign: first.name, event: 'deferred', reply: '4.7.1 greylisted' },
      { campaign: first.name, event: 'rejected', reply: '5.1.1 unknown' },
      { campaign: first.name, event: 'retried', reply: 'rejected' },
      { campaign: first.name, event: 'sent', reply: '2.0.0 Ok' },
      { campaign: second.name, event: 'waiting', reply: null },
    ]);
  });

  test('tells an outcome once, and also one from before there was a log', async () => {
    const { campaignId, name } = await runningCampaign(fresh.database, 2);
    const claim = await take(campaignId);
    await write(
      campaignId,
      ids(claim).map((id) =>
        result(claim.claimId, id, 'rejected', { replyCode: 550, reply: '5.1.1 unknown' }),
      ),
    );
    await fresh.pool.query('delete from attempt where campaign_id = $1 and recipient_id = $2', [
      campaignId,
      ids(claim)[1],
    ]);
    for (const person of ['person1@example.com', 'person2@example.com']) {
      const { rows } = await fresh.pool.query(`select event from recipient_history($1) where campaign = $2`, [
        person,
        name,
      ]);
      expect(rows).toEqual([{ event: 'rejected' }]);
    }
  });

  test('finds its rows by index', async () => {
    await runningCampaign(fresh.database, 5000);
    // So few rows may well be read one by one; millions may not.
    const plan = `explain select * from recipient r where lower(r.address) = lower('PERSON1@example.com' collate "C")`;
    const { rows } = await inTransaction(fresh.database, async ({ client }) => {
      await client.query('set local enable_seqscan = off');
      return await client.query<{ 'QUERY PLAN': string }>(plan);
    });
    expect(rows.map((row) => row['QUERY PLAN']).join('\n')).toContain('recipient_address');
  });
});
