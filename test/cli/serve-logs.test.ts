import { afterEach, expect, test } from 'vitest';
import { runningCampaign } from '../support/campaign.ts';
import { type Shell, startShell } from '../support/cli.ts';
import { startProxy, through } from '../support/proxy.ts';
import { ACTION, asking, FORM, startViewer } from '../support/web.ts';

const TOKEN = '7f3c0d8e5b1a4f62937d1c0b8a6e4d25';
const REMOTE = '127.0.0.1';

let shell: Shell;
afterEach(() => shell.end());

async function startPage(more: readonly string[] = [], env: Readonly<Record<string, string>> = {}) {
  const cli = await shell.start(['serve', '--port', '0', '--json', ...more], { env });
  await cli.says(/^\{"url"/m);
  const { url } = JSON.parse(cli.stdout) as { url: string };
  const press = async (name: string, verb: string, headers = {}) =>
    (
      await asking(`${url}/api/campaigns/${encodeURIComponent(name)}/${verb}`, {
        method: 'POST',
        headers: { ...ACTION, ...headers },
      })
    ).status;
  const end = async () => {
    cli.signal('SIGTERM');
    return await cli.ended;
  };
  return { cli, url, press, end };
}

/** The lines without what differs from run to run, and without the answer to the signal, which is in words. */
const linesOf = (stderr: string): Record<string, unknown>[] =>
  stderr
    .split('\n')
    .filter((line) => line.startsWith('{'))
    .map((line) => {
      const { time, pid, msg, ...rest } = JSON.parse(line);
      expect([typeof time, typeof pid, typeof msg]).toEqual(['string', 'number', 'string']);
      return rest;
    });

test('without a terminal serve writes JSON: its start and end, wrong tokens, and who pressed what', async () => {
  shell = await startShell();
  const { name } = await runningCampaign(shell.fresh.database, 3);
  const page = await startPage([], { SENDSTATE_TOKEN: TOKEN });
  const login = (token: string) =>
    asking(`${page.url}/login`, { method: 'POST', headers: FORM, body: `token=${token}` });
  expect((await login('mistyped-0')).status).toBe(401);
  expect((await login(TOKEN)).status).toBe(303);
  // Those who wait have no line, or a client that repeats a wrong token could fill a disk.
  for (let nth = 1; nth <= 12; nth++)
    await asking(`${page.url}/metrics`, { headers: { authorization: `Bearer mistyped-${nth}` } });
  const known = { authorization: `Bearer ${TOKEN}` };
  const statuses: number[] = [];
  for (const verb of [
    'pause',
    'resume',
    'cancel',
    'retry?outcome=cancelled',
    'retry?outcome=sent',
    'explode',
  ])
    statuses.push(await page.press(name, verb, known));
  statuses.push(await page.press('kim@example.com', 'pause', known));
  expect(statuses).toEqual([200, 200, 200, 200, 400, 404, 404]);
  const { code, stderr } = await page.end();
  expect(code).toBe(0);
  const wrong = (by: string, seconds: unknown) => ({
    level: 'warn',
    event: 'login-failed',
    by,
    remote: REMOTE,
    seconds,
  });
  const action = (verb: string, more: object) => ({
    level: 'info',
    event: 'action',
    verb,
    campaign: name,
    remote: REMOTE,
    ...more,
  });
  expect(linesOf(stderr)).toEqual([
    { level: 'info', event: 'started', url: page.url },
    wrong('form', 0),
    ...Array.from({ length: 9 }, () => wrong('bearer', 0)),
    wrong(
      'bearer',
      expect.toSatisfy((seconds: number) => seconds > 0 && seconds <= 60),
    ),
    action('pause', { now: 'paused' }),
    action('resume', { now: 'running' }),
    action('cancel', { now: 'cancelled', recipients: 3 }),
    action('retry', { outcome: 'cancelled', recipients: 3 }),
    action('retry', { level: 'warn', code: 'web-outcome', reason: expect.stringContaining('sent') }),
    action('pause', {
      level: 'warn',
      campaign: '…',
      code: 'campaign-unknown',
      reason: expect.not.stringContaining('@'),
    }),
    { level: 'info', event: 'stopped' },
  ]);
  expect(stderr).not.toContain(TOKEN);
  expect(stderr).not.toContain('mistyped');
  expect(stderr).not.toContain('@');
});

test('a database that is lost and comes back while a viewer looks has a line each', async () => {
  shell = await startShell();
  const proxy = await startProxy(Number(new URL(shell.fresh.url).port));
  try {
    const page = await startPage([], { DATABASE_URL: through(shell.fresh.url, proxy) });
    const viewer = await startViewer(`${page.url}/api/events`);
    const told = (event: string) => viewer.heard.filter((heard) => heard.event === event).length;
    await expect.poll(() => told('state'), { timeout: 30_000 }).toBe(1);
    proxy.refuse();
    await expect.poll(() => told('database'), { timeout: 30_000 }).toBe(1);
    proxy.accept();
    await expect.poll(() => told('database'), { timeout: 30_000 }).toBe(2);
    viewer.close();
    const lines = linesOf((await page.end()).stderr);
    expect(lines.map(({ event }) => event)).toEqual(['started', 'database-lost', 'database-back', 'stopped']);
    expect(lines[1]).toMatchObject({ level: 'warn', code: expect.any(String), reason: expect.any(String) });
  } finally {
    await proxy.close();
  }
}, 120_000);

test('an unexpected error has a line with code and message, without the address asked for', async () => {
  shell = await startShell();
  const page = await startPage();
  await shell.fresh.pool.query('alter table recipient rename to elsewhere');
  const { status, body } = await asking(`${page.url}/api/search?address=kim@example.com`);
  expect({ status, body: JSON.parse(body) }).toMatchObject({ status: 500, body: { code: 'unexpected' } });
  const { stderr } = await page.end();
  expect(linesOf(stderr)[1]).toEqual({
    level: 'error',
    event: 'error',
    method: 'GET',
    path: '/api/search',
    remote: REMOTE,
    code: '42P01',
    reason: expect.stringContaining('recipient'),
  });
  expect(stderr).not.toContain('kim');
});

test('--log words says the same to people, and names an address only when asked', async () => {
  shell = await startShell();
  const { name } = await runningCampaign(shell.fresh.database, 3);
  const said = async (more: readonly string[]) => {
    const page = await startPage(['--log', 'words', ...more]);
    expect(await page.press(name, 'pause')).toBe(200);
    expect(await page.press(name, 'resume')).toBe(200);
    expect(await page.press('kim@example.com', 'pause')).toBe(404);
    return (await page.end()).stderr.split('\n').slice(0, 3);
  };
  const [paused, resumed, unknown] = await said([]);
  expect([paused, resumed]).toEqual([
    `${name}: paused by the page, from ${REMOTE}`,
    `${name}: resumed by the page, from ${REMOTE}`,
  ]);
  expect(unknown).toMatch(/^…: pause failed for 127\.0\.0\.1: /);
  expect((await said(['--log-addresses']))[2]).toMatch(/^kim@example\.com: pause failed for /);
});
