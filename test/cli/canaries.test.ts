import { generateKeyPairSync } from 'node:crypto';
import { readdir, readFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import path from 'node:path';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { openDatabase } from '../../src/database/connect.ts';
import { runningCampaign } from '../support/campaign.ts';
import { type Shell, startShell } from '../support/cli.ts';
import { greet, type ScriptedRelay, startScript } from '../support/smtp-script.ts';

// A database server is made, and processes are started.
vi.setConfig({ testTimeout: 120_000 });

/** One secret of each kind; relay and database passwords have a file of their own, secrets.test.ts. */
const TOKEN = 'c4nary-of-the-page';
const HOOK = 'c4nary-of-the-hooks';
const BEARER = 'ya29.c4nary-of-oauth';
const { privateKey } = generateKeyPairSync('rsa', {
  modulusLength: 2048,
  privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
  publicKeyEncoding: { type: 'spki', format: 'pem' },
});
const saying = `user=kim\u0001auth=Bearer ${BEARER}\u0001\u0001`;
const FORMS = [
  TOKEN,
  HOOK,
  BEARER,
  Buffer.from(BEARER).toString('base64'),
  Buffer.from(saying).toString('base64'),
];
const KEY_LINES = privateKey.split('\n').filter((line) => line.length > 30 && !line.startsWith('---'));

const clean = (text: string) => {
  for (const form of [...FORMS, ...KEY_LINES]) expect(text).not.toContain(form);
};

let shell: Shell;
let relay: ScriptedRelay;
let listener: Server;
/** What the relay says to a login. */
let answer = '235 2.7.0 welcome';
const hooked: { signature: unknown; body: string }[] = [];

beforeAll(async () => {
  expect(KEY_LINES.length).toBeGreaterThan(20);
  shell = await startShell();
  relay = await startScript(async (peer) => {
    if (!(await greet(peer, 'PIPELINING', 'AUTH XOAUTH2'))) return;
    for (let line = await peer.line(); line !== null; line = await peer.line()) {
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
  listener = createServer((request, response) => {
    let body = '';
    request.setEncoding('utf8').on('data', (text: string) => {
      body += text;
    });
    request.on('end', () => {
      hooked.push({ signature: request.headers['sendstate-signature'], body });
      response.end(`thanks`);
    });
  });
  await new Promise<void>((resolve) => listener.listen(0, '127.0.0.1', resolve));
  await shell.write('dkim.pem', privateKey);
  await shell.write('mail.txt', 'Dear {{name}}');
  await shell.write('people.csv', 'email,name\nlee@example.com,Lee\n');
});
afterAll(async () => {
  await relay.close();
  listener.close();
  await shell.end();
});

const env = () => ({
  SMTP_URL: `smtp://kim:${encodeURIComponent(BEARER)}@127.0.0.1:${relay.port}?auth=xoauth2&auth-in-clear=yes&connections=1`,
  SENDSTATE_TOKEN: TOKEN,
  SENDSTATE_HOOK_SECRET: HOOK,
  DKIM_KEYS: 'example.com:mail:dkim.pem',
  SENDSTATE_DEBUG: '1',
});

async function run(...args: string[]): Promise<number | null> {
  const { code, stdout, stderr } = await shell.run(args, { env: env() });
  clean(stdout + stderr);
  return code;
}

async function tablesAreClean(): Promise<void> {
  const { rows: tables } = await shell.fresh.pool.query<{ tablename: string }>(
    "select tablename from pg_tables where schemaname = 'public'",
  );
  expect(tables.length).toBeGreaterThan(5);
  for (const { tablename: table } of tables)
    for (const { row } of (await shell.fresh.pool.query(`select t::text as row from ${table} t`)).rows)
      clean(row);
}

test('a token of XOAUTH2, a usable DKIM key and the secret of hooks: in no output, log, hook or row', async () => {
  const hook = `http://127.0.0.1:${(listener.address() as AddressInfo).port}/`;
  const create = [
    'create',
    'spring',
    '--from',
    'News <news@example.com>',
    '--subject',
    'Hello',
    '--text',
    'mail.txt',
  ];
  expect(await run(...create)).toBe(0);
  expect(await run('import', 'spring', 'people.csv')).toBe(0);
  expect(await run('preview', 'spring')).toBe(0);
  expect(await run('test', 'spring', '--to', 'me@example.com')).toBe(0);
  const send = ['send', 'spring', '--log', 'json', '--log-addresses', '--on-finished', hook];
  expect(await run(...send)).toBe(0);
  expect(hooked.length).toBe(1);
  expect(hooked[0]?.signature).toBeTruthy();
  clean(JSON.stringify(hooked));
  expect(await run('doctor', '--relay')).toBe(0);
  await tablesAreClean();
});

test('a relay that says the token back, also to nodemailer: it is replaced in every form', async () => {
  answer = `535 5.7.8 not with ${BEARER} or ${FORMS.slice(-2).join(' or ')}`;
  await runningCampaign(shell.fresh.database, 3);
  for (const more of [[], ['--transport', 'nodemailer'], ['--log', 'json']])
    expect(await run('work', '--drain', ...more)).toBe(1);
  expect(await run('doctor', '--relay', '--json')).toBe(1);
  await tablesAreClean();
  answer = '235 2.7.0 welcome';
});

test('metrics of a worker, and the page with the right token, a wrong one and none', async () => {
  const worker = await shell.start(['work', '--log', 'json', '--metrics-port', '0'], { env: env() });
  await worker.says(/http:\/\/[\d.:]+\/metrics/);
  const url = /http:\/\/[\d.:]+\/metrics/.exec(worker.stderr)?.[0] ?? '';
  const told = await (await fetch(url)).text();
  expect(told).toContain('sendstate_build_info');
  clean(told);
  worker.signal('SIGTERM');
  const ended = await worker.ended;
  clean(ended.stdout + ended.stderr);

  const page = await shell.start(['serve', '--port', '0', '--json'], { env: env() });
  await page.says(/^\{"url"/m);
  const { url: site } = JSON.parse(page.stdout) as { url: string };
  for (const token of [TOKEN, `${TOKEN}-wrong`, null])
    for (const place of ['/', '/metrics', '/login', '/nowhere']) {
      const headers = token === null ? {} : { authorization: `Bearer ${token}` };
      const response = await fetch(`${site}${place}`, { headers, redirect: 'manual' });
      if (place === '/metrics') expect(response.status).toBe(token === TOKEN ? 200 : 401);
      clean(`${JSON.stringify([...response.headers])} ${await response.text()}`);
    }
  page.signal('SIGTERM');
  const closed = await page.ended;
  clean(closed.stdout + closed.stderr);
});

test('the password of the embedded server: in no output but that of `db url`, and not in the server’s own log', async () => {
  const own = {
    DATABASE_URL: undefined,
    SENDSTATE_DIR: path.join(shell.directory, 'server'),
    SENDSTATE_EMBEDDED_OUTSIDE: path.join(shell.directory, 'outside'),
    SENDSTATE_DEBUG: '1',
  };
  const said: string[] = [];
  try {
    for (const args of [
      ['db', 'start'],
      ['migrate'],
      ['status'],
      ['doctor'],
      ['db', 'status'],
      ['db', 'start', '--json'],
    ]) {
      const { code, stdout, stderr } = await shell.run(args, { env: own });
      expect(stderr + code).toMatch(/0$/);
      said.push(stdout, stderr);
    }
    const url = new URL((await shell.run(['db', 'url'], { env: own })).stdout.trim());
    const password = decodeURIComponent(url.password);
    expect(password.length).toBeGreaterThan(15);
    // What is wrong goes into the server's log: a login that is refused, a statement that is none.
    const wrong = new URL(url);
    wrong.password = `${url.password}x`;
    await expect(openDatabase(wrong.href)).rejects.toThrow();
    const database = await openDatabase(url.href);
    await expect(database.pool.query('select nonsense')).rejects.toThrow();
    await database.close();
    const log = (await filesBelow(shell.directory)).filter((file) => file.endsWith('.log'));
    const logged = (await Promise.all(log.map((file) => readFile(file, 'utf8')))).join('\n');
    expect(logged).toContain('password authentication failed');
    for (const text of [...said, logged]) expect(text).not.toContain(password);
  } finally {
    await shell.run(['db', 'stop'], { env: own });
  }
});

async function filesBelow(directory: string): Promise<string[]> {
  const all = await readdir(directory, { recursive: true });
  return all.map((name) => path.join(directory, name));
}
