import { spawn } from 'node:child_process';

import { fileURLToPath } from 'node:url';
import { afterEach, expect, test } from 'vitest';
import { BARE, isInstalled } from '../../bench/installed.ts';
import { width } from '../../src/report/progress-bar.ts';
import { runningCampaign } from '../support/campaign.ts';
import { type Shell, startShell } from '../support/cli.ts';
import { endProcesses, startCli } from '../support/process.ts';
import { startProxy, through } from '../support/proxy.ts';

const CLI = fileURLToPath(new URL('../../src/cli.ts', import.meta.url));

/** Select Graphic Rendition (ECMA-48). */
const COLOUR = new RegExp(`${String.fromCharCode(27)}\\[[\\d;]*m`);

/** Home, to the end of the line, below. */
const MOVES = new RegExp(`${String.fromCharCode(27)}\\[[HKJ]`, 'g');

let shell: Shell;
afterEach(() => shell.end());

/** A campaign that is over, so that watching ends after one look. */
async function over(): Promise<string> {
  const { name } = await runningCampaign(shell.fresh.database, 25);
  expect((await shell.run(['send', name])).code).toBe(0);
  return name;
}

test('status --watch in a pipe prints plain lines, no escape sequence', async () => {
  shell = await startShell();
  const name = await over();
  const { code, stdout, stderr } = await shell.run(['status', name, '--watch']);
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  expect(stdout).toContain(`${name} is finished\n`);
  expect(stdout).toContain('25 sent');
  expect(stdout).not.toContain('\u001b');
});

test('status --watch waits for a database that is away, and goes on to the end', async () => {
  shell = await startShell();
  const { name } = await runningCampaign(shell.fresh.database, 3, { status: 'paused' });
  const link = await startProxy(Number(new URL(shell.fresh.url).port));
  try {
    const env = { DATABASE_URL: through(shell.fresh.url, link) };
    const watching = await startCli(['status', name, '--watch'], { env });
    await expect.poll(() => watching.stdout, { timeout: 20_000 }).toContain(`${name} is paused`);
    link.refuse();
    await watching.says(/looking again/);
    link.accept();
    await shell.fresh.pool.query(
      `update campaign set status = 'finished', finished_at = now() where name = $1`,
      [name],
    );
    const { code, stdout } = await watching.ended;
    expect(code).toBe(0);
    // Each change once, each with its time.
    expect(stdout.match(/^\d{4}-\d\d-\d\dT.*Z$/gm)).toHaveLength(2);
    expect(stdout).toContain(`${name} is finished`);
  } finally {
    await endProcesses();
    await link.close();
  }
}, 60_000);

/** Debian's bsdutils, on every Debian; util-linux elsewhere. */
const SCRIPT = '/usr/bin/script';

/** What a terminal of 80 columns is sent. */
async function onTerminal(args: readonly string[], env: Record<string, string> = {}): Promise<string> {
  const command = `stty cols 80 rows 24; exec '${process.execPath}' '${CLI}' ${args.join(' ')}`;
  const child = spawn(SCRIPT, ['-qec', command, '/dev/null'], {
    cwd: shell.directory,
    env: {
      PATH: process.env.PATH,
      HOME: shell.directory,
      LANG: 'C.UTF-8',
      TERM: 'xterm',
      ...shell.env,
      ...env,
    },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let text = '';
  child.stdout.setEncoding('utf8').on('data', (piece: string) => {
    text += piece;
  });
  const code = await new Promise((resolve) => child.on('close', resolve));
  expect(code, text).toBe(0);
  return text;
}

const withTerminal = isInstalled(SCRIPT) || (process.env.CI !== undefined && !BARE);
if (!withTerminal)
  process.stderr.write(`${SCRIPT} is not on this machine: the test on a real terminal is left out\n`);

test.runIf(withTerminal)(
  'on a terminal of 80 columns it is a screen that fits, with colours unless NO_COLOR',
  async () => {
    shell = await startShell();
    const name = await over();
    const coloured = await onTerminal(['status', name, '--watch']);
    // Drawn over line by line: a screen that is erased first flickers.
    expect(coloured).toContain('\u001b[H');
    expect(coloured).not.toContain('\u001b[2J');
    expect(coloured).toContain('\u001b[34m');
    const plain = await onTerminal(['status', name, '--watch'], { NO_COLOR: '1' });
    expect(plain).toContain(`${name} is finished`);
    // Colours (SGR) end in m; to move the cursor is no colour.
    expect(plain).not.toMatch(COLOUR);
    const lines = plain.replaceAll(MOVES, '').split(/\r?\n/);
    expect(lines.length).toBeLessThanOrEqual(24);
    for (const line of lines) expect(width(line)).toBeLessThanOrEqual(80);
    expect(lines.some((line) => /^sent +25 100\.0% █+$/.test(line))).toBe(true);
  },
);
