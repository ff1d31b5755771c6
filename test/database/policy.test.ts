import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { type CaptureOptions, type CaptureServer, startCapture } from '../../src/capture/capture.ts';
import { countersAgree, runningCampaign } from '../support/campaign.ts';
import { type FreshDatabase, freshDatabase } from '../support/database.ts';
import { endSenders, type Sender, startSender } from '../support/sender.ts';
import { greet, type ScriptedRelay, startScript } from '../support/smtp-script.ts';

/** Recipients that a worker may have in flight. */
const WINDOW = 20;

let fresh: FreshDatabase;
let relay: CaptureServer | ScriptedRelay | undefined;
beforeAll(async () => {
  fresh = await freshDatabase();
});
afterEach(async () => {
  await endSenders();
  await relay?.close();
});
afterAll(() => fresh.drop());

/** So many workers, each with a pool and a place in the worker table of its own, as processes have. */
async function workers(count: number, name: string, options: CaptureOptions) {
  relay = await startCapture(options);
  const url = `${relay.url}?connections=2`;
  const all = Array.from({ length: count }, () =>
    startSender({ databaseUrl: fresh.url, relay: url, campaign: name, leaseSeconds: 30, window: WINDOW }),
  );
  return await Promise.all(all);
}

async function statusOf(campaignId: number): Promise<{ status: string; status_reason: string | null }> {
  const { rows } = await fresh.pool.query(
    'select status, status_reason from campaign where campaign_id = $1',
    [campaignId],
  );
  return rows[0];
}

test('three workers whose mails are refused for their content pause the campaign, with the relay’s words', async () => {
  const { campaignId, name } = await runningCampaign(fresh.database, 3000);
  const all = await workers(3, name, {
    policy: () => ({ at: 'final', reply: '554 5.7.1 This looks like spam to us' }),
  });
  for (const worker of all) expect(await worker.end).toBe('ended');
  expect(await statusOf(campaignId)).toEqual({
    status: 'paused',
    status_reason: expect.stringContaining('This looks like spam to us'),
  });
  const { rejected = 0 } = await countersAgree(fresh.database, campaignId);
  // Each counts for itself: fifty each at most, and what was on the way then.
  expect(rejected).toBeGreaterThanOrEqual(50);
  expect(rejected).toBeLessThanOrEqual(3 * (50 + WINDOW));
});

test('after the last refusal that it bears a worker hands nothing more over, although the pause cannot be written yet', async () => {
  const { campaignId, name } = await runningCampaign(fresh.database, 2000);
  const client = await fresh.pool.connect();
  let worker: Sender | undefined;
  try {
    await client.query('begin');
    await client.query('select 1 from campaign where campaign_id = $1 for no key update', [campaignId]);
    [worker] = await workers(1, name, { policy: () => ({ at: 'final', reply: '554 5.7.1 spam' }) });
    await worker?.event('campaign', ({ now }) => now === 'paused');
    const { rejected = 0, waiting, retrying, claimed } = await countersAgree(fresh.database, campaignId);
    expect(rejected).toBeGreaterThanOrEqual(50);
    expect(rejected).toBeLessThanOrEqual(50 + WINDOW);
    expect([(waiting ?? 0) + (retrying ?? 0), claimed]).toEqual([2000 - rejected, 0]);
    expect(await statusOf(campaignId)).toMatchObject({ status: 'running' });
    await client.query('commit');
  } finally {
    client.release(true);
  }
  expect(await worker?.end).toBe('ended');
  expect(await statusOf(campaignId)).toEqual({ status: 'paused', status_reason: '554 5.7.1 spam' });
  expect(worker?.events.filter((event) => event.kind === 'campaign' && event.now === 'started')).toHaveLength(
    1,
  );
  expect((await countersAgree(fresh.database, campaignId)).rejected).toBeLessThanOrEqual(50 + WINDOW);
});

test('a worker that is stopped at its last refusal pauses the campaign all the same', async () => {
  const { campaignId, name } = await runningCampaign(fresh.database, 500);
  let asked = 0;
  const [worker] = await workers(1, name, {
    policy: () => {
      if (++asked === 50) worker?.stop();
      return { at: 'final', reply: '554 5.7.1 spam' };
    },
  });
  expect(await worker?.end).toBe('stopped');
  expect(await statusOf(campaignId)).toEqual({ status: 'paused', status_reason: '554 5.7.1 spam' });
});

test.each([
  '550 relay not permitted',
  '550 Sender verify failed',
  '450 4.1.8 <a@b.example>: Sender address rejected: Domain not found',
])('a relay that answers every RCPT with "%s" pauses the campaign, and no recipient fails', async (reply) => {
  const { campaignId, name } = await runningCampaign(fresh.database, 300);
  const options: CaptureOptions = { policy: () => ({ at: 'rcpt', reply }) };
  for (const worker of await workers(1, name, options)) expect(await worker.end).toBe('ended');
  expect(await statusOf(campaignId)).toMatchObject({
    status: 'paused',
    status_reason: expect.stringMatching(/refuses the sender: [45]50 /),
  });
  const { rejected, expired, waiting = 0, retrying = 0 } = await countersAgree(fresh.database, campaignId);
  expect({ rejected, expired, left: waiting + retrying }).toEqual({ rejected: 0, expired: 0, left: 300 });
});

test.each<[string, CaptureOptions, RegExp]>([
  [
    'refuses every message as if its recipient were unknown',
    { policy: () => ({ at: 'final', reply: '550 5.1.1 no such user' }) },
    /no such user/,
  ],
  ['announces a SIZE below the message’s', { maxMessageBytes: 100 }, /larger than the 100 bytes/],
])('a relay that %s pauses the campaign before every recipient is rejected', async (_, options, words) => {
  const { campaignId, name } = await runningCampaign(fresh.database, 1000);
  for (const worker of await workers(1, name, options)) expect(await worker.end).toBe('ended');
  expect(await statusOf(campaignId)).toEqual({
    status: 'paused',
    status_reason: expect.stringMatching(words),
  });
  const { rejected = 0, invalid } = await countersAgree(fresh.database, campaignId);
  expect(rejected).toBeGreaterThanOrEqual(50);
  expect(rejected).toBeLessThanOrEqual(50 + WINDOW);
  expect(invalid).toBe(0);
});

test('a relay whose quota is used up rejects no recipient: it is paused until it takes mails again', async () => {
  const { campaignId, name } = await runningCampaign(fresh.database, 60);
  let [asked, refused] = [0, 0];
  const quota = { at: 'final', reply: '550 5.4.5 Daily user sending quota exceeded.' } as const;
  const [worker] = await workers(1, name, {
    policy: () => (++asked > 20 && ++refused <= 5 ? quota : null),
  });
  expect(await worker?.end).toBe('ended');
  expect(refused).toBeGreaterThanOrEqual(5);
  expect(await statusOf(campaignId)).toEqual({ status: 'finished', status_reason: null });
  expect(await countersAgree(fresh.database, campaignId)).toMatchObject({
    sent: 60,
    rejected: 0,
    expired: 0,
  });
});

test('a relay that greylists every recipient pauses nothing and rejects none', async () => {
  const { campaignId, name } = await runningCampaign(fresh.database, 300, {
    retry_after: '1 second',
    max_attempts: 10,
  });
  const all = await workers(2, name, {
    policy: (_, nth) =>
      nth === 1 ? { at: 'rcpt', reply: '450 4.7.1 Greylisted, come back in a minute' } : null,
  });
  for (const worker of all) expect(await worker.end).toBe('ended');
  expect(await statusOf(campaignId)).toEqual({ status: 'finished', status_reason: null });
  expect(await countersAgree(fresh.database, campaignId)).toMatchObject({
    sent: 300,
    rejected: 0,
    expired: 0,
  });
  const { rows } = await fresh.pool.query(
    'select event, reply_code, count(*)::int as n from attempt where campaign_id = $1 group by 1, 2',
    [campaignId],
  );
  expect(rows).toEqual([{ event: 'deferred', reply_code: 450, n: 300 }]);
});

/** A relay that knows one sender and refuses every other at MAIL. */
async function knowing(known: string): Promise<ScriptedRelay> {
  return await startScript(async (peer) => {
    if (!(await greet(peer))) return;
    for (let line = await peer.line(); line !== null; line = await peer.line()) {
      if (line === 'DATA') {
        peer.say('354 go on');
        if ((await peer.message()) === null) return;
      }
      const refused = line.startsWith('MAIL') && !line.includes(known);
      peer.say(refused ? '553 5.7.1 <stranger@example.com>: we do not know you' : '250 2.0.0 Ok');
    }
  });
}

test('a sender that the relay refuses pauses its own campaign, no recipient fails, and the others go on', async () => {
  relay = await knowing('news@example.com');
  const refused = await runningCampaign(fresh.database, 400, { sender: 'Us <stranger@example.com>' });
  const good = await runningCampaign(fresh.database, 400);
  const worker = await startSender({
    databaseUrl: fresh.url,
    relay: `${relay.url}?connections=4`,
    leaseSeconds: 30,
  });
  await worker.event('campaign', ({ name, now }) => name === good.name && now === 'finished');
  const { reason } = await worker.event('refused', ({ name }) => name === refused.name);
  expect(reason).toContain('the relay refuses the sender: 553 5.7.1 <…>: we do not know you');
  await worker.event('campaign', ({ name, now }) => name === refused.name && now === 'paused');
  expect(await statusOf(refused.campaignId)).toEqual({ status: 'paused', status_reason: reason });
  expect(await countersAgree(fresh.database, good.campaignId)).toMatchObject({ sent: 400 });
  const left = await countersAgree(fresh.database, refused.campaignId);
  expect((left.waiting ?? 0) + (left.retrying ?? 0)).toBe(400);
  const { rows } = await fresh.pool.query<{ n: number }>(
    'select count(*) as n from recipient where campaign_id = $1 and attempts > 0',
    [refused.campaignId],
  );
  expect(rows[0]?.n).toBe(0);
  // The relay was never in trouble.
  expect(worker.events.filter(({ kind }) => kind === 'relay')).toEqual([]);
});

test('one address that the relay calls a syntax error: it ends, and delays no other recipient', async () => {
  const { campaignId, name } = await runningCampaign(fresh.database, 60, {
    retry_after: '1 second',
    max_attempts: 2,
  });
  const [worker] = await workers(1, name, {
    policy: (to) =>
      to === 'person30@example.com' ? { at: 'rcpt', reply: '500 5.5.2 RCPT TO syntax error' } : null,
  });
  expect(await worker?.end).toBe('ended');
  expect(await statusOf(campaignId)).toMatchObject({ status: 'finished' });
  expect(await countersAgree(fresh.database, campaignId)).toMatchObject({ sent: 59, expired: 1 });
  expect(worker?.events.filter(({ kind }) => kind === 'relay')).toEqual([]);
});
