import { randomBytes } from 'node:crypto';
import type pg from 'pg';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { open } from '../../src/api/sendstate.ts';
import { work } from '../../src/api/work.ts';
import { startCapture } from '../../src/capture/capture.ts';
import type { Outcome } from '../../src/model/states.ts';
import { claimFresh } from '../../src/queue/claim.ts';
import { DomainLimits, writeLimit } from '../../src/queue/domain-limit.ts';
import { drawTurns } from '../../src/queue/domain-pace.ts';
import { record } from '../../src/queue/record.ts';
import { rescue } from '../../src/queue/rescue.ts';
import { Gate } from '../../src/relays/gate.ts';
import { RelayReport } from '../../src/relays/relay-report.ts';
import { parseRelay } from '../../src/smtp/relay.ts';
import { countersAgree, registered, result, runningCampaign } from '../support/campaign.ts';
import { type FreshDatabase, freshDatabase } from '../support/database.ts';
import { type Block, blocksOf, textOf } from './markdown.ts';

const blocks = blocksOf(textOf('docs/operations.md')).filter(({ language }) => language === 'sql');
const isScript = ({ code }: Block) => /^begin;/.test(code);
const isGrants = ({ code }: Block) => /^create role/.test(code);
const questions = blocks.filter((block) => !isScript(block) && !isGrants(block));

let fresh: FreshDatabase;
let spring: number;

/** Replies as relays give them: a good one, and one for each way to fail. */
const REPLIES: Readonly<Record<string, [code: number | null, reply: string]>> = {
  sent: [250, '2.0.0 Ok: queued as 4CkzJx2QnSzR'],
  rejected: [550, '5.1.1 <kim@example.com>: user unknown'],
  expired: [452, '4.2.2 mailbox full'],
  invalid: [null, 'the column "name" is missing'],
  later: [451, '4.7.1 greylisted, come back in 5 minutes'],
};

/** The last twenty people are at a domain with a limit, and claimed: one is kept, the others wait for their turn. */
async function waitForTurns(campaignId: number, workerId: number): Promise<void> {
  const db = fresh.database;
  const { rows } = await fresh.pool.query<{ before: number }>(
    `with moved as (
       update recipient set address = replace(address, 'example.com', 'naver.com')
       where campaign_id = $1 and address ~ '^person(18[1-9]|19[0-9]|200)@' returning recipient_id
     ) select min(recipient_id) - 1 as before from moved`,
    [campaignId],
  );
  await writeLimit(db, 'naver.com', 0.01);
  const limits = new DomainLimits(db);
  await limits.refresh();
  const claim = await claimFresh(db, { campaignId, workerId, limit: 20, after: rows[0]?.before ?? 0 });
  if (claim !== null) await drawTurns(db, workerId, claim, limits, true);
}

/** A campaign in the middle of its life: something in every state, and all of it by the real statements. */
async function midway(): Promise<number> {
  const db = fresh.database;
  const { campaignId } = await runningCampaign(db, 200, { name: 'spring', max_attempts: 3 });
  await fresh.pool.query(`update recipient set vars = vars || '{"city": "서울"}' where campaign_id = $1`, [
    campaignId,
  ]);
  const dead = await registered(db, 60);
  const doubtful = await claimFresh(db, { campaignId, workerId: dead, limit: 10, after: 0 });
  const handedThrough = doubtful?.recipients[4]?.recipientId ?? 0;
  await record(db, campaignId, dead, [], [{ claimId: doubtful?.claimId ?? 0, handedThrough, close: false }]);
  await fresh.pool.query(`update worker set stopped_at = now(), presumed_dead = true where worker_id = $1`, [
    dead,
  ]);
  await rescue(db);
  const workerId = await registered(db, 60);
  const claim = await claimFresh(db, { campaignId, workerId, limit: 100, after: handedThrough });
  const ends = ['sent', 'sent', 'sent', 'rejected', 'expired', 'invalid', 'later'] as const;
  const results = (claim?.recipients.slice(0, 70) ?? []).map(({ recipientId }, index) => {
    const end = ends[index % ends.length] ?? 'sent';
    const [replyCode = null, reply = ''] = REPLIES[end] ?? [];
    const outcome = end === 'later' ? null : (end as Outcome);
    const more = {
      replyCode,
      reply,
      retrySeconds: 300,
      reason: outcome === null || end === 'sent' ? null : reply,
    };
    return result(claim?.claimId ?? 0, recipientId, outcome, more);
  });
  await record(db, campaignId, workerId, results, []);
  await waitForTurns(campaignId, workerId);
  await knowARelay(workerId);
  return campaignId;
}

/** A relay as its worker reports it, and its bucket. */
async function knowARelay(workerId: number): Promise<void> {
  const events = { changed: () => undefined, paced: () => undefined };
  const deliverer = { capacity: 1, deliver: () => undefined };
  const gate = new Gate({ label: 'main', weight: 1, rate: 100, deliverer }, null, events);
  await new RelayReport(fresh.database, [gate]).write(workerId);
  await fresh.pool.query(`insert into relay_pace values ('main', 0, 0, now())`);
}

/** Campaigns that are over: people whom spring knows too, and one to delete. */
async function over(name: string, people: number): Promise<number> {
  const { campaignId } = await runningCampaign(fresh.database, people, { name });
  const workerId = await registered(fresh.database, 60);
  const claim = await claimFresh(fresh.database, { campaignId, workerId, limit: people, after: 0 });
  const results =
    claim?.recipients.map(({ recipientId }) => result(claim.claimId, recipientId, 'sent')) ?? [];
  await record(fresh.database, campaignId, workerId, results, [
    { claimId: claim?.claimId ?? 0, handedThrough: 0, close: true },
  ]);
  await fresh.pool.query(
    `update campaign set status = 'finished', finished_at = now() - interval '2 years' where campaign_id = $1`,
    [campaignId],
  );
  return campaignId;
}

beforeAll(async () => {
  fresh = await freshDatabase();
  spring = await midway();
  await over('autumn', 120);
  const old = await over('old', 20);
  await fresh.pool.query(
    `insert into attempt (campaign_id, recipient_id, event) select campaign_id, recipient_id, 'deferred' from recipient where campaign_id = $1`,
    [old],
  );
  await countersAgree(fresh.database, spring);
  // What pg_stat_user_tables shows arrives there some time after the commit; vacuum and analyze write it at once.
  await fresh.pool.query('vacuum analyze');
});

afterAll(() => fresh.drop());

/** Runs a block and takes back what it did. */
async function tried(code: string): Promise<pg.QueryResult> {
  const client = await fresh.pool.connect();
  try {
    await client.query('begin');
    return await client.query(code);
  } finally {
    await client.query('rollback');
    client.release();
  }
}

test('there are at least two dozen questions', () => {
  expect(questions.length).toBeGreaterThanOrEqual(24);
});

describe.each(questions)('$before', ({ before, code }) => {
  test('works, and has an answer', async () => {
    const { rowCount } = await tried(code);
    if (/no row means/.test(before)) expect(rowCount).toBe(0);
    else expect(rowCount).toBeGreaterThan(0);
  });
});

test('a question about one campaign is about that campaign', async () => {
  // A function and an aggregate answer with one row in any case.
  const about = questions.filter(({ code }) => /^select(?! suppress| percentile)[^;]*'spring'/.test(code));
  expect(about.length).toBeGreaterThan(10);
  for (const { code } of about) {
    const { rowCount } = await tried(code.replaceAll("'spring'", "'no such campaign'"));
    expect(rowCount, code).toBe(0);
  }
});

test('what is to be removed from the list is what the relay calls unknown', async () => {
  const question = questions.find(({ before }) => before.startsWith('Addresses to remove'));
  const { rows } = await tried(question?.code ?? '');
  expect(rows).toHaveLength(10);
  expect(rows[0]).toMatchObject({ campaigns: 1, words: expect.stringContaining('user unknown') });
});

test('who is in doubt are exactly those within the handed-over mark of the dead worker', async () => {
  const question = questions.find(({ code }) => code.includes('maybe_sent > 0'));
  const { rows } = await tried(question?.code ?? '');
  expect(rows.map(({ address }) => address)).toEqual([1, 2, 3, 4, 5].map((n) => `person${n}@example.com`));
});

test('suppressing keeps the counters right', async () => {
  for (const { code } of questions.filter(({ code }) => code.includes('suppress(')))
    await fresh.pool.query(code);
  const { suppressed } = await countersAgree(fresh.database, spring);
  expect(suppressed).toBe(3);
});

test('deleting a campaign leaves nothing of it, and others as they were', async () => {
  const [script] = blocks.filter(isScript);
  const { rows: tables } = await fresh.pool.query<{ name: string }>(
    `select table_name as name from information_schema.columns
     where table_schema = current_schema() and column_name = 'campaign_id'
       and table_name in (select table_name from information_schema.tables where table_type = 'BASE TABLE')`,
  );
  const holding = async (name: string) => {
    const found: string[] = [];
    for (const { name: table } of tables) {
      const { rows } = await fresh.pool.query(`select 1 from ${table} where campaign_id = $1 limit 1`, [
        ids.get(name),
      ]);
      if (rows.length > 0) found.push(table);
    }
    return found.sort();
  };
  const { rows: campaigns } = await fresh.pool.query<{ name: string; campaign_id: number }>(
    'select name, campaign_id from campaign',
  );
  const ids = new Map(campaigns.map(({ name, campaign_id }) => [name, campaign_id]));
  await fresh.pool.query(`insert into attachment values ($1, 1, 'a.pdf', 'application/pdf', null, '\\x00')`, [
    ids.get('old'),
  ]);
  await fresh.pool.query('insert into pace (campaign_id, tokens, refilled_at) values ($1, 0, now())', [
    ids.get('old'),
  ]);
  await fresh.pool.query(`insert into failure values ($1, 'rejected', 'because', 0, 0, 1)`, [ids.get('old')]);
  expect(await holding('old')).toEqual(tables.map(({ name }) => name).sort());
  const before = await holding('spring');
  // A running campaign is left alone, whatever its name.
  await fresh.pool.query((script as Block).code.replaceAll("'old'", "'spring'"));
  expect(await holding('spring')).toEqual(before);
  await fresh.pool.query((script as Block).code);
  expect(await holding('old')).toEqual([]);
  expect(await holding('spring')).toEqual(before);
});

test('the roles are enough to work and to look, and for no more', async () => {
  const suffix = randomBytes(4).toString('hex');
  const role = (name: string) => `sendstate_${name}_${suffix}`;
  const [worker, report, audit] = [role('worker'), role('report'), role('audit')];
  const [grants] = blocks.filter(isGrants);
  const sql = (grants as Block).code.replaceAll(/sendstate_(worker|report|audit)/g, `sendstate_$1_${suffix}`);
  await fresh.pool.query(sql);
  const capture = await startCapture();
  const { campaignId } = await runningCampaign(fresh.database, 30, { name: 'by role' });
  await fresh.pool.query(`update campaign set status = 'cancelled' where name = 'spring'`);
  const as = (user: string, password: string) => {
    const url = new URL(fresh.url);
    [url.username, url.password] = [user, encodeURIComponent(password)];
    return open({ databaseUrl: url.href, check: user === worker });
  };
  try {
    const app = await as(worker, 'change me');
    expect(await work(app, { relay: parseRelay(capture.url), drain: true }).finally(() => app.close())).toBe(
      'idle',
    );
    expect(await countersAgree(fresh.database, campaignId)).toMatchObject({
      sent: 30,
      claimed: 0,
      waiting: 0,
    });
    expect(capture.recipients.size).toBe(30);
    const viewer = await as(report, 'change me too');
    const { pool } = viewer.database;
    expect((await pool.query(`select from campaign_progress where name = 'by role'`)).rowCount).toBe(1);
    await expect(pool.query('select from recipient')).rejects.toThrow('permission denied');
    await viewer.close();
  } finally {
    await capture.close();
    for (const role of [worker, report, audit])
      await fresh.pool.query(`drop owned by ${role}; drop role ${role}`);
  }
});
