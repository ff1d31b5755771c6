import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Command } from 'commander';
import { parse } from 'csv-parse/sync';
import fc from 'fast-check';
import type { Database } from '../../../src/database/connect.ts';
import { propertyOf, type Target } from '../target.ts';
import { storableText } from './hostile-text.ts';

const CHILD = fileURLToPath(new URL('../argv-child.ts', import.meta.url));
/** Of these only the arguments are read: they start servers, or end when they are told to. */
const LASTING = new Set(['demo', 'capture', 'db', 'work', 'send', 'serve']);
/** Milliseconds for one command on a loaded machine. */
const HANG_MS = 15_000;
/** What the process writes after each run, on both streams. */
const END = String.fromCharCode(1);

/** The command line as a real process, one command after the other. */
class Line {
  readonly #cwd: string;
  readonly #databaseUrl: string;
  #child: ChildProcess | null = null;
  #stdout = '';
  #stderr = '';
  #wake: () => void = () => undefined;

  constructor(cwd: string, databaseUrl: string) {
    this.#cwd = cwd;
    this.#databaseUrl = databaseUrl;
  }

  #start(): ChildProcess {
    const cwd = this.#cwd;
    const env = { PATH: process.env.PATH, HOME: cwd, LANG: 'C.UTF-8', SMTP_URL: 'smtp://127.0.0.1:9' };
    const child = spawn(process.execPath, [CHILD], { cwd, env: { ...env, DATABASE_URL: this.#databaseUrl } });
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      this.#stdout += text;
      this.#wake();
    });
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      this.#stderr += text;
      this.#wake();
    });
    child.on('close', () => {
      this.#child = null;
      this.#wake();
    });
    return child;
  }

  async run(args: readonly string[]): Promise<{ code: number; stdout: string; stderr: string }> {
    [this.#stdout, this.#stderr] = ['', ''];
    this.#child ??= this.#start();
    this.#child.stdin?.write(`${Buffer.from(JSON.stringify(args)).toString('base64')}\n`);
    const deadline = Date.now() + HANG_MS;
    for (;;) {
      const end = this.#stdout.lastIndexOf(`\n${END} `);
      if (end >= 0 && this.#stdout.endsWith('\n') && this.#stderr.endsWith(END)) {
        const stderr = this.#stderr.slice(0, -1);
        return { code: Number(this.#stdout.slice(end + 2)), stdout: this.#stdout.slice(0, end), stderr };
      }
      if (this.#child === null) throw new Error(`the process ended\n${this.#stderr}`);
      if (Date.now() > deadline) throw new Error(`it hangs: ${JSON.stringify(args)}\n${this.#stderr}`);
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, 1_000);
        this.#wake = () => {
          clearTimeout(timer);
          resolve();
        };
      });
    }
  }

  async end(): Promise<void> {
    const child = this.#child;
    if (child === null) return;
    const closed = new Promise((resolve) => child.once('close', resolve));
    child.stdin?.end();
    await closed;
  }
}

const word = fc.oneof(
  storableText,
  fc.constantFrom(
    'spring',
    'people.csv',
    'mail.txt',
    'sent',
    'rejected',
    '1',
    '0',
    '-1',
    '1e9',
    '5m',
    '50/s',
    'a=b',
    'X: y',
  ),
  fc.constantFrom(
    '2026-01-01',
    'News <a@b.kr>',
    '/nonexistent',
    '.',
    '--',
    '-',
    '--help',
    '--version',
    '-h',
    '',
  ),
);

/** Arguments as the program's own description of its commands suggests them, and as it does not. */
function argumentsFor(program: Command): fc.Arbitrary<string[]> {
  const commands = program.commands.filter((command) => !LASTING.has(command.name()));
  const known = fc.constantFrom(...commands).chain((command) => {
    const option = fc
      .constantFrom(...command.options.filter(({ long }) => long !== '--watch'))
      .chain((one) =>
        fc
          .tuple(fc.constant(one.long ?? ''), word)
          .map(([name, value]) => (one.required ? [name, value] : [name])),
      );
    const required = command.registeredArguments.map(() => word);
    return fc
      .tuple(fc.tuple(...required), fc.array(option, { maxLength: 3 }), fc.array(word, { maxLength: 1 }))
      .map(([given, options, more]) => [command.name(), ...given, ...options.flat(), ...more]);
  });
  const any = fc
    .array(word, { maxLength: 4 })
    .filter(
      ([first = '']) => ![...LASTING, '-'].some((name) => first.startsWith(name)) || first === '--help',
    );
  // Standard input is where the next command comes from.
  return fc.oneof({ weight: 6, arbitrary: known }, any).filter((args) => !args.includes('-'));
}

/** What a terminal obeys. */
const OBEYED = /[^\P{Cc}\n\t]|[\u202a-\u202e\u2066-\u2069]/u;

function checkRun(args: readonly string[], run: { code: number; stdout: string; stderr: string }): void {
  const { code, stdout, stderr } = run;
  assert.ok([0, 1, 2].includes(code), `exit code ${code}`);
  assert.doesNotMatch(stderr, /^ {4}at /m, 'a stack');
  assert.ok(code === 0 || (stdout + stderr).trim() !== '', 'who fails says why');
  const shown = args.includes('--csv') || args.includes('--json') ? stderr : stdout + stderr;
  assert.doesNotMatch(shown, OBEYED, JSON.stringify(shown.slice(0, 300)));
}

export const commands: Target = {
  name: 'commands',
  promise:
    'any arguments are obeyed or refused: exit code 0, 1 or 2, no stack, nothing that a terminal obeys',
  cases: 25,
  start: async ({ database }) => {
    const cwd = await mkdtemp(path.join(tmpdir(), 'sendstate-fuzz-'));
    await writeFile(path.join(cwd, 'mail.txt'), 'Dear {{name}}');
    await writeFile(path.join(cwd, 'people.csv'), 'email,name\nlee@example.com,Lee\n');
    const { pool } = await database();
    // Here, so that the other targets do not load every command.
    const { createProgram } = await import('../../../src/cli.ts');
    const line = new Line(cwd, pool.options.connectionString ?? '');
    return {
      property: propertyOf(argumentsFor(createProgram()), async (args) =>
        checkRun(args, await line.run(args)),
      ),
      end: async () => {
        await line.end();
        await rm(cwd, { recursive: true });
      },
    };
  },
};

const row = fc.record({
  local: fc.uuid(),
  key: storableText.map((text) => text.slice(0, 50).toWellFormed()),
  value: storableText,
  reply: storableText,
});
const scene = fc.record({
  name: fc.oneof(fc.uuid(), storableText),
  reason: storableText,
  subject: storableText.map((text) => text.replaceAll('{', '')),
  rows: fc.array(row, { minLength: 1, maxLength: 5 }),
});
type Scene = typeof scene extends fc.Arbitrary<infer T> ? T : never;

const TABLES = ['campaign', 'recipient', 'claim', 'worker', 'counter', 'failure', 'timeline', 'pace'];

/** Everything that the verbs write and read, with words that are SQL, CSV and terminal escapes to whoever takes them for such. */
async function play({ pool }: Database, line: Line, cwd: string, given: Scene): Promise<void> {
  const { name, reason, subject, rows } = given;
  await pool.query('truncate campaign, recipient, counter, failure cascade');
  const run = async (...args: string[]) => {
    const ended = await line.run(args);
    checkRun(args, ended);
    return ended;
  };
  const create = ['create', '--from', 'a@b.kr', `--subject=${subject}`, '--text', 'mail.txt', '--', name];
  if ((await run(...create)).code !== 0) {
    assert.equal((await pool.query('select 1 from campaign')).rowCount, 0);
    return;
  }
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
  cases: 3,
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
