import { parseArgs } from 'node:util';
import type { Failures } from './fate.ts';

/** What a benchmark does; every number can be given on the command line. */
export interface Settings {
  readonly profile: 'quick' | 'full';
  /** Named explicitly: each must be runnable. Null: all, those that cannot run are left out. */
  readonly designs: readonly string[] | null;
  readonly recipients: number;
  readonly rounds: number;
  /** Reply delays of the sink, milliseconds; 0 is the main figure. */
  readonly latencies: readonly number[];
  readonly failures: Failures;
  readonly queuePeople: number;
  readonly crashPeople: number;
  readonly crashPatienceMs: number;
  readonly tellPeople: number;
  /** Sizes beyond the main one. */
  readonly growth: readonly number[];
  /** A growth run is left out for a design that would need longer by its rate, seconds; not for the table, RabbitMQ and Kafka. */
  readonly growthSeconds: number;
  /** Nothing new is begun when so much time has passed; what is left out is said. */
  readonly minutes: number;
  readonly sinkMails: number;
  readonly connections: number;
  readonly seed: number;
  readonly json: boolean;
  /** Where the raw figures go; null: nowhere. */
  readonly out: string | null;
  readonly report: boolean;
}

/** Connections to the sink: more than 10 to 20 did not raise the rate when measured. */
const CONNECTIONS = 10;

const FULL = {
  recipients: 10_000,
  rounds: 10,
  latencies: [0, 5, 50, 200],
  queuePeople: 100_000,
  crashPeople: 3_000,
  crashPatienceMs: 45_000,
  tellPeople: 1_000,
  growth: [100_000, 1_000_000],
  growthSeconds: 45,
  minutes: 48,
  sinkMails: 100_000,
} as const;

const QUICK = {
  recipients: 400,
  rounds: 1,
  latencies: [0],
  queuePeople: 2_000,
  crashPeople: 300,
  crashPatienceMs: 20_000,
  tellPeople: 200,
  growth: [],
  growthSeconds: 10,
  minutes: 2,
  sinkMails: 5_000,
} as const;

const USAGE = `npm run bench -- [options]

  --profile quick|full     quick: every design once, verified, in about two minutes; full: the figures of the report
  --designs a,b            only these, each of which must be runnable here
  --recipients N           people of the campaign (full: ${FULL.recipients})
  --rounds N               rounds of the campaign, after a warm-up that is discarded (full: ${FULL.rounds})
  --latency 0,5,50,200     reply delays of the sink, milliseconds
  --minutes N              every figure once, then rounds; what does not fit is named (full: ${FULL.minutes})
  --seed N                 the order of the rounds, and who is refused
  --json                   the last line is JSON
  --out DIR                the raw figures as DIR/queues.json
  --report                 --out docs/benchmarks, and the page and the charts from them
`;

/** @throws with the usage when an option is unknown or is no number */
export function readSettings(args: readonly string[]): Settings {
  const { values } = parse(args);
  const profile = values.profile ?? 'full';
  if (profile !== 'full' && profile !== 'quick') throw new Error(`--profile is quick or full\n\n${USAGE}`);
  const base = profile === 'full' ? FULL : QUICK;
  const seed = whole('seed', values.seed, 1);
  return {
    profile,
    designs: values.designs?.split(',').filter((name) => name !== '') ?? null,
    recipients: whole('recipients', values.recipients, base.recipients),
    rounds: whole('rounds', values.rounds, base.rounds),
    latencies: values.latency?.split(',').map((one) => whole('latency', one, 0, 0)) ?? base.latencies,
    failures: { temporary: 0.02, permanent: 0.01, seed },
    queuePeople: base.queuePeople,
    crashPeople: base.crashPeople,
    crashPatienceMs: base.crashPatienceMs,
    tellPeople: base.tellPeople,
    growth: base.growth,
    growthSeconds: base.growthSeconds,
    minutes: whole('minutes', values.minutes, base.minutes),
    sinkMails: base.sinkMails,
    connections: CONNECTIONS,
    seed,
    json: values.json === true,
    out: values.out ?? (values.report === true ? 'docs/benchmarks' : null),
    report: values.report === true,
  };
}

function parse(args: readonly string[]) {
  try {
    return parseArgs({
      args: [...args],
      options: {
        profile: { type: 'string' },
        designs: { type: 'string' },
        recipients: { type: 'string' },
        rounds: { type: 'string' },
        latency: { type: 'string' },
        minutes: { type: 'string' },
        seed: { type: 'string' },
        json: { type: 'boolean' },
        out: { type: 'string' },
        report: { type: 'boolean' },
      },
    });
  } catch (error) {
    throw new Error(`${error instanceof Error ? error.message : String(error)}\n\n${USAGE}`);
  }
}

function whole(name: string, text: string | undefined, fallback: number, least = 1): number {
  const value = text === undefined ? fallback : Number(text);
  if (!Number.isInteger(value) || value < least)
    throw new Error(`--${name} must be a whole number of at least ${least}, not ${text}\n\n${USAGE}`);
  return value;
}
