import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { status } from '../../src/api/status.ts';
import { type CaptureOptions, type CaptureServer, startCapture } from '../../src/capture/capture.ts';
import { Gate } from '../../src/relays/gate.ts';
import { RelayReport } from '../../src/relays/relay-report.ts';
import { relayActivity } from '../../src/report/progress.ts';
import { countersAgree, registered, runningCampaign } from '../support/campaign.ts';
import { type FreshDatabase, freshDatabase } from '../support/database.ts';
import { type BadLink, startProxy, through } from '../support/proxy.ts';
import { endSenders, type SenderOptions, startSender } from '../support/sender.ts';
import { greet, type ScriptedRelay, startScript } from '../support/smtp-script.ts';

let fresh: FreshDatabase;
let closers: { close(): Promise<void> }[] = [];
beforeAll(async () => {
  fresh = await freshDatabase({ max: 8 });
});
afterEach(async () => {
  await endSenders();
  await fresh.pool.query(`update campaign set status = 'finished', finished_at = now()`);
  await Promise.all(closers.map((one) => one.close()));
  closers = [];
});
afterAll(() => fresh.drop());

function kept<T extends { close(): Promise<void> }>(one: T): T {
  closers.push(one);
  return one;
}
const capture = async (options: CaptureOptions = {}): Promise<CaptureServer> =>
  kept(await startCapture(options));
const linkTo = async (relay: CaptureServer): Promise<BadLink> => kept(await startProxy(relay.port));

/** A relay whose password is wrong. */
const refusing = async (): Promise<ScriptedRelay> =>
  kept(
    await startScript(async (peer) => {
      if (!(await greet(peer, 'PIPELINING', 'AUTH PLAIN'))) return;
      while ((await peer.line()) !== null) peer.say('535 5.7.8 Authentication failed: ask the postmaster');
    }),
  );

/** A port where no server listens. */
async function noServer(): Promise<{ port: number; url: string }> {
  const { port, url, close } = await startCapture();
  await close();
  return { port, url };
}

const sender = (relay: string, more: Omit<SenderOptions, 'databaseUrl' | 'relay'> = {}) =>
  startSender({ ...more, databaseUrl: fresh.url, relay });

const rowsOf = async (campaignId: number) => {
  const { rows } = await fresh.pool.query<{
    address: string;
    outcome: string | null;
    maybe_sent: number;
    attempts: number;
  }>(
    'select address, outcome, maybe_sent, attempts from recipient where campaign_id = $1 order by recipient_id',
    [campaignId],
  );
  return rows;
};

/** How often each person was mailed, over all relays. */
const mailed = (relays: readonly CaptureServer[], address: string) =>
  relays.reduce((sum, { recipients }) => sum + (recipients.get(address) ?? 0), 0);

test('weights: each relay gets its share, to a few mails, although they answer at different speeds', async () => {
  const relays = [await capture({ replyDelayMs: 3 }), await capture(), await capture()];
  const { campaignId, name } = await runningCampaign(fresh.database, 600);
  const urls = relays.map(({ url }, i) => `${url}?connections=2&weight=${i + 1}&label=r${i}`);
  expect(await (await sender(urls.join(' '), { campaign: name })).end).toBe('ended');
  for (const [i, { accepted }] of relays.entries())
    expect(Math.abs(accepted - 100 * (i + 1))).toBeLessThanOrEqual(3);
  expect(await countersAgree(fresh.database, campaignId)).toMatchObject({ sent: 600 });
});

test('two campaigns at once share relays of any weight, and both end', async () => {
  const relays = [await capture({ replyDelayMs: 2 }), await capture()];
  const one = await runningCampaign(fresh.database, 120);
  const two = await runningCampaign(fresh.database, 120);
  const urls = relays.map(({ url }, i) => `${url}?connections=1&weight=${1 + 4 * i}`);
  expect(await (await sender(urls.join(' '), { drain: true })).end).toBe('idle');
  for (const { campaignId } of [one, two])
    expect(await countersAgree(fresh.database, campaignId)).toMatchObject({ sent: 120 });
  expect(Math.abs((relays[0] as CaptureServer).accepted - 40)).toBeLessThanOrEqual(4);
});

test('one connection and two campaigns: neither waits for the other to end', async () => {
  const order: string[] = [];
  // Slow enough that the second campaign is found long before the first can end.
  const relay = await capture({ replyDelayMs: 5, onMail: ({ from }) => order.push(from) });
  const one = await runningCampaign(fresh.database, 150, { sender: 'one@example.com' });
  const two = await runningCampaign(fresh.database, 150, { sender: 'two@example.com' });
  expect(await (await sender(`${relay.url}?connections=1`, { drain: true })).end).toBe('idle');
  for (const { campaignId } of [one, two])
    expect(await countersAgree(fresh.database, campaignId)).toMatchObject({ sent: 150 });
  // The first claims come one after the other; from then on they take turns.
  const ended = (from: string) => order.lastIndexOf(from);
  expect(Math.abs(ended('one@example.com') - ended('two@example.com'))).toBeLessThan(100);
});

describe('failover', () => {
  test.each(['resend', 'hold'] as const)(
    'one dies in the middle: the other takes all; no recipient is lost, none is charged, doubt stays doubt (%s)',
    async (onUnconfirmed) => {
      const relays = [await capture({ replyDelayMs: 2 }), await capture({ replyDelayMs: 2 })];
      const [dying, other] = relays as [CaptureServer, CaptureServer];
      const link = await linkTo(dying);
      const { campaignId, name } = await runningCampaign(fresh.database, 400, {
        on_unconfirmed: onUnconfirmed,
      });
      const urls = `${through(dying.url, link)}?connections=2&label=dying ${other.url}?connections=2&label=other`;
      const worker = await sender(urls, { campaign: name });
      await dying.waitFor(50);
      link.refuse();
      link.cut();
      const said = await worker.event('relay', (event) => event.breaker.state === 'open');
      expect(said).toMatchObject({ label: 'dying', several: true });
      expect(await worker.end).toBe('ended');
      const rows = await rowsOf(campaignId);
      for (const { address, outcome, maybe_sent, attempts } of rows) {
        const times = mailed(relays, address);
        expect(attempts).toBeLessThanOrEqual(1);
        if (outcome === 'sent') expect(times).toBeGreaterThanOrEqual(1);
        else expect({ outcome, maybe_sent }).toEqual({ outcome: 'unconfirmed', maybe_sent: 1 });
        // A second mail only to those whose reply was never seen, and none at all where they are held.
        expect(times).toBeLessThanOrEqual(1 + (onUnconfirmed === 'hold' ? 0 : maybe_sent));
      }
      const doubtful = rows.filter(({ maybe_sent }) => maybe_sent > 0).length;
      expect(doubtful).toBeLessThanOrEqual(4);
      if (onUnconfirmed === 'resend') expect(rows.every(({ outcome }) => outcome === 'sent')).toBe(true);
      expect(other.accepted).toBeGreaterThan(300);
      expect(await countersAgree(fresh.database, campaignId)).toMatchObject({ claimed: 0, waiting: 0 });
    },
  );

  test('a stand-by gets nothing while the other works, everything while it does not, and nothing again', async () => {
    const standBy = await capture({ replyDelayMs: 10 });
    const main = await capture({ replyDelayMs: 10 });
    const link = await linkTo(main);
    const { campaignId, name } = await runningCampaign(fresh.database, 2_500);
    const urls = `${through(main.url, link)}?connections=2&label=main ${standBy.url}?connections=2&weight=0&label=spare`;
    const worker = await sender(urls, { campaign: name });
    await main.waitFor(100);
    expect(standBy.accepted).toBe(0);
    link.refuse();
    link.cut();
    await standBy.waitFor(50);
    const before = main.accepted;
    await standBy.waitFor(100);
    expect(main.accepted).toBe(before);
    link.accept();
    await worker.event('relay', (event) => event.label === 'main' && event.breaker.state === 'closed');
    const used = standBy.accepted;
    await main.waitFor(before + 200);
    // What was in flight when the other came back.
    expect(standBy.accepted - used).toBeLessThanOrEqual(4);
    worker.stop();
    expect(await worker.end).toBe('stopped');
    expect(await countersAgree(fresh.database, campaignId)).toMatchObject({ claimed: 0 });
  });

  test('a wrong password on one: it pauses, the other sends everything, and `send` ends well', async () => {
    const wrong = await refusing();
    const good = await capture({ replyDelayMs: 5 });
    const { campaignId, name } = await runningCampaign(fresh.database, 400);
    const urls = `smtp://kim:s3cr3t-wrong@127.0.0.1:${wrong.port}?auth-in-clear=yes&connections=2&label=locked ${good.url}?connections=2&label=good`;
    const worker = await sender(urls, { campaign: name });
    const told = await worker.event('relay');
    expect(told).toMatchObject({ label: 'locked', several: true });
    expect(told.misconfigured).toContain('ask the postmaster');
    await expect
      .poll(
        async () => (await relayActivity(fresh.database)).map(({ label, state }) => `${label} ${state}`),
        {
          timeout: 5_000,
          interval: 50,
        },
      )
      .toEqual(['good working', 'locked misconfigured']);
    const rows = await relayActivity(fresh.database);
    expect(rows[1]).toMatchObject({
      words: expect.stringContaining('ask the postmaster'),
      weight: 1,
      rate: null,
    });
    expect(JSON.stringify([rows, worker.events])).not.toContain('s3cr3t');
    expect((await status(worker.app, name)).relays.map(({ label }) => label)).toEqual(['good', 'locked']);
    expect(await worker.end).toBe('ended');
    expect(good.accepted).toBe(400);
    for (const row of await rowsOf(campaignId)) expect(row).toMatchObject({ outcome: 'sent', attempts: 1 });
    // The worker has stopped: its rows went with it.
    expect((await fresh.pool.query('select from relay')).rowCount).toBe(0);
  });

  test('a wrong password on every one: `send` ends and says so', async () => {
    const [one, two] = [await refusing(), await refusing()];
    const { campaignId, name } = await runningCampaign(fresh.database, 20);
    const urls = [one, two].map(
      ({ port }) => `smtp://kim:s3cr3t-wrong@127.0.0.1:${port}?auth-in-clear=yes&connections=1`,
    );
    expect(await (await sender(urls.join(' '), { campaign: name })).end).toBe('relay');
    expect(await countersAgree(fresh.database, campaignId)).toMatchObject({ claimed: 0, sent: 0 });
  });

  test('all down: all recipients are requeued and wait; one is back: all are sent', async () => {
    const [one, two] = [await noServer(), await noServer()];
    const { campaignId, name } = await runningCampaign(fresh.database, 60);
    const worker = await sender(`${one.url}?connections=1 ${two.url}?connections=1`, { campaign: name });
    for (const { port } of [one, two]) {
      const label = `127.0.0.1:${port}`;
      await worker.event('relay', (event) => event.label === label && event.breaker.state === 'open');
    }
    await expect
      .poll(async () => (await countersAgree(fresh.database, campaignId)).claimed, { timeout: 5_000 })
      .toBe(0);
    const back = await capture({ port: two.port });
    expect(await worker.end).toBe('ended');
    expect(back.accepted).toBe(60);
    for (const row of await rowsOf(campaignId))
      expect(row).toMatchObject({ outcome: 'sent', attempts: 1, maybe_sent: 0 });
  });

  test('drain ends with the news only when none can be reached', async () => {
    const [one, good] = [await noServer(), await capture()];
    const { campaignId } = await runningCampaign(fresh.database, 30);
    const urls = `${one.url}?connections=1 ${good.url}?connections=1`;
    expect(await (await sender(urls, { drain: true })).end).toBe('idle');
    expect(await countersAgree(fresh.database, campaignId)).toMatchObject({ sent: 30 });
  });
});

describe('relay_activity', () => {
  const events = { changed: () => undefined, paced: () => undefined };
  const deliverer = { capacity: 1, deliver: () => undefined };
  const gateOf = (label: string) => new Gate({ label, weight: 2, rate: 7, deliverer }, null, events);
  const labels = async () => (await relayActivity(fresh.database)).map(({ label }) => label);

  test('shows the relays of workers that are alive, and who comes takes away the rows of the others', async () => {
    const [silent, alive] = [await registered(fresh.database), await registered(fresh.database)];
    await new RelayReport(fresh.database, [gateOf('old')]).write(silent);
    const report = new RelayReport(fresh.database, [gateOf('one'), gateOf('two')]);
    await report.write(alive);
    expect(await labels()).toEqual(['old', 'one', 'two']);
    expect((await relayActivity(fresh.database))[1]).toMatchObject({
      workerId: alive,
      state: 'working',
      words: null,
      slowedTo: null,
      weight: 2,
      rate: 7,
      inFlight: 0,
      accepted: 0,
    });
    await fresh.pool.query(
      `update worker set heartbeat_at = now() - interval '1 hour' where worker_id = $1`,
      [silent],
    );
    expect(await labels()).toEqual(['one', 'two']);
    await fresh.pool.query('update worker set stopped_at = now() where worker_id = $1', [silent]);
    const third = await registered(fresh.database);
    await new RelayReport(fresh.database, [gateOf('new')]).write(third);
    const { rows } = await fresh.pool.query<{ label: string }>('select label from relay order by label');
    expect(rows.map(({ label }) => label)).toEqual(['new', 'one', 'two']);
    await report.end();
    expect(await labels()).toEqual(['new']);
    await fresh.pool.query('update worker set stopped_at = now()');
  });

  test('says since when it is so: figures that move on do not change that', async () => {
    const gate = gateOf('one');
    const worker = await registered(fresh.database);
    const report = new RelayReport(fresh.database, [gate]);
    await report.write(worker);
    const [before] = await relayActivity(fresh.database);
    gate.handedOver();
    await report.write();
    const [moved] = await relayActivity(fresh.database);
    expect(moved).toMatchObject({ inFlight: 1, changedAt: before?.changedAt });
    gate.cameBack({ kind: 'misconfigured' }, '535 no', true);
    await report.write();
    const [now] = await relayActivity(fresh.database);
    expect(now).toMatchObject({ state: 'misconfigured', words: '535 no', inFlight: 0 });
    expect(now?.changedAt.getTime()).toBeGreaterThan(before?.changedAt.getTime() ?? 0);
    await report.end();
    await fresh.pool.query('update worker set stopped_at = now()');
  });
});
