import { afterAll, beforeAll, expect, test } from 'vitest';
import { doctor } from '../../src/api/doctor.ts';
import { type App, open } from '../../src/api/sendstate.ts';
import { type OwnServer, startServer } from '../support/cluster.ts';

/** So old must a transaction be for these tests, seconds. */
const OLD = 0.3;

let server: OwnServer;
let app: App;
beforeAll(async () => {
  server = await startServer({ max_prepared_transactions: '2', wal_level: 'logical' });
  app = await open({ databaseUrl: server.url });
});
afterAll(async () => {
  await app.close();
  await server.end();
});

const transactions = async () =>
  (await doctor(app, [], { oldTransactionSeconds: OLD })).find(({ what }) => what === 'transactions');

/** Does what the doctor advises. */
const follow = async (advice: string) =>
  await server.database.pool.query(/End it: (.*?)( \(in database|$)/.exec(advice)?.[1] ?? 'no advice');

const isIll = () =>
  expect.poll(async () => (await transactions())?.ok, { timeout: 30_000, interval: 50 }).toBe(false);

test('nothing is open: all is well', async () => {
  expect(await transactions()).toMatchObject({ ok: true, advice: null });
});

test('an abandoned transaction (idle in transaction): who holds it, and the statement that ends it', async () => {
  const client = await server.database.pool.connect();
  client.on('error', () => undefined);
  await client.query('begin; select 1');
  await isIll();
  const found = await transactions();
  expect(found?.found).toMatch(/process \d+ \(sendstate-test, idle in transaction\) holds one/);
  await follow(found?.advice ?? '');
  client.release(true);
  await expect.poll(async () => (await transactions())?.ok).toBe(true);
});

test('a long statement: the same', async () => {
  const sleeping = server.database.pool.query('select pg_sleep(60)').then(
    () => 'it slept',
    () => 'ended',
  );
  await isIll();
  const found = await transactions();
  expect(found?.found).toMatch(/, active\) holds one/);
  await follow(found?.advice ?? '');
  expect(await sleeping).toBe('ended');
});

test('a prepared transaction that was never ended: its name, and how to end it', async () => {
  await server.database.pool.query(`begin; select pg_current_xact_id(); prepare transaction 'forgotten'`);
  await isIll();
  const found = await transactions();
  expect(found?.found).toContain(`the prepared transaction 'forgotten' holds one`);
  await follow(found?.advice ?? '');
  expect((await transactions())?.ok).toBe(true);
});

test('a replication slot that is never read: its name, and how to drop it', async () => {
  await server.database.pool.query(`select pg_create_logical_replication_slot('left_behind', 'pgoutput')`);
  const found = await transactions();
  expect(found).toMatchObject({
    ok: false,
    found: expect.stringContaining(`the replication slot 'left_behind'`),
  });
  await follow(found?.advice ?? '');
  expect((await transactions())?.ok).toBe(true);
});

test('a role that may not see the transactions of others is told so', async () => {
  await server.database.pool.query(
    `create role blind login password 'blind'; grant select on all tables in schema public to blind`,
  );
  const url = new URL(server.url);
  [url.username, url.password] = ['blind', 'blind'];
  const blind = await open({ databaseUrl: url.href });
  const found = (await doctor(blind)).find(({ what }) => what === 'transactions');
  await blind.close();
  expect(found).toMatchObject({
    ok: true,
    found: expect.stringContaining('are hidden: grant pg_read_all_stats'),
  });
});
