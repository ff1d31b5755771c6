import { randomBytes } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { open as openApp } from '../../src/api/sendstate.ts';
import { type CaptureServer, startCapture } from '../../src/capture/capture.ts';
import { lazyDatabase } from '../../src/database/connect.ts';
import { type Served, type ServeOptions, serve } from '../../src/web/serve.ts';
import { blocksOf, textOf } from '../docs/markdown.ts';
import { runningCampaign } from '../support/campaign.ts';
import { type FreshDatabase, freshDatabase } from '../support/database.ts';
import { endProcesses, startCli } from '../support/process.ts';
import { type BadLink, startProxy, through } from '../support/proxy.ts';
import { makeScratch, removeScratch } from '../support/scratch.ts';
import { endSenders, startSender } from '../support/sender.ts';
import { asking, startViewer, type Viewer } from '../support/web.ts';

let fresh: FreshDatabase;
let relay: CaptureServer;
let link: BadLink;
let served: Served;
let viewers: Viewer[];
let closeDatabase: () => Promise<void>;

/** A server whose database is behind the link. */
async function serveThroughLink(options: ServeOptions = {}): Promise<Served> {
  const database = lazyDatabase(through(fresh.url, link), { max: 6, connectTimeoutMs: 2_000 });
  closeDatabase = () => database.close();
  return await serve({ database, embedded: false, close: async () => undefined }, { port: 0, ...options });
}

beforeEach(async () => {
  fresh = await freshDatabase();
  relay = await startCapture();
  link = await startProxy(Number(new URL(fresh.url).port));
  served = await serveThroughLink();
  viewers = [];
});

afterEach(async () => {
  await endProcesses();
  await endSenders();
  for (const viewer of viewers) viewer.close();
  await served.close();
  await closeDatabase();
  await Promise.all([link.close(), relay.close()]);
  await fresh.drop();
});

async function watch(id?: number): Promise<Viewer> {
  const viewer = await startViewer(`${served.url}/api/events${id === undefined ? '' : `?id=${id}`}`);
  viewers.push(viewer);
  return viewer;
}

interface Numbers {
  readonly done: number;
  readonly total: number;
  readonly waiting: number;
  readonly claimed: number;
  readonly outcomes: Readonly<Record<string, number>>;
}

test('a campaign is followed from its first mail to its last: the numbers only grow, fit together, and end as SQL has them', async () => {
  // Some seconds long: the page looks twice a second, and has to see the middle.
  const { campaignId, name } = await runningCampaign(fresh.database, 600, { rate: 200 });
  const viewer = await watch(campaignId);
  const list = await watch();
  await expect.poll(() => viewer.cells.campaign).toMatchObject({ waiting: 600, done: 0 });
  const sender = await startSender({
    databaseUrl: fresh.url,
    relay: `${relay.url}?connections=2`,
    campaign: name,
  });
  await sender.end;
  await expect.poll(() => viewer.cells.campaign).toMatchObject({ status: 'finished', done: 600 });
  await expect.poll(() => list.cells[campaignId]).toMatchObject({ status: 'finished', done: 600 });
  const seen = viewer.heard.flatMap(({ data }) => {
    const campaign = (data as { campaign?: Numbers } | null)?.campaign;
    return campaign === undefined ? [] : [campaign];
  });
  expect(seen.length).toBeGreaterThan(2);
  for (const [i, { done, waiting, claimed, total }] of seen.entries()) {
    expect(waiting + claimed + done).toBe(total);
    expect(done).toBeGreaterThanOrEqual(seen[i - 1]?.done ?? 0);
  }
  const { rows } = await fresh.pool.query('select outcome, count(*) as n from recipient group by outcome');
  expect(rows).toEqual([{ outcome: 'sent', n: (viewer.cells.campaign as Numbers).outcomes.sent }]);
  const timeline = JSON.parse((await asking(`${served.url}/api/campaigns/${name}/timeline`)).body) as {
    step: number;
    points: [number, number, number][];
  };
  expect(timeline.step).toBe(5);
  expect(timeline.points.reduce((sum, [, sent]) => sum + sent, 0)).toBe(600);
});

test('a long timeline comes in few points, and nothing of it is lost', async () => {
  const { campaignId, name } = await runningCampaign(fresh.database, 1);
  await fresh.pool.query(
    `insert into timeline (campaign_id, at, worker_id, sent, failed)
     select $1, timestamptz '2026-01-01' + i * interval '5 seconds', i % 3, 10, 1 from generate_series(0, 20000) i`,
    [campaignId],
  );
  const { body } = await asking(`${served.url}/api/campaigns/${name}/timeline`);
  const { step, points } = JSON.parse(body) as { step: number; points: [number, number, number][] };
  expect(step % 5).toBe(0);
  expect(points.length).toBeLessThanOrEqual(401);
  expect(points.length).toBeGreaterThan(200);
  expect(points.reduce((sum, [, sent]) => sum + sent, 0)).toBe(200_010);
  expect(points.reduce((sum, [, , failed]) => sum + failed, 0)).toBe(20_001);
});

test('a change in the table is told', async () => {
  const { campaignId, name } = await runningCampaign(fresh.database, 10);
  const viewer = await watch(campaignId);
  await expect.poll(() => viewer.cells.campaign).toBeDefined();
  await fresh.pool.query(`update campaign set status = 'paused', status_reason = 'noon' where name = $1`, [
    name,
  ]);
  await expect
    .poll(() => viewer.cells.campaign, { timeout: 10_000, interval: 20 })
    .toMatchObject({ status: 'paused', reason: 'noon' });
});

test('workers, relays and failures are told', async () => {
  await relay.close();
  relay = await startCapture({
    replyDelayMs: 30,
    policy: (recipient) =>
      /person\d*7@/.test(recipient) ? { at: 'rcpt', reply: `550 5.1.1 <${recipient}>: unknown` } : null,
  });
  const { campaignId, name } = await runningCampaign(fresh.database, 200);
  const viewer = await watch(campaignId);
  const sender = await startSender({
    databaseUrl: fresh.url,
    relay: `${relay.url}?connections=2`,
    campaign: name,
  });
  await expect
    .poll(() => viewer.cells.workers, { timeout: 10_000 })
    .toMatchObject([{ state: 'alive', pid: process.pid, holds: expect.any(Number) }]);
  await expect
    .poll(() => viewer.cells.relays, { timeout: 10_000 })
    .toMatchObject([{ name: expect.stringContaining('127.0.0.1'), state: 'working' }]);
  await sender.end;
  await expect
    .poll(() => viewer.cells.failures, { timeout: 5_000 })
    .toMatchObject([{ outcome: 'rejected', recipients: 20, example: expect.stringMatching(/7@/) }]);
});

/** Messages that the server sends to its database: with each statement goes one, and one more when it is first prepared. */
async function statementsWithin(ms: number): Promise<number> {
  let pieces = 0;
  link.spy = () => {
    pieces++;
    return false;
  };
  // The length of the measurement, not a way to wait for something.
  await new Promise((resolve) => setTimeout(resolve, ms));
  link.spy = null;
  return pieces;
}

test('fifty viewers cost the database what one costs, and none costs nothing', async () => {
  const { campaignId } = await runningCampaign(fresh.database, 10);
  const first = await watch(campaignId);
  await expect.poll(() => first.cells.campaign).toBeDefined();
  const withOne = await statementsWithin(3_000);
  expect(withOne).toBeGreaterThanOrEqual(2);
  const others = await Promise.all(
    Array.from({ length: 49 }, (_, i) => watch(i % 2 === 0 ? campaignId : undefined)),
  );
  await expect.poll(() => others.every(({ cells }) => Object.keys(cells).length > 0)).toBe(true);
  const withFifty = await statementsWithin(3_000);
  // The loop is by the clock; a loaded machine makes it slower, never faster.
  expect(withFifty).toBeLessThanOrEqual(withOne + 2);
  await fresh.pool.query(`update campaign set status_reason = 'seen by all' where campaign_id = $1`, [
    campaignId,
  ]);
  await expect
    .poll(() => viewers.every(({ heard }) => JSON.stringify(heard.at(-1)?.data).includes('seen by all')))
    .toBe(true);
  for (const viewer of viewers) viewer.close();
  await expect.poll(() => statementsWithin(600), { timeout: 10_000 }).toBe(0);
});

test('a database that refuses, is cut or goes silent is said to all; the server lives, and goes on by itself', async () => {
  const { campaignId, name } = await runningCampaign(fresh.database, 10);
  const viewer = await watch(campaignId);
  await expect.poll(() => viewer.cells.campaign).toBeDefined();
  const lastSaid = () => viewer.heard.findLast(({ event }) => event === 'database')?.data;
  link.refuse();
  await expect
    .poll(lastSaid, { timeout: 10_000 })
    .toMatchObject({ since: expect.any(Number), message: expect.any(String) });
  expect(JSON.stringify(lastSaid())).not.toContain(new URL(fresh.url).password || 'no password');
  expect((await asking(`${served.url}/healthz`)).status).toBe(200);
  expect((await asking(`${served.url}/readyz`)).status).toBe(503);
  const api = await asking(`${served.url}/api/search?address=a@example.com`);
  expect(api.status).toBe(503);
  expect(JSON.parse(api.body)).toMatchObject({ code: 'database-unreachable', hint: expect.any(String) });
  const page = await asking(`${served.url}/campaigns/${name}`, { headers: { accept: 'text/html' } });
  expect(page.status).toBe(503);
  expect(page.body).toContain('http-equiv="refresh"');
  // A viewer that comes now is told so, without waiting.
  const late = await watch(campaignId);
  await expect.poll(() => late.heard.map(({ event }) => event)).toEqual(['database', 'state']);
  link.accept();
  await expect.poll(lastSaid, { timeout: 10_000 }).toBeNull();
  await expect.poll(async () => (await asking(`${served.url}/readyz`)).status, { timeout: 10_000 }).toBe(200);
  // Silence: nothing is refused, nothing comes back.
  link.freezeReplies();
  await expect
    .poll(lastSaid, { timeout: 15_000 })
    .toMatchObject({ code: 'database-unreachable', message: 'The database does not answer' });
  link.thaw();
  await expect.poll(lastSaid, { timeout: 15_000 }).toBeNull();
  await fresh.pool.query(`update campaign set status_reason = 'after' where name = $1`, [name]);
  await expect.poll(() => viewer.cells.campaign, { timeout: 5_000 }).toMatchObject({ reason: 'after' });
});

test('a schema of another version is not ready', async () => {
  await fresh.pool.query(
    `delete from sendstate_migration where name = (select max(name) from sendstate_migration)`,
  );
  const { status, body } = await asking(`${served.url}/readyz`);
  expect(status).toBe(503);
  expect(JSON.parse(body)).toEqual({ ok: false, code: 'schema-older' });
});

test('what happened to an address, in every campaign', async () => {
  const one = await runningCampaign(fresh.database, 2);
  const two = await runningCampaign(fresh.database, 2);
  const { body } = await asking(`${served.url}/api/search?address=Person2@Example.com`);
  expect(JSON.parse(body)).toMatchObject([
    { campaign: two.name, address: 'person2@example.com', sendState: 0, events: [] },
    { campaign: one.name, address: 'person2@example.com' },
  ]);
  expect(JSON.parse((await asking(`${served.url}/api/search?address=nobody@example.com`)).body)).toEqual([]);
  expect((await asking(`${served.url}/api/search`)).status).toBe(400);
});

test('the role of docs/web.md is enough to look at everything, and for nothing else', async () => {
  const { name, campaignId } = await runningCampaign(fresh.database, 3);
  const [grants] = blocksOf(textOf('docs/web.md')).filter(({ language }) => language === 'sql');
  const role = `sendstate_page_${randomBytes(4).toString('hex')}`;
  await fresh.pool.query((grants?.code ?? '').replaceAll('sendstate_page', role));
  const url = new URL(fresh.url);
  [url.username, url.password] = [role, 'change%20me'];
  const app = await openApp({ databaseUrl: url.href });
  const page = await serve(app, { port: 0, readOnly: true });
  try {
    const viewer = await startViewer(`${page.url}/api/events?id=${campaignId}`);
    viewers.push(viewer);
    await expect.poll(() => viewer.cells.campaign, { timeout: 10_000 }).toMatchObject({ name, waiting: 3 });
    for (const path of [
      '/readyz',
      '/api/search?address=person1@example.com',
      `/campaigns/${name}`,
      `/api/campaigns/${name}/timeline`,
      `/api/campaigns/${name}/preview`,
    ])
      expect([path, (await asking(page.url + path)).status]).toEqual([path, 200]);
    await expect(app.database.pool.query(`update campaign set status = 'paused'`)).rejects.toThrow(
      'permission denied',
    );
  } finally {
    await page.close();
    await app.close();
    await fresh.pool.query(`drop owned by ${role}; drop role ${role}`);
  }
});

test('the command: a URL to read, a token that appears nowhere, and an end at once while a viewer watches', async () => {
  const token = '0123456789abcdef0123456789abcdef';
  const cwd = await makeScratch('serve');
  try {
    const file = path.join(cwd, 'token');
    await writeFile(file, `${token}\n`);
    const env = { DATABASE_URL: fresh.url };
    const cli = await startCli(['serve', '--port', '0', '--json', '--token-file', file], { cwd, env });
    await cli.says(/^\{"url"/m);
    const { url } = JSON.parse(cli.stdout) as { url: string };
    expect((await asking(url)).status).toBe(401);
    const viewer = await startViewer(`${url}/api/events`, { authorization: `Bearer ${token}` });
    await expect.poll(() => viewer.heard.length).toBeGreaterThan(0);
    const before = performance.now();
    cli.signal('SIGTERM');
    const ended = await cli.ended;
    expect(ended.code).toBe(0);
    expect(performance.now() - before).toBeLessThan(4_000);
    await expect.poll(() => viewer.ended).toBe(true);
    expect(ended.stdout + ended.stderr).not.toContain(token);
    const open = await startCli(['serve', '--port', '0', '--host', '0.0.0.0'], { cwd, env });
    const refused = await open.ended;
    expect(refused.code).toBe(1);
    expect(refused.stderr).toMatch(/a token is needed[\s\S]*openssl rand/);
    const byVariable = await startCli(['serve', '--port', '0', '--read-only', '--mask'], {
      cwd,
      env: { ...env, SENDSTATE_TOKEN: token },
    });
    await byVariable.says(/The page is at/);
    const [address = ''] = /http:\S+/.exec(byVariable.stdout) ?? [];
    const whoami = await asking(`${address}api/whoami`, { headers: { authorization: `Bearer ${token}` } });
    expect(JSON.parse(whoami.body)).toEqual({ readOnly: true, mask: true });
  } finally {
    await endProcesses();
    await removeScratch(cwd);
  }
});
