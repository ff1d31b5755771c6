import { mkdir } from 'node:fs/promises';
import path from 'node:path';
import type { BrowserContextOptions } from 'playwright-core';
import { create, importPeople, open, parseRelay, send, serve, startCapture, status } from '../src/index.ts';
import { startBrowser, visit } from '../test/support/browser.ts';
import { say, startBenchServer } from './server.ts';

/*
 * The pictures of docs/images/: the example's campaign on its way to a relay that refuses some, in the colours and languages
 * of the page. Run it with: npm run screenshots
 */

const IMAGES = path.join(import.meta.dirname, '..', 'docs', 'images');
const EXAMPLES = path.join(import.meta.dirname, '..', 'examples');
/** Mails a second: the campaign is on its way for about a minute and a half. */
const RATE = 110;
/** The share that is done when the pictures are taken. */
const TAKEN_AT = 0.62;

const SHOTS: readonly (BrowserContextOptions & { readonly file: string })[] = [
  { file: 'page-light', viewport: { width: 1120, height: 1190 } },
  { file: 'page-dark', colorScheme: 'dark', viewport: { width: 1120, height: 1190 } },
  { file: 'phone-ko', locale: 'ko-KR', viewport: { width: 360, height: 780 }, deviceScaleFactor: 2 },
];

/** Which reply an address gets, by its letters: the same at every run. */
function replyFor(address: string, nth: number) {
  const sum = [...address].reduce((total, letter) => total + letter.charCodeAt(0), 0);
  if (sum % 29 === 0)
    return { at: 'rcpt', reply: `550 5.1.1 <${address}>: Recipient address rejected: User unknown` } as const;
  if (sum % 83 === 0) return { at: 'final', reply: '552 5.2.2 Mailbox full' } as const;
  if (sum % 31 === 0 && nth < 2)
    return { at: 'rcpt', reply: '451 4.7.1 Greylisted, please try again later' } as const;
  return null;
}

const server = await startBenchServer();
const relay = await startCapture({ policy: replyFor });
const app = await open({ databaseUrl: await server.database(), max: 8 });
const served = await serve(app, { port: 0 });
const browser = await startBrowser();
try {
  await create(app, {
    name: 'spring-points',
    from: '예시책방 <news@shop.example.com>',
    subject: '{{이름}}님, {{포인트}}포인트가 {{만료일}}에 사라집니다',
    html: '<p>{{이름}}: {{포인트}}</p>',
    rate: RATE,
  });
  await importPeople(app, 'spring-points', { from: path.join(EXAMPLES, 'people.csv'), rejects: null });
  const stop = new AbortController();
  const url = `${relay.url}?connections=4`;
  const sending = send(app, 'spring-points', { relay: parseRelay(url), batch: 200, signal: stop.signal });
  for (;;) {
    const { progress } = await status(app, 'spring-points');
    if (progress.done / progress.total >= TAKEN_AT) break;
    say(`${progress.done} of ${progress.total}`);
    await new Promise((resolve) => setTimeout(resolve, 5_000));
  }
  await mkdir(IMAGES, { recursive: true });
  for (const { file, ...options } of SHOTS) {
    const { context, page } = await visit(browser, { ...options, reducedMotion: 'reduce' });
    await page.goto(`${served.url}/campaigns/spring-points`);
    await page.waitForSelector('.uplot canvas');
    await page.waitForSelector('#workers:not([hidden])');
    await page.screenshot({ path: path.join(IMAGES, `${file}.png`) });
    await context.close();
    say(`docs/images/${file}.png`);
  }
  stop.abort();
  await sending;
} finally {
  await browser.close();
  await served.close();
  await app.close();
  await relay.close();
  await server.stop();
}
