import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { parse } from 'csv-parse/sync';
import fc from 'fast-check';
import type { Database } from '../../../src/database/connect.ts';
import { propertyOf, type Target } from '../target.ts';
import { storableText } from './hostile-text.ts';
import { checkRun, Line } from './line.ts';

const row = fc.record({
  local: fc.uuid(),
  key: storableText.map((text) => text.slice(0, 50).toWellFormed()),
  value: storableText,
  reply: storableText,
});
/** Taken by `create`: what it refuses, and how, is tried by the commands' own target. */
const validName = fc
  .array(fc.constantFrom('a', 'Z', '7', '.', '..', '-', '--', '_', '김', 'é', 'drop', 'null', '0'), {
    maxLength: 8,
  })
  .map((parts) => `s${parts.join('')}`);
const scene = fc.record({
  name: validName,
  reason: storableText,
  subject: storableText.map((text) => text.replaceAll('{', '')),
  rows: fc.array(row, { minLength: 1, maxLength: 5 }),
});
type Scene = typeof scene extends fc.Arbitrary<infer T> ? T : never;

const TABLES = ['campaign', 'recipient', 'claim', 'worker', 'counter', 'failure', 'timeline', 'pace'];

/** Everything that the verbs write and read, with words that are SQL, CSV and terminal escapes to a reader that takes them for such. */
async function play({ pool }: Database, line: Line, cwd: string, given: Scene): Promise<void> {
  const { name, reason, subject, rows } = given;
  await pool.query('truncate campaign, recipient, counter, failure cascade');
  const run = async (...args: string[]) => {
    const ended = await line.run(args);
    checkRun(args, ended);
    return ended;
  };
  const create = ['create', '--from', 'a@b.kr', `--subject=${subject}`, '--text', 'mail.txt', '--', name];
  assert.equal((await run(...create)).code, 0);
  const quoted = (text: string) => `"${text.replaceAll('"', '""')}"`;
  const column = `k${rows[0]?.key ?? ''}`
    .replace(/\p{Cc}/gu, ' ')
    .replace(/\s+/gu, ' ')
    .normalize('NFC')
    .trim();
  const lines = rows.map(({ local, value }) => `${local}@example.com,${quoted(value)}\n`);
  await writeFile(path.join(cwd, 'people.csv'), `email,${quoted(column)}\n${lines.join('')}`);
  assert.equal(
    (await run('import', name, 'people.csv', '--no-rejects', '--delimiter', ',', '--encoding', 'utf-8')).code,
    0,
  );
  const stored = await pool.query('select address, vars from recipient order by recipient_id');
  assert.deepEqual(
    stored.rows.map((one) => [one.address, Object.entries(one.vars)]),
    rows.map(({ local, value }) => [`${local}@example.com`, [[column, value]]]),
  );
  const found = await pool.query('select name, subject from campaign');
  assert.deepEqual(found.rows, [{ name, subject }]);
  assert.equal((await run('start', name)).code, 0);
  assert.equal((await run('pause', name, `--reason=${reason}`)).code, 0);
  assert.deepEqual((await pool.query('select status_reason from campaign')).rows, [
    { status_reason: reason },
  ]);
  for (const { local, reply } of rows) {
    const suppressed = await pool.query('select suppress($1, $2) as done', [name, `${local}@example.com`]);
    assert.deepEqual(suppressed.rows, [{ done: true }]);
    await pool.query('update recipient set reply = $1 where address = $2', [reply, `${local}@example.com`]);
  }
  assert.equal((await run('status', name)).code, 0);
  assert.equal((await run('recipients', name)).code, 0);
  const csv = await run('recipients', name, '--csv');
  const cells = parse(csv.stdout, { bom: true, columns: true, record_delimiter: ['\r\n'] }) as Record<
    string,
    string
  >[];
  assert.equal(cells.length, rows.length);
  for (const cell of cells.flatMap((one) => Object.values(one)))
    assert.doesNotMatch(cell, /^[=+\-@\t\r＝＋－＠]/u, 'a formula');
  assert.equal((await run('retry', name, '--outcome', 'suppressed')).code, 0);
  const tables = await pool.query(
    "select count(*)::int as n from pg_tables where schemaname = 'public' and tablename = any ($1)",
    [TABLES],
  );
  assert.deepEqual(tables.rows, [{ n: TABLES.length }]);
}

export const sql: Target = {
  name: 'sql',
  promise: 'what is written is stored as it is: it runs in no database, no spreadsheet and no terminal',
  cases: 12,
  start: async ({ database }) => {
    const cwd = await mkdtemp(path.join(tmpdir(), 'sendstate-fuzz-'));
    await writeFile(path.join(cwd, 'mail.txt'), 'Dear friend');
    const opened = await database();
    const line = new Line(cwd, opened.pool.options.connectionString ?? '');
    return {
      property: propertyOf(scene, (given) => play(opened, line, cwd, given)),
      end: async () => {
        await line.end();
        await rm(cwd, { recursive: true });
      },
    };
  },
};
