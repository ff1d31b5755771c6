import type { ByPart, CampaignRun } from '../campaign-run.ts';
import type { Tier } from '../contract.ts';
import type { CrashRun } from '../crash-run.ts';
import type { Raw, RawLine } from '../raw.ts';
import { median } from '../server.ts';
import { type Estimate, estimate } from '../statistics.ts';
import { bytesPerMail } from '../summary.ts';

/** What the report says about one line, worked out of all its runs; null where it was not measured. */
export interface Row extends RawLine {
  readonly people: number | null;
  readonly mails: Estimate | null;
  readonly enqueue: Estimate | null;
  readonly drain: Estimate | null;
  /** CPU seconds for 10,000 mails. */
  readonly cpu: ByPart;
  readonly memoryMb: ByPart;
  readonly deviceBytes: Estimate | null;
  readonly processBytes: number | null;
  readonly walBytes: number | null;
  readonly diskLeft: number | null;
  readonly publish: Estimate | null;
  readonly consume: Estimate | null;
  /** In and out, one after the other. */
  readonly both: Estimate | null;
  readonly queuePeople: number | null;
  /** Processors that the consumer kept busy without mail. */
  readonly consumerCores: number | null;
  /** Mails per second by reply delay in milliseconds; 0 is the campaign itself. */
  readonly byDelay: ReadonlyMap<number, number>;
  /** Mails per second by people. */
  readonly byPeople: ReadonlyMap<number, number>;
  readonly crash: { readonly consumer: CrashRun | null; readonly broker: CrashRun | null };
  readonly lost: number;
  readonly duplicated: number;
}

const PARTS = ['publisher', 'consumer', 'broker', 'sink'] as const;

const medianOf = (values: readonly (number | null)[]): number | null => {
  const known = values.filter((value) => value !== null);
  return known.length === 0 ? null : median(known);
};

const estimateOf = (values: readonly (number | null)[]): Estimate | null => {
  const known = values.filter((value) => value !== null);
  return known.length === 0 ? null : estimate(known);
};

function byPart(
  runs: readonly CampaignRun[],
  read: (run: CampaignRun) => ByPart,
  per: (run: CampaignRun) => number,
): ByPart {
  const [publisher, consumer, broker, sink] = PARTS.map((part) =>
    medianOf(
      runs.map((run) => {
        const value = read(run)[part];
        return value === null ? null : value * per(run);
      }),
    ),
  ) as [number | null, number | null, number | null, number | null];
  return { publisher, consumer, broker, sink };
}

/** The median of runs of the same delay or size. */
function grouped(runs: readonly CampaignRun[], key: (run: CampaignRun) => number): Map<number, number> {
  const groups = new Map<number, number[]>();
  for (const run of runs) groups.set(key(run), [...(groups.get(key(run)) ?? []), run.mailsPerSecond]);
  return new Map([...groups].sort(([a], [b]) => a - b).map(([at, rates]) => [at, median(rates)]));
}

function rowOf(raw: Raw, line: RawLine): Row {
  const of = <T extends { readonly line: string }>(runs: readonly T[]) =>
    runs.filter((run) => run.line === line.key);
  const campaign = of(raw.campaign);
  const queue = of(raw.queue);
  const crash = of(raw.crash);
  const verified = [...campaign, ...of(raw.latency), ...of(raw.failures), ...of(raw.growth)];
  const perMail = (read: (run: CampaignRun) => number | null) =>
    campaign.map((run) => {
      const bytes = read(run);
      return bytes === null ? null : bytes / run.people;
    });
  return {
    ...line,
    people: campaign[0]?.people ?? null,
    mails: estimateOf(campaign.map((run) => run.mailsPerSecond)),
    enqueue: estimateOf(campaign.map((run) => run.people / run.enqueueSeconds)),
    drain: estimateOf(campaign.map((run) => run.drainPerSecond)),
    cpu: byPart(
      campaign,
      (run) => run.cpuSeconds,
      (run) => 10_000 / run.people,
    ),
    memoryMb: byPart(
      campaign,
      (run) => run.memoryMb,
      () => 1,
    ),
    deviceBytes: estimateOf(campaign.map(bytesPerMail)),
    processBytes: medianOf(perMail((run) => run.writtenBytes)),
    walBytes: medianOf(perMail((run) => run.walBytes)),
    diskLeft: medianOf(perMail((run) => run.diskLeftBytes)),
    publish: estimateOf(queue.map((run) => run.publishPerSecond)),
    consume: estimateOf(queue.map((run) => run.consumePerSecond)),
    both: estimateOf(queue.map((run) => run.bothPerSecond)),
    queuePeople: queue[0]?.people ?? null,
    consumerCores: medianOf(queue.map((run) => run.consumerCores)),
    byDelay: grouped([...campaign, ...of(raw.latency)], (run) => run.delayMs),
    byPeople: grouped([...campaign, ...of(raw.growth)], (run) => run.people),
    crash: {
      consumer: crash.find(({ killed }) => killed === 'consumer') ?? null,
      broker: crash.find(({ killed }) => killed === 'broker') ?? null,
    },
    lost: verified.reduce((sum, { seen }) => sum + seen.lost, 0),
    duplicated: verified.reduce((sum, { seen }) => sum + seen.duplicated, 0),
  };
}

/** Every line, in the order it was given. */
export function rowsOf(raw: Raw): Row[] {
  return raw.lines.map((line) => rowOf(raw, line));
}

/** The tiers that were measured, best first, and what each survives. */
export const TIERS: Readonly<Record<Tier, string>> = {
  A: 'survives loss of power',
  B: 'survives a killed process',
  C: 'survives nothing',
};

export function tiersOf(rows: readonly Row[]): Tier[] {
  return (['A', 'B', 'C'] as const).filter((tier) => rows.some((row) => row.tier === tier));
}
