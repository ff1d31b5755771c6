import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { type CaptureOptions, type CaptureServer, startCapture } from '../../src/capture/capture.ts';
import { BURST_SECONDS } from '../../src/queue/pace.ts';
import { RELAY_BURST_SECONDS } from '../../src/relays/relay-pace.ts';
import { relayActivity } from '../../src/report/progress.ts';
import { countersAgree, runningCampaign } from '../support/campaign.ts';
import { type FreshDatabase, freshDatabase } from '../support/database.ts';
import { endProcesses, startCli } from '../support/process.ts';
import { endSenders, type SenderOptions, startSender } from '../support/sender.ts';

let fresh: FreshDatabase;
let closers: { close(): Promise<void> }[] = [];
beforeAll(async () => {
  fresh = await freshDatabase({ max: 8 });
});
afterEach(async () => {
  await endSenders();
  await endProcesses();
  await fresh.pool.query(`update campaign set status = 'finished', finished_at = now()`);
  await Promise.all(closers.map((one) => one.close()));
  closers = [];
});
afterAll(() => fresh.drop());

async function capture(options: CaptureOptions = {}): Promise<CaptureServer> {
  const relay = await startCapture(options);
  closers.push(relay);
  return relay;
}

const sender = (relay: string, more: Omit<SenderOptions, 'databaseUrl' | 'relay'> = {}) =>
  startSender({ ...more, databaseUrl: fresh.url, relay });

const number = async (statement: string, values: readonly unknown[] = []) => {
  const { rows } = await fresh.pool.query<Record<string, number>>(statement, [...values]);
  return Number(Object.values(rows[0] ?? {})[0]);
};

test('the rate of a relay holds over four processes', async () => {
  const rate = 100;
  const seconds = 8;
  const arrivals: number[] = [];
  const relay = await capture({ onMail: () => arrivals.push(performance.now()) });
  const { campaignId } = await runningCampaign(fresh.database, 5_000);
  const env = {
    DATABASE_URL: fresh.url,
    SMTP_URL: `${relay.url}?rate=${60 * rate}/min&connections=3&label=paced`,
  };
  const workers = await Promise.all(Array.from({ length: 4 }, () => startCli(['work'], { env })));
  const working = () =>
    number('select count(distinct worker_id) from claim where campaign_id = $1', [campaignId]);
  await expect.poll(working, { timeout: 30_000, interval: 50 }).toBe(4);
  // A second later all of them are at work, and what they drew while they started is used.
  const from = performance.now() + 1_000;
  await expect
    .poll(() => performance.now() - from, { timeout: 20_000, interval: 20 })
    .toBeGreaterThan(seconds * 1000);
  const measured = arrivals.filter((at) => at >= from && at < from + seconds * 1000).length;
  // The bucket holds a quarter of a second's worth and a token; what four workers hold together is about what is used
  // between two draws, two tenths of a second's worth. As much again for mails that are on the way when one begins to count
  // and when one ends, on a machine that has other things to do.
  const burst = rate * RELAY_BURST_SECONDS + 1;
  // Tokens that are not drawn for a quarter of a second are lost: a machine that stops every process for longer falls behind.
  expect(measured).toBeGreaterThan(rate * seconds * 0.9);
  expect(measured).toBeLessThan(rate * seconds + 2 * burst);
  // No recipient is claimed for long: a second's worth, and half of one ahead, for each worker.
  expect(
    await number('select count(*) from recipient where campaign_id = $1 and send_state = 1', [campaignId]),
  ).toBeLessThan(4 * 1.5 * rate + 4);
  for (const worker of workers) worker.signal('SIGTERM');
  for (const worker of workers) expect((await worker.ended).code).toBe(0);
  expect(await countersAgree(fresh.database, campaignId)).toMatchObject({ claimed: 0, sent: relay.accepted });
  // What was drawn and not used is back: the bucket is as full as it can be, or as what came since makes it.
  expect(await number(`select tokens from relay_pace where label = 'paced'`)).toBeGreaterThanOrEqual(0);
}, 60_000);

test('a slow rate loses nothing: five a second are five a second', async () => {
  const arrivals: number[] = [];
  const relay = await capture({ onMail: () => arrivals.push(performance.now()) });
  const { name } = await runningCampaign(fresh.database, 31);
  const urls = `${relay.url}?rate=5/s&connections=1`;
  const workers = [await sender(urls, { campaign: name }), await sender(urls, { campaign: name })];
  for (const worker of workers) expect(await worker.end).toBe('ended');
  const seconds = ((arrivals.at(-1) ?? 0) - (arrivals[0] ?? 0)) / 1000;
  // Thirty after the first, two of which the bucket may have held; the first may be noticed late.
  expect(seconds).toBeGreaterThan(28 / 5 - 0.5);
  expect(seconds).toBeLessThan(30 / 5 + 1.5);
});

test('a slow campaign loses nothing either: five a second are five a second', async () => {
  const arrivals: number[] = [];
  const relay = await capture({ onMail: () => arrivals.push(performance.now()) });
  const { name } = await runningCampaign(fresh.database, 31, { rate: 5 });
  expect(await (await sender(`${relay.url}?connections=1`, { campaign: name })).end).toBe('ended');
  const seconds = ((arrivals.at(-1) ?? 0) - (arrivals[0] ?? 0)) / 1000;
  // Thirty after the first; the bucket holds a quarter of a second and one.
  expect(seconds).toBeGreaterThan((30 - 5 * BURST_SECONDS - 1) / 5 - 0.5);
  expect(seconds).toBeLessThan(30 / 5 + 1.5);
});

test('what goes beyond the rate of one relay goes through the other', async () => {
  const [paced, free] = [await capture(), await capture({ replyDelayMs: 5 })];
  const { name } = await runningCampaign(fresh.database, 500);
  const worker = await sender(`${paced.url}?rate=10/s&weight=100 ${free.url}?connections=2`, {
    campaign: name,
  });
  const from = performance.now();
  expect(await worker.end).toBe('ended');
  const seconds = (performance.now() - from) / 1000;
  expect(paced.accepted).toBeGreaterThan(0);
  expect(paced.accepted).toBeLessThanOrEqual(10 * seconds + 10 * RELAY_BURST_SECONDS + 1);
  expect(paced.accepted + free.accepted).toBe(500);
});

test('a relay that asks for less is slowed to about what it takes, no recipient is charged, the table says so; and not for ever', async () => {
  // So many in each second of its clock; 421 to the others, and the connection is gone.
  let most = 40;
  let second = 0;
  let named = 0;
  const arrivals: number[] = [];
  const relay = await capture({
    policy: () => {
      const now = Math.floor(performance.now() / 1000);
      if (now !== second) [second, named] = [now, 0];
      return ++named <= most ? null : { at: 'rcpt', reply: '421 4.7.0 Too many mails, slow down' };
    },
    onMail: () => arrivals.push(performance.now()),
  });
  const { campaignId, name } = await runningCampaign(fresh.database, 20_000);
  const worker = await sender(`${relay.url}?connections=4&label=touchy`, { campaign: name });
  const told = await worker.event('relay-slowed');
  expect(told).toMatchObject({
    label: 'touchy',
    several: false,
    words: expect.stringContaining('slow down'),
  });
  expect(told.perSecond).toBeLessThanOrEqual(most);
  await expect
    .poll(async () => (await relayActivity(fresh.database))[0], { timeout: 5_000, interval: 50 })
    .toMatchObject({ state: 'slowed', words: expect.stringContaining('slow down') });
  // Six seconds of it, once it has found its way up.
  const from = performance.now() + 4_000;
  await expect
    .poll(() => performance.now() - from, { timeout: 15_000, interval: 100 })
    .toBeGreaterThan(6_000);
  const perSecond = arrivals.filter((at) => at >= from && at < from + 6_000).length / 6;
  expect(perSecond).toBeGreaterThan(most * 0.6);
  expect(perSecond).toBeLessThanOrEqual(most * 1.1);
  // It never had to be left alone, and who was refused has lost nothing.
  expect(worker.events.filter((event) => event.kind === 'relay')).toEqual([]);
  const { rows } = await fresh.pool.query<{ charged: number }>(
    'select count(*) as charged from recipient where campaign_id = $1 and outcome is null and attempts > 0',
    [campaignId],
  );
  expect(rows[0]?.charged).toBe(0);
  most = Number.POSITIVE_INFINITY;
  const lifted = relay.accepted;
  await worker.event('relay-slowed', (event) => event.perSecond === null);
  await relay.waitFor(lifted + 1_000);
  worker.stop();
  expect(await worker.end).toBe('stopped');
}, 60_000);
