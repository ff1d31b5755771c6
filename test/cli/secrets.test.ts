import { readFile } from 'node:fs/promises';
import { inspect } from 'node:util';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { open } from '../../src/api/sendstate.ts';
import { createProgram } from '../../src/cli.ts';
import { runningCampaign } from '../support/campaign.ts';
import { type Shell, startShell } from '../support/cli.ts';
import { greet, type ScriptedRelay, startScript } from '../support/smtp-script.ts';

const PASSWORD = 's3cr3t-pässword/+%';
const ENCODED = encodeURIComponent(PASSWORD);
/** As it stands in a URL, decoded, and as AUTH PLAIN and LOGIN say it. */
const FORMS = [
  PASSWORD,
  ENCODED,
  's3cr3t',
  Buffer.from(PASSWORD).toString('base64'),
  Buffer.from(`\0kim\0${PASSWORD}`).toString('base64'),
];

let shell: Shell;
let relay: ScriptedRelay;
const role = `kim_${process.pid}`;
/** What the relay says to a login. */
let answer = '235 2.7.0 welcome';

beforeAll(async () => {
  shell = await startShell();
  await shell.fresh.pool.query(`create role ${role} login password '${PASSWORD}'`);
  await shell.fresh.pool.query(`grant all on all tables in schema public to ${role}`);
  await shell.fresh.pool.query(`grant all on all sequences in schema public to ${role}`);
  relay = await startScript(async (peer) => {
    if (!(await greet(peer, 'PIPELINING', 'AUTH PLAIN LOGIN'))) return;
    for (;;) {
      const line = await peer.line();
      if (line === null) return;
      if (line.startsWith('AUTH')) peer.say(answer);
      else if (line === 'QUIT') {
        peer.say('221 2.0.0 bye');
        peer.fin();
        return;
      } else if (line === 'DATA') {
        peer.say('354 go on');
        await peer.message();
        peer.say('250 2.0.0 Ok');
      } else peer.say('250 2.0.0 Ok');
    }
  });
  await shell.write('mail.txt', 'Dear {{name}}');
  await shell.write('people.csv', 'email,name\nlee@example.com,Lee\n');
});
afterAll(async () => {
  await relay.close();
  await shell.fresh.pool.query(`drop owned by ${role}`);
  await shell.fresh.pool.query(`drop role ${role}`);
  await shell.end();
});

/** Every command, as it works and as it fails. What runs a server of its own is tested beside that server. */
const COMMANDS: readonly string[][] = [
  ['migrate'],
  ['doctor'],
  ['doctor', '--relay'],
  ['create', 'spring', '--from', 'News <news@example.com>', '--subject', 'Hello', '--text', 'mail.txt'],
  ['import', 'spring', 'people.csv'],
  ['preview', 'spring'],
  ['test', 'spring', '--to', 'me@example.com'],
  ['start', 'spring'],
  ['pause', 'spring'],
  ['resume', 'spring'],
  ['status'],
  ['status', 'spring', '--json'],
  ['work', '--drain'],
  ['send', 'spring'],
  ['recipients', 'spring'],
  ['history', 'lee@example.com'],
  ['limit'],
  ['report', 'spring'],
  ['retry', 'spring', '--outcome', 'expired'],
  ['cancel', 'spring'],
  ['db', 'status'],
];
const ELSEWHERE = ['demo', 'capture', 'help', 'db', 'serve'];

test('the list names every command', () => {
  const commands = createProgram().commands.map((command) => command.name());
  const known = new Set([...COMMANDS.map(([name]) => name), ...ELSEWHERE]);
  expect(commands.filter((name) => !known.has(name))).toEqual([]);
});

const clean = (text: string) => {
  for (const form of FORMS) expect(text).not.toContain(form);
};

async function runAll(env: Record<string, string>, commands = COMMANDS): Promise<(number | null)[]> {
  const codes: (number | null)[] = [];
  for (const args of commands) {
    const { code, stdout, stderr } = await shell.run(args, { env: { ...env, SENDSTATE_DEBUG: '1' } });
    clean(stdout);
    clean(stderr);
    codes.push(code);
  }
  return codes;
}

const databaseUrl = (password: string) => {
  const url = new URL(shell.fresh.url);
  url.username = role;
  url.password = password;
  return url.href;
};
const smtpUrl = () => `smtp://kim:${ENCODED}@127.0.0.1:${relay.port}?auth-in-clear=yes&connections=1`;

async function tablesAreClean(): Promise<void> {
  const { rows: tables } = await shell.fresh.pool.query<{ tablename: string }>(
    "select tablename from pg_tables where schemaname = 'public'",
  );
  expect(tables.length).toBeGreaterThan(5);
  for (const { tablename: table } of tables) {
    const { rows } = await shell.fresh.pool.query(`select t::text as row from ${table} t`);
    for (const { row } of rows) clean(row);
  }
}

test('everything works: no password in any output or row', { timeout: 60_000 }, async () => {
  const codes = await runAll({ DATABASE_URL: databaseUrl(ENCODED), SMTP_URL: smtpUrl() });
  // The campaign is finished by then, so it cannot be cancelled; a role that owns nothing need not migrate.
  expect(codes.filter((code) => code === 0).length).toBeGreaterThanOrEqual(COMMANDS.length - 2);
  await tablesAreClean();
});

test('the relay refuses the login and says the password back, in every form', async () => {
  const forms = [
    PASSWORD,
    Buffer.from(PASSWORD).toString('base64'),
    Buffer.from(`\0kim\0${PASSWORD}`).toString('base64'),
  ];
  answer = `535 5.7.8 I do not know you with ${forms.join(' or ')}`;
  await runningCampaign(shell.fresh.database, 3);
  const codes = await runAll({ DATABASE_URL: databaseUrl(ENCODED), SMTP_URL: smtpUrl() }, [
    ['test', 'spring', '--to', 'me@example.com'],
    ['test', 'spring', '--to', 'me@example.com', '--json'],
    ['work', '--drain'],
    ['doctor', '--relay'],
    ['doctor', '--relay', '--json'],
  ]);
  expect(codes).toEqual([1, 1, 1, 1, 1]);
  await tablesAreClean();
});

test('the database refuses the login; the URLs are none', async () => {
  const [refused] = await Promise.all([
    runAll({ DATABASE_URL: databaseUrl(`${ENCODED}-wrong`), SMTP_URL: smtpUrl() }, [['status'], ['doctor']]),
    runAll({ DATABASE_URL: `postgres//kim:${ENCODED}@localhost/x` }, [['status']]),
    runAll({ SMTP_URL: `smtp:/kim:${ENCODED}@localhost` }, [['doctor']]),
    runAll({ DATABASE_URL: `postgres://kim:${PASSWORD}@127.0.0.1:1/x` }, [['status']]),
    runAll({ SMTP_URL: `smtp://kim:${ENCODED}@127.0.0.1:1?password=${ENCODED}` }, [['doctor']]),
  ]);
  expect(refused).toEqual([1, 1]);
});

test('a DKIM key that cannot be used is not quoted', async () => {
  const canary = 'MIIc4naryOfTheDkimKey';
  await shell.write('dkim.pem', `-----BEGIN PRIVATE KEY-----\n${canary}\n-----END PRIVATE KEY-----\n`);
  for (const keys of ['example.com:mail:dkim.pem', `example.com:mail:${canary}`, canary]) {
    const { code, stdout, stderr } = await shell.run(['doctor', '--relay'], {
      env: { DKIM_KEYS: keys, SENDSTATE_DEBUG: '1' },
    });
    expect(code).toBe(1);
    // The name of a file may be shown; what is in one, and what is no file name, may not.
    if (keys !== `example.com:mail:${canary}`) expect(stdout + stderr).not.toContain(canary);
  }
});

test('who looks at the processes of a machine sees no password', async () => {
  await runningCampaign(shell.fresh.database, 1);
  const env = { DATABASE_URL: databaseUrl(ENCODED), SMTP_URL: smtpUrl() };
  const cli = await shell.start(['work', '--processes', '2'], { env });
  const children = () => readFile(`/proc/${cli.pid}/task/${cli.pid}/children`, 'utf8');
  await expect.poll(children, { timeout: 20_000 }).toMatch(/\d/);
  for (const pid of [String(cli.pid), ...(await children()).trim().split(' ')]) {
    const line = await readFile(`/proc/${pid}/cmdline`, 'utf8');
    expect(line).toContain('work');
    clean(line);
  }
  cli.signal('SIGKILL');
  const { stdout, stderr } = await cli.ended;
  clean(stdout + stderr);
});

test('a library user who prints what is open, or an error of it, prints no password', async () => {
  const app = await open({ databaseUrl: databaseUrl(ENCODED) });
  clean(inspect(app, { depth: 10 }));
  await app.close();
  const error = await open({ databaseUrl: databaseUrl(`${ENCODED}-wrong`) }).catch(
    (reason: unknown) => reason,
  );
  expect(error).toBeInstanceOf(Error);
  clean(`${inspect(error, { depth: 10, showHidden: true })} ${JSON.stringify(error)}`);
});
