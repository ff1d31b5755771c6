import { afterEach, beforeEach, expect, test } from 'vitest';
import { runningCampaign } from '../support/campaign.ts';
import { type FreshDatabase, freshDatabase } from '../support/database.ts';
import { endProcesses, startCli } from '../support/process.ts';
import { type BadLink, startProxy, through } from '../support/proxy.ts';
import { asking } from '../support/web.ts';

let fresh: FreshDatabase;
/** What goes silent. */
let old: BadLink;
/** Where the server connects to: leads to the old one, and after the failover to the database itself. */
let front: BadLink;

beforeEach(async () => {
  fresh = await freshDatabase();
  old = await startProxy(Number(new URL(fresh.url).port));
  front = await startProxy(old.port);
});

afterEach(async () => {
  await endProcesses();
  await Promise.all([old.close(), front.close()]);
  await fresh.drop();
});

/** Connections of the server's pool for reading. */
const POOL = 6;

test('after a failover without notice, what hangs at the old database keeps no request from the new one', async () => {
  const { name } = await runningCampaign(fresh.database, 3);
  const cli = await startCli(['serve', '--port', '0', '--json'], {
    env: { DATABASE_URL: through(fresh.url, front) },
  });
  await cli.says(/^\{"url"/m);
  const { url } = JSON.parse(cli.stdout) as { url: string };
  const page = async () =>
    (await asking(`${url}/campaigns/${name}`, { headers: { accept: 'text/html' } })).status;
  const ready = async () => (await asking(`${url}/readyz`)).status;
  expect([await page(), await ready()]).toEqual([200, 200]);
  old.freezeReplies();
  const hanging = Promise.all([...Array.from({ length: POOL }, page), ready()]);
  await expect.poll(() => old.open, { timeout: 20_000 }).toBeGreaterThanOrEqual(POOL);
  front.leadTo(Number(new URL(fresh.url).port));
  const since = performance.now();
  // A request that waited for a connection gets one to the new database.
  expect(await hanging).toContain(503);
  expect([await page(), await ready()]).toEqual([200, 200]);
  // Five seconds, and what a slow machine adds.
  expect(performance.now() - since).toBeLessThan(15_000);
}, 60_000);
