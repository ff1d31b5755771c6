import { mkdir, readdir } from 'node:fs/promises';
import path from 'node:path';
import { Command } from 'commander';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { registerDb } from '../../src/commands/db.ts';
import { loadConfig } from '../../src/config.ts';
import { openDatabase } from '../../src/database/connect.ts';
import { stopEmbedded } from '../../src/embedded/embedded.ts';
import { endProcesses, runCli } from '../support/process.ts';
import { makeScratch, removeScratch } from '../support/scratch.ts';

let cwd: string;

beforeEach(async () => {
  cwd = await makeScratch('db');
});

afterEach(async () => {
  await endProcesses();
  await stopEmbedded({ directory: path.join(cwd, '.sendstate'), outside: path.join(cwd, 'outside') });
  await removeScratch(cwd);
});

/** Runs `sendstate db …` and gives back what it said, by stream. */
async function sendstate(
  words: string,
  env: Record<string, string> = {},
): Promise<{ out: string[]; err: string[] }> {
  const out: string[] = [];
  const err: string[] = [];
  const program = new Command().exitOverride();
  registerDb(program, (command) => ({
    config: loadConfig({ env: { SENDSTATE_EMBEDDED_OUTSIDE: 'outside', ...env }, cwd }),
    out: (line) => out.push(line),
    err: (line) => err.push(line),
    json: command.opts().json === true,
  }));
  await program.parseAsync(words.split(' '), { from: 'user' });
  return { out, err };
}

test('start, status, url, stop, for people', async () => {
  expect((await sendstate('db status')).out).toEqual([
    expect.stringContaining('There is no embedded database here'),
  ]);
  const started = await sendstate('db start');
  expect(started.out).toEqual([
    expect.stringMatching(/^Started: postgres:\/\/sendstate:\*\*\*@127\.0\.0\.1:\d+\/sendstate$/),
  ]);
  expect(started.err).toEqual([expect.stringContaining('Making'), expect.stringContaining('Starting')]);
  expect((await sendstate('db start')).out).toEqual([expect.stringContaining('It runs already')]);
  expect((await sendstate('db status')).out).toEqual([
    expect.stringMatching(/^It runs on port \d+, process \d+, files in /),
  ]);
  const [url = ''] = (await sendstate('db url')).out;
  await (await openDatabase(url)).close();
  expect((await sendstate('db stop')).out).toEqual(['Stopped.']);
  expect((await sendstate('db stop')).out).toEqual(['It was not running.']);
  expect((await sendstate('db status')).out).toEqual([expect.stringContaining('It does not run')]);
});

test('who only looks or steers makes no database, and is told of the one further up', async () => {
  const below = path.join(cwd, 'docs', 'pictures');
  await mkdir(below, { recursive: true });
  const looks = async (...args: string[]) => {
    const { code, stderr } = await runCli(args, { cwd: below });
    expect([args, code]).toEqual([args, 1]);
    expect(stderr).toContain(`There is no embedded database here (${path.join(below, '.sendstate')})`);
    return stderr;
  };
  expect(await looks('status')).toContain('sendstate create, demo and migrate make one');
  await sendstate('db start');
  const there = `There is one in ${path.join(cwd, '.sendstate')}`;
  for (const args of [['status'], ['pause', 'x'], ['doctor'], ['import', 'x', '-'], ['db', 'url']])
    expect(await looks(...args)).toContain(there);
  const status = await runCli(['db', 'status'], { cwd: below });
  expect(status).toMatchObject({ code: 0, stdout: expect.stringContaining(there) });
  expect(await readdir(below)).toEqual([]);
});

test('the same for programs', async () => {
  const json = async (words: string) => JSON.parse((await sendstate(`${words} --json`)).out.join('\n'));
  expect(await json('db status')).toEqual({ running: false, pid: null, port: null, directory: null });
  const { port, ...started } = await json('db start');
  expect(started).toEqual({ started: true, url: `postgres://sendstate:***@127.0.0.1:${port}/sendstate` });
  expect(await json('db status')).toMatchObject({ running: true, port, pid: expect.any(Number) });
  expect(await json('db url')).toMatchObject({ port, url: expect.stringContaining(`@127.0.0.1:${port}/`) });
  expect(await json('db stop')).toEqual({ stopped: true });
});

test('with DATABASE_URL set, a note says that the others use that one', async () => {
  const { err } = await sendstate('db status', { DATABASE_URL: 'postgres://host/db' });
  expect(err).toEqual([expect.stringContaining('DATABASE_URL is set')]);
});
