import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import { inTransaction, lazyDatabase } from '../../src/database/connect.ts';
import { readNumbers } from '../../src/metrics/reading.ts';
import { type Served, serve } from '../../src/web/serve.ts';
import { Durations, Meter, NAMED_CAMPAIGNS } from '../../src/worker/meter.ts';
import { addPeople, runningCampaign } from '../support/campaign.ts';
import { FLAGS, type Scene, startScene } from '../support/crash.ts';
import type { CliProcess } from '../support/process.ts';
import { hasPromtool, promtool } from '../support/promtool.ts';

/** Of one scrape: the value of each series. */
function seriesOf(text: string): Map<string, number> {
  const lines = text.split('\n').filter((line) => line !== '' && !line.startsWith('#'));
  return new Map(
    lines.map((line) => {
      const at = line.lastIndexOf(' ');
      return [line.slice(0, at), Number(line.slice(at + 1))];
    }),
  );
}

const namesOf = (text: string) =>
  new Set([...text.matchAll(/^# TYPE (\S+) (\S+)$/gm)].map(([, name]) => name as string));

async function get(url: string): Promise<{ status: number; text: string }> {
  const response = await fetch(url);
  return { status: response.status, text: await response.text() };
}

async function metricsUrl(worker: CliProcess): Promise<string> {
  await worker.says(/Metrics are at http\S+\/metrics/);
  return /Metrics are at (http\S+)\/metrics/.exec(worker.stderr)?.[1] as string;
}

/** The worker's scrape and the server's, of one campaign that was sent. */
let scene: Scene;
let worker: CliProcess;
let base: string;
let name: string;
let campaignId: number;
let served: Served;
let ofWorker: string;
let ofServer: string;

beforeAll(async () => {
  scene = await startScene();
  ({ campaignId, name } = await runningCampaign(scene.fresh.database, 60));
  worker = await scene.cli('work', ...FLAGS, '--metrics-port', '0');
  base = await metricsUrl(worker);
  await worker.says(/: finished/);
  served = await serve(
    { database: scene.fresh.database, embedded: false, close: async () => undefined },
    { port: 0 },
  );
  ofWorker = (await get(`${base}/metrics`)).text;
  ofServer = (await get(`${served.url}/metrics`)).text;
}, 60_000);

afterAll(async () => {
  await served.close();
  await scene.end();
});

describe('a worker', () => {
  test('counts its mails by what became of them, and times each step', () => {
    const series = seriesOf(ofWorker);
    expect(series.get(`sendstate_mails_total{campaign="${name}",outcome="sent"}`)).toBe(60);
    expect(series.get(`sendstate_mails_total{campaign="${name}",outcome="rejected"}`)).toBe(0);
    for (const step of ['claim', 'compose', 'deliver', 'record']) {
      const of = (end: string) => series.get(`sendstate_${step}_duration_seconds${end}`) as number;
      expect(of('_count')).toBe(of('_bucket{le="+Inf"}'));
      expect(of('_count')).toBeGreaterThan(0);
      expect(of('_sum')).toBeGreaterThan(0);
      expect(of('_sum')).toBeLessThan(60 * 20);
    }
    expect(series.get('sendstate_deliver_duration_seconds_count')).toBe(60);
    expect(series.get('sendstate_compose_duration_seconds_count')).toBe(60);
    const relay = [...series.keys()].filter((key) => key.startsWith('sendstate_relay_state{'));
    expect(relay.filter((key) => series.get(key) === 1)).toEqual([
      expect.stringContaining('state="working"'),
    ]);
    expect(ofWorker).not.toContain('@');
  });

  test('is healthy, and ready until the database is away for a lease', async () => {
    expect(await get(`${base}/healthz`)).toEqual({ status: 200, text: '{"ok":true}\n' });
    expect((await get(`${base}/readyz`)).status).toBe(200);
    expect((await get(`${base}/elsewhere`)).status).toBe(404);
    const lost = await scene.cliThroughProxy('work', ...FLAGS, '--metrics-port=0');
    const url = await metricsUrl(lost);
    await expect.poll(async () => (await get(`${url}/readyz`)).status, { timeout: 10_000 }).toBe(200);
    scene.toDatabase.freezeReplies();
    await expect.poll(async () => (await get(`${url}/readyz`)).status, { timeout: 10_000 }).toBe(503);
    expect((await get(`${url}/readyz`)).text).toContain('the database has not answered');
    expect((await get(`${url}/healthz`)).status).toBe(200);
    expect(seriesOf((await get(`${url}/metrics`)).text).get('sendstate_worker_ready')).toBe(0);
    scene.toDatabase.thaw();
    await expect.poll(async () => (await get(`${url}/readyz`)).status, { timeout: 15_000 }).toBe(200);
  });

  test('a port that is taken is said with what to do', async () => {
    const { code, stderr } = await (await scene.cli('work', '--metrics-port', new URL(base).port)).ended;
    expect(code).toBe(1);
    expect(stderr).toMatch(
      /Cannot serve metrics at 127\.0\.0\.1, port \d+: .*EADDRINUSE[\s\S]*--metrics-port \d+/,
    );
  });

  test('several processes have a port each', async () => {
    const other = await runningCampaign(scene.fresh.database, 5);
    const send = await scene.cli('send', other.name, ...FLAGS, '--processes', '2', '--metrics-port', '0');
    const { code, stderr } = await send.ended;
    expect(code, stderr).toBe(0);
    expect(new Set([...stderr.matchAll(/Metrics are at (\S+)/g)].map(([, url]) => url)).size).toBe(2);
  });
});

describe('the server', () => {
  test('tells where every campaign stands, as the counters do', async () => {
    const series = seriesOf(ofServer);
    expect(series.get('sendstate_database_up')).toBe(1);
    expect(series.get(`sendstate_recipients{campaign="${name}",state="sent"}`)).toBe(60);
    expect(series.get(`sendstate_recipients{campaign="${name}",state="waiting"}`)).toBe(0);
    expect(series.get(`sendstate_campaign_status{campaign="${name}",status="finished"}`)).toBe(1);
    expect(series.get('sendstate_workers{state="alive"}')).toBeGreaterThanOrEqual(1);
    expect(ofServer).toMatch(/sendstate_relay_workers\{relay="127\.0\.0\.1:\d+",state="working"\} [1-9]/);
    expect(ofServer).not.toContain('@');
    expect(campaignId).toBeGreaterThan(0);
  });

  test('says that the database is away, and then nothing of what only the database knows', async () => {
    const away = lazyDatabase('postgres://nobody@127.0.0.1:1/nothing');
    const lone = await serve({ database: away, embedded: false, close: away.close }, { port: 0 });
    const { status, text } = await get(`${lone.url}/metrics`);
    await lone.close();
    await away.close();
    expect([status, text]).toEqual([200, expect.stringMatching(/^sendstate_database_up 0$/m)]);
    const series = [...seriesOf(text).keys()].filter((key) => key.startsWith('sendstate_'));
    expect(series.map((key) => key.replace(/\{.*/, ''))).toEqual([
      'sendstate_build_info',
      'sendstate_database_pool_connections',
      'sendstate_database_pool_connections',
      'sendstate_database_pool_waiting',
      'sendstate_database_up',
    ]);
  });

  test('says how long people have been waiting, and how many', async () => {
    // Within a transaction that is undone: the worker of this file never sees any of it.
    await inTransaction(scene.fresh.database, async ({ client }) => {
      const before = await readNumbers({ pool: client });
      const add = async (name: string, status: string, counts: string) => {
        const { rows } = await client.query<{ id: number }>(
          `with made as (insert into campaign (name, sender, subject, text, status, started_at)
             values ($1, 'a@example.com', 's', 't', $2, now() - interval '90 s') returning campaign_id)
           insert into counter (campaign_id, worker_id, lane, waiting, retrying) select campaign_id, 0, 0, ${counts} from made
           returning campaign_id as id`,
          [name, status],
        );
        return rows[0]?.id;
      };
      await add('fresh', 'running', '3, 0');
      await add('resting', 'paused', '7, 0');
      const back = await add('back', 'running', '0, 1');
      await client.query(
        `insert into recipient (campaign_id, address, retry_at) values ($1, 'kim@example.com', now() - interval '30 s')`,
        [back],
      );
      const numbers = await readNumbers({ pool: client });
      const oldest = (name: string) => numbers.campaigns.find((one) => one.name === name)?.oldestSeconds;
      expect([oldest('fresh'), oldest('resting'), oldest('back')].map((n) => Math.round(n ?? -1))).toEqual([
        90, 0, 30,
      ]);
      expect(numbers.queued - before.queued).toBe(4);
      await client.query('rollback; begin');
    });
  });

  test('more campaigns than a scrape names are told together', async () => {
    const { pool, database } = scene.fresh;
    const other = await runningCampaign(database, 0, { status: 'finished' });
    await addPeople(database, other.campaignId, 1, 4);
    await pool.query(
      `insert into campaign (name, sender, subject, text, status) select 'many ' || i, 'a@example.com', 's', 't', 'draft' from generate_series(1, 110) i`,
    );
    const lone = await serve({ database, embedded: false, close: async () => undefined }, { port: 0 });
    const series = seriesOf((await get(`${lone.url}/metrics`)).text);
    await lone.close();
    const named = [...series.keys()].filter((key) => /^sendstate_recipients\{.*state="sent"/.test(key));
    expect(named.length).toBe(101);
    expect(series.get('sendstate_recipients{campaign="other",state="waiting"}')).toBeGreaterThanOrEqual(4);
  });

  test('ten scrapers cost the database what one costs', async () => {
    const { pool } = scene.fresh;
    const lone = await serve(
      { database: scene.fresh.database, embedded: false, close: async () => undefined },
      { port: 0 },
    );
    let reads = 0;
    const began = performance.now();
    const { query } = pool;
    pool.query = ((...args: unknown[]) => {
      const [first] = args as [{ text?: string }];
      if (first.text?.includes('as queued') === true) reads++;
      return Reflect.apply(query, pool, args);
    }) as typeof query;
    try {
      await Promise.all(Array.from({ length: 10 }, () => get(`${lone.url}/metrics`)));
    } finally {
      pool.query = query;
      await lone.close();
    }
    // On a machine that is slow today an answer may grow old meanwhile.
    expect(reads).toBeGreaterThan(0);
    expect(reads).toBeLessThanOrEqual(1 + Math.floor((performance.now() - began) / 1000));
  });
});

describe('what is named somewhere is really told', () => {
  const file = (path: string) => readFileSync(new URL(`../../${path}`, import.meta.url), 'utf8');
  const told = () => new Set([...namesOf(ofWorker), ...namesOf(ofServer)]);
  /** Of an expression: the names of metrics, histograms without what is appended. */
  const named = (text: string) =>
    new Set(
      [...text.matchAll(/\bsendstate_[a-z_]+/g)].map(([found]) => found.replace(/_(bucket|sum|count)$/, '')),
    );

  test('the table of the page holds all metrics of sendstate, and no other', () => {
    const rows = [...file('docs/monitoring.md').matchAll(/^\| `(sendstate_[a-z_]+)`/gm)].map(
      ([, metric]) => metric,
    );
    expect(rows.sort()).toEqual([...told()].filter((metric) => metric.startsWith('sendstate_')).sort());
  });

  test('the dashboard asks for metrics that exist', () => {
    const dashboard = file('docs/grafana.json');
    JSON.parse(dashboard);
    const asked = named(dashboard);
    expect(asked.size).toBeGreaterThan(8);
    expect([...asked].filter((metric) => !told().has(metric))).toEqual([]);
  });

  test('each alert asks for metrics that exist, and says what to do', () => {
    const text = file('docs/alerts.yml');
    expect([...named(text)].filter((metric) => !told().has(metric))).toEqual([]);
    const rules = (parse(text) as { groups: { rules: Record<string, unknown>[] }[] }).groups.flatMap(
      (group) => group.rules,
    );
    expect(rules.length).toBeGreaterThan(5);
    for (const rule of rules) {
      expect(rule).toMatchObject({
        alert: expect.stringMatching(/^Sendstate/),
        expr: expect.any(String),
        labels: { severity: expect.stringMatching(/^(warning|critical)$/) },
        annotations: { summary: expect.any(String), description: expect.stringMatching(/sendstate |psql/) },
      });
    }
  });

  test.runIf(hasPromtool)('promtool finds nothing to say about what is scraped', () => {
    for (const scrape of [ofWorker, ofServer]) {
      const { status, output } = promtool(['check', 'metrics'], scrape);
      expect([status, output]).toEqual([0, '']);
    }
  });
});

describe('counting', () => {
  test('durations fall into the first bucket that holds them', () => {
    const durations = new Durations([0.001, 0.01]);
    for (const ms of [0.5, 1, 5, 100]) durations.observe(ms);
    expect([...durations.counts]).toEqual([2, 1, 1]);
    expect(durations.sum).toBeCloseTo(0.1065);
  });

  test('campaigns beyond the hundredth are counted together', () => {
    const meter = new Meter();
    for (let i = 0; i < NAMED_CAMPAIGNS + 20; i++) meter.counts(`c${i}`).sent++;
    expect(meter.outcomeCounts.size).toBe(NAMED_CAMPAIGNS + 1);
    expect(meter.counts('other').sent).toBe(20);
    expect(meter.counts('c0').sent).toBe(1);
    expect(meter.health).toEqual({ ready: false, why: 'starting' });
  });
});
