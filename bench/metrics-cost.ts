import { type ChildProcess, fork, spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { type App, open } from '../src/api/sendstate.ts';
import { send } from '../src/api/work.ts';
import { serveMetrics } from '../src/metrics/server.ts';
import { parseRelay } from '../src/smtp/relay.ts';
import { Meter } from '../src/worker/meter.ts';
import { flag, median, say, startBenchServer } from './server.ts';
import { checkTable, prepareCampaign } from './speed-campaign.ts';
import { judge, type MetricsFigures, metricsRows, record } from './web-figures.ts';

/*
 * What metrics cost the sending: the same campaign with and without a meter that is scraped every second, in turns, so that
 * what else the machine does meets both.
 *
 *   npm run bench:metrics                             10 rounds of 50,000 mails each way
 *   npm run bench:metrics -- --record                 the same, and keeps the figures in docs/benchmarks
 *   npm run bench:metrics -- --people 5000 --rounds 2 to see that it works: the last line is JSON
 *
 * metricsCost: 1 - median over the rounds of (rate with / rate without); 0.01 is one percent. Ends with 1 when it is more than that.
 */
const people = flag('people', 50_000);
const rounds = flag('rounds', 10);
/** Two Prometheus servers look at most production systems once in fifteen seconds; this is thirty times that. */
const SCRAPE_MS = 1_000;

const sink = fork(fileURLToPath(new URL('./counting-sink.ts', import.meta.url)));
const [{ port }] = (await once(sink, 'message')) as [{ port: number }];

/** A scraper of its own process, as Prometheus is. */
function startScraper(url: string): ChildProcess {
  const program = `setInterval(async () => (await fetch(process.argv[1])).text(), ${SCRAPE_MS})`;
  return spawn(process.execPath, ['-e', program, `${url}/metrics`], {
    stdio: ['ignore', 'ignore', 'inherit'],
  });
}

/** @returns mails per second, by the table's own account */
async function rateOf(app: App, name: string, metered: boolean): Promise<number> {
  await prepareCampaign(app, name, people);
  const relay = parseRelay(`smtp://127.0.0.1:${port}`);
  const meter = metered ? new Meter() : undefined;
  const server = meter === undefined ? undefined : await serveMetrics(app, meter, { port: 0 });
  const scraper = server === undefined ? undefined : startScraper(server.url);
  try {
    await send(app, name, { relay, meter });
  } finally {
    scraper?.kill();
    await server?.close();
  }
  return people / (await checkTable(app, name, people));
}

const server = await startBenchServer();
try {
  const app = await open({ databaseUrl: await server.database(), max: 6 });
  try {
    // The first campaign of a process is slower: its code is compiled.
    await rateOf(app, 'warm-up', true);
    const found: { with: number; without: number }[] = [];
    for (let round = 1; round <= rounds; round++) {
      const order = round % 2 === 0 ? [true, false] : [false, true];
      const rates = { with: 0, without: 0 };
      for (const metered of order) {
        rates[metered ? 'with' : 'without'] = await rateOf(app, `round-${round}-${metered}`, metered);
      }
      found.push(rates);
      say(`round ${round}: ${Math.round(rates.with)}/s with metrics, ${Math.round(rates.without)}/s without`);
    }
    const cost = 1 - median(found.map((rates) => rates.with / rates.without));
    const figures: MetricsFigures = {
      metricsCost: Number(cost.toFixed(4)),
      rates: {
        with: Math.round(median(found.map((rates) => rates.with))),
        without: Math.round(median(found.map((rates) => rates.without))),
      },
      pairs: rounds,
    };
    judge(metricsRows(figures));
    record({ metrics: figures });
    process.stdout.write(`${JSON.stringify(figures)}\n`);
  } finally {
    await app.close();
  }
} finally {
  await server.stop();
  sink.disconnect();
}
