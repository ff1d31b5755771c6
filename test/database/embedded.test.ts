import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chown, mkdir, readFile, rename, stat, writeFile } from 'node:fs/promises';
import net from 'node:net';
import path from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { openDatabase } from '../../src/database/connect.ts';
import { embeddedStatus, ensureEmbedded, stopEmbedded } from '../../src/embedded/embedded.ts';
import { makeScratch, removeScratch } from '../support/scratch.ts';

/** Speed only: what these tests kill is never the machine. */
const settings = { fsync: 'off' };

let scratch: string;
let directory: string;
/** Where the programs are copied to when root's clone is closed to other accounts; once for all tests of this file. */
let outside: string;

beforeAll(async () => {
  outside = await makeScratch('programs');
});

afterAll(() => removeScratch(outside));

beforeEach(async () => {
  scratch = await makeScratch('embedded');
  directory = path.join(scratch, '.sendstate');
});

afterEach(async () => {
  await stopEmbedded({ directory, outside });
  await removeScratch(scratch);
});

async function ask<T>(url: string, query: string): Promise<T> {
  const database = await openDatabase(url, { max: 1 });
  try {
    return (await database.pool.query(query)).rows[0];
  } finally {
    await database.close();
  }
}

/** A process of its own that does what a command does; `result` is what it printed, once it has ended. */
function command(code: string): {
  child: ChildProcess;
  result: () => Promise<{ started: boolean; url: string }>;
} {
  const module = path.resolve(import.meta.dirname, '../../src/embedded/embedded.ts');
  const program = `import { ensureEmbedded } from ${JSON.stringify(module)};
    const directory = ${JSON.stringify(directory)}; const outside = ${JSON.stringify(outside)}; const settings = ${JSON.stringify(settings)};
    ${code}`;
  const child = spawn(process.execPath, ['--input-type=module', '-e', program], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let output = '';
  child.stdout?.on('data', (chunk: Buffer) => {
    output += chunk.toString();
  });
  const closed = once(child, 'close');
  return { child, result: () => closed.then(() => JSON.parse(output)) };
}

const ENSURE = 'console.log(JSON.stringify(await ensureEmbedded({ directory, outside, settings })));';

async function pidFile(): Promise<string[]> {
  return (await readFile(path.join(directory, 'data', 'postmaster.pid'), 'utf8')).split('\n');
}

/** Kills the server the hard way and waits until it is gone. */
async function crash(): Promise<void> {
  const { pid } = await embeddedStatus(directory);
  expect(pid).toBeGreaterThan(1);
  process.kill(Number(pid), 'SIGKILL');
  await expect.poll(async () => (await embeddedStatus(directory)).pid, { timeout: 10_000 }).toBeUndefined();
}

describe('a directory without a server', () => {
  test('two commands at once: one makes it, both use it, and it outlives them', async () => {
    const both = await Promise.all([command(ENSURE).result(), command(ENSURE).result()]);
    expect(both.map((one) => one.started).sort()).toEqual([false, true]);
    expect(both[0].url).toBe(both[1].url);
    expect(await ask(both[0].url, 'select 1 as one')).toEqual({ one: 1 });
    expect(await ensureEmbedded({ directory, outside })).toMatchObject({ started: false, url: both[0].url });
  });

  test('the database is UTF-8, sorts alike everywhere, checks its pages, and listens on this machine only', async () => {
    const { url, port } = await ensureEmbedded({ directory, outside });
    const database = `select datname, pg_encoding_to_char(encoding) as encoding, datlocprovider as provider, datlocale as locale
      from pg_database where datname = current_database()`;
    expect(await ask(url, database)).toEqual({
      datname: 'sendstate',
      encoding: 'UTF8',
      provider: 'b',
      locale: 'C.UTF-8',
    });
    const { rows } = await ask<{ rows: Record<string, string> }>(
      url,
      `select json_object_agg(name, setting) as rows from pg_settings where name in
       ('port', 'listen_addresses', 'data_checksums', 'fsync', 'synchronous_commit', 'full_page_writes', 'autovacuum', 'jit')`,
    );
    expect(rows).toEqual({
      port: String(port),
      listen_addresses: '127.0.0.1',
      data_checksums: 'on',
      fsync: 'on',
      synchronous_commit: 'on',
      full_page_writes: 'on',
      autovacuum: 'on',
      jit: 'off',
    });
  });

  test('it is private: 0700, the password 0600, and a wrong password is refused', async () => {
    const { url } = await ensureEmbedded({ directory, outside, settings });
    const modeOf = async (name: string) =>
      ((await stat(path.join(directory, name))).mode & 0o777).toString(8);
    expect([await modeOf('.'), await modeOf('data'), await modeOf('log'), await modeOf('password')]).toEqual([
      '700',
      '700',
      '700',
      '600',
    ]);
    const wrong = new URL(url);
    wrong.password = 'wrong';
    await expect(openDatabase(wrong.href)).rejects.toMatchObject({ code: 'database-password' });
    wrong.password = '';
    await expect(openDatabase(wrong.href)).rejects.toMatchObject({ code: 'database-password' });
  });

  test('what a killed first command left is cleared away', async () => {
    const { child } = command(
      `await ensureEmbedded({ directory, outside, settings, say: (line) => console.log(line) });`,
    );
    // It speaks before it begins to make the files.
    await once(child.stdout as NodeJS.ReadableStream, 'data');
    child.kill('SIGKILL');
    await once(child, 'close');
    const left = path.join(directory, 'data.new-0badbeef');
    const { uid, gid } = await stat(directory);
    await mkdir(left);
    await writeFile(path.join(left, 'PG_VERSION'), '18\n');
    await chown(left, uid, gid);
    const { url, started } = await ensureEmbedded({ directory, outside, settings });
    expect(started).toBe(true);
    expect(await ask(url, 'select current_database() as name')).toEqual({ name: 'sendstate' });
    await expect(stat(left)).rejects.toMatchObject({ code: 'ENOENT' });
  });

  test('status and stop find nothing and make nothing', async () => {
    expect(await embeddedStatus(directory)).toEqual({
      running: false,
      base: undefined,
      pid: undefined,
      port: undefined,
    });
    expect(await stopEmbedded({ directory, outside })).toBe(false);
    await expect(stat(directory)).rejects.toMatchObject({ code: 'ENOENT' });
  });
});

describe('a server that was made before', () => {
  test('stopped and started: the same data at the same port; stopping twice is no error', async () => {
    const first = await ensureEmbedded({ directory, outside, settings });
    await ask(first.url, 'create table kept as select 42 as answer');
    expect(await embeddedStatus(directory)).toMatchObject({ running: true, port: first.port });
    expect(await stopEmbedded({ directory, outside })).toBe(true);
    expect(await stopEmbedded({ directory, outside })).toBe(false);
    expect(await embeddedStatus(directory)).toMatchObject({ running: false, pid: undefined });
    const second = await ensureEmbedded({ directory, outside, settings });
    expect(second).toEqual({ ...first, started: true });
    expect(await ask(second.url, 'select answer from kept')).toEqual({ answer: 42 });
  });

  test('its port is taken by another process: another one is chosen and kept', async () => {
    const first = await ensureEmbedded({ directory, outside, settings });
    await stopEmbedded({ directory, outside });
    const squatter = net.createServer().listen(first.port, '127.0.0.1');
    await once(squatter, 'listening');
    try {
      const second = await ensureEmbedded({ directory, outside, settings });
      expect(second.port).not.toBe(first.port);
      expect(await ask(second.url, 'select 1 as one')).toEqual({ one: 1 });
    } finally {
      squatter.close();
    }
  });

  test('killed: its pid file is no obstacle and what was committed is there', async () => {
    const { url } = await ensureEmbedded({ directory, outside, settings });
    await ask(url, 'create table kept as select 42 as answer');
    await crash();
    expect((await pidFile()).length).toBeGreaterThan(1);
    const again = await ensureEmbedded({ directory, outside, settings });
    expect(again.started).toBe(true);
    expect(await ask(again.url, 'select answer from kept')).toEqual({ answer: 42 });
  });

  test('killed, and its pid belongs to another program now: that one is left alone', async () => {
    await ensureEmbedded({ directory, outside, settings });
    await crash();
    // Of the server's own account, because Postgres takes any process of that account for a server.
    const { uid, gid } = await stat(path.join(directory, 'data'));
    const other = spawn('/bin/sh', ['-c', 'echo; read line'], {
      uid,
      gid,
      cwd: '/',
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    await once(other.stdout, 'data');
    try {
      const lines = await pidFile();
      await writeFile(
        path.join(directory, 'data', 'postmaster.pid'),
        [other.pid, ...lines.slice(1)].join('\n'),
      );
      expect(await embeddedStatus(directory)).toMatchObject({ running: false, pid: undefined });
      expect(await stopEmbedded({ directory, outside })).toBe(false);
      expect(await ensureEmbedded({ directory, outside, settings })).toMatchObject({ started: true });
      expect(other.exitCode ?? other.signalCode).toBeNull();
    } finally {
      other.stdin.end();
      await once(other, 'close');
    }
  });

  test('the project was moved while it ran: it is still the same server', async () => {
    const { port } = await ensureEmbedded({ directory, outside, settings });
    const moved = path.join(scratch, 'moved');
    await rename(directory, moved);
    directory = moved;
    expect(await ensureEmbedded({ directory, outside })).toMatchObject({ started: false, port });
    expect(await stopEmbedded({ directory, outside })).toBe(true);
  });

  test('its password file is gone: says which', async () => {
    await ensureEmbedded({ directory, outside, settings });
    await rename(path.join(directory, 'password'), path.join(scratch, 'password'));
    await expect(ensureEmbedded({ directory, outside })).rejects.toMatchObject({
      code: 'embedded-password',
      message: expect.stringContaining(path.join(directory, 'password')),
    });
  });

  test('made by another major version: says so instead of starting', async () => {
    await ensureEmbedded({ directory, outside, settings });
    await stopEmbedded({ directory, outside });
    await writeFile(path.join(directory, 'data', 'PG_VERSION'), '17\n');
    await expect(ensureEmbedded({ directory, outside })).rejects.toMatchObject({
      code: 'embedded-version',
      message: expect.stringMatching(/PostgreSQL 17.*18/),
    });
  });

  test('a setting that it cannot start with: the reason is Postgres’ own', async () => {
    await expect(
      ensureEmbedded({ directory, outside, settings: { shared_buffers: 'plenty' } }),
    ).rejects.toMatchObject({
      code: 'embedded-failed',
      message: expect.stringContaining('shared_buffers'),
    });
    expect(await ensureEmbedded({ directory, outside, settings })).toMatchObject({ started: true });
  });
});

describe('a directory that is not for a database', () => {
  test('holds other things: refused, and they stay', async () => {
    await mkdir(directory);
    await writeFile(path.join(directory, 'people.csv'), 'email\n');
    await expect(ensureEmbedded({ directory, outside })).rejects.toMatchObject({
      code: 'embedded-directory',
      message: expect.stringContaining('people.csv'),
    });
    expect(await readFile(path.join(directory, 'people.csv'), 'utf8')).toBe('email\n');
  });

  test('holds a data/ that is not a database: refused, and it stays', async () => {
    await mkdir(path.join(directory, 'data'), { recursive: true });
    await writeFile(path.join(directory, 'data', 'people.csv'), 'email\n');
    await expect(ensureEmbedded({ directory, outside })).rejects.toMatchObject({
      code: 'embedded-directory',
    });
    expect(await readFile(path.join(directory, 'data', 'people.csv'), 'utf8')).toBe('email\n');
  });

  test('is a file', async () => {
    await writeFile(directory, '');
    await expect(ensureEmbedded({ directory, outside })).rejects.toMatchObject({
      code: 'embedded-directory',
    });
  });
});
