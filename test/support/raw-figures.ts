import type { CampaignRun } from '../../bench/campaign-run.ts';
import type { BrokerName, Tier } from '../../bench/contract.ts';
import type { Raw, RawLine } from '../../bench/raw.ts';

/** Figures that were not measured: rates by line, to see what the report makes of them. */
export interface MadeUp {
  /** Mails a second, round by round. */
  readonly campaign: Readonly<Record<string, readonly number[]>>;
  /** People in and out a second. */
  readonly queue?: Readonly<Record<string, readonly [publish: number, consume: number]>>;
  /** Bytes written a mail. */
  readonly bytes?: Readonly<Record<string, number>>;
  /** Lost, stuck and twice after the consumer was killed. */
  readonly crash?: Readonly<Record<string, readonly [lost: number, stuck: number, twice?: number]>>;
  /** Mails a second of a campaign of 100,000. */
  readonly growth?: Readonly<Record<string, number>>;
  /** Mails a second 50 ms away. */
  readonly far?: Readonly<Record<string, number>>;
  readonly faults?: readonly string[];
}

const BROKERS: Readonly<Record<string, readonly [BrokerName, Tier]>> = {
  postgres: ['postgres', 'A'],
  rabbitmq: ['rabbitmq', 'A'],
  kafka: ['kafka', 'A'],
  'kafka@B': ['kafka', 'B'],
  memcached: ['memcached', 'C'],
};

export function rawFigures({
  campaign,
  queue = {},
  bytes = {},
  crash = {},
  far = {},
  growth = {},
  faults = [],
}: MadeUp): Raw {
  const lines = Object.keys(campaign).map((key): RawLine => {
    const [broker, tier] = BROKERS[key] ?? ['postgres', 'A'];
    const design = key.split('@')[0] ?? key;
    return {
      key,
      design,
      tier,
      broker,
      guarantees: `What ${design} promises.`,
      cannotTell: `What ${design} hides.`,
      afterPublisherKilled: broker === 'none' ? null : 'again',
    };
  });
  return {
    kind: 'sendstate-bench',
    format: 2,
    at: '2026-01-02T03:04:05.000Z',
    minutes: 20,
    settings: {
      profile: 'full',
      designs: null,
      recipients: 10_000,
      rounds: 3,
      latencies: [0, 50],
      failures: { temporary: 0.02, permanent: 0.01, seed: 1 },
      queuePeople: 100_000,
      crashPeople: 1_000,
      crashPatienceMs: 10_000,
      tellPeople: 100,
      growth: [100_000],
      growthSeconds: 60,
      minutes: 25,
      sinkMails: 10_000,
      connections: 10,
      seed: 1,
    },
    machine: { cpu: 'made up', cores: 2, memoryGb: 8, system: 'Linux 6', node: 'v24', packages: { pg: '8' } },
    brokers: [{ name: 'postgres', tier: 'A', version: '18.4', configuration: { fsync: 'on' } }],
    sinkPerSecond: 60_000,
    lines,
    campaign: Object.entries(campaign).flatMap(([line, rates]) =>
      rates.map((rate) => run(line, 10_000, 0, rate, bytes[line] ?? null)),
    ),
    latency: Object.entries(far).map(([line, rate]) => run(line, 400, 50, rate, null)),
    failures: [],
    queue: Object.entries(queue).map(([line, [publishPerSecond, consumePerSecond]]) => ({
      line,
      people: 100_000,
      publishPerSecond,
      consumePerSecond,
      bothPerSecond: 1 / (1 / publishPerSecond + 1 / consumePerSecond),
      consumerCores: 1,
    })),
    crash: Object.entries(crash).map(([line, [lost, stuck, duplicated = 3]]) => ({
      line,
      killed: 'consumer',
      people: 1_000,
      before: 340,
      lost,
      stuck,
      duplicated,
      wrong: 0,
      recoverySeconds: lost + stuck > 0 ? null : 4,
      consumersStarted: 1,
    })),
    tell: [],
    growth: Object.entries(growth).map(([line, rate]) => run(line, 100_000, 0, rate, null)),
    table: null,
    profile: null,
    leftOut: [],
    faults,
  };
}

function run(line: string, people: number, delayMs: number, rate: number, bytes: number | null): CampaignRun {
  const ones = { publisher: 1, consumer: 1, broker: 1, sink: 1 };
  return {
    line,
    people,
    delayMs,
    enqueueSeconds: people / rate / 4,
    drainSeconds: (people / rate) * (3 / 4),
    endedSeconds: people / rate,
    mailsPerSecond: rate,
    drainPerSecond: rate * (4 / 3),
    cpuSeconds: ones,
    memoryMb: ones,
    writtenBytes: null,
    deviceBytes: bytes === null ? null : bytes * people,
    walBytes: null,
    diskLeftBytes: null,
    seen: {
      accepted: people,
      recipients: people,
      lost: 0,
      lostNumbers: [],
      duplicated: 0,
      wrong: 0,
      why: null,
      read: people,
      temporary: 0,
      permanent: 0,
      firstAt: 1,
      lastAt: 2,
    },
    deadLetters: 0,
    refusedForGood: 0,
  };
}
