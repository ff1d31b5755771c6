import { within } from './clock.ts';
import type { Place } from './contract.ts';
import { countOf, type Failures, NO_FAILURES } from './fate.ts';
import { PeakMemory, usedBetween, usedBy } from './processes.ts';
import type { RoleJob, RoleResult } from './role.ts';
import { RoleProcess } from './role-process.ts';
import type { Seen } from './sink-book.ts';
import type { Line, Stage } from './stage.ts';
import { checkpoint, dataBytes, deviceBytes, walBytes } from './storage.ts';

/** CPU seconds or memory by part; null where it is unknown, or where there is no such part. */
export interface ByPart {
  readonly publisher: number | null;
  readonly consumer: number | null;
  readonly broker: number | null;
  readonly sink: number | null;
}

/** A whole campaign: all people in, then all people out. */
export interface CampaignRun {
  readonly line: string;
  readonly people: number;
  readonly delayMs: number;
  /** Until all people were in, durably as far as the tier says. */
  readonly enqueueSeconds: number;
  /** From the consumer's beginning until the sink had the last mail. */
  readonly drainSeconds: number;
  /** Until the consumer knew that nothing is left, which some only notice by asking now and then. */
  readonly endedSeconds: number;
  /** People with a mail, per second of enqueueing and draining. */
  readonly mailsPerSecond: number;
  readonly drainPerSecond: number;
  readonly cpuSeconds: ByPart;
  /** Peaks while people went in and out, 10^6 bytes; the broker's as sampled. */
  readonly memoryMb: ByPart;
  /** What the broker's processes caused to be written to storage, from the first person to the last checkpoint. */
  readonly writtenBytes: number | null;
  /** What the device below the broker's data took meanwhile, from all processes. */
  readonly deviceBytes: number | null;
  readonly walBytes: number | null;
  /** What is more on the broker's disk than before. */
  readonly diskLeftBytes: number | null;
  readonly seen: Seen;
  /** Who ended without a mail, by the design's own account; null: it cannot tell. */
  readonly deadLetters: number | null;
  readonly refusedForGood: number;
}

export interface CampaignOptions {
  readonly people: number;
  readonly delayMs: number;
  readonly failures?: Failures;
  /** Attempts after which a temporary failure is one for good. Default: the stage's. */
  readonly maxAttempts?: number;
  /** A run that takes longer is given up, milliseconds. */
  readonly patienceMs: number;
  /** Looks at the finished run before it is removed. */
  readonly inspect?: (place: Place) => Promise<void>;
}

/** What is read about broker and sink at one moment. */
async function reading(stage: Stage, line: Line, place: Place, pids: () => readonly number[]) {
  const postgres = line.design.broker === 'postgres';
  return {
    broker: usedBy(pids()),
    sink: usedBy([stage.sink.pid]),
    wal: postgres ? await walBytes(place) : null,
  };
}

/** One campaign of a line, from empty to empty, verified at the sink. */
export async function runCampaign(stage: Stage, line: Line, options: CampaignOptions): Promise<CampaignRun> {
  const { people, delayMs, failures = NO_FAILURES, maxAttempts, patienceMs, inspect } = options;
  const { design } = line;
  const { place, broker } = await stage.set(line, people, maxAttempts);
  const pids = () => broker?.pids() ?? [];
  await stage.sink.begin({ run: place.run, people, failures, check: true }, delayMs);
  await design.prepare(place);
  try {
    if (design.broker === 'postgres') await checkpoint(place);
    const disk = broker === null ? null : await dataBytes(design.broker, broker);
    const device = broker === null ? null : await deviceBytes(broker.dataDirectory);
    const before = await reading(stage, line, place, pids);
    const [published, consumed, brokerMb] = await bothRoles(stage, line, place, pids, patienceMs);
    const after = await reading(stage, line, place, pids);
    if (design.broker === 'postgres') await checkpoint(place);
    const settled = usedBy(pids());
    const deviceAfter = broker === null ? null : await deviceBytes(broker.dataDirectory);
    const left = broker === null ? null : await dataBytes(design.broker, broker);
    const seen = await stage.sink.seen();
    // Before any query reads the tables: reading prunes pages.
    await inspect?.(place);
    const dead = await design.deadLetters(place);
    const [enqueueSeconds, drainSeconds] = [secondsOf(published), lastMail(consumed, seen)];
    return {
      line: line.key,
      people,
      delayMs,
      enqueueSeconds,
      drainSeconds,
      endedSeconds: secondsOf(consumed),
      mailsPerSecond: seen.recipients / (enqueueSeconds + drainSeconds),
      drainPerSecond: seen.recipients / drainSeconds,
      cpuSeconds: {
        publisher: published.cpuSeconds,
        consumer: consumed.cpuSeconds,
        broker: broker === null ? null : usedBetween(before.broker, after.broker).cpuSeconds,
        sink: usedBetween(before.sink, after.sink).cpuSeconds,
      },
      memoryMb: { publisher: published.peakMb, consumer: consumed.peakMb, broker: brokerMb, sink: null },
      writtenBytes: usedBetween(before.broker, settled).writtenBytes,
      deviceBytes: difference(device, deviceAfter),
      walBytes: difference(before.wal, after.wal),
      diskLeftBytes: difference(disk, left),
      seen,
      deadLetters: dead?.length ?? null,
      refusedForGood: countOf(failures, people, 'permanent') + countOf(failures, people, 'stubborn'),
    };
  } finally {
    await design.dispose(place);
  }
}

/** In and out, and the most memory that the broker had meanwhile. */
async function bothRoles(
  stage: Stage,
  line: Line,
  place: Place,
  pids: () => readonly number[],
  patienceMs: number,
): Promise<[RoleResult, RoleResult, number | null]> {
  const memory = new PeakMemory(pids);
  try {
    const published = await playWithin(patienceMs, jobOf(stage, line, place, 'publish'));
    const consumed = await playWithin(patienceMs, jobOf(stage, line, place, 'consume'));
    return [published, consumed, memory.stop()];
  } finally {
    memory.stop();
  }
}

function difference(before: number | null, after: number | null): number | null {
  return before === null || after === null ? null : after - before;
}

export function jobOf(stage: Stage, line: Line, place: Place, role: RoleJob['role']): RoleJob {
  return { role, design: line.design.name, place, relay: stage.relay };
}

export const secondsOf = ({ startedAt, endedAt }: RoleResult) => (endedAt - startedAt) / 1000;

/** The same end for every design: when the sink had the last mail, however late the consumer noticed. */
function lastMail(consumed: RoleResult, seen: Seen): number {
  return Number.isNaN(seen.lastAt) || seen.lastAt < consumed.startedAt
    ? secondsOf(consumed)
    : (seen.lastAt - consumed.startedAt) / 1000;
}

/** One role from beginning to end; killed when it takes too long. */
export async function playWithin(patienceMs: number, job: RoleJob): Promise<RoleResult> {
  const role = await RoleProcess.start(job);
  try {
    const result = await within(patienceMs, `${job.role} of ${job.design}`, role.go());
    await role.end();
    return result;
  } catch (error) {
    await role.kill();
    throw error;
  }
}

/** What a run must not show; null when nothing is wrong. */
export function faultOf({ line, people, seen, refusedForGood, deadLetters }: CampaignRun): string | null {
  if (seen.wrong > 0) return `${line}: ${seen.wrong} wrong mails, first: ${seen.why}`;
  if (seen.lost > 0) return `${line}: ${seen.lost} of ${people} lost`;
  // No process was killed and no connection was cut: at least once is no excuse here.
  if (seen.duplicated > 0) return `${line}: ${seen.duplicated} of ${people} twice`;
  if (deadLetters !== null && deadLetters !== refusedForGood)
    return `${line}: ${deadLetters} dead letters, ${refusedForGood} were refused`;
  return null;
}
