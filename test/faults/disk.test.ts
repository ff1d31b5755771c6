import { mkdir } from 'node:fs/promises';
import path from 'node:path';
import { afterEach, expect, test, vi } from 'vitest';
import { type CaptureServer, startCapture } from '../../src/capture/capture.ts';
import { openDatabase } from '../../src/database/connect.ts';
import { migrate } from '../../src/database/migrate.ts';
import { run } from '../../src/embedded/run.ts';
import { countersAgree, runningCampaign } from '../support/campaign.ts';
import { type OwnServer, startServer } from '../support/cluster.ts';
import { type FreshDatabase, freshDatabase } from '../support/database.ts';
import { endSenders, startSender } from '../support/sender.ts';
import { withDatabase } from '../support/server.ts';
import { truth } from '../support/truth.ts';

// Processes are started and leases run out: a few seconds, and many on a machine that does other things as well.
vi.setConfig({ testTimeout: 90_000 });

const ends: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  await endSenders();
  for (const end of ends.splice(0).reverse()) await end();
});

/** Who may mount has a disk of any size; other accounts run the test below, where the server says the same words. */
const mayMount =
  process.platform === 'linux' &&
  (
    await run('sh', [
      '-c',
      'd=$(mktemp -d) && mount -t tmpfs -o size=1m tmpfs $d && umount $d; s=$?; rmdir $d; exit $s',
    ])
  ).status === 0;
if (!mayMount) process.stderr.write('Without the test on a small disk: this user may not mount one\n');

test.runIf(mayMount)(
  'a disk that is full to the last byte (53100): the worker waits, and goes on when there is room',
  { timeout: 60_000 },
  async () => {
    const server: OwnServer = await startServer();
    ends.push(() => server.end());
    const disk = path.join(server.scratch, 'disk');
    await mkdir(disk);
    const owner =
      server.home.account === undefined
        ? ''
        : `,uid=${server.home.account.uid},gid=${server.home.account.gid}`;
    expect(
      await run('mount', ['-t', 'tmpfs', '-o', `size=24m,mode=0700${owner}`, 'tmpfs', disk]),
    ).toMatchObject({ status: 0 });
    ends.push(() => run('umount', ['-l', disk]));
    // Data alone: a server whose log finds no room stops, which is the fault "the database is lost".
    await server.database.pool.query(`create tablespace small location '${disk}'`);
    await server.database.pool.query('create database small tablespace small');
    const url = withDatabase(server.url, 'small');
    const database = await openDatabase(url);
    ends.push(() => database.close());
    await migrate(database);
    const relay: CaptureServer = await startCapture();
    ends.push(() => relay.close());
    const { campaignId } = await runningCampaign(database, 3000, { rate: 700 });
    const worker = await startSender({ databaseUrl: url, relay: relay.url, batch: 200, window: 100 });
    await relay.waitFor(100);
    // Other data takes all the room that there is.
    await database.pool.query(
      'create table ballast (filler text); alter table ballast alter filler set storage plain',
    );
    for (;;) {
      const filled = await database.pool
        .query(`insert into ballast select repeat('x', 7000) from generate_series(1, 30)`)
        .then(
          () => null,
          (error: { code?: string }) => error.code,
        );
      if (filled !== null) {
        expect(filled).toBe('53100');
        break;
      }
    }
    const { why } = await worker.event('database-lost', ({ why }) =>
      /No space left|could not extend/.test(why),
    );
    expect(why).toMatch(/could not (extend|write)/);
    // The operator makes the disk larger.
    expect(await run('mount', ['-o', 'remount,size=64m', disk])).toMatchObject({ status: 0 });
    await worker.event('database-back');
    await worker.event('campaign', ({ now }) => now === 'finished');
    expect(await truth(database.pool, campaignId, relay)).toMatchObject({
      outcomes: { sent: 3000 },
      duplicates: 0,
      open: 0,
    });
    expect(relay.accepted).toBe(3000);
    await countersAgree(database, campaignId);
  },
);

test('results that the server refuses with 53100 are kept, nothing new is claimed, and all is written when it takes them', async () => {
  const fresh: FreshDatabase = await freshDatabase();
  ends.push(() => fresh.drop());
  const relay: CaptureServer = await startCapture();
  ends.push(() => relay.close());
  await fresh.pool.query(`
    create sequence refusals;
    create table disk (is_full boolean); insert into disk values (false);
    create function refuse() returns trigger language plpgsql as $$ begin
      if (select is_full from disk) then
        perform nextval('refusals');
        raise exception 'could not extend file "base/1/2": No space left on device' using errcode = '53100';
      end if;
      return new;
    end $$;
    create trigger full_disk before update on recipient for each row execute function refuse()`);
  const { campaignId } = await runningCampaign(fresh.database, 600, { rate: 200 });
  const worker = await startSender({ databaseUrl: fresh.url, relay: relay.url });
  await relay.waitFor(60);
  await fresh.pool.query('update disk set is_full = true');
  await worker.event('database-lost', ({ why }) => why.includes('No space left'));
  const claims = async () => (await fresh.pool.query('select count(*) as n from claim')).rows[0]?.n;
  const refusals = async () =>
    (await fresh.pool.query('select last_value as n from refusals')).rows[0]?.n as number;
  const [before, asked] = [await claims(), await refusals()];
  // It asks again and again, and patiently.
  await expect.poll(refusals, { timeout: 30_000 }).toBeGreaterThan(asked + 2);
  expect(await claims()).toBe(before);
  await fresh.pool.query('update disk set is_full = false');
  await worker.event('database-back');
  await worker.event('campaign', ({ now }) => now === 'finished');
  expect(await truth(fresh.pool, campaignId, relay)).toMatchObject({
    outcomes: { sent: 600 },
    duplicates: 0,
    open: 0,
  });
  expect(relay.accepted).toBe(600);
  await countersAgree(fresh.database, campaignId);
});
