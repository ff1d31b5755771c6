import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { cancel, pause, resume, start } from '../../src/api/lifecycle.ts';
import { retry } from '../../src/api/recipients.ts';
import { status } from '../../src/api/status.ts';
import { type CaptureOptions, type CaptureServer, startCapture } from '../../src/capture/capture.ts';
import { claimDue } from '../../src/queue/claim.ts';
import { Heartbeat } from '../../src/queue/heartbeat.ts';
import { record } from '../../src/queue/record.ts';
import { addPeople, countersAgree, runningCampaign } from '../support/campaign.ts';
import { type FreshDatabase, freshDatabase } from '../support/database.ts';
import { type BadLink, startProxy, through } from '../support/proxy.ts';
import { endSenders, type SenderOptions, startSender } from '../support/sender.ts';
import { greet, type ScriptedRelay, startScript } from '../support/smtp-script.ts';

let fresh: FreshDatabase;
let relays: { close(): Promise<void> }[] = [];
beforeAll(async () => {
  fresh = await freshDatabase({ max: 8 });
});
afterEach(async () => {
  await endSenders();
  // Workers without a campaign of their own take whatever runs: nothing is left for those of the next test.
  await fresh.pool.query(`update campaign set status = 'finished', finished_at = now()`);
  await Promise.all(relays.map((relay) => relay.close()));
  relays = [];
});
afterAll(() => fresh.drop());

async function capture(options: CaptureOptions = {}): Promise<CaptureServer> {
  const relay = await startCapture(options);
  relays.push(relay);
  return relay;
}

async function linkTo(relay: CaptureServer): Promise<BadLink> {
  const link = await startProxy(relay.port);
  relays.push(link);
  return link;
}

async function scripted(script: Parameters<typeof startScript>[0]): Promise<ScriptedRelay> {
  const relay = await startScript(script);
  relays.push(relay);
  return relay;
}

/** Two connections: enough to overtake each other, few enough to reason about. */
const sender = (options: Omit<SenderOptions, 'databaseUrl'>) =>
  startSender({
    ...options,
    databaseUrl: fresh.url,
    relay: options.relay.includes('?') ? options.relay : `${options.relay}?connections=2`,
  });

interface Row {
  readonly address: string;
  readonly send_state: number;
  readonly outcome: string | null;
  readonly attempts: number;
  readonly maybe_sent: number;
  readonly reply_code: number | null;
  readonly reply: string | null;
  readonly retry_in: number | null;
}

async function rowsOf(campaignId: number): Promise<Row[]> {
  const { rows } = await fresh.pool.query<Row>(
    `select address, send_state, outcome, attempts, maybe_sent, reply_code, reply,
       extract(epoch from retry_at - now())::float8 as retry_in
     from recipient where campaign_id = $1 order by recipient_id`,
    [campaignId],
  );
  return rows;
}

const dueNow = (campaignId: number) =>
  fresh.pool.query(
    'update recipient set retry_at = now() where campaign_id = $1 and retry_at is not null and send_state = 0',
    [campaignId],
  );

const count = (campaignId: number, where: string) => async () => {
  const { rows } = await fresh.pool.query<{ n: number }>(
    `select count(*) as n from recipient where campaign_id = $1 and ${where}`,
    [campaignId],
  );
  return rows[0]?.n ?? 0;
};

describe('what the relay answers', () => {
  test('4xx: an attempt is charged and the row waits; the next time it is sent', async () => {
    const relay = await capture({
      policy: (_, nth) => (nth === 1 ? { at: 'rcpt', reply: '451 4.7.1 come back later' } : null),
    });
    const { campaignId, name } = await runningCampaign(fresh.database, 3);
    const worker = await sender({ relay: relay.url, campaign: name });
    await expect.poll(count(campaignId, 'attempts = 1 and send_state = 0'), { timeout: 10_000 }).toBe(3);
    for (const row of await rowsOf(campaignId)) {
      expect(row).toMatchObject({ outcome: null, reply_code: 451, reply: '4.7.1 come back later' });
      expect(row.retry_in).toBeGreaterThan(290);
      expect(row.retry_in).toBeLessThan(361);
    }
    expect(relay.accepted).toBe(0);
    await dueNow(campaignId);
    expect(await worker.end).toBe('ended');
    for (const row of await rowsOf(campaignId))
      expect(row).toMatchObject({ outcome: 'sent', attempts: 2, maybe_sent: 0, reply_code: 250 });
    expect(await countersAgree(fresh.database, campaignId)).toMatchObject({ sent: 3, retrying: 0 });
  });

  test('4xx again and again: expired once the attempts are used up, with the last words', async () => {
    const relay = await capture({
      policy: (_, nth) => ({ at: 'rcpt', reply: `452 4.2.2 mailbox full, told you ${nth} times` }),
    });
    const { campaignId, name } = await runningCampaign(fresh.database, 2, { max_attempts: 2 });
    const worker = await sender({ relay: relay.url, campaign: name });
    await expect.poll(count(campaignId, 'attempts = 1 and send_state = 0'), { timeout: 10_000 }).toBe(2);
    await dueNow(campaignId);
    expect(await worker.end).toBe('ended');
    for (const row of await rowsOf(campaignId)) {
      expect(row).toMatchObject({
        outcome: 'expired',
        attempts: 2,
        reply_code: 452,
        reply: '4.2.2 mailbox full, told you 2 times',
        retry_in: null,
      });
    }
    expect(await countersAgree(fresh.database, campaignId)).toMatchObject({ expired: 2 });
  });

  test('4xx beyond the age of the campaign: every recipient is tried a second time, and expired then', async () => {
    const relay = await capture({ policy: () => ({ at: 'final', reply: '451 4.3.0 later' }) });
    const { campaignId, name } = await runningCampaign(fresh.database, 2, {
      max_age: '1 minute',
      retry_after: '1 second',
    });
    await fresh.pool.query(
      `update campaign set started_at = now() - interval '2 minutes' where campaign_id = $1`,
      [campaignId],
    );
    expect(await (await sender({ relay: relay.url, campaign: name })).end).toBe('ended');
    for (const row of await rowsOf(campaignId))
      expect(row).toMatchObject({ outcome: 'expired', attempts: 2 });
  });

  test('5xx about one: rejected with the relay’s own words, the others are sent', async () => {
    const relay = await capture({
      policy: (to) =>
        to === 'person2@example.com'
          ? { at: 'rcpt', reply: '550 5.1.1 <person2@example.com>: no such user here' }
          : null,
    });
    const { campaignId, name } = await runningCampaign(fresh.database, 5);
    const worker = await sender({ relay: relay.url, campaign: name });
    expect(await worker.end).toBe('ended');
    const rows = await rowsOf(campaignId);
    expect(rows.filter(({ outcome }) => outcome === 'sent')).toHaveLength(4);
    expect(rows[1]).toMatchObject({
      outcome: 'rejected',
      attempts: 1,
      reply_code: 550,
      reply: '5.1.1 <person2@example.com>: no such user here',
    });
    expect((await status({ ...worker.app, database: fresh.database }, name)).failures).toMatchObject([
      {
        outcome: 'rejected',
        reason: '550 5.1.1 <…>: no such user here',
        recipients: 1,
        example: 'person2@example.com',
      },
    ]);
  });

  test('a variable that a row lacks: invalid, with its name, and the relay never hears of it', async () => {
    const relay = await capture();
    const { campaignId, name } = await runningCampaign(fresh.database, 4);
    await fresh.pool.query(
      `update recipient set vars = '{"Name": "x"}' where campaign_id = $1 and address = 'person3@example.com'`,
      [campaignId],
    );
    expect(await (await sender({ relay: relay.url, campaign: name })).end).toBe('ended');
    const rows = await rowsOf(campaignId);
    expect(rows[2]).toMatchObject({ outcome: 'invalid', attempts: 0, reply_code: null });
    expect(rows[2]?.reply).toContain('name');
    expect(relay.recipients.has('person3@example.com')).toBe(false);
    expect(relay.accepted).toBe(3);
  });

  test('421: the relay is throttled, no recipient is charged, and all are sent when it is back', async () => {
    let troubled = true;
    const relay = await capture({
      policy: () => (troubled ? { at: 'rcpt', reply: '421 4.3.2 shutting down' } : null),
    });
    const { campaignId, name } = await runningCampaign(fresh.database, 20);
    const worker = await sender({ relay: relay.url, campaign: name });
    const { breaker } = await worker.event('relay', (event) => event.breaker.state === 'open');
    expect(breaker.reason).toContain('shutting down');
    await expect.poll(count(campaignId, 'send_state = 0 and attempts = 0'), { timeout: 5_000 }).toBe(20);
    troubled = false;
    expect(await worker.end).toBe('ended');
    for (const row of await rowsOf(campaignId))
      expect(row).toMatchObject({ outcome: 'sent', attempts: 1, maybe_sent: 0 });
    expect(relay.accepted).toBe(20);
  });

  test('421 to one person alone, for ever: not charged, until the age of the campaign ends it after one more attempt', async () => {
    const relay = await capture({
      policy: (to) => (to === 'person2@example.com' ? { at: 'rcpt', reply: '421 4.7.0 not you' } : null),
    });
    const { campaignId, name } = await runningCampaign(fresh.database, 4, {
      max_age: '1 hour',
      retry_after: '1 second',
    });
    const worker = await sender({ relay: relay.url, campaign: name });
    const deferred = count(campaignId, `retry_at is not null and reply_code = 421 and attempts = 0`);
    await expect.poll(deferred, { timeout: 10_000 }).toBe(1);
    worker.stop();
    expect(await worker.end).toBe('stopped');
    await fresh.pool.query(
      `update campaign set started_at = now() - interval '2 hours' where campaign_id = $1`,
      [campaignId],
    );
    expect(await (await sender({ relay: relay.url, campaign: name })).end).toBe('ended');
    const rows = await rowsOf(campaignId);
    expect(rows[1]).toMatchObject({
      outcome: 'expired',
      attempts: 1,
      reply_code: 421,
      reply: '4.7.0 not you',
    });
    expect(relay.accepted).toBe(3);
  });

  test('no relay listens at first: the breaker opens, and closes when one does', async () => {
    const before = await startCapture();
    const { port, url } = before;
    await before.close();
    const { campaignId, name } = await runningCampaign(fresh.database, 30);
    const worker = await sender({ relay: url, campaign: name });
    await worker.event('relay', (event) => event.breaker.state === 'open');
    const relay = await capture({ port });
    await worker.event('relay', (event) => event.breaker.state === 'closed');
    expect(await worker.end).toBe('ended');
    expect(relay.accepted).toBe(30);
    for (const row of await rowsOf(campaignId))
      expect(row).toMatchObject({ outcome: 'sent', attempts: 1, maybe_sent: 0 });
  });

  test('a wrong password: no recipient fails, `send` ends and says whose fault it is', async () => {
    const relay = await scripted(async (peer) => {
      if (!(await greet(peer, 'PIPELINING', 'AUTH PLAIN'))) return;
      while ((await peer.line()) !== null) peer.say('535 5.7.8 Authentication failed: ask the postmaster');
    });
    const { campaignId, name } = await runningCampaign(fresh.database, 20);
    const url = `smtp://kim:s3cr3t-wrong@127.0.0.1:${relay.port}?auth-in-clear=yes&connections=2`;
    const worker = await sender({ relay: url, campaign: name });
    expect(await worker.end).toBe('relay');
    const told = await worker.event('relay');
    expect(told.misconfigured).toContain('ask the postmaster');
    expect(JSON.stringify(worker.events)).not.toContain('s3cr3t');
    const rows = await rowsOf(campaignId);
    for (const row of rows) expect(row).toMatchObject({ send_state: 0, outcome: null, attempts: 0 });
    expect(JSON.stringify(rows)).not.toContain('s3cr3t');
    expect(await countersAgree(fresh.database, campaignId)).toMatchObject({ claimed: 0 });
  });

  test('530 to a recipient: the same', async () => {
    const relay = await capture({
      policy: () => ({ at: 'rcpt', reply: '530 5.7.0 Authentication required' }),
    });
    const { campaignId, name } = await runningCampaign(fresh.database, 20);
    expect(await (await sender({ relay: relay.url, campaign: name })).end).toBe('relay');
    for (const row of await rowsOf(campaignId))
      expect(row).toMatchObject({ send_state: 0, outcome: null, attempts: 0 });
  });

  test.each([49, 50, 400])(
    'refused for its content %i times in a row: from fifty on the campaign pauses with the relay’s words',
    async (people) => {
      const relay = await capture({
        policy: () => ({ at: 'final', reply: '554 5.7.1 This looks like spam to us' }),
      });
      const { campaignId, name } = await runningCampaign(fresh.database, people);
      const worker = await sender({ relay: relay.url, campaign: name });
      expect(await worker.end).toBe('ended');
      const rejected = await count(campaignId, `outcome = 'rejected'`)();
      expect(rejected).toBeGreaterThanOrEqual(Math.min(people, 50));
      expect(await countersAgree(fresh.database, campaignId)).toMatchObject({ claimed: 0, rejected });
      const { rows } = await fresh.pool.query(
        'select status, status_reason from campaign where campaign_id = $1',
        [campaignId],
      );
      const paused = worker.events.some(({ kind }) => kind === 'refused');
      if (people === 49) expect(paused).toBe(false);
      if (people === 400) expect(paused).toBe(true);
      if (paused) {
        expect(rows[0]).toMatchObject({
          status: 'paused',
          status_reason: expect.stringContaining('This looks like spam to us'),
        });
        expect(rejected).toBeLessThan(150);
      } else {
        // Whose fiftieth refusal is the last person has finished, or is paused with no recipient left: whichever is written first.
        expect(rows[0]).toEqual({ status: 'finished', status_reason: null });
        expect(rejected).toBe(people);
      }
    },
  );

  test('49 refusals and an acceptance, over and over: it goes on', async () => {
    let n = 0;
    const relay = await capture({
      policy: () => (++n % 50 === 0 ? null : { at: 'rcpt', reply: '554 5.7.1 no' }),
    });
    const { campaignId, name } = await runningCampaign(fresh.database, 200);
    const worker = await sender({ relay: `${relay.url}?connections=1`, campaign: name });
    expect(await worker.end).toBe('ended');
    expect(await countersAgree(fresh.database, campaignId)).toMatchObject({ rejected: 196, sent: 4 });
  });

  test.each(['resend', 'hold'] as const)(
    'the connection dies after the final dot: %s',
    async (onUnconfirmed) => {
      const relay = await capture();
      const link = await linkTo(relay);
      const { campaignId, name } = await runningCampaign(fresh.database, 60, {
        on_unconfirmed: onUnconfirmed,
      });
      const worker = await sender({ relay: `${through(relay.url, link)}?connections=2`, campaign: name });
      await relay.waitFor(20);
      link.freezeReplies();
      const frozenAt = relay.accepted;
      // The reply to the last one is on the way, and will never come.
      link.cut();
      link.thaw();
      expect(await worker.end).toBe('ended');
      const rows = await rowsOf(campaignId);
      const doubtful = rows.filter((row) => row.maybe_sent > 0);
      expect(doubtful.length).toBeGreaterThan(0);
      expect(doubtful.length).toBeLessThanOrEqual(2);
      for (const row of doubtful) expect(row.outcome).toBe(onUnconfirmed === 'hold' ? 'unconfirmed' : 'sent');
      expect(relay.recipients.size).toBeGreaterThanOrEqual(frozenAt);
      for (const row of rows) {
        const times = relay.recipients.get(row.address) ?? 0;
        if (row.outcome === 'sent') expect(times).toBeGreaterThanOrEqual(1);
        expect(times).toBeLessThanOrEqual(1 + (onUnconfirmed === 'hold' ? 0 : row.maybe_sent));
      }
      await countersAgree(fresh.database, campaignId);
    },
  );

  test('a mail after which the connection dies every time is bounded by the attempts too', async () => {
    const relay = await scripted(async (peer) => {
      if (!(await greet(peer))) return;
      for (;;) {
        const line = await peer.line();
        if (line === null) return;
        if (line !== 'DATA') peer.say('250 2.0.0 Ok');
        else {
          peer.say('354 go on');
          await peer.message();
          peer.rst();
          return;
        }
      }
    });
    const { campaignId, name } = await runningCampaign(fresh.database, 1, { max_attempts: 3 });
    expect(await (await sender({ relay: relay.url, campaign: name })).end).toBe('ended');
    expect(await rowsOf(campaignId)).toMatchObject([{ outcome: 'unconfirmed', maybe_sent: 3, attempts: 0 }]);
  });
});

describe('operators', () => {
  /** Slow enough that the campaign is certainly not over, fast enough that a second is a long time. */
  const slowly = () => capture({ replyDelayMs: 10 });

  test('pause: everything is back in the table within about a second; resume goes on', async () => {
    const relay = await slowly();
    const { campaignId, name } = await runningCampaign(fresh.database, 400);
    const worker = await sender({ relay: relay.url });
    await relay.waitFor(10);
    const paused = performance.now();
    await pause(worker.app, name, 'lunch');
    await expect.poll(count(campaignId, 'send_state = 1'), { timeout: 10_000, interval: 10 }).toBe(0);
    expect(performance.now() - paused).toBeLessThan(2_000);
    const taken = relay.accepted;
    const { progress } = await status(worker.app, name);
    expect(progress).toMatchObject({ status: 'paused', statusReason: 'lunch', claimed: 0, done: taken });
    expect(await countersAgree(fresh.database, campaignId)).toMatchObject({ sent: taken });
    await resume(worker.app, name);
    await relay.waitFor(taken + 20);
    await cancel(worker.app, name);
  });

  test('cancel: who still waits is cancelled within about a second, what was in flight is recorded as it ended', async () => {
    const relay = await slowly();
    const { campaignId, name } = await runningCampaign(fresh.database, 400);
    const worker = await sender({ relay: relay.url, campaign: name });
    await relay.waitFor(10);
    const asked = performance.now();
    await cancel(worker.app, name);
    expect(await worker.end).toBe('ended');
    expect(performance.now() - asked).toBeLessThan(2_500);
    expect(await countersAgree(fresh.database, campaignId)).toMatchObject({
      waiting: 0,
      retrying: 0,
      claimed: 0,
      sent: relay.accepted,
      cancelled: 400 - relay.accepted,
    });
  });

  test('start at a time: not one mail before it', async () => {
    const arrivals: number[] = [];
    const relay = await capture({ onMail: () => arrivals.push(Date.now()) });
    const { campaignId, name } = await runningCampaign(fresh.database, 20, { status: 'draft' });
    const worker = await sender({ relay: relay.url });
    const at = new Date(Date.now() + 1_500);
    expect((await start(worker.app, name, at)).status).toBe('scheduled');
    await relay.waitFor(20);
    expect(Math.min(...arrivals)).toBeGreaterThanOrEqual(at.getTime());
    await expect.poll(count(campaignId, `outcome = 'sent'`), { timeout: 5_000 }).toBe(20);
    expect(Math.min(...arrivals) - at.getTime()).toBeLessThan(2_000);
  });

  test('suppress() takes out who still waits and leaves the others to their mail', async () => {
    const relay = await slowly();
    const { campaignId, name } = await runningCampaign(fresh.database, 300);
    const worker = await sender({ relay: relay.url, campaign: name, batch: 20 });
    await relay.waitFor(10);
    const { rows } = await fresh.pool.query<{ first: boolean; last: boolean }>(
      `select suppress($1, 'person1@example.com') as first, suppress($1, 'PERSON300@example.com') as last`,
      [name],
    );
    expect(rows[0]).toEqual({ first: false, last: true });
    expect(await worker.end).toBe('ended');
    expect(relay.recipients.has('person300@example.com')).toBe(false);
    expect(await countersAgree(fresh.database, campaignId)).toMatchObject({ sent: 299, suppressed: 1 });
  });

  test('rows changed by hand while a worker holds them lose no result', async () => {
    const relay = await slowly();
    const { campaignId, name } = await runningCampaign(fresh.database, 60);
    const operator = await fresh.pool.connect();
    const worker = await sender({ relay: relay.url, campaign: name, window: 60, batch: 60 });
    await relay.waitFor(5);
    await operator.query('begin');
    await operator.query(`update recipient set vars = vars || '{"note": "changed"}' where campaign_id = $1`, [
      campaignId,
    ]);
    const waits = count(
      campaignId,
      `exists (select from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock')`,
    );
    await expect.poll(waits, { timeout: 10_000, interval: 10 }).toBeGreaterThan(0);
    await operator.query('commit');
    operator.release();
    expect(await worker.end).toBe('ended');
    expect(await countersAgree(fresh.database, campaignId)).toMatchObject({ sent: 60 });
    expect(relay.accepted).toBe(60);
  });

  test('a row that goes back when the worker ends keeps what the relay said about it before', async () => {
    const relay = await capture({
      replyDelayMs: 10,
      policy: (_, nth) => (nth === 1 ? { at: 'rcpt', reply: '451 4.7.1 greylisted' } : null),
    });
    const { campaignId, name } = await runningCampaign(fresh.database, 60);
    const worker = await sender({ relay: relay.url, campaign: name });
    await expect.poll(count(campaignId, 'attempts = 1 and send_state = 0'), { timeout: 10_000 }).toBe(60);
    await dueNow(campaignId);
    await relay.waitFor(2);
    worker.stop();
    expect(await worker.end).toBe('stopped');
    const back = (await rowsOf(campaignId)).filter(({ send_state }) => send_state === 0);
    expect(back.length).toBeGreaterThan(0);
    for (const row of back)
      expect(row).toMatchObject({ attempts: 1, reply_code: 451, reply: '4.7.1 greylisted' });
  });
});

describe('rows that a walk by id would miss', () => {
  test('an import that commits late, with ids behind the cursor, is sent', async () => {
    const relay = await capture({ replyDelayMs: 5 });
    const { campaignId, name } = await runningCampaign(fresh.database, 0);
    // As an import does it: rows first, and the counter, which others write too, just before the commit.
    const late = await fresh.pool.connect();
    await late.query('begin');
    await late.query(
      `insert into recipient (campaign_id, address, vars)
       select $1, 'late' || i || '@example.com', '{"name": "Late"}' from generate_series(1, 10) i`,
      [campaignId],
    );
    await addPeople(fresh.database, campaignId, 1, 90);
    const worker = await sender({ relay: relay.url, campaign: name, batch: 10 });
    await relay.waitFor(60);
    await late.query(
      'update counter set waiting = waiting + 10 where campaign_id = $1 and worker_id = 0 and lane = 0',
      [campaignId],
    );
    await late.query('commit');
    late.release();
    expect(await worker.end).toBe('ended');
    expect(relay.recipients.has('late1@example.com')).toBe(true);
    expect(relay.recipients.size).toBe(100);
    expect(relay.accepted).toBe(100);
    expect(await countersAgree(fresh.database, campaignId)).toMatchObject({ sent: 100 });
  });

  test('rows that another session holds locked are waited for, without asking all the time', async () => {
    const relay = await capture();
    const { campaignId, name } = await runningCampaign(fresh.database, 40);
    const other = await fresh.pool.connect();
    await other.query('begin');
    await other.query(
      'select from recipient where campaign_id = $1 order by recipient_id limit 10 for update',
      [campaignId],
    );
    const worker = await sender({ relay: relay.url, campaign: name });
    await relay.waitFor(30);
    const looks = () =>
      worker.events.filter((event) => event.kind === 'campaign' && event.now === 'idle').length;
    await expect.poll(looks, { timeout: 10_000 }).toBeGreaterThan(1);
    const [before, from] = [looks(), performance.now()];
    await expect
      .poll(() => performance.now() - from, { timeout: 5_000, interval: 100 })
      .toBeGreaterThan(2_000);
    expect(looks() - before).toBeLessThan(6);
    await other.query('commit');
    other.release();
    expect(await worker.end).toBe('ended');
    expect(relay.recipients.size).toBe(40);
  });
});

test('a slow reply does not delay recipients that are due meanwhile', async () => {
  const held = Promise.withResolvers<void>();
  const greylisted = new Set<string>();
  const relay = await scripted(async (peer) => {
    if (!(await greet(peer))) return;
    let to = '';
    for (let line = await peer.line(); line !== null; line = await peer.line()) {
      if (line.startsWith('RCPT')) to = line;
      if (line.startsWith('RCPT') && line.includes('person2@') && !greylisted.has(to)) {
        greylisted.add(to);
        peer.say('451 4.7.1 greylisted');
      } else if (line === 'DATA') {
        peer.say('354 go on');
        await peer.message();
        if (to.includes('person1@')) await held.promise;
        peer.say('250 2.0.0 Ok');
      } else peer.say('250 2.0.0 Ok');
    }
  });
  const { campaignId, name } = await runningCampaign(fresh.database, 4, { retry_after: '1 second' });
  const worker = await sender({ relay: relay.url, campaign: name });
  try {
    const others = count(campaignId, `address <> 'person1@example.com' and outcome = 'sent'`);
    await expect.poll(others, { timeout: 20_000 }).toBe(3);
    expect(await count(campaignId, 'send_state = 1')()).toBe(1);
  } finally {
    held.resolve();
  }
  expect(await worker.end).toBe('ended');
  expect(await countersAgree(fresh.database, campaignId)).toMatchObject({ sent: 4 });
});

describe('several at once', () => {
  test('--rate holds over two workers', async () => {
    const arrivals: number[] = [];
    const relay = await capture({ onMail: () => arrivals.push(performance.now()) });
    const { campaignId, name } = await runningCampaign(fresh.database, 240, { rate: 60 });
    // Small claims, so that neither takes all that the bucket holds at once.
    const workers = [
      await sender({ relay: relay.url, campaign: name, batch: 2 }),
      await sender({ relay: relay.url, campaign: name, batch: 2 }),
    ];
    for (const worker of workers) expect(await worker.end).toBe('ended');
    expect(relay.accepted).toBe(240);
    const first = arrivals[0] as number;
    const seconds = ((arrivals.at(-1) as number) - first) / 1000;
    expect(239 / seconds).toBeGreaterThan(60 * 0.93);
    expect(239 / seconds).toBeLessThan(60 * 1.05);
    // Never more in any second than the rate and the bucket's quarter of a second.
    const busiest = Math.max(
      ...arrivals.map((from) => arrivals.filter((at) => at >= from && at < from + 1_000).length),
    );
    expect(busiest).toBeLessThanOrEqual(60 * 1.25 + 3);
    const { rows } = await fresh.pool.query<{ n: number }>(
      'select count(distinct worker_id) as n from claim where campaign_id = $1',
      [campaignId],
    );
    expect(rows[0]?.n).toBe(2);
  });

  test('two campaigns share the relay: neither waits for the other to end', async () => {
    const order: string[] = [];
    const relay = await capture({
      // Slow enough that the second campaign is found long before the first can end.
      replyDelayMs: 10,
      onMail: ({ raw }) => order.push(/Subject: (\S+)/.exec(raw.toString('latin1'))?.[1] ?? ''),
    });
    const one = await runningCampaign(fresh.database, 150, { subject: 'one' });
    const two = await runningCampaign(fresh.database, 150, { subject: 'two' });
    const worker = await sender({ relay: `${relay.url}?connections=4`, drain: true });
    expect(await worker.end).toBe('idle');
    for (const { campaignId } of [one, two])
      expect(await countersAgree(fresh.database, campaignId)).toMatchObject({ sent: 150 });
    expect(order).toHaveLength(300);
    const half = order.slice(0, 150);
    expect(half.filter((subject) => subject === 'one').length).toBeGreaterThan(45);
    expect(half.filter((subject) => subject === 'two').length).toBeGreaterThan(45);
  });
});

describe('failures by reason', () => {
  test('a retry takes them back, also those of a row whose worker died', async () => {
    const { campaignId, name } = await runningCampaign(fresh.database, 3, { on_unconfirmed: 'hold' });
    const relay = await capture({ policy: () => ({ at: 'rcpt', reply: '451 4.7.1 greylisted' }) });
    const link = await linkTo(relay);
    const worker = await sender({ relay: `${through(relay.url, link)}?connections=3`, campaign: name });
    await expect.poll(count(campaignId, 'attempts = 1 and send_state = 0'), { timeout: 10_000 }).toBe(3);
    worker.stop();
    await worker.end;
    // A second worker dies with all three in its hands.

    await dueNow(campaignId);
    const dead = await Heartbeat.register(fresh.database, 'test', 1);
    const claim = await claimDue(fresh.database, { campaignId, workerId: dead.workerId, limit: 10 });
    expect(claim?.recipients).toHaveLength(3);
    await record(
      fresh.database,
      campaignId,
      dead.workerId,
      [],
      [
        {
          claimId: claim?.claimId ?? 0,
          handedThrough: claim?.recipients.at(-1)?.recipientId ?? 0,
          close: false,
        },
      ],
    );
    await dead.stop();
    expect(await (await sender({ relay: relay.url, campaign: name })).end).toBe('ended');
    expect(await countersAgree(fresh.database, campaignId)).toMatchObject({ unconfirmed: 3 });
    const app = { database: fresh.database, embedded: false, close: async () => undefined };
    expect((await status(app, name)).failures).toMatchObject([{ outcome: 'unconfirmed', recipients: 3 }]);
    expect(await retry(app, name, 'unconfirmed')).toBe(3);
    expect((await status(app, name)).failures).toEqual([]);
  });

  test('the example is a recipient to which it happened, also after a retry', async () => {
    let good = new Set(['person2@example.com', 'person3@example.com', 'person4@example.com']);
    const relay = await capture({
      policy: (to) => (good.has(to) ? null : { at: 'rcpt', reply: '550 5.1.1 no such user' }),
    });
    const { name } = await runningCampaign(fresh.database, 4);
    expect(await (await sender({ relay: relay.url, campaign: name })).end).toBe('ended');
    const app = { database: fresh.database, embedded: false, close: async () => undefined };
    expect((await status(app, name)).failures).toMatchObject([
      { recipients: 1, example: 'person1@example.com' },
    ]);
    expect(await retry(app, name, 'rejected')).toBe(1);
    good = new Set(['person1@example.com']);
    await addPeople(fresh.database, (await status(app, name)).progress.campaignId, 5, 6);
    expect(await (await sender({ relay: relay.url, campaign: name })).end).toBe('ended');
    const { failures } = await status(app, name);
    expect(failures).toMatchObject([{ outcome: 'rejected', recipients: 2 }]);
    expect(['person5@example.com', 'person6@example.com']).toContain(failures[0]?.example);
  });
});
