import fc from 'fast-check';
import type pg from 'pg';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { cancel, pause } from '../../src/api/lifecycle.ts';
import { limits, removeLimit, setLimit } from '../../src/api/limits.ts';
import type { Opened } from '../../src/api/open.ts';
import type { Database } from '../../src/database/connect.ts';
import type { Claim } from '../../src/model/states.ts';
import { claimDue, claimFresh } from '../../src/queue/claim.ts';
import { DomainLimits } from '../../src/queue/domain-limit.ts';
import { CATCH_UP_SECONDS, drawTurns, type Turn } from '../../src/queue/domain-pace.ts';
import { BURST_SECONDS } from '../../src/queue/pace.ts';
import { record } from '../../src/queue/record.ts';
import { Claimer } from '../../src/worker/claimer.ts';
import { countersAgree, registered, result, runningCampaign } from '../support/campaign.ts';
import { type FreshDatabase, freshDatabase } from '../support/database.ts';

let fresh: FreshDatabase;
let app: Opened;
let workerId: number;
beforeAll(async () => {
  fresh = await freshDatabase({ max: 10 });
  app = { database: fresh.database, embedded: false, close: async () => undefined };
  workerId = await registered(fresh.database);
});
beforeEach(() => fresh.pool.query('truncate domain_limit, domain_pace'));
afterAll(() => fresh.drop());

/** A running campaign with so many people at each of these domains, one after the other. */
async function campaignAt(
  domains: Readonly<Record<string, number>>,
  set: Readonly<Record<string, unknown>> = {},
): Promise<number> {
  const { campaignId } = await runningCampaign(fresh.database, 0, set);
  for (const [domain, people] of Object.entries(domains)) {
    await fresh.pool.query(
      `with added as (
         insert into recipient (campaign_id, address) select $1, 'p' || i || '@' || $2 from generate_series(1, $3::int) i returning 1
       ) insert into counter as c (campaign_id, worker_id, lane, waiting) select $1, 0, 0, count(*) from added
       on conflict (campaign_id, worker_id, lane) do update set waiting = c.waiting + excluded.waiting`,
      [campaignId, domain, people],
    );
  }
  return campaignId;
}

async function readLimits(): Promise<DomainLimits> {
  const known = new DomainLimits(fresh.database);
  await known.refresh();
  return known;
}

const claim = async (campaignId: number, limit = 1000, after = 0) =>
  (await claimFresh(fresh.database, { campaignId, workerId, limit, after })) as Claim;
const due = async (campaignId: number, limit = 1000) =>
  (await claimDue(fresh.database, { campaignId, workerId, limit })) as Claim;
const draw = async (taken: Claim, isFresh = true): Promise<Turn> =>
  await drawTurns(fresh.database, workerId, taken, await readLimits(), isFresh);

interface Turned {
  readonly address: string;
  readonly in: number;
}
/** Who waits for a turn, the next one first, and in how many seconds. */
async function turns(campaignId: number): Promise<Turned[]> {
  const { rows } = await fresh.pool.query<Turned>(
    `select address, extract(epoch from retry_at - now())::float8 as in from recipient
     where campaign_id = $1 and send_state = 0 and retry_at is not null order by retry_at, recipient_id`,
    [campaignId],
  );
  return rows;
}
const nameOf = async (campaignId: number) =>
  (await fresh.pool.query<{ name: string }>('select name from campaign where campaign_id = $1', [campaignId]))
    .rows[0]?.name ?? '';
const count = async (text: string, values: unknown[] = []) =>
  Number((await fresh.pool.query<{ n: number }>(text, values)).rows[0]?.n);

describe('a claim with a limited domain', () => {
  test('keeps who finds a token; the others wait, one after the other, and nothing has happened to them', async () => {
    const campaignId = await campaignAt({ 'naver.com': 9, 'example.com': 5 });
    await setLimit(app, 'Naver.COM', 4);
    const taken = await claim(campaignId);
    const { recipients, queuedSeconds } = await draw(taken);
    expect(recipients.map(({ address }) => address)).toEqual([
      'p1@naver.com',
      ...[1, 2, 3, 4, 5].map((i) => `p${i}@example.com`),
    ]);
    expect(queuedSeconds).toBeCloseTo(2, 1);
    const queue = await turns(campaignId);
    expect(queue.map(({ address }) => address)).toEqual(
      [2, 3, 4, 5, 6, 7, 8, 9].map((i) => `p${i}@naver.com`),
    );
    queue.slice(1).forEach((turn, i) => {
      expect(turn.in - (queue[i]?.in ?? 0)).toBeCloseTo(0.25, 5);
    });
    const { rows } = await fresh.pool.query(
      `select distinct attempts, maybe_sent, reply_code, reply, outcome from recipient where campaign_id = $1 and retry_at is not null`,
      [campaignId],
    );
    expect(rows).toEqual([{ attempts: 0, maybe_sent: 0, reply_code: null, reply: null, outcome: null }]);
    expect(await countersAgree(fresh.database, campaignId)).toMatchObject({
      claimed: 6,
      retrying: 8,
      waiting: 0,
    });
    for (const table of ['attempt', 'timeline'])
      expect(await count(`select count(*) as n from ${table} where campaign_id = $1`, [campaignId])).toBe(0);
    // What was kept is worked off, and the claim is over.
    const sent = recipients.map(({ recipientId }) => result(taken.claimId, recipientId, 'sent'));
    await record(fresh.database, campaignId, workerId, sent, [
      { claimId: taken.claimId, handedThrough: 0, close: true },
    ]);
    expect(
      await count('select count(*) as n from claim where campaign_id = $1 and closed_at is null', [
        campaignId,
      ]),
    ).toBe(0);
  });

  test('is over when every recipient in it has to wait', async () => {
    const campaignId = await campaignAt({ 'naver.com': 6 });
    await setLimit(app, 'naver.com', 1);
    const first = await claim(campaignId, 3);
    expect((await draw(first)).recipients).toHaveLength(1);
    const second = await claim(campaignId, 3, first.recipients.at(-1)?.recipientId);
    expect((await draw(second)).recipients).toEqual([]);
    const { rows } = await fresh.pool.query(
      'select closed_at is null as open, rescued from claim where claim_id = $1',
      [second.claimId],
    );
    expect(rows).toEqual([{ open: false, rescued: false }]);
    expect(await countersAgree(fresh.database, campaignId)).toMatchObject({ claimed: 1, retrying: 5 });
  });

  test('people who never waited do not go before those who wait; who is due does', async () => {
    const campaignId = await campaignAt({ 'naver.com': 30 });
    await setLimit(app, 'naver.com', 10);
    await draw(await claim(campaignId, 10));
    // A second has passed: ten tokens, and the first turns are due.
    await fresh.pool.query(`update domain_pace set refilled_at = refilled_at - interval '1 second'`);
    await fresh.pool.query(
      `update recipient set retry_at = now() - interval '1 second' where recipient_id in (
         select recipient_id from recipient where campaign_id = $1 and retry_at is not null order by retry_at limit 4)`,
      [campaignId],
    );
    const later = await draw(await claim(campaignId, 10, 0));
    expect(later.recipients).toEqual([]);
    const now = await draw(await due(campaignId), false);
    expect(now.recipients).toHaveLength(4);
    // The queue goes on where it ended: 19 turns behind one another, none of them twice.
    const queue = (await turns(campaignId)).map((turn) => turn.in);
    expect(new Set(queue.map((at) => at.toFixed(3))).size).toBe(queue.length);
    await countersAgree(fresh.database, campaignId);
  });

  test('a backlog of turns that were not kept: the rate holds, and the surplus gets new turns', async () => {
    const campaignId = await campaignAt({ 'naver.com': 101 });
    await setLimit(app, 'naver.com', 10);
    await draw(await claim(campaignId));
    // All workers were down for a minute.
    await fresh.pool.query(
      `update recipient set retry_at = retry_at - interval '1 minute' where retry_at is not null`,
    );
    await fresh.pool.query(
      `update domain_pace set refilled_at = refilled_at - interval '1 minute', queued_until = queued_until - interval '1 minute'`,
    );
    const { recipients } = await draw(await due(campaignId), false);
    expect(recipients).toHaveLength(Math.max(Math.floor(10 * BURST_SECONDS), 1));
    const queue = await turns(campaignId);
    expect(queue).toHaveLength(100 - recipients.length);
    expect((queue.at(-1)?.in ?? 0) - (queue[0]?.in ?? 0)).toBeCloseTo((queue.length - 1) / 10, 3);
    await countersAgree(fresh.database, campaignId);
  });

  test('of a dead worker changes nothing', async () => {
    const campaignId = await campaignAt({ 'naver.com': 5 });
    await setLimit(app, 'naver.com', 1);
    const taken = await claim(campaignId);
    await fresh.pool.query(
      'update recipient set send_state = 0, retry_at = now(), claim_id = null where campaign_id = $1',
      [campaignId],
    );
    await fresh.pool.query(
      'update counter set claimed = 0, retrying = 5 where campaign_id = $1 and worker_id = $2',
      [campaignId, workerId],
    );
    expect((await draw(taken)).recipients).toHaveLength(5);
    expect(await countersAgree(fresh.database, campaignId)).toMatchObject({ retrying: 5, claimed: 0 });
  });
});

describe('limits', () => {
  test('* is for each domain without a limit of its own, each by itself', async () => {
    const campaignId = await campaignAt({ 'naver.com': 4, 'daum.net': 4, 'example.com': 4 });
    await setLimit(app, '*', 1);
    await setLimit(app, 'naver.com', 1000);
    await fresh.pool.query(
      `insert into domain_pace values ('naver.com', 1000, 100, 0, 0, now(), now(), now() - interval '1 hour')`,
    );
    const { recipients } = await draw(await claim(campaignId));
    const kept = (domain: string) => recipients.filter(({ address }) => address.endsWith(domain)).length;
    expect({ naver: kept('@naver.com'), daum: kept('@daum.net'), example: kept('@example.com') }).toEqual({
      naver: 4,
      daum: 1,
      example: 1,
    });
    expect(
      (await limits(app)).map(({ domain, rate, queuedUntil }) => [domain, rate, queuedUntil !== null]),
    ).toEqual([
      ['*', 1, true],
      ['naver.com', 1000, false],
    ]);
  });

  test('are kept as addresses are: lower case and A-labels; what is no domain is refused', async () => {
    expect(await setLimit(app, '회사.한국', 3)).toBe('xn--vf4b131b.xn--3e0b707e');
    expect(await setLimit(app, ' GMAIL.com ', 5)).toBe('gmail.com');
    for (const wrong of [
      '',
      'naver',
      'kim@naver.com',
      'a b.com',
      '-x.com',
      "x';drop table recipient;--.com",
      '127.0.0.1',
    ])
      await expect(setLimit(app, wrong, 1), wrong).rejects.toMatchObject({ code: 'limit-domain' });
    for (const wrong of [0, -1, Number.NaN, Number.POSITIVE_INFINITY])
      await expect(setLimit(app, 'naver.com', wrong)).rejects.toMatchObject({ code: 'limit-rate' });
    expect((await limits(app)).map(({ domain }) => domain)).toEqual([
      'gmail.com',
      'xn--vf4b131b.xn--3e0b707e',
    ]);
  });

  test('one that is raised or removed releases those that wait for it, and no others', async () => {
    const campaignId = await campaignAt({ 'naver.com': 50, 'daum.net': 50 });
    await setLimit(app, 'naver.com', 0.01);
    await setLimit(app, '*', 0.01);
    await draw(await claim(campaignId));
    const waiting = async () =>
      (await turns(campaignId))
        .filter(({ in: seconds }) => seconds > 0.5)
        .map(({ address }) => address.split('@')[1]);
    // A recipient at naver.com was deferred by the relay meanwhile: that wait is not the limit's.
    await fresh.pool.query(
      `update recipient set attempts = 1, reply_code = 451, reply = 'later' where campaign_id = $1 and address = 'p7@naver.com'`,
      [campaignId],
    );
    expect(await waiting()).toHaveLength(98);
    await setLimit(app, 'naver.com', 1000);
    expect((await waiting()).filter((domain) => domain === 'naver.com')).toHaveLength(1);
    expect((await waiting()).filter((domain) => domain === 'daum.net')).toHaveLength(49);
    expect(await removeLimit(app, '*')).toBe(true);
    expect(await removeLimit(app, '*')).toBe(false);
    expect(await waiting()).toEqual(['naver.com']);
    await countersAgree(fresh.database, campaignId);
  });

  test.each([['cancelled', cancel] as const, ['paused', pause] as const])(
    'a campaign that is %s leaves its queues: no recipient waits for turns that are never used',
    async (_, end) => {
      const leaving = await campaignAt({ 'naver.com': 500 });
      const staying = await campaignAt({ 'naver.com': 4, 'daum.net': 4 });
      await setLimit(app, 'naver.com', 0.1);
      await setLimit(app, 'daum.net', 0.1);
      await draw(await claim(leaving));
      await draw(await claim(staying));
      const queue = async (domain: string) =>
        await count(
          `select extract(epoch from queued_until - now()) as n from domain_pace where domain = '${domain}'`,
        );
      expect(await queue('naver.com')).toBeGreaterThan(4_900);
      const daum = await turns(staying);
      await end(app, await nameOf(leaving));
      expect(await queue('naver.com')).toBeLessThanOrEqual(0);
      // Who stays is due now and draws anew; a queue that the other had no part in is as it was.
      const now = await turns(staying);
      const at = (all: readonly Turned[], domain: string) =>
        all.filter(({ address }) => address.endsWith(domain)).map(({ in: seconds }) => seconds);
      for (const seconds of at(now, '@naver.com')) expect(seconds).toBeLessThanOrEqual(0);
      expect(at(now, '@daum.net')).toHaveLength(3);
      for (const seconds of at(now, '@daum.net')) expect(seconds).toBeGreaterThan(0);
      expect(at(daum, '@naver.com')).toHaveLength(4);
      await draw(await due(staying), false);
      expect(Math.max(...at(await turns(staying), '@naver.com'))).toBeLessThan(60);
      await countersAgree(fresh.database, leaving);
      await countersAgree(fresh.database, staying);
      await fresh.pool.query(`update campaign set status = 'finished' where campaign_id = $1`, [staying]);
    },
  );

  test('one that was removed a moment ago holds no recipient back', async () => {
    const campaignId = await campaignAt({ 'naver.com': 5 });
    await setLimit(app, 'naver.com', 1);
    const known = await readLimits();
    await removeLimit(app, 'naver.com');
    const { recipients } = await drawTurns(fresh.database, workerId, await claim(campaignId), known, true);
    expect(recipients).toHaveLength(5);
  });
});

describe('the bucket', () => {
  test('any order of draws and pauses gives at most the rate, and each row one turn', async () => {
    const campaignId = await campaignAt({ 'naver.com': 3000 });
    await fc.assert(
      fc.asyncProperty(
        fc.double({ min: 0.5, max: 2000, noNaN: true }),
        fc.array(
          fc.record({ wanted: fc.integer({ min: 1, max: 60 }), pauseMs: fc.integer({ min: 0, max: 4000 }) }),
          {
            minLength: 1,
            maxLength: 8,
          },
        ),
        async (rate, steps) => {
          await fresh.pool.query('truncate domain_limit, domain_pace');
          await fresh.pool.query(
            `update recipient set send_state = 0, retry_at = null, claim_id = null where campaign_id = $1`,
            [campaignId],
          );
          await setLimit(app, 'naver.com', rate);
          let granted = 0;
          let pausedMs = 0;
          let after = 0;
          const start = performance.now();
          for (const { wanted, pauseMs } of steps) {
            const taken = await claim(campaignId, wanted, after);
            after = taken.recipients.at(-1)?.recipientId ?? 0;
            const { recipients } = await draw(taken);
            granted += recipients.length;
            // Time passes for the bucket; no recipient waits for it.
            pausedMs += pauseMs;
            const past = `interval '${pauseMs} milliseconds'`;
            await fresh.pool.query(
              `update domain_pace set refilled_at = refilled_at - ${past}, queued_until = queued_until - ${past}`,
            );
            const seconds = (performance.now() - start + pausedMs) / 1000;
            expect(granted).toBeLessThanOrEqual(rate * seconds + Math.max(rate * CATCH_UP_SECONDS, 1));
          }
        },
      ),
      { numRuns: 25 },
    );
  });

  test('eight workers that draw at once get the rate, no more and hardly less', async () => {
    const rate = 300;
    const campaignId = await campaignAt({ 'naver.com': 4000 });
    await setLimit(app, 'naver.com', rate);
    const known = await readLimits();
    const start = performance.now();
    let kept = 0;
    const drawer = async () => {
      const own = await registered(fresh.database);
      while (performance.now() - start < 2000) {
        const request = { campaignId, workerId: own, limit: 40 };
        const late = await claimDue(fresh.database, request);
        const taken = late ?? (await claimFresh(fresh.database, { ...request, after: 0 }));
        if (taken === null) continue;
        const { recipients } = await drawTurns(fresh.database, own, taken, known, late === null);
        kept += recipients.length;
      }
    };
    await Promise.all(Array.from({ length: 8 }, drawer));
    const seconds = (performance.now() - start) / 1000;
    expect(kept).toBeLessThanOrEqual(rate * seconds + rate * BURST_SECONDS + 1);
    // Turns come while every worker is busy with the others'; what is not drawn at the end is less than half a second's worth.
    expect(kept).toBeGreaterThan(rate * (seconds - 0.5));
    await countersAgree(fresh.database, campaignId);
  });

  test('claims with the same domains in any order wait for each other and never in a circle', async () => {
    const domains = ['a.com', 'b.com', 'c.com', 'd.com', 'e.com', 'f.com'];
    for (const domain of domains) await setLimit(app, domain, 1000);
    const known = await readLimits();
    const work = async (seed: number) => {
      const order = [...domains.slice(seed % 6), ...domains.slice(0, seed % 6)];
      if (seed % 2 === 1) order.reverse();
      const campaignId = await campaignAt(Object.fromEntries(order.map((domain) => [domain, 30])));
      const own = await registered(fresh.database);
      for (let after = 0; ; ) {
        const taken = await claimFresh(fresh.database, { campaignId, workerId: own, limit: 7, after });
        if (taken === null) break;
        after = taken.recipients.at(-1)?.recipientId ?? 0;
        await drawTurns(fresh.database, own, taken, known, true);
      }
      return await countersAgree(fresh.database, campaignId);
    };
    const all = await Promise.all(Array.from({ length: 8 }, (_, seed) => work(seed)));
    for (const counted of all) expect((counted.claimed ?? 0) + (counted.retrying ?? 0)).toBe(180);
  });
});

describe('the claimer', () => {
  /** The same database, and every statement that is asked through it. */
  function overheard(): { db: Database; said: string[] } {
    const said: string[] = [];
    const pool = new Proxy(fresh.pool, {
      get: (target, name) => {
        if (name !== 'query') return Reflect.get(target, name);
        return (query: pg.QueryConfig) => {
          said.push(typeof query === 'string' ? query : query.text);
          return target.query(query);
        };
      },
    });
    return { db: { ...fresh.database, pool }, said };
  }

  test('asks once a second for limits, and without any asks nothing more', async () => {
    const campaignId = await campaignAt({ 'naver.com': 200 });
    const { db, said } = overheard();
    const claimer = new Claimer(db, workerId, { campaignId, rate: null });
    const start = performance.now();
    let taken = 0;
    const take = ({ recipients }: Claim) => {
      taken += recipients.length;
    };
    while (taken < 200) await claimer.next(5, take);
    const seconds = (performance.now() - start) / 1000;
    expect(claimer.made).toBe(40);
    const asked = said.filter((text) => text.includes('domain_limit'));
    expect(asked.length).toBeGreaterThanOrEqual(1);
    // A pooler may refuse the name of one statement, which is then said once more without it.
    expect(asked.length).toBeLessThanOrEqual(2 + seconds);
    expect(said.filter((text) => text.includes('domain_pace'))).toEqual([]);
  });

  test('gives the tokens of the campaign back that were drawn for those who have to wait', async () => {
    const campaignId = await campaignAt({ 'naver.com': 40 }, { rate: 0.001 });
    await fresh.pool.query('insert into pace (campaign_id, tokens, refilled_at) values ($1, 1, now())', [
      campaignId,
    ]);
    await setLimit(app, 'naver.com', 0.001);
    const claimer = new Claimer(fresh.database, workerId, { campaignId, rate: 0.001 });
    const taken: Claim[] = [];
    const ends: string[] = [];
    for (let i = 0; i < 4; i++) ends.push(await claimer.next(10, (one) => void taken.push(one)));
    // The bucket of the campaign held one token: the first got it, and so there was none for the others to give back.
    expect(taken.flatMap(({ recipients }) => recipients)).toHaveLength(1);
    expect(ends).toEqual(['claimed', 'paced', 'paced', 'paced']);
    await fresh.pool.query('update pace set tokens = 1, refilled_at = now() where campaign_id = $1', [
      campaignId,
    ]);
    expect(await claimer.next(10, (one) => void taken.push(one))).toBe('claimed');
    expect(taken).toHaveLength(1);
    expect(
      await count('select floor(tokens + 0.01) as n from pace where campaign_id = $1', [campaignId]),
    ).toBe(1);
    await countersAgree(fresh.database, campaignId);
  });

  test('looks again while turns are about to come, and says that there is nothing when they are far', async () => {
    const campaignId = await campaignAt({ 'naver.com': 3 });
    await setLimit(app, 'naver.com', 2);
    const claimer = new Claimer(fresh.database, workerId, { campaignId, rate: null });
    expect(await claimer.next(10, () => undefined)).toBe('claimed');
    expect(await claimer.next(10, () => undefined)).toBe('paced');
    expect(claimer.waitMs).toBeGreaterThanOrEqual(200);
    expect(claimer.waitMs).toBeLessThanOrEqual(1000);
    await fresh.pool.query(
      `update recipient set retry_at = now() + interval '1 hour' where retry_at is not null and campaign_id = $1`,
      [campaignId],
    );
    expect(await claimer.next(10, () => undefined)).toBe('nothing');
  });
});
