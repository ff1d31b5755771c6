import { type ChildProcess, fork, spawn } from 'node:child_process';
import { once as event } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import type { Browser, Page } from 'playwright-core';
import { create } from '../src/api/create.ts';
import { importPeople } from '../src/api/recipients.ts';
import { type App, open } from '../src/api/sendstate.ts';
import { status } from '../src/api/status.ts';
import { startBrowser, visit } from '../test/support/browser.ts';
import { flag, median, say, sendstateCommand, startBenchServer } from './server.ts';
import { peopleCsv } from './speed-people.ts';
import { judge, type PageFigures, pageRows, record } from './web-figures.ts';

/*
 * What the web page costs, and how soon it shows what. Sender, server, relay and viewers are processes of their own. Ends with 1
 * when an aim is missed.
 *
 *   npm run bench:web                                 10 pairs of 100,000 mails
 *   npm run bench:web -- --record                     the same, and keeps the figures in docs/benchmarks
 *   npm run bench:web -- --people 2000 --rounds 1     to see that it works: the last line is JSON
 */

const people = flag('people', 100_000);
const rounds = flag('rounds', 10);
const READERS = fileURLToPath(new URL('./web-readers.ts', import.meta.url));
const VIEWERS = 50;
const PAINTS = 9;
const CHANGES = 100;

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
async function changes(browser: Browser, app: App, url: string): Promise<PageFigures['changeMs']> {
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
  const sorted = times.toSorted((a, b) => a - b);
  const at = (share: number) => Math.round(sorted[Math.ceil(share * CHANGES) - 1] ?? Number.NaN);
  return { median: Math.round(median(times)), p99: at(0.99), most: at(1) };
}

/** Programs that follow a campaign as pages do, once all of them do. @returns what ends them */
async function viewers(url: string, id: number): Promise<() => Promise<void>> {
  const readers = fork(READERS, [`${url}/api/events?id=${id}`, String(VIEWERS)]);
  const ended = event(readers, 'exit');
  await Promise.race([event(readers, 'message'), ended]);
  if (!readers.connected) throw new Error('the viewers ended before they saw anything');
  return async () => {
    if (!readers.connected) throw new Error('a viewer was cut off on the way');
    readers.disconnect();
    await ended;
  };
}

/** Mails a second of one campaign, sent by a process of its own. */
async function sendRate(app: App, databaseUrl: string, smtp: string, url: string | null, name: string) {
  const from = {
    name,
    from: 'News <news@example.com>',
    subject: '{{이름}}',
    text: 'Dear {{이름}} of {{회사}}',
  };
  const id = await create(app, from);
  await importPeople(app, name, { from: peopleCsv(people), rejects: null });
  const end = url === null ? async () => undefined : await viewers(url, id);
  await start(databaseUrl, smtp, 'send', name, '--json').ended;
  await end();
  const { progress } = await status(app, name);
  if (progress.outcomes.sent !== people) throw new Error(`${progress.outcomes.sent} of ${people} were sent`);
  return people / (((progress.finishedAt?.getTime() ?? 0) - (progress.startedAt?.getTime() ?? 0)) / 1000);
}

/** Rates in pairs, one with and one without viewers: what else the machine does meets both of a pair. */
async function pairsOf(app: App, databaseUrl: string, smtp: string, url: string) {
  // The first is to warm up.
  await sendRate(app, databaseUrl, smtp, url, 'round-0');
  const found: Record<'with' | 'without', number>[] = [];
  for (let round = 1; round <= rounds; round++) {
    const pair = { with: 0, without: 0 };
    for (const watched of round % 2 === 0 ? [true, false] : [false, true]) {
      const kind = watched ? 'with' : 'without';
      pair[kind] = await sendRate(app, databaseUrl, smtp, watched ? url : null, `round-${round}-${kind}`);
    }
    found.push(pair);
    say(`pair ${round}: ${Math.round(pair.with)} mails/s with viewers, ${Math.round(pair.without)} without`);
  }
  return found;
}

const server = await startBenchServer();
const databaseUrl = await server.database();
const app = await open({ databaseUrl });
const sink = fork(fileURLToPath(new URL('./counting-sink.ts', import.meta.url)));
const [{ port }] = (await event(sink, 'message')) as [{ port: number }];
const page = start(databaseUrl, '', 'serve', '--port', '0', '--json');
const { url } = JSON.parse(await page.line) as { url: string };
try {
  const pairs = await pairsOf(app, databaseUrl, `smtp://127.0.0.1:${port}?connections=10`, url);
  const browser = await startBrowser();
  const campaign = `${url}/campaigns/round-0`;
  const { paintMs, assets } = await paints(browser, campaign);
  const figures: PageFigures = {
    firstPaintMs: Math.round(paintMs),
    assetsKb: Math.round(10 * (await kilobytes(assets))) / 10,
    changeMs: await changes(browser, app, campaign),
    viewers: VIEWERS,
    viewersCost: Number((1 - median(pairs.map((pair) => pair.with / pair.without))).toFixed(4)),
    rates: {
      with: Math.round(median(pairs.map((pair) => pair.with))),
      without: Math.round(median(pairs.map((pair) => pair.without))),
    },
    pairs: rounds,
  };
  await browser.close();
  judge(pageRows(figures));
  record({ page: figures });
  process.stdout.write(`${JSON.stringify(figures)}\n`);
} finally {
  page.child.kill('SIGTERM');
  await page.ended;
  await app.close();
  await server.stop();
  sink.disconnect();
}
