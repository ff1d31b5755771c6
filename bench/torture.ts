import { randomInt } from 'node:crypto';
import { parseArgs } from 'node:util';
import { say } from './server.ts';
import type { Policies } from './torture/campaigns.ts';
import { measureOutage } from './torture/outage.ts';
import { KINDS, type Kind } from './torture/plan.ts';
import { torture } from './torture/run.ts';

/*
 * npm run torture -- --kills 100 --recipients 10000 --json
 *
 * Two campaigns are sent at once by real workers through a real Postgres to a sink that keeps what it takes on disk, while processes
 * are killed and everything around them fails; then the table is compared with the sink's file. docs/benchmarks.md says
 * what is checked and how the bound on duplicates is reckoned.
 */
// The window is smaller than what five connections could take (10), so that the handed-over mark holds mails back all the time.
// A small batch leaves a dead worker few rows: what is measured is the rescue, and not how long a slow relay takes for them.
const { values } = parseArgs({
  options: {
    kills: { type: 'string' },
    recipients: { type: 'string' },
    seed: { type: 'string' },
    workers: { type: 'string', default: '2' },
    lease: { type: 'string', default: '2' },
    window: { type: 'string', default: '8' },
    batch: { type: 'string', default: '10' },
    'on-unconfirmed': { type: 'string', default: 'resend' },
    only: { type: 'string' },
    outage: { type: 'string' },
    quick: { type: 'boolean', default: false },
    json: { type: 'boolean', default: false },
  },
});

/** How long the database is stopped, milliseconds: longer than the lease by far, and in the short mode just longer. */
const OUTAGE_MS = { full: 20_000, quick: 3_000 } as const;
const FULL = { kills: 100, recipients: 10_000 } as const;
const QUICK = { kills: 10, recipients: 1_200 } as const;

function whole(name: string, text: string | undefined, fallback: number, least = 1): number {
  const value = text === undefined ? fallback : Number(text);
  if (!Number.isSafeInteger(value) || value < least)
    throw new Error(`--${name} must be a whole number from ${least}`);
  return value;
}

function kindsOf(text: string | undefined): Kind[] {
  const names = text?.split(',') ?? [...KINDS];
  return names.map((name) => {
    const kind = KINDS.find((one) => one === name);
    if (kind === undefined) throw new Error(`--only knows ${KINDS.join(', ')}; not ${name}`);
    return kind;
  });
}

function policiesOf(text: string): Policies {
  if (text === 'resend' || text === 'hold' || text === 'mixed') return text;
  throw new Error('--on-unconfirmed is resend, hold or mixed');
}

const size = values.quick ? QUICK : FULL;
const seed = whole('seed', values.seed, randomInt(2 ** 31), 0);
const recipients = whole('recipients', values.recipients, size.recipients);
const workers = whole('workers', values.workers, 2);
const leaseSeconds = whole('lease', values.lease, 2, 2);
const began = performance.now();
const timed = (line: string) =>
  say(`${((performance.now() - began) / 1000).toFixed(1).padStart(6)}  ${line}`);

async function underTorture(): Promise<readonly string[]> {
  const outageMs = values.quick ? OUTAGE_MS.quick : OUTAGE_MS.full;
  const result = await torture({
    ...{ seed, recipients, workers, leaseSeconds, say: timed },
    kills: whole('kills', values.kills, size.kills, 0),
    window: whole('window', values.window, 8),
    batch: whole('batch', values.batch, 10),
    policies: policiesOf(values['on-unconfirmed']),
    outageMs: Math.max(outageMs, 1_000 * (leaseSeconds + 1)),
    kinds: kindsOf(values.only),
    judgesTimes: !values.quick,
  });
  timed(`finished after ${result.seconds.toFixed(1)} s: ${JSON.stringify(result.faults)}`);
  const { broken, faults, faultsLeftOut, seconds, ...figures } = result;
  print(figures, { seconds: Math.round(seconds), faults, faultsLeftOut, broken: broken.length });
  return broken;
}

async function withOutage(outageSeconds: number): Promise<readonly string[]> {
  const options = { seed, recipients, workers, outageSeconds, busy: values.quick, say: timed };
  const { broken, ...figures } = await measureOutage(options);
  print({ outageSeconds, ...figures }, { broken: broken.length });
  return broken;
}

function print(figures: object, more: object): void {
  const words = Object.entries(figures).map(([name, value]) => `${name} ${value}`);
  const text = values.json
    ? JSON.stringify({ seed, ...figures, ...more })
    : `seed ${seed}: ${words.join(', ')}`;
  process.stdout.write(`${text}\n`);
}

say(`seed ${seed}`);
if ((process.env.DATABASE_URL ?? '') !== '')
  say(
    'DATABASE_URL is left alone: a server that is killed and filled up has to be an embedded one of its own.',
  );
const broken = await (values.outage === undefined
  ? underTorture()
  : withOutage(whole('outage', values.outage, 30)));
for (const line of broken) say(`BROKEN (seed ${seed}): ${line}`);
if (broken.length > 0) process.exitCode = 1;
