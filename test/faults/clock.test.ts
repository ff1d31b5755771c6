import { afterEach, expect, test, vi } from 'vitest';
import { runningCampaign } from '../support/campaign.ts';
import { FLAGS, type Scene, startScene } from '../support/crash.ts';
import { type CliProcess, startCli } from '../support/process.ts';

// Processes are started and leases run out: a few seconds, and many on a machine that does other things as well.
vi.setConfig({ testTimeout: 90_000 });

let scene: Scene;
afterEach(() => scene.end());

/** Node whose clock is set by so many days once it has run for a second, as NTP would. */
function jumps(days: number): string {
  const code = `const real = Date;
    const by = () => (performance.now() > 1000 ? ${days} * 86400000 : 0);
    globalThis.Date = new Proxy(real, {
      construct: (t, args, n) => Reflect.construct(t, args.length ? args : [t.now() + by()], n),
      apply: () => new real(real.now() + by()).toString(),
      get: (t, name) => (name === 'now' ? () => t.now() + by() : Reflect.get(t, name)),
    });`;
  return `--import=data:text/javascript,${encodeURIComponent(code)}`;
}

/** A lease that no worker outsleeps, however busy the machine is: here a death would be a fault. */
const PATIENT = [...FLAGS, '--lease', '20'];

const start = (days: number, ...args: string[]): Promise<CliProcess> =>
  startCli(args, {
    env: {
      DATABASE_URL: scene.fresh.url,
      SMTP_URL: `${scene.relay.url}?connections=2`,
      NODE_OPTIONS: jumps(days),
    },
  });

test('the clocks of two workers jump ten days apart: no worker is presumed dead, no recipient is lost or doubled', async () => {
  scene = await startScene();
  const { campaignId, name } = await runningCampaign(scene.fresh.database, 900, { rate: 200 });
  const workers = [await start(10, 'send', name, ...PATIENT), await start(-10, 'send', name, ...PATIENT)];
  for (const worker of workers) expect(await worker.ended).toMatchObject({ code: 0 });
  expect((await scene.whole(campaignId, 900, 0)).outcomes).toEqual({ sent: 900 });
  expect(scene.relay.accepted).toBe(900);
  expect(await scene.number('select count(*) from worker where presumed_dead')).toBe(0);
});

test.each([10, -10])(
  'a clock %s days off expires no recipient before the campaign’s age, and defers none beyond it',
  async (days) => {
    scene = await startScene({
      policy: (_, nth) => (nth === 1 ? { at: 'rcpt', reply: '450 4.7.1 greylisted' } : null),
    });
    // Three days of age, as for every recipient; the worker has been at it for some seconds when the relay answers.
    const { campaignId } = await runningCampaign(scene.fresh.database, 60, { rate: 25 });
    const drain = await start(days, 'work', '--drain', ...FLAGS);
    expect((await drain.ended).code).toBe(0);
    expect(await scene.number('select count(*) from recipient where attempts = 1 and send_state = 0')).toBe(
      60,
    );
    expect(
      await scene.number(
        `select count(*) from recipient where retry_at between now() and now() + interval '1 hour'`,
      ),
    ).toBe(60);
    await scene.fresh.pool.query('update recipient set retry_at = now()');
    expect((await (await start(days, 'work', '--drain', ...FLAGS)).ended).code).toBe(0);
    expect((await scene.whole(campaignId, 60, 0)).outcomes).toEqual({ sent: 60 });
  },
);
