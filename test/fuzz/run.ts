import { parseArgs } from 'node:util';
import { type Database, openDatabase } from '../../src/database/connect.ts';
import { startTestServer, withDatabase } from '../support/server.ts';
import { randomSeed, runTarget, type Target } from './target.ts';
import { TARGETS } from './targets/index.ts';

/*
 * The longer mode: npm run fuzz -- [--minutes N | --cases N] [--target csv,addresses,…] [--seed N] [--json]
 *
 * Each target gets its share of the time, or so many cases. Cases come in batches, each with a seed of its own that is counted up
 * from the first; the first failure ends the run with exit code 1 and the seed that repeats it.
 */

/** Cases between two looks at the clock. */
const BATCH = 2_000;

const { values } = parseArgs({
  options: {
    minutes: { type: 'string' },
    cases: { type: 'string' },
    target: { type: 'string' },
    seed: { type: 'string' },
    json: { type: 'boolean', default: false },
  },
});

function positive(name: string, text: string): number {
  const value = Number(text);
  if (value > 0) return value;
  throw new Error(`--${name} must be a number above 0, not ${text}`);
}

function chosen(names: string | undefined): readonly Target[] {
  if (names === undefined) return TARGETS;
  return names.split(',').map((name) => {
    const target = TARGETS.find((one) => one.name === name);
    if (target !== undefined) return target;
    throw new Error(
      `There is no target ${name}; there are: ${TARGETS.map(({ name: known }) => known).join(', ')}`,
    );
  });
}

const targets = chosen(values.target);
const seed = values.seed === undefined ? randomSeed() : positive('seed', values.seed);
const cases = values.cases === undefined ? null : positive('cases', values.cases);
const minutes = values.minutes === undefined ? 10 : positive('minutes', values.minutes);

const endings: (() => Promise<void>)[] = [];
let database: Promise<Database> | undefined;
const surroundings = {
  database: () => {
    database ??= openTestDatabase();
    return database;
  },
};

async function openTestDatabase(): Promise<Database> {
  const { server, stop } = await startTestServer();
  endings.unshift(stop);
  const opened = await openDatabase(withDatabase(server.adminUrl, server.template));
  endings.unshift(() => opened.close());
  return opened;
}

interface Count {
  readonly target: string;
  readonly cases: number;
  readonly seconds: number;
  readonly casesPerSecond: number;
}

async function fuzz(target: Target): Promise<Count> {
  const started = await target.start(surroundings);
  const begun = Date.now();
  const deadline = cases === null ? begun + (minutes * 60_000) / targets.length : Number.POSITIVE_INFINITY;
  let done = 0;
  try {
    for (let batch = 0; done < (cases ?? Number.POSITIVE_INFINITY) && Date.now() < deadline; batch++) {
      const size = Math.min(BATCH, (cases ?? Number.POSITIVE_INFINITY) - done);
      done += await runTarget(target, started, (seed + batch) % 0x7fff_ffff, size, deadline);
    }
  } finally {
    await started.end?.();
  }
  const seconds = (Date.now() - begun) / 1000;
  return { target: target.name, cases: done, seconds, casesPerSecond: Math.round(done / seconds) };
}

process.stderr.write(`seed ${seed}\n`);
try {
  for (const target of targets) {
    const found = await fuzz(target);
    const line = `${found.target}: ${found.cases} cases in ${found.seconds.toFixed(1)} s, ${found.casesPerSecond}/s`;
    process.stdout.write(`${values.json ? JSON.stringify({ seed, ...found }) : line}\n`);
  }
} catch (error) {
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 1;
} finally {
  for (const end of endings) await end();
}
