import { type ChildProcess, spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import type { Browser, Page } from 'playwright-core';
import { create, importPeople, open, type Sendstate, startCapture, status } from '../src/index.ts';
import { startBrowser, visit } from '../test/support/browser.ts';
import { flag, median, say, sendstateCommand, startBenchServer } from './server.ts';
import { peopleCsv } from './speed-people.ts';

/*
 * What the web page costs, and how soon it shows what. Its last line is
 * {"firstPaintMs","assetsKb","changeToPageMs","viewersCost"}: medians; the cost is the share of the send rate that fifty viewers
 * take, from rounds with and without them in turn.
 */

const people = flag('people', 20_000);
const rounds = flag('rounds', 6);
const VIEWERS = 50;
const PAINTS = 9;
const CHANGES = 15;

interface Process {
  readonly child: ChildProcess;
  readonly line: Promise<string>;
  readonly ended: Promise<void>;
}

/** The command in a process of its own; `line` is the first that it prints. */
function start(databaseUrl: string, smtpUrl: string, ...args: string[]): Process {
  const child = spawn(process.execPath, [...sendstateCommand(), ...args], {
    env: { ...process.env, DATABASE_URL: databaseUrl, SMTP_URL: smtpUrl },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const lines = createInterface({ input: child.stdout });
  const line = new Promise<string>((resolve) => lines.once('line', resolve));
  const ended = new Promise<void>((resolve) => child.once('close', () => resolve()));
  return { child, line, ended };
}

/** The value of an expression in the page, once it has one. Asked from frame to frame within the page, whose policy allows no eval. */
async function once<T = unknown>(page: Page, expression: string): Promise<T> {
  return await page.evaluate<T>(`new Promise((resolve) => {
    const look = () => {
      const value = ${expression};
      if (value) resolve(value);
      else requestAnimationFrame(look);
    };
    look();
  })`);
}

/** Milliseconds from the request to the first words on the screen, and the bytes that came with them. */
async function paints(browser: Browser, url: string): Promise<{ paintMs: number; assets: Set<string> }> {
  const times: number[] = [];
  const assets = new Set<string>();
  for (let i = 0; i <= PAINTS; i++) {
    const { context, page } = await visit(browser);
    await page.goto(url);
    await page.waitForSelector('#figures');
    const paint = await once<number>(
      page,
      `performance.getEntriesByName('first-contentful-paint')[0]?.startTime`,
    );
    // The first one starts the browser's own processes.
    if (i > 0) times.push(paint);
    for (const name of (await page.evaluate(
      `performance.getEntriesByType('resource').map((one) => one.name)`,
    )) as string[])
      if (name.includes('/assets/')) assets.add(name);
    await context.close();
  }
  return { paintMs: median(times), assets };
}

async function kilobytes(assets: ReadonlySet<string>): Promise<number> {
  let bytes = 0;
  for (const asset of assets) bytes += (await (await fetch(asset)).arrayBuffer()).byteLength;
  return bytes / 1024;
}

/** Milliseconds from a commit to its words on an open page. */
async function changes(browser: Browser, app: Sendstate, url: string): Promise<number> {
  const { context, page } = await visit(browser);
  await page.goto(url);
  await page.waitForSelector('#legend li');
  const times: number[] = [];
  for (let i = 0; i < CHANGES; i++) {
    // At no fixed place between two looks of the server.
    await new Promise((resolve) => setTimeout(resolve, 150 + 97 * (i % 7)));
    await app.database.pool.query('update campaign set status_reason = $1', [`change ${i}`]);
    const before = performance.now();
    await once(page, `document.getElementById('reason').textContent === 'change ${i}'`);
    times.push(performance.now() - before);
  }
  await context.close();
  return median(times);
}

/** Programs that follow a campaign as pages do. @returns what ends them */
async function viewers(url: string, id: number): Promise<() => void> {
  const cut = new AbortController();
  for (let i = 0; i < VIEWERS; i++) {
    const answer = await fetch(`${url}/api/events?id=${id}`, { signal: cut.signal });
    const read = async () => {
      for await (const piece of answer.body as AsyncIterable<Uint8Array>) if (piece.length === 0) break;
    };
    read().catch(() => undefined);
  }
  return () => cut.abort();
}

/** Mails a second of one campaign, sent by a process of its own. */
async function sendRate(app: Sendstate, databaseUrl: string, smtp: string, url: string | null, name: string) {
  const from = {
    name,
    from: 'News <news@example.com>',
    subject: '{{이름}}',
    text: 'Dear {{이름}} of {{회사}}',
  };
  const id = await create(app, from);
  await importPeople(app, name, { from: peopleCsv(people), rejects: null });
  const end = url === null ? () => undefined : await viewers(url, id);
  await start(databaseUrl, smtp, 'send', name, '--json').ended;
  end();
  const { progress } = await status(app, name);
  if (progress.outcomes.sent !== people) throw new Error(`${progress.outcomes.sent} of ${people} were sent`);
  return people / (((progress.finishedAt?.getTime() ?? 0) - (progress.startedAt?.getTime() ?? 0)) / 1000);
}

const server = await startBenchServer();
const databaseUrl = await server.database();
const app = await open({ databaseUrl });
const relay = await startCapture();
const page = start(databaseUrl, relay.url, 'serve', '--port', '0', '--json');
const { url } = JSON.parse(await page.line) as { url: string };
try {
  const rates: Record<'with' | 'without', number[]> = { with: [], without: [] };
  for (let round = 0; round <= 2 * rounds; round++) {
    // The first is to warm up; then in pairs whose order changes.
    const watched = (((round - 1) >> 1) + round) % 2 === 0;
    const rate = await sendRate(app, databaseUrl, relay.url, watched ? url : null, `round-${round}`);
    relay.clear();
    say(`${watched ? 'with   ' : 'without'} viewers ${Math.round(rate)} mails/s`);
    if (round > 0) rates[watched ? 'with' : 'without'].push(rate);
  }
  const browser = await startBrowser();
  const campaign = `${url}/campaigns/round-0`;
  const { paintMs, assets } = await paints(browser, campaign);
  const figures = {
    firstPaintMs: Math.round(paintMs),
    assetsKb: Math.round(10 * (await kilobytes(assets))) / 10,
    changeToPageMs: Math.round(await changes(browser, app, campaign)),
    viewersCost: Math.round(1000 * (1 - median(rates.with) / median(rates.without))) / 1000,
  };
  await browser.close();
  process.stdout.write(`${JSON.stringify(figures)}\n`);
} finally {
  page.child.kill('SIGTERM');
  await page.ended;
  await relay.close();
  await app.close();
  await server.stop();
}
