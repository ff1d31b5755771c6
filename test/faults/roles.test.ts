import { randomBytes } from 'node:crypto';
import type pg from 'pg';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { open } from '../../src/api/sendstate.ts';
import { work } from '../../src/api/work.ts';
import { type CaptureServer, startCapture } from '../../src/capture/capture.ts';
import { parseRelay } from '../../src/smtp/relay.ts';
import { blocksOf, textOf } from '../docs/markdown.ts';
import { countersAgree, runningCampaign } from '../support/campaign.ts';
import { type FreshDatabase, freshDatabase } from '../support/database.ts';
import { endProcesses, runCli, startCli } from '../support/process.ts';

vi.setConfig({ testTimeout: 90_000 });

const suffix = randomBytes(4).toString('hex');
const ROLES = ['worker', 'report', 'audit'].map((name) => `sendstate_${name}_${suffix}`);
/** The block that operators copy, with names of this run's own: roles belong to the whole server. */
const grants =
  blocksOf(textOf('docs/operations.md'))
    .find(({ language, code }) => language === 'sql' && /^create role/.test(code))
    ?.code.replaceAll(/sendstate_(worker|report|audit)\b/g, `sendstate_$1_${suffix}`) ?? '';
const PASSWORDS: Readonly<Record<string, string>> = {
  worker: 'change me',
  report: 'change me too',
  audit: 'and change me',
};

let fresh: FreshDatabase;
let relay: CaptureServer;
beforeAll(async () => {
  fresh = await freshDatabase();
  await fresh.pool.query(grants);
  // The same grants again are no error: an upgrade brings new tables.
  await fresh.pool.query(grants.replaceAll(/^create role.*$/gm, ''));
  // The first time no relay has the mailbox, the second time it takes the mail; one domain has no patience at all.
  relay = await startCapture({
    policy: (recipient, nth) => {
      if (recipient.startsWith('person3@')) return { at: 'rcpt', reply: '550 5.1.1 unknown' };
      return nth === 1 && recipient.startsWith('person4@') ? { at: 'rcpt', reply: '450 4.7.1 later' } : null;
    },
  });
});
afterAll(async () => {
  await endProcesses();
  await relay.close();
  for (const role of ROLES) await fresh.pool.query(`drop owned by ${role}; drop role ${role}`);
  await fresh.drop();
});

function urlOf(role: string): string {
  const url = new URL(fresh.url);
  [url.username, url.password] = [`sendstate_${role}_${suffix}`, encodeURIComponent(PASSWORDS[role] ?? '')];
  return url.href;
}

async function as<T>(role: string, work: (pool: pg.Pool) => Promise<T>): Promise<T> {
  const app = await open({ databaseUrl: urlOf(role), check: false });
  try {
    return await work(app.database.pool);
  } finally {
    await app.close();
  }
}

const refused = (pool: pg.Pool, statement: string) =>
  expect(pool.query(statement), statement).rejects.toThrow(
    /permission denied|must be owner|cannot delete from view/,
  );

const drain = async () => {
  const app = await open({ databaseUrl: urlOf('worker') });
  const options = { relay: parseRelay(relay.url), drain: true, leaseSeconds: 2 };
  return await work(app, options).finally(() => app.close());
};

test('the worker role does the whole work: claims, results, retries, rates, rescue, the log, the end', async () => {
  const { campaignId } = await runningCampaign(fresh.database, 200, { rate: 500 });
  // A domain with a rate of its own, and a worker that died: their tables belong to the work as well.
  await fresh.pool.query(`insert into domain_limit (domain, rate) values ('example.com', 400)`);
  await fresh.pool.query(
    `with dead as (
       insert into worker (host, pid, version, lease, heartbeat_at)
       values ('gone', 1, '0', '2 seconds', now() - interval '1 hour') returning worker_id
     ), held as (
       insert into claim (campaign_id, worker_id, first_id, last_id, size, handed_through)
       select $1, worker_id, min(recipient_id), min(recipient_id), 1, min(recipient_id) from dead, recipient group by worker_id
       returning claim_id, worker_id, first_id
     ), taken as (
       update recipient r set send_state = 1, claim_id = held.claim_id from held where r.recipient_id = held.first_id
     )
     insert into counter (campaign_id, worker_id, lane, waiting, claimed) select $1, worker_id, 0, -1, 1 from held`,
    [campaignId],
  );
  expect(await drain()).toBe('idle');
  await fresh.pool.query('update recipient set retry_at = now() where send_state = 0');
  expect(await drain()).toBe('idle');
  expect(await countersAgree(fresh.database, campaignId)).toMatchObject({
    sent: 199,
    rejected: 1,
    claimed: 0,
  });
  const { rows } = await fresh.pool.query('select status from campaign where campaign_id = $1', [campaignId]);
  expect(rows).toEqual([{ status: 'finished' }]);
  expect((await fresh.pool.query('select event from attempt group by event order by event')).rows).toEqual(
    ['ambiguous', 'deferred', 'rejected'].map((event) => ({ event })),
  );
});

test('and nothing else: no tables, no people, no addresses changed, no templates, no limits', async () => {
  await as('worker', async (pool) => {
    for (const statement of [
      'create table mine ()',
      'drop table recipient',
      'truncate recipient',
      'alter table recipient add column mine int',
      `insert into recipient (campaign_id, address) values (1, 'x@example.com')`,
      'delete from recipient',
      `update recipient set address = 'x@example.com'`,
      `update recipient set vars = '{}'`,
      `update campaign set html = 'spam'`,
      `update campaign set sender = 'x@example.com'`,
      `insert into campaign (name, sender, subject, text) values ('mine', 'a@b.c', 's', 't')`,
      `delete from campaign`,
      `insert into attachment values (1, 9, 'a', 'b', null, '')`,
      `insert into domain_limit (domain, rate) values ('example.org', 1)`,
      'delete from claim',
      'delete from attempt',
      `update attempt set reply = 'nothing happened'`,
      'delete from sendstate_migration',
    ])
      await refused(pool, statement);
  });
});

test('the report role reads the views, sees no address, and writes nothing', async () => {
  await as('report', async (pool) => {
    expect((await pool.query('select name, sent, rejected from campaign_progress')).rowCount).toBe(1);
    const { rows } = await pool.query(
      'select name, outcome, reason, recipients, last_at from campaign_failures',
    );
    expect(rows).toMatchObject([{ outcome: 'rejected', recipients: 1 }]);
    expect((await pool.query('select * from worker_activity')).rowCount).toBeGreaterThan(0);
    await pool.query('select * from relay_activity');
    for (const statement of [
      'select example from campaign_failures',
      'select * from campaign_failures',
      'select address from recipient',
      'select vars from recipient',
      'select html from campaign',
      'select content from attachment',
      'select reply from attempt',
      `select recipient_history('person1@example.com')`,
      `select suppress('spring', 'person1@example.com')`,
      'update campaign set status = $$paused$$',
      'delete from worker',
      'create table mine ()',
    ])
      await refused(pool, statement);
  });
});

test('the audit role reads everything and writes nothing', async () => {
  await as('audit', async (pool) => {
    expect((await pool.query('select address, vars, reply from recipient')).rowCount).toBe(200);
    const { rows: tables } = await pool.query<{ name: string }>(
      `select quote_ident(table_name) as name from information_schema.tables where table_schema = 'public'`,
    );
    expect(tables.length).toBeGreaterThan(10);
    for (const { name } of tables) await pool.query(`select * from ${name} limit 1`);
    for (const { name } of tables) await refused(pool, `delete from ${name}`);
    await refused(pool, `update recipient set vars = '{}'`);
    await refused(pool, 'create table mine ()');
  });
});

test('the worker role at the command line: work with a rate of the relay, status, recipients, cancel, a pause for policy', async () => {
  const refusing = await startCapture({
    policy: () => ({ at: 'final', reply: '554 5.7.1 This looks like spam to us' }),
  });
  try {
    const cli = (smtpUrl: string) => ({ env: { DATABASE_URL: urlOf('worker'), SMTP_URL: smtpUrl } });
    const paced = cli(`${relay.url}?label=paced&rate=200/s&connections=2`);
    const sent = await runningCampaign(fresh.database, 30);
    const ok = async (...args: string[]) => {
      const ended = await runCli(args, paced);
      expect(ended.stderr + ended.code).toMatch(/0$/);
      return ended.stdout;
    };
    await ok('work', '--drain');
    expect(await ok('status')).toContain(sent.name);
    expect(await ok('status', sent.name)).toContain('finished');
    expect(await ok('recipients', sent.name, '--outcome', 'sent')).toContain('person1@example.com');
    expect((await fresh.pool.query(`select 1 from relay_pace where label = 'paced'`)).rowCount).toBe(1);

    const doomed = await runningCampaign(fresh.database, 100, { rate: 1 });
    const worker = await startCli(['work'], paced);
    await expect
      .poll(
        async () =>
          (await fresh.pool.query('select 1 from claim where campaign_id = $1', [doomed.campaignId]))
            .rowCount,
        { timeout: 30_000 },
      )
      .toBeGreaterThan(0);
    await ok('cancel', doomed.name);
    const left = 'select count(*)::int as n from recipient where campaign_id = $1 and send_state <> 2';
    await expect
      .poll(async () => (await fresh.pool.query(left, [doomed.campaignId])).rows, { timeout: 30_000 })
      .toEqual([{ n: 0 }]);
    worker.signal('SIGTERM');
    expect((await worker.ended).code).toBe(0);
    await countersAgree(fresh.database, doomed.campaignId);

    const spam = await runningCampaign(fresh.database, 400);
    expect((await runCli(['work', '--drain', '--window', '20'], cli(refusing.url))).code).toBe(0);
    const { rows } = await fresh.pool.query(
      'select status, status_reason from campaign where campaign_id = $1',
      [spam.campaignId],
    );
    expect(rows).toEqual([{ status: 'paused', status_reason: expect.stringContaining('looks like spam') }]);
  } finally {
    await refusing.close();
  }
});
