import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { cancel } from '../../src/api/lifecycle.ts';
import { send } from '../../src/api/work.ts';
import { type CaptureOptions, type CaptureServer, startCapture } from '../../src/capture/capture.ts';
import { SendstateError } from '../../src/errors.ts';
import { addPeople, countersAgree, runningCampaign } from '../support/campaign.ts';
import { type FreshDatabase, freshDatabase } from '../support/database.ts';
import { startProxy, through } from '../support/proxy.ts';
import { endSenders, startSender } from '../support/sender.ts';
import { greet, startScript } from '../support/smtp-script.ts';

let fresh: FreshDatabase;
let closers: { close(): Promise<void> }[] = [];
beforeAll(async () => {
  fresh = await freshDatabase({ max: 8 });
});
afterEach(async () => {
  await endSenders();
  await Promise.all(closers.map((one) => one.close()));
  closers = [];
  await fresh.pool.query(`update campaign set status = 'finished', finished_at = now()`);
});
afterAll(() => fresh.drop());

async function capture(options: CaptureOptions = {}): Promise<CaptureServer> {
  const relay = await startCapture(options);
  closers.push(relay);
  return relay;
}

const worker = (relay: string, more: { campaign?: string; drain?: boolean; leaseSeconds?: number } = {}) =>
  startSender({ databaseUrl: fresh.url, relay: `${relay}?connections=2`, ...more });

const number = async (statement: string, values: readonly unknown[] = []) => {
  const { rows } = await fresh.pool.query<Record<string, number>>(statement, [...values]);
  return Number(Object.values(rows[0] ?? {})[0]);
};

test('drain: nothing due ends at once; what is due is sent, what is deferred is left for later', async () => {
  const relay = await capture({
    policy: (to) => (to === 'person1@example.com' ? { at: 'rcpt', reply: '451 4.7.1 later' } : null),
  });
  expect(await (await worker(relay.url, { drain: true })).end).toBe('idle');
  const { campaignId } = await runningCampaign(fresh.database, 5);
  expect(await (await worker(relay.url, { drain: true })).end).toBe('idle');
  expect(await countersAgree(fresh.database, campaignId)).toMatchObject({ sent: 4, retrying: 1 });
});

test('drain: a relay that is down ends it with the news instead of waiting for ever', async () => {
  const { url, close } = await startCapture();
  await close();
  const { campaignId } = await runningCampaign(fresh.database, 30);
  expect(await (await worker(url, { drain: true })).end).toBe('relay');
  expect(await countersAgree(fresh.database, campaignId)).toMatchObject({ claimed: 0, sent: 0 });
});

test('drain: a relay that refuses us ends it with the reason, though no recipient is due at that moment', async () => {
  const relay = await capture({ policy: () => ({ at: 'rcpt', reply: '530 5.7.0 Authentication required' }) });
  const { campaignId } = await runningCampaign(fresh.database, 2);
  expect(await (await worker(relay.url, { drain: true })).end).toBe('relay');
  expect(await countersAgree(fresh.database, campaignId)).toMatchObject({ retrying: 2, claimed: 0 });
});

test('a worker that idles sees a campaign within about a second, and people who are added to it', async () => {
  const relay = await capture();
  const idle = await worker(relay.url);
  await idle.event('started');
  const from = performance.now();
  const { campaignId, name } = await runningCampaign(fresh.database, 3);
  await relay.waitFor(3);
  expect(performance.now() - from).toBeLessThan(2_500);
  await idle.event('campaign', (event) => event.name === name && event.now === 'finished');
  await addPeople(fresh.database, campaignId, 4, 6);
  await fresh.pool.query(
    `update campaign set status = 'running', finished_at = null where campaign_id = $1`,
    [campaignId],
  );
  await relay.waitFor(6);
  idle.stop();
  expect(await idle.end).toBe('stopped');
});

test('a worker that ends leaves nothing of its own: a closed row, no claims, its counts in the shared row', async () => {
  const relay = await capture({
    policy: (to) => (to === 'person1@example.com' ? { at: 'rcpt', reply: '550 5.1.1 no' } : null),
  });
  const { campaignId, name } = await runningCampaign(fresh.database, 10);
  const one = await worker(relay.url, { campaign: name });
  expect(await one.end).toBe('ended');
  const { workerId } = await one.event('started');
  expect(await number('select count(*) from counter where worker_id = $1', [workerId])).toBe(0);
  expect(await number('select count(*) from failure where worker_id = $1', [workerId])).toBe(0);
  expect(
    await number(
      'select count(*) from worker where worker_id = $1 and stopped_at is not null and not presumed_dead',
      [workerId],
    ),
  ).toBe(1);
  expect(await number('select count(*) from claim where closed_at is null')).toBe(0);
  expect(await countersAgree(fresh.database, campaignId)).toMatchObject({ sent: 9, rejected: 1 });
});

test('presumed dead while replies are outstanding: one new life, however long they take', async () => {
  const relay = await capture();
  const link = await startProxy(relay.port);
  closers.push(link);
  const { campaignId, name } = await runningCampaign(fresh.database, 60);
  const one = await worker(through(relay.url, link).replace(/\/$/, ''), { campaign: name, leaseSeconds: 2 });
  await relay.waitFor(10);
  link.freezeReplies();
  await expect
    .poll(() =>
      number('select count(*) from recipient where campaign_id = $1 and send_state = 1', [campaignId]),
    )
    .toBeGreaterThan(0);
  const { workerId } = await one.event('started');
  await fresh.pool.query('update worker set stopped_at = now(), presumed_dead = true where worker_id = $1', [
    workerId,
  ]);
  await one.event('presumed-dead');
  // Three intervals of its heartbeat later it has still said so once, and waits for the replies.
  const clock = () => number('select extract(epoch from clock_timestamp())::float8');
  const since = await clock();
  await expect.poll(clock, { timeout: 5_000 }).toBeGreaterThan(since + 1.2);
  link.thaw();
  expect(await one.end).toBe('ended');
  expect(one.events.filter(({ kind }) => kind === 'presumed-dead')).toHaveLength(1);
  expect(one.events.filter(({ kind }) => kind === 'started')).toHaveLength(2);
  expect(await number('select count(*) from worker where stopped_at is null')).toBe(0);
  expect(await countersAgree(fresh.database, campaignId)).toMatchObject({ sent: 60, claimed: 0 });
  expect(relay.recipients.size).toBe(60);
});

test('a campaign whose message cannot be compiled pauses with the reason, and others go on', async () => {
  const relay = await capture();
  const broken = await runningCampaign(fresh.database, 3, { text: 'Dear {{#if name}}' });
  const good = await runningCampaign(fresh.database, 3);
  expect(await (await worker(relay.url, { drain: true })).end).toBe('idle');
  const { rows } = await fresh.pool.query(
    'select status, status_reason from campaign where campaign_id = $1',
    [broken.campaignId],
  );
  expect(rows[0]).toMatchObject({
    status: 'paused',
    status_reason: expect.stringContaining('cannot be compiled'),
  });
  expect(await countersAgree(fresh.database, good.campaignId)).toMatchObject({ sent: 3 });
  expect(await countersAgree(fresh.database, broken.campaignId)).toMatchObject({ waiting: 3 });
});

test('a campaign that is cancelled at the moment when it would pause itself stays cancelled, and the worker lives', async () => {
  const relay = await capture({ policy: () => ({ at: 'final', reply: '554 5.7.1 spam' }) });
  const { campaignId, name } = await runningCampaign(fresh.database, 400);
  const operator = await fresh.pool.connect();
  await operator.query('begin');
  await operator.query(
    `update campaign set status = 'cancelled', finished_at = now() where campaign_id = $1`,
    [campaignId],
  );
  const one = await worker(relay.url, { campaign: name });
  // The pause waits for the operator's transaction.
  await expect
    .poll(
      () =>
        number(
          `select count(*) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'
           and query like 'update campaign%'`,
        ),
      { timeout: 10_000, interval: 20 },
    )
    .toBe(1);
  await operator.query('commit');
  operator.release();
  expect(await one.end).toBe('ended');
  const app = { database: fresh.database, embedded: false, close: async () => undefined };
  expect((await cancel(app, name)).campaign.status).toBe('cancelled');
  expect(await countersAgree(fresh.database, campaignId)).toMatchObject({ waiting: 0, claimed: 0 });
});

test('cancelled: a mail that is deferred behind the sweep is cancelled too before `send` ends', async () => {
  const held = Promise.withResolvers<void>();
  const asked = Promise.withResolvers<void>();
  const relay = await startScript(async (peer) => {
    if (!(await greet(peer))) return;
    for (let line = await peer.line(); line !== null; line = await peer.line()) {
      if (line.startsWith('RCPT')) {
        asked.resolve();
        await held.promise;
        peer.say('451 4.7.1 later');
      } else peer.say('250 2.0.0 Ok');
    }
  });
  closers.push(relay);
  const { campaignId, name } = await runningCampaign(fresh.database, 20);
  const one = await startSender({
    databaseUrl: fresh.url,
    relay: `${relay.url}?connections=1`,
    campaign: name,
    batch: 2,
  });
  const operator = await fresh.pool.connect();
  try {
    await asked.promise;
    // The sweep has seen every waiting recipient, and waits for the counter; the one in flight has the lowest id.
    await operator.query('begin');
    await operator.query(
      'select from counter where campaign_id = $1 and worker_id = 0 and lane = 0 for update',
      [campaignId],
    );
    await fresh.pool.query(
      `update campaign set status = 'cancelled', finished_at = now() where campaign_id = $1`,
      [campaignId],
    );
    await expect
      .poll(
        () =>
          number(
            `select count(*) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'`,
          ),
        { timeout: 10_000, interval: 20 },
      )
      .toBeGreaterThanOrEqual(1);
    held.resolve();
    await one.event('campaign', (event) => event.now === 'cancelled');
    await operator.query('commit');
  } finally {
    held.resolve();
    operator.release();
  }
  expect(await one.end).toBe('ended');
  expect(await countersAgree(fresh.database, campaignId)).toMatchObject({
    waiting: 0,
    retrying: 0,
    claimed: 0,
    cancelled: 20,
  });
});

test('a message is compiled anew when its campaign is resumed: nothing is kept of those that do not run', async () => {
  const relay = await capture({
    keep: 20,
    policy: (_, nth) => (nth === 1 ? { at: 'rcpt', reply: '451 later' } : null),
  });
  const one = await worker(relay.url);
  const { campaignId } = await runningCampaign(fresh.database, 2, { subject: 'Before' });
  await expect
    .poll(
      () => number('select count(*) from recipient where campaign_id = $1 and attempts = 1', [campaignId]),
      { timeout: 20_000 },
    )
    .toBe(2);
  await fresh.pool.query(`update campaign set status = 'paused', subject = 'After' where campaign_id = $1`, [
    campaignId,
  ]);
  // Another campaign, from beginning to end: the poller has looked meanwhile.
  const other = await runningCampaign(fresh.database, 0);
  await one.event('campaign', (event) => event.name === other.name && event.now === 'finished');
  await fresh.pool.query('update recipient set retry_at = now() where campaign_id = $1', [campaignId]);
  await fresh.pool.query(`update campaign set status = 'running' where campaign_id = $1`, [campaignId]);
  await relay.waitFor(2);
  one.stop();
  expect(await one.end).toBe('stopped');
  for (const { raw } of relay.mails) expect(raw.toString('latin1')).toContain('Subject: After');
});

test('what can never work ends the worker with the database’s own words', async () => {
  const relay = await capture();
  const { name } = await runningCampaign(fresh.database, 3);
  await fresh.pool.query('alter table timeline rename to elsewhere');
  try {
    const one = await worker(relay.url, { campaign: name });
    await expect(one.end).rejects.toThrow(/timeline/);
  } finally {
    await fresh.pool.query('alter table elsewhere rename to timeline');
  }
});

test('a claim that can never work: what is in flight is finished and recorded before the worker ends', async () => {
  const relay = await capture({ replyDelayMs: 20 });
  const { campaignId, name } = await runningCampaign(fresh.database, 400, { rate: 100 });
  const one = await worker(relay.url, { campaign: name });
  await relay.waitFor(5);
  await fresh.pool.query('alter table pace rename to elsewhere');
  try {
    await expect(one.end).rejects.toThrow(/pace/);
  } finally {
    await fresh.pool.query('alter table elsewhere rename to pace');
  }
  expect(await countersAgree(fresh.database, campaignId)).toMatchObject({
    claimed: 0,
    sent: relay.accepted,
  });
  expect(
    await number('select count(*) from recipient where campaign_id = $1 and maybe_sent > 0', [campaignId]),
  ).toBe(0);
});

test('a campaign that is deleted under its worker ends it', async () => {
  const relay = await capture({ replyDelayMs: 10 });
  const { campaignId, name } = await runningCampaign(fresh.database, 400);
  const one = await worker(relay.url, { campaign: name });
  await relay.waitFor(10);
  for (const table of ['recipient', 'counter', 'campaign'])
    await fresh.pool.query(`delete from ${table} where campaign_id = $1`, [campaignId]);
  expect(await one.end).toBe('ended');
});

test('send says what is wrong: unknown, empty, cancelled', async () => {
  const app = { database: fresh.database, embedded: false, close: async () => undefined };
  const options = {
    relay: { capacity: 1, deliver: () => undefined, close: async () => undefined, abort: () => undefined },
  };
  const refusal = async (name: string) => {
    const error = await send(app, name, options).then(
      () => new Error('it was sent'),
      (thrown: unknown) => thrown,
    );
    expect(error).toBeInstanceOf(SendstateError);
    return (error as SendstateError).code;
  };
  const empty = await runningCampaign(fresh.database, 0, { status: 'draft' });
  const over = await runningCampaign(fresh.database, 2);
  await cancel(app, over.name);
  expect(await refusal('nothing-of-the-kind')).toBe('campaign-unknown');
  expect(await refusal(empty.name)).toBe('campaign-empty');
  expect(await refusal(over.name)).toBe('campaign-status');
});
