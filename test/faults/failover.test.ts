import { afterEach, describe, expect, test, vi } from 'vitest';
import { type CaptureServer, startCapture } from '../../src/capture/capture.ts';
import { Presence } from '../../src/worker/presence.ts';
import { countersAgree, registered, runningCampaign } from '../support/campaign.ts';
import { type OwnServer, type Standby, startServer, startStandby } from '../support/cluster.ts';
import { FLAGS } from '../support/crash.ts';
import { type FreshDatabase, freshDatabase } from '../support/database.ts';
import { endProcesses, startCli } from '../support/process.ts';
import { type BadLink, startProxy, through } from '../support/proxy.ts';
import { endSenders, startSender } from '../support/sender.ts';
import { truth } from '../support/truth.ts';

// Processes are started and leases run out: a few seconds, and many on a machine that does other things as well.
vi.setConfig({ testTimeout: 90_000 });

const ends: (() => Promise<unknown>)[] = [];
const later = <T>(thing: T, end: (thing: T) => Promise<unknown>): T => {
  ends.push(() => end(thing));
  return thing;
};
afterEach(async () => {
  await endProcesses();
  await endSenders();
  for (const end of ends.splice(0).reverse()) await end();
});

describe('a failover to a standby', () => {
  test('that takes only reads for a while: workers wait, and go on by themselves once it is promoted', {
    timeout: 120_000,
  }, async () => {
    const primary: OwnServer = later(await startServer(), (server) => server.end());
    const standby: Standby = later(await startStandby(primary), (server) => server.end());
    const relay: CaptureServer = later(await startCapture(), (server) => server.close());
    const address: BadLink = later(await startProxy(primary.port), (link) => link.close());
    const env = {
      DATABASE_URL: through(primary.url, address),
      SMTP_URL: `${relay.url}?connections=5`,
    };
    const { campaignId, name } = await runningCampaign(primary.database, 900, { rate: 150 });
    const workers = [
      await startCli(['send', name, ...FLAGS, '--lease', '5'], { env }),
      await startCli(['send', name, ...FLAGS, '--lease', '5'], { env }),
    ];
    const ask = async (db: Pick<Standby, 'database'>, what: string) =>
      Number(Object.values((await db.database.pool.query(what)).rows[0] ?? {})[0]);
    await expect
      .poll(() => ask(primary, 'select count(*) from worker where stopped_at is null'), { timeout: 30_000 })
      .toBe(2);
    await relay.waitFor(150);

    // The address leads to the standby from now on, and the first server is gone.
    address.leadTo(standby.port);
    await primary.crash();
    for (const worker of workers) await worker.says(/The database does not answer/);
    await expect
      .poll(() => ask(standby, 'select count(*) from worker where heartbeat_at < now() - lease'), {
        timeout: 30_000,
      })
      .toBe(2);
    expect(await ask(standby, 'select pg_is_in_recovery()::int')).toBe(1);
    const before = relay.accepted;
    await standby.promote();
    // It comes when every heartbeat is old, and the server did not start lately.
    const fresh = await startCli(['send', name, ...FLAGS, '--lease', '5'], { env });
    for (const worker of workers) await worker.says(/The database is back/);
    for (const worker of [...workers, fresh]) expect((await worker.ended).code).toBe(0);

    expect(relay.accepted).toBeGreaterThan(before);
    expect(await ask(standby, 'select count(*) from worker where presumed_dead')).toBe(0);
    expect(await truth(standby.database.pool, campaignId, relay)).toMatchObject({
      status: 'finished',
      outcomes: { sent: 900 },
      duplicates: 0,
      stuck: 0,
      open: 0,
    });
    expect(relay.accepted).toBe(900);
    await countersAgree(standby.database, campaignId);
  });

  test('that lacks the last commits: no recipient is lost, and live workers release what is unknown there', {
    timeout: 120_000,
  }, async () => {
    const primary: OwnServer = later(await startServer(), (server) => server.end());
    const standby: Standby = later(await startStandby(primary), (server) => server.end());
    const relay: CaptureServer = later(await startCapture({ replyDelayMs: 5 }), (server) => server.close());
    const address: BadLink = later(await startProxy(primary.port), (link) => link.close());
    const { campaignId, name } = await runningCampaign(primary.database, 1_200);
    // Claims are larger than the window, so that it always has one that it has not come to the end of.
    const sender = await startSender({
      databaseUrl: through(primary.url, address),
      relay: `${relay.url}?connections=5`,
      campaign: name,
    });
    await relay.waitFor(150);
    await standby.fallBehind();
    // What is sent, and claimed, from here on is unknown to the one that takes over.
    const known = relay.accepted;
    await relay.waitFor(known + 150);
    address.leadTo(standby.port);
    await primary.crash();
    await sender.event('database-lost');
    await standby.promote();
    const { claimIds } = await sender.event('claims-lost');
    expect(claimIds.length).toBeGreaterThan(0);
    expect(await sender.end).toBe('ended');

    const found = await truth(standby.database.pool, campaignId, relay);
    expect(found).toMatchObject({
      status: 'finished',
      lost: [],
      stuck: 0,
      open: 0,
      outcomes: { sent: 1_200 },
    });
    expect(relay.recipients.size).toBe(1_200);
    // They are the price: mails that were sent twice, and no row says so.
    expect(found.duplicates).toBeGreaterThan(0);
    expect(found.unnamed.length).toBeGreaterThan(0);
    await countersAgree(standby.database, campaignId);
  });

  test('an address that leads elsewhere while old connections stay open: the read-only ones are given up', async () => {
    const primary: OwnServer = later(await startServer(), (server) => server.end());
    const standby: Standby = later(await startStandby(primary), (server) => server.end());
    const relay: CaptureServer = later(await startCapture(), (server) => server.close());
    const address: BadLink = later(await startProxy(primary.port), (link) => link.close());
    const sender = await startSender({
      databaseUrl: through(primary.url, address),
      relay: relay.url,
      leaseSeconds: 2,
    });
    await sender.event('started');
    // New connections reach the server that only takes reads, and the old ones are cut.
    address.leadTo(standby.port);
    address.cut();
    await sender.event('database-lost');
    await expect
      .poll(
        async () =>
          (
            await standby.database.pool.query(
              `select 1 from pg_stat_activity where application_name = 'sendstate'`,
            )
          ).rowCount,
        { timeout: 30_000, interval: 10 },
      )
      .toBeGreaterThan(0);
    const { campaignId } = await runningCampaign(primary.database, 30);
    // Nothing is cut now: only a worker that gives up its connections comes to the right server.
    address.leadTo(primary.port);
    await sender.event('campaign', ({ now }) => now === 'finished');
    expect(await truth(primary.database.pool, campaignId, relay)).toMatchObject({ outcomes: { sent: 30 } });
  });
});

describe('who comes after a failover', () => {
  test('marks no worker dead before it has seen it silent for a lease itself', async () => {
    const fresh: FreshDatabase = later(await freshDatabase(), (one) => one.drop());
    const db = fresh.database;
    const silent = await registered(db, 2);
    await fresh.pool.query(`update worker set heartbeat_at = now() - interval '1 hour'`);
    // A server that has been up for long, as one that was a standby: its start says nothing.
    const buried: number[] = [];
    const presence = await Presence.begin(
      db,
      { version: 'test', leaseSeconds: 2 },
      {
        registered: () => undefined,
        presumedDead: async () => undefined,
        rescued: ({ workers }) => buried.push(workers),
        knows: () => true,
      },
    );
    const came = performance.now();
    await presence.rescue();
    const dead = async () =>
      (await fresh.pool.query('select presumed_dead from worker where worker_id = $1', [silent])).rows[0]
        ?.presumed_dead;
    expect(await dead()).toBe(false);
    await expect
      .poll(
        async () => {
          await presence.pulse();
          return await dead();
        },
        { timeout: 30_000, interval: 50 },
      )
      .toBe(true);
    expect(performance.now() - came).toBeGreaterThan(1_900);
    expect(buried).toEqual([1]);
    await presence.end();
  });

  test('a `--drain` waits for that lease: cron alone takes back what a killed worker held', async () => {
    const fresh: FreshDatabase = later(await freshDatabase(), (one) => one.drop());
    const relay: CaptureServer = later(await startCapture(), (server) => server.close());
    const env = { DATABASE_URL: fresh.url, SMTP_URL: `${relay.url}?connections=2` };
    const { campaignId } = await runningCampaign(fresh.database, 300, { rate: 200 });
    const killed = await startCli(['work', ...FLAGS], { env });
    await relay.waitFor(50);
    killed.signal('SIGKILL');
    await killed.ended;
    await expect
      .poll(
        async () =>
          (await fresh.pool.query('select worker_id from worker where heartbeat_at < now() - lease'))
            .rowCount,
        { timeout: 30_000 },
      )
      .toBe(1);
    expect((await (await startCli(['work', '--drain', ...FLAGS], { env })).ended).code).toBe(0);
    expect(await truth(fresh.pool, campaignId, relay)).toMatchObject({
      status: 'finished',
      lost: [],
      open: 0,
    });
  });
});
