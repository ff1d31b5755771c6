import { spawnSync } from 'node:child_process';
import { mkdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { CommanderError } from 'commander';
import { afterEach, beforeAll, describe, expect, test } from 'vitest';
import { createProgram } from '../../src/cli.ts';
import { endProcesses, runCli, startCli } from '../support/process.ts';
import { makeScratch, removeScratch } from '../support/scratch.ts';

afterEach(endProcesses);

/** Nothing listens there: a command that asks the database before the usage was checked fails in another way. */
const nowhere = { DATABASE_URL: 'postgres://kim:s3cr3t@127.0.0.1:1/none' };
const usage = (...args: string[]) => runCli(args, { env: nowhere });

/** The same in this process, up to where a command would begin. */
async function parsed(...args: string[]) {
  let [stdout, stderr] = ['', ''];
  const program = createProgram();
  const visit = (command: typeof program) => {
    command.configureOutput({
      writeOut: (text) => {
        stdout += text;
      },
      writeErr: (text) => {
        stderr += text;
      },
    });
    for (const child of command.commands) visit(child);
  };
  visit(program);
  const error: unknown = await program.parseAsync(args, { from: 'user' }).then(
    () => new Error('it began'),
    (thrown: unknown) => thrown,
  );
  return { error, stdout, stderr };
}

describe('wrong usage: 2, with the reason on stderr and nothing on stdout', () => {
  test.each([
    ['no command', [], /Usage: sendstate/],
    ['an unknown command', ['sned'], /unknown command 'sned'[\s\S]*Did you mean send\?/],
    ['an unknown option', ['send', 'x', '--fast'], /unknown option '--fast'/],
    ['a missing argument', ['send'], /missing required argument 'name'/],
    ['an argument too many', ['pause', 'x', 'y'], /too many arguments/],
    ['a missing option', ['create', 'x', '--subject', 's'], /required option '--from <mailbox>'/],
    ['a number that is none', ['work', '--batch', '10x'], /--batch[\s\S]*whole number from 1 to 10000/],
    ['a number out of bounds', ['work', '--lease', '1'], /--lease[\s\S]*from 2 to 3600/],
    ['a rate', ['create', 'x', '--from', 'a@b.c', '--subject', 's', '--rate', '5/day'], /50\/s, 3000\/min/],
    [
      'no rate at all',
      ['create', 'x', '--from', 'a@b.c', '--subject', 's', '--rate', '0'],
      /50\/s, 3000\/min/,
    ],
    [
      'an age',
      ['create', 'x', '--from', 'a@b.c', '--subject', 's', '--max-age', '3 days'],
      /90s, 30m, 12h or 3d/,
    ],
    [
      'an age beyond all measure',
      ['create', 'x', '--from', 'a@b.c', '--subject', 's', '--max-age', '1000d'],
      /--max-age[\s\S]*at most 365d/,
    ],
    [
      'a first wait that is longer than any',
      ['create', 'x', '--from', 'a@b.c', '--subject', 's', '--retry-after', '5h'],
      /--retry-after[\s\S]*at most 4h/,
    ],
    [
      'attempts',
      ['create', 'x', '--from', 'a@b.c', '--subject', 's', '--max-attempts', '0'],
      /from 1 to 100/,
    ],
    [
      'a policy',
      ['create', 'x', '--from', 'a@b.c', '--subject', 's', '--on-unconfirmed', 'drop'],
      /resend or hold/,
    ],
    [
      'a header',
      ['create', 'x', '--from', 'a@b.c', '--subject', 's', '--header', 'X-Nothing'],
      /"Name: value"/,
    ],
    ['an outcome', ['retry', 'x', '--outcome', 'sent'], /never sent it again/],
    ['an outcome that is none', ['recipients', 'x', '--outcome', 'lost'], /one of: sent, rejected/],
    ['a time', ['start', 'x', '--at', 'tomorrow'], /2026-12-24T09:00:00\+09:00/],
    ['a day that is none', ['start', 'x', '--at', '2027-02-30T09:00:00Z'], /2026-12-24T09:00:00\+09:00/],
    ['a cron expression', ['work', '--cron', 'at noon'], /no cron expression/],
    ['a port', ['capture', '--port', '70000'], /from 0 to 65535/],
  ])('%s', async (_, args, words) => {
    const { error, stdout, stderr } = await parsed(...args);
    expect(stderr).toMatch(words);
    expect(stdout).toBe('');
    expect(error).toBeInstanceOf(CommanderError);
    expect((error as CommanderError).exitCode).not.toBe(0);
  });

  test.each([
    [[], /Usage: sendstate/],
    [['sned'], /Did you mean send\?/],
    [['work', '--lease', '1'], /from 2 to 3600/],
  ])('the real program: %j', async (args, words) => {
    const { code, stdout, stderr } = await usage(...args);
    expect(stderr).toMatch(words);
    expect(stdout).toBe('');
    expect(code).toBe(2);
  });
});

describe('help and version: 0, on stdout', () => {
  test('--help, help, --version', async () => {
    const [help, word, version] = await Promise.all([
      usage('--help'),
      usage('help', 'send'),
      usage('--version'),
    ]);
    expect(help).toMatchObject({ code: 0, stderr: '' });
    expect(word).toMatchObject({ code: 0, stderr: '' });
    expect(word.stdout).toContain('--lease <seconds>');
    const order = ['--processes', '--window', '--log', '--metrics-port', '--on-finished'];
    const at = order.map((option) => word.stdout.indexOf(`${option} <`));
    expect(at).toEqual(at.toSorted((a, b) => a - b));
    expect(version).toMatchObject({ code: 0, stderr: '' });
    expect(version.stdout).toMatch(/^\d+\.\d+\.\d+\n$/);
  });

  test('help of a command below a command; of one that there is not: 2', async () => {
    const [below, none, noneBelow] = await Promise.all([
      parsed('help', 'db', 'start'),
      parsed('help', 'nosuch'),
      usage('help', 'db', 'nosuch'),
    ]);
    expect(below.stdout).toMatch(/^Usage: sendstate db start/);
    expect(none).toMatchObject({ stdout: '', stderr: expect.stringContaining("unknown command 'nosuch'") });
    expect(noneBelow).toMatchObject({
      code: 2,
      stdout: '',
      stderr: expect.stringContaining("unknown command 'nosuch'"),
    });
  });

  test('every command and every option says what it does', () => {
    const undescribed: string[] = [];
    const visit = (command: ReturnType<typeof createProgram>, where: string) => {
      if (command.description() === '') undescribed.push(where);
      for (const option of command.options)
        if (option.description === '' && !option.hidden) undescribed.push(`${where} ${option.flags}`);
      for (const argument of command.registeredArguments)
        if (argument.description === '') undescribed.push(`${where} <${argument.name()}>`);
      for (const child of command.commands) visit(child, `${where} ${child.name()}`);
    };
    visit(createProgram(), 'sendstate');
    expect(undescribed).toEqual([]);
  });
});

test('wrong usage is 2 also when no reader is left for the reason', async () => {
  const wrong = await startCli(['sned'], { env: nowhere });
  wrong.closeErrors();
  expect((await wrong.ended).code).toBe(2);
});

test('a Node that is too old: 1, which it takes, and how a clone gets it', () => {
  const bin = fileURLToPath(new URL('../../bin/sendstate.js', import.meta.url));
  // What Node 20 lacks.
  const without = 'data:text/javascript,import module from "node:module"; delete module.enableCompileCache';
  const old = ['--no-experimental-strip-types', '--import', without];
  const { status, stdout, stderr } = spawnSync(process.execPath, [...old, bin, '--version'], {
    encoding: 'utf8',
  });
  expect(stderr).toMatch(/^sendstate: Node \S+ is too old; it takes 22\.22 or later\. .*npm ci.*\n$/);
  expect(stdout).toBe('');
  expect(status).toBe(1);
});

describe('configuration', () => {
  let scratch: string;
  beforeAll(async () => {
    scratch = await makeScratch('usage');
    return () => removeScratch(scratch);
  });

  test('a database that does not answer: 1, where it is, what to do, no password', async () => {
    const { code, stdout, stderr } = await usage('status');
    expect(code).toBe(1);
    expect(stdout).toBe('');
    expect(stderr).toMatch(/^sendstate: The database at 127\.0\.0\.1:1\/none does not answer/);
    expect(stderr.trim().split('\n')).toHaveLength(2);
    expect(stderr).not.toContain('s3cr3t');
  });

  test.each([
    [
      'DATABASE_URL',
      { DATABASE_URL: 'mysql://kim:s3cr3t@localhost/x' },
      /DATABASE_URL is not the URL of a Postgres/,
    ],
    ['SMTP_URL', { ...nowhere, SMTP_URL: 'http://kim:s3cr3t@localhost/' }, /SMTP_URL|relay/i],
    ['SMTP_URL', { ...nowhere, SMTP_URL: 'smtp://kim:s3cr3t@localhost?conections=3' }, /conections/],
  ])('a wrong %s: 1, which variable, no password', async (_, env, words) => {
    const { code, stdout, stderr } = await runCli(['send', 'x'], { env });
    expect(code).toBe(1);
    expect(stdout).toBe('');
    expect(stderr).toMatch(words);
    expect(stderr).not.toContain('s3cr3t');
    expect(stderr).not.toMatch(/\n\s+at /);
  });

  test('no relay: says which variable to set, before it asks the database', async () => {
    const [send, work, once] = await Promise.all([
      usage('send', 'x'),
      usage('work', '--drain'),
      usage('test', 'x', '--to', 'me@example.com'),
    ]);
    for (const { code, stderr } of [send, work, once]) {
      expect(code).toBe(1);
      expect(stderr).toMatch(/^sendstate: No relay is named\nSet SMTP_URL/);
    }
  });

  test('.env is read, the environment wins, an empty value counts as none', async () => {
    const cwd = path.join(scratch, 'project');
    await mkdir(cwd);
    await writeFile(
      path.join(cwd, '.env'),
      '\uFEFFDATABASE_URL=postgres://kim:s3cr3t@127.0.0.1:1/from-file\nSMTP_URL=smtp://127.0.0.1:2\n',
    );
    const [file, environment, empty] = await Promise.all([
      runCli(['status'], { cwd }),
      runCli(['status'], { cwd, env: nowhere }),
      runCli(['status'], { cwd, env: { DATABASE_URL: '' } }),
    ]);
    expect(file.stderr).toContain('127.0.0.1:1/from-file');
    expect(environment.stderr).toContain('127.0.0.1:1/none');
    expect(empty.stderr).toContain('127.0.0.1:1/from-file');
  });
});
