import { createServer } from 'node:tls';
import { afterEach, expect, test, vi } from 'vitest';
import { runningCampaign } from '../support/campaign.ts';
import { FLAGS, type Scene, startScene, WINDOW } from '../support/crash.ts';
import { startCli } from '../support/process.ts';
import { CA_FILE, EXPIRED_TLS } from '../support/smtp-tls.ts';

// Processes are started and leases run out: a few seconds, and many on a machine that does other things as well.
vi.setConfig({ testTimeout: 90_000 });

let scene: Scene;
afterEach(() => scene.end());

/** A lease that no worker outsleeps, however busy the machine is: here a death would be a fault. */
const PATIENT = [...FLAGS, '--lease', '20'];

const states = () =>
  scene.fresh.pool
    .query('select send_state, attempts, count(*) as people from recipient group by 1, 2 order by 1, 2')
    .then(({ rows }) => rows);

test('slow: every reply takes half a second, and all are waited for', async () => {
  scene = await startScene({ replyDelayMs: 500 });
  const { campaignId, name } = await runningCampaign(scene.fresh.database, 40);
  // Far less than the lease between two heartbeats; the replies do not keep the worker from beating.
  expect((await (await scene.cli('send', name, ...PATIENT)).ended).code).toBe(0);
  expect((await scene.whole(campaignId, 40, 0)).outcomes).toEqual({ sent: 40 });
  expect(scene.relay.accepted).toBe(40);
  expect(await scene.number('select count(*) from worker where presumed_dead')).toBe(0);
});

test('greylists every recipient: each waits once, is charged one attempt, and gets the mail when it is due', async () => {
  scene = await startScene({
    policy: (_, nth) => (nth === 1 ? { at: 'rcpt', reply: '450 4.7.1 greylisted, come back later' } : null),
  });
  const people = 10 * WINDOW;
  const { campaignId } = await runningCampaign(scene.fresh.database, people);
  expect((await (await scene.cli('work', '--drain', ...FLAGS)).ended).code).toBe(0);
  expect(await states()).toEqual([{ send_state: 0, attempts: 1, people }]);
  expect(
    await scene.number("select count(*) from recipient where retry_at < now() + interval '4 minutes'"),
  ).toBe(0);
  await scene.fresh.pool.query('update recipient set retry_at = now()');
  expect((await (await scene.cli('work', '--drain', ...FLAGS)).ended).code).toBe(0);
  expect((await scene.whole(campaignId, people, 0)).outcomes).toEqual({ sent: people });
  expect(scene.relay.accepted).toBe(people);
});

test('with an expired certificate: no recipient is handed over, none is charged, and the words say what it is', async () => {
  scene = await startScene();
  const handed: string[] = [];
  const expired = createServer(EXPIRED_TLS, (socket) => {
    socket.on('data', (bytes) => handed.push(bytes.toString('latin1'))).on('error', () => undefined);
  });
  await new Promise<void>((resolve) => expired.listen(0, '127.0.0.1', resolve));
  const address = expired.address();
  const port = typeof address === 'object' ? address?.port : undefined;
  try {
    const { name } = await runningCampaign(scene.fresh.database, 30);
    const env = { DATABASE_URL: scene.fresh.url, SMTP_URL: `smtps://localhost:${port}?ca=${CA_FILE}` };
    const worker = await startCli(['send', name, ...FLAGS], { env });
    await worker.says(/certificate has expired|CERT_HAS_EXPIRED/);
    worker.signal('SIGTERM');
    await worker.ended;
    expect(await states()).toEqual([{ send_state: 0, attempts: 0, people: 30 }]);
    expect(handed).toEqual([]);
  } finally {
    await new Promise((resolve) => expired.close(resolve));
  }
});

test('two `work --drain` of overlapping cron jobs, and a `send` beside them: every recipient gets one mail', async () => {
  scene = await startScene({ replyDelayMs: 20 });
  const { campaignId, name } = await runningCampaign(scene.fresh.database, 600);
  const ticks = [
    await scene.cli('work', '--drain', ...PATIENT),
    await scene.cli('work', '--drain', ...PATIENT),
    await scene.cli('send', name, ...PATIENT),
  ];
  for (const tick of ticks) expect((await tick.ended).code).toBe(0);
  expect((await scene.whole(campaignId, 600, 0)).outcomes).toEqual({ sent: 600 });
  expect(scene.relay.accepted).toBe(600);
});
