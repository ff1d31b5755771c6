import { mkdir, readFile } from 'node:fs/promises';
import path from 'node:path';
import type { Browser, BrowserContextOptions } from 'playwright-core';
import { create } from '../src/api/create.ts';
import { importPeople } from '../src/api/recipients.ts';
import { type App, open } from '../src/api/sendstate.ts';
import { status } from '../src/api/status.ts';
import { send } from '../src/api/work.ts';
import { startCapture } from '../src/capture/capture.ts';
import { parseRelay } from '../src/smtp/relay.ts';
import { serve } from '../src/web/serve.ts';
import { startBrowser, visit } from '../test/support/browser.ts';
import { say, startBenchServer } from './server.ts';

/*
 * The pictures of docs/images/: the example's campaign on its way to two relays, of which one refuses some people and the other
 * begins to refuse every recipient, in the colours and languages of the page. Run it with: npm run screenshots
 */

const IMAGES = path.join(import.meta.dirname, '..', 'docs', 'images');
const EXAMPLES = path.join(import.meta.dirname, '..', 'examples');
const PEOPLE = path.join(EXAMPLES, 'people.csv');
/** Mails a second: the campaign is on its way for about a minute and a half. */
const RATE = 110;
/** The share that is done when the pictures are taken. */
const TAKEN_AT = 0.62;
/** Mails that the second relay takes before it is in trouble. */
const TAKEN_BY_SECOND = 800;
/** People of the file who are surely claimed after that. */
const SURELY_LATER = 2_500;
/** A recipient that the working relay defers at the first time. */
const PUT_OFF = await firstPutOff();

/** Pixels above and below what is shown; less than what lies between two sections. */
const MARGIN = 16;

interface Shot extends BrowserContextOptions {
  readonly file: string;
  readonly at: string;
  /** What is pressed first: a mail is shown when it is asked for. */
  readonly press?: string;
  /** There when the page is ready. */
  readonly ready: readonly string[];
  /** The picture begins with the first and ends below the last, so that no section is cut. */
  readonly from?: string;
  readonly until: string;
}

const CAMPAIGN = '/campaigns/spring-points';
const FIGURES = [
  '.uplot canvas',
  '#failures:not([hidden])',
  '#workers:not([hidden])',
  '#relays:not([hidden])',
];
/** Taller than any picture, so that nothing has to be scrolled to. */
const WIDE = { viewport: { width: 1120, height: 2600 } };

const SHOTS: readonly Shot[] = [
  { file: 'page-light', at: CAMPAIGN, ready: FIGURES, until: '.two', ...WIDE },
  { file: 'page-dark', at: CAMPAIGN, ready: FIGURES, until: '.two', colorScheme: 'dark', ...WIDE },
  { file: 'history', at: `/search#${PUT_OFF}`, ready: ['.found'], until: '#results', ...WIDE },
  {
    file: 'preview',
    at: CAMPAIGN,
    press: '#preview button',
    ready: ['#mail:not([hidden])'],
    from: 'section:has(#preview)',
    until: '#html-part',
    ...WIDE,
  },
  {
    file: 'phone-ko',
    at: CAMPAIGN,
    ready: FIGURES,
    until: 'section:has(#chart)',
    locale: 'ko-KR',
    viewport: { width: 360, height: 2600 },
    deviceScaleFactor: 2,
  },
];

/** The same sum at every run, by the letters. */
function sumOf(address: string): number {
  return [...address].reduce((total, letter) => total + letter.charCodeAt(0), 0);
}

/** Which reply an address gets of the relay that works. */
function replyFor(address: string, nth: number) {
  const sum = sumOf(address);
  if (sum % 29 === 0)
    return { at: 'rcpt', reply: `550 5.1.1 <${address}>: Recipient address rejected: User unknown` } as const;
  if (sum % 83 === 0) return { at: 'final', reply: '552 5.2.2 Mailbox full' } as const;
  if (sum % 31 === 0 && nth < 2)
    return { at: 'rcpt', reply: '451 4.7.1 Greylisted, please try again later' } as const;
  return null;
}

async function firstPutOff(): Promise<string> {
  const lines = (await readFile(PEOPLE, 'utf8')).split('\n').slice(1 + SURELY_LATER);
  const addresses = lines.map((line) => line.split(',', 1)[0] ?? '');
  const found = addresses.find((address) => replyFor(address, 1)?.reply.startsWith('451'));
  if (found === undefined) throw new Error(`none of ${PEOPLE} is deferred`);
  return found;
}

async function makeCampaign(app: App, name: string, rate: number): Promise<void> {
  await create(app, {
    name,
    from: '예시책방 <news@shop.example.com>',
    subject: '{{이름}}님, {{포인트}}포인트가 {{만료일}}에 사라집니다',
    html: await readFile(path.join(EXAMPLES, 'points.hbs'), 'utf8'),
    rate,
  });
  await importPeople(app, name, { from: PEOPLE, rejects: null });
}

async function reached(app: App, name: string, share: number): Promise<void> {
  for (;;) {
    const { progress } = await status(app, name);
    if (progress.done / progress.total >= share) return;
    say(`${progress.done} of ${progress.total}`);
    await new Promise((resolve) => setTimeout(resolve, 5_000));
  }
}

async function take(browser: Browser, url: string, shot: Shot): Promise<void> {
  const { file, at, press, ready, from, until, ...options } = shot;
  const { context, page } = await visit(browser, { ...options, reducedMotion: 'reduce' });
  await page.goto(url + at);
  if (press !== undefined) await page.click(press);
  for (const one of ready) await page.waitForSelector(one);
  // The mail stands in a frame, which is a document of its own.
  if (press !== undefined) await page.frameLocator('#frame').locator('.card').waitFor();
  const boxOf = async (selector: string) => {
    const box = await page.locator(selector).first().boundingBox();
    if (box === null) throw new Error(`${at} shows no ${selector}`);
    return box;
  };
  const { y: top } = from === undefined ? { y: 0 } : await boxOf(from);
  const last = await boxOf(until);
  const y = Math.max(0, top - MARGIN);
  const clip = { x: 0, y, width: page.viewportSize()?.width ?? 0, height: last.y + last.height + MARGIN - y };
  await page.screenshot({ path: path.join(IMAGES, `${file}.png`), clip });
  await context.close();
  say(`docs/images/${file}.png`);
}

const server = await startBenchServer();
const content = await startCapture();
const first = await startCapture({ policy: replyFor });
let taken = 0;
const second = await startCapture({
  policy: () =>
    taken++ < TAKEN_BY_SECOND
      ? null
      : { at: 'rcpt', reply: '421 4.7.0 Too many connections from your network, try later' },
});
const app = await open({ databaseUrl: await server.database(), max: 8 });
const served = await serve(app, { port: 0 });
const browser = await startBrowser();
try {
  await mkdir(IMAGES, { recursive: true });
  await makeCampaign(app, 'winter-sale', 10_000);
  await send(app, 'winter-sale', { relay: parseRelay(`${content.url}?label=mx1`) });
  await makeCampaign(app, 'spring-points', RATE);
  const stop = new AbortController();
  const relay = [
    parseRelay(`${first.url}?connections=4&label=mx1`),
    parseRelay(`${second.url}?connections=4&label=mx2`),
  ];
  const sending = send(app, 'spring-points', { relay, batch: 200, signal: stop.signal });
  await reached(app, 'spring-points', TAKEN_AT);
  for (const shot of SHOTS) await take(browser, served.url, shot);
  stop.abort();
  await sending;
} finally {
  await browser.close();
  await served.close();
  await app.close();
  for (const relay of [content, first, second]) await relay.close();
  await server.stop();
}
