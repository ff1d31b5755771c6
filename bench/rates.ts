import { type ChildProcess, spawn } from 'node:child_process';
import { writeFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { create } from '../src/api/create.ts';
import { pause, start } from '../src/api/lifecycle.ts';
import { setLimit } from '../src/api/limits.ts';
import { importPeople } from '../src/api/recipients.ts';
import { type App, open } from '../src/api/sendstate.ts';
import { startCapture } from '../src/capture/capture.ts';
import { writeBetween } from './between.ts';
import { now } from './clock.ts';
import { readMachine } from './machine.ts';
import { judgeRates, type RateFigures, tableOfRates } from './rates-judged.ts';
import { flag, say, sendstateCommand, startBenchServer } from './server.ts';

/*
 * Whether rates hold over all workers: four worker processes of the command line, and a relay in this process that writes
 * down when each mail came.
 *
 *   npm run bench:rates                       30 seconds for each of campaign, domain and relay; measured / asked
 *   npm run bench:rates -- --seconds 6 --json the last line is JSON
 *   npm run bench:rates -- --report           writes docs/benchmarks/rates.json and its table in docs/benchmarks.md
 *
 * Exits 1 when one of them is not kept to within two in a hundred.
 */
const seconds = flag('seconds', 30);
const workers = flag('workers', 4);
/** Mails a second that are asked for. */
const rate = flag('rate', 100);
/** The domain that is limited; all others are at another one and has no limit. */
const LIMITED = 'naver.com';

interface Arrival {
  readonly at: number;
  readonly limited: boolean;
}

const arrivals: Arrival[] = [];
const capture = await startCapture({
  onMail: ({ to }) => arrivals.push({ at: now(), limited: to[0]?.endsWith(`@${LIMITED}`) === true }),
});

/** People at the limited domain and, as many, elsewhere. */
async function* csv(limited: number, others: number): AsyncGenerator<Buffer> {
  yield Buffer.from('email\n');
  for (let i = 0; i < Math.max(limited, others); i++) {
    const lines = [i < limited ? `a${i}@${LIMITED}\n` : '', i < others ? `b${i}@example.com\n` : ''];
    yield Buffer.from(lines.join(''));
  }
}

function startWorker(databaseUrl: string, relayOptions: string): ChildProcess {
  const [file = '', ...args] = [process.execPath, ...sendstateCommand(), 'work'];
  return spawn(file, args, {
    // With a channel: a worker ends when this process does.
    stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
    env: {
      ...process.env,
      DATABASE_URL: databaseUrl,
      SMTP_URL: `${capture.url}?connections=4${relayOptions}`,
    },
  });
}

/** Longest wait for the workers to begin and for the first mail, milliseconds. */
const PATIENCE_MS = 60_000;

async function until(what: string, running: readonly ChildProcess[], so: () => boolean | Promise<boolean>) {
  const end = now() + PATIENCE_MS;
  while (!(await so())) {
    if (running.some(({ exitCode }) => exitCode !== null))
      throw new Error(`a worker has ended before ${what}`);
    if (now() > end) throw new Error(`${what}: not within ${PATIENCE_MS / 1000} s`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

async function ended(child: ChildProcess): Promise<void> {
  if (child.exitCode === null) await new Promise((resolve) => child.once('exit', resolve));
}

/** After the first mail, seconds: connections are opened meanwhile, and mails come later after their token than they do from then on. */
const WARM_UP = 2;

/** Mails that came within `seconds` after the warm-up, over what the rate allows in that time. */
function share(fits: (arrival: Arrival) => boolean): number {
  const times = arrivals.filter(fits).map(({ at }) => at);
  const begin = (times[0] ?? 0) + WARM_UP * 1000;
  return times.filter((at) => at >= begin && at < begin + seconds * 1000).length / (rate * seconds);
}

interface Phase {
  readonly name: string;
  readonly campaignRate?: number;
  readonly limited: number;
  readonly others: number;
  readonly relayOptions?: string;
  fits(arrival: Arrival): boolean;
}

/** One campaign, sent by all workers until the time is over. @returns measured / asked */
async function run(app: App, databaseUrl: string, phase: Phase): Promise<number> {
  const { name, campaignRate, limited, others, relayOptions = '' } = phase;
  await create(app, {
    name,
    from: 'News <news@example.com>',
    subject: 'Hello',
    text: 'Hello',
    rate: campaignRate,
  });
  await importPeople(app, name, { from: csv(limited, others), rejects: null });
  const running = Array.from({ length: workers }, () => startWorker(databaseUrl, relayOptions));
  const allWork = async () => {
    const { rows } = await app.database.pool.query<{ n: number }>(
      'select count(*)::int as n from worker where stopped_at is null',
    );
    return (rows[0]?.n ?? 0) >= workers;
  };
  try {
    await until('every worker works', running, allWork);
    arrivals.length = 0;
    await start(app, name);
    await until('the first mail', running, () => arrivals.some(phase.fits));
    await new Promise((resolve) => setTimeout(resolve, (WARM_UP + seconds) * 1000 + 200));
    const found = share(phase.fits);
    say(`${name}: ${found.toFixed(4)} of ${rate}/s over ${seconds} s by ${workers} processes`);
    return found;
  } finally {
    await pause(app, name, 'measured');
    for (const child of running) child.kill('SIGTERM');
    await Promise.all(running.map(ended));
  }
}

const rounded = (value: number) => Number(value.toFixed(4));

async function tell(shares: RateFigures['shares']): Promise<void> {
  const figures: RateFigures = {
    ...{ kind: 'sendstate-rates', format: 1, measuredAt: new Date().toISOString(), machine: readMachine() },
    ...{ workers, seconds, rate, shares },
  };
  if (process.argv.includes('--report')) {
    const docs = new URL('../docs/', import.meta.url);
    await writeFile(new URL('benchmarks/rates.json', docs), `${JSON.stringify(figures, null, 2)}\n`);
    await writeBetween(fileURLToPath(new URL('benchmarks.md', docs)), 'rates', tableOfRates(figures));
  }
  process.stdout.write(
    process.argv.includes('--json') ? `${JSON.stringify(figures)}\n` : `${tableOfRates(figures)}\n`,
  );
  for (const line of judgeRates(shares)) {
    say(`BROKEN: ${line}`);
    process.exitCode = 1;
  }
}

const server = await startBenchServer();
try {
  const url = await server.database();
  const app = await open({ databaseUrl: url });
  try {
    // A tenth more than can be sent, so that no worker runs out of people.
    const enough = Math.ceil(rate * (seconds + WARM_UP) * 1.1 + rate);
    const all = { limited: 0, others: enough, fits: () => true };
    const campaign = await run(app, url, { name: 'campaign', campaignRate: rate, ...all });
    await setLimit(app, LIMITED, rate);
    const fits = ({ limited }: Arrival) => limited;
    const domain = await run(app, url, { name: 'domain', limited: enough, others: enough, fits });
    const relay = await run(app, url, { name: 'relay', relayOptions: `&rate=${rate}/s`, ...all });
    await tell({ campaign: rounded(campaign), domain: rounded(domain), relay: rounded(relay) });
  } finally {
    await app.close();
  }
} finally {
  await server.stop();
  await capture.close();
}
