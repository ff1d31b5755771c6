import { copyFile, readdir, readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { afterEach, describe, expect, test, vi } from 'vitest';
import { type CaptureServer, startCapture } from '../../src/capture/capture.ts';
import { openDatabase } from '../../src/database/connect.ts';
import { migrate, migrationsDirectory } from '../../src/database/migrate.ts';
import { countersAgree, runningCampaign } from '../support/campaign.ts';
import { FLAGS } from '../support/crash.ts';
import { type FreshDatabase, freshDatabase } from '../support/database.ts';
import { endProcesses, runCli, startCli } from '../support/process.ts';
import { makeScratch, removeScratch } from '../support/scratch.ts';
import { truth } from '../support/truth.ts';

vi.setConfig({ testTimeout: 90_000 });

const ends: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  await endProcesses();
  for (const end of ends.splice(0).reverse()) await end();
});

const names = (await readdir(migrationsDirectory())).filter((name) => name.endsWith('.sql')).sort();

/** A directory with some of the migrations, as another version of the program has them. */
async function migrationsOf(which: (name: string) => boolean, more = ''): Promise<string> {
  const directory = await makeScratch('migrations');
  ends.push(() => removeScratch(directory));
  for (const name of names.filter(which))
    await copyFile(path.join(migrationsDirectory(), name), path.join(directory, name));
  if (more !== '') await writeFile(path.join(directory, '9999_later.sql'), more);
  return directory;
}

/** What a later version might do: columns and tables beside what is there, and functions and views made anew. */
const LATER = `
alter table recipient add column note text;
alter table campaign add column colour text not null default 'grey';
alter table claim add column weight int not null default 1;
alter table worker add column zone text;
alter table counter add column opened bigint not null default 0;
create table opened (campaign_id bigint, recipient_id bigint);
create index recipient_note on recipient (note) where note is not null;`;

async function world(): Promise<{ fresh: FreshDatabase; relay: CaptureServer; env: Record<string, string> }> {
  const fresh = await freshDatabase({ migrated: false });
  ends.push(() => fresh.drop());
  const relay = await startCapture();
  ends.push(() => relay.close());
  return { fresh, relay, env: { DATABASE_URL: fresh.url, SMTP_URL: `${relay.url}?connections=2` } };
}

test('a worker runs while a later version migrates: it goes on, and every recipient gets one mail', async () => {
  const { fresh, relay, env } = await world();
  await migrate(fresh.database);
  const { campaignId, name } = await runningCampaign(fresh.database, 600, { rate: 150 });
  const worker = await startCli(['send', name, ...FLAGS], { env });
  await relay.waitFor(80);
  const { applied } = await migrate(fresh.database, { directory: await migrationsOf(() => true, LATER) });
  expect(applied).toEqual(['9999_later']);
  const taken = relay.accepted;
  expect((await worker.ended).code).toBe(0);
  expect(taken).toBeLessThan(600);
  expect(await truth(fresh.pool, campaignId, relay)).toMatchObject({
    status: 'finished',
    outcomes: { sent: 600 },
    duplicates: 0,
    open: 0,
  });
  expect(relay.accepted).toBe(600);
  await countersAgree(fresh.database, campaignId);
  // A process that starts now says which side is older.
  const late = await runCli(['work', '--drain'], { env });
  expect(late.code).toBe(1);
  expect(late.stderr).toMatch(/is at version 9999_later; this program knows only/);
});

test('a worker of this version on the tables of the first release says what to type, and after it goes on where they were', async () => {
  const { fresh, relay, env } = await world();
  const first = await migrationsOf((name) => name < '0003');
  await migrate(fresh.database, { directory: first });
  const database = await openDatabase(fresh.url);
  ends.push(() => database.close());
  // In the middle: people waiting, and some in the hands of a worker that was stopped for the upgrade the hard way.
  const { campaignId } = await runningCampaign(database, 100);
  await fresh.pool.query(
    `with w as (
       insert into worker (host, pid, version, lease, heartbeat_at) values ('old', 1, '0.1.0', '1 second', now() - interval '1 hour') returning worker_id
     ), c as (
       insert into claim (campaign_id, worker_id, first_id, last_id, size, handed_through)
       select $1, worker_id, min(recipient_id), min(recipient_id) + 9, 10, 0 from w, recipient group by worker_id
       returning claim_id, worker_id, first_id, last_id
     ), r as (
       update recipient set send_state = 1, claim_id = c.claim_id from c where recipient_id between first_id and last_id
     )
     insert into counter (campaign_id, worker_id, lane, waiting, claimed) select $1, worker_id, 0, -10, 10 from c`,
    [campaignId],
  );
  const refused = await runCli(['work', '--drain'], { env });
  expect(refused.code).toBe(1);
  expect(refused.stderr).toMatch(/is at version 0002_views; this program needs/);
  expect(refused.stderr).toContain('sendstate migrate');
  expect(relay.accepted).toBe(0);
  expect((await runCli(['migrate'], { env })).code).toBe(0);
  expect((await runCli(['work', '--drain', ...FLAGS], { env })).code).toBe(0);
  expect(await truth(fresh.pool, campaignId, relay)).toMatchObject({
    status: 'finished',
    outcomes: { sent: 100 },
    open: 0,
  });
  expect(relay.accepted).toBe(100);
});

/** What would break a worker of the version before: something that it names is gone or wants more than it gives. */
const BREAKING: readonly [RegExp, string][] = [
  [/\bdrop\s+(table|column|view|function|type|sequence)\b/i, 'drops something'],
  [/\brename\b/i, 'renames something'],
  [/\balter\s+(column\s+)?\w+\s+(set\s+data\s+)?type\b/i, 'changes a type'],
  [/\bset\s+not\s+null\b/i, 'forbids nulls where they were allowed'],
  [
    /\badd\s+column\s+(?:(?!\bdefault\b)[^;,])*\bnot\s+null\b(?:(?!\bdefault\b)[^;,])*[;,]/i,
    'adds a column that older versions do not fill',
  ],
  [/\bdisable\s+trigger\b|\badd\s+constraint\b/i, 'adds a rule that older versions do not know'],
];

describe('migrations only add', () => {
  test.each(names.filter((name) => name >= '0003'))('%s', async (name) => {
    const sql = (await readFile(path.join(migrationsDirectory(), name), 'utf8')).replaceAll(/--.*$/gm, '');
    const text = sql.replaceAll(/'(?:[^']|'')*'/g, "''");
    expect(BREAKING.filter(([pattern]) => pattern.test(text)).map(([, what]) => what)).toEqual([]);
  });

  test.each([
    'alter table recipient drop column reply;',
    'alter table recipient rename column reply to words;',
    'alter table recipient alter column attempts type int;',
    'alter table claim add column weight int not null;',
    'alter table claim alter column size set not null;',
  ])('would be refused: %s', (sql) => {
    expect(BREAKING.some(([pattern]) => pattern.test(sql))).toBe(true);
  });
});
