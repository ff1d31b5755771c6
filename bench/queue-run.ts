import { playWithin, secondsOf } from './campaign-run.ts';
import type { RoleJob } from './role.ts';
import type { Line, Stage } from './stage.ts';

/** The queue alone, without mail. */
export interface QueueRun {
  readonly line: string;
  readonly people: number;
  /** Durably in, per second. */
  readonly publishPerSecond: number;
  /** Out and settled at the broker, per second: for the table 0→1→2, for a broker delivered and acknowledged or committed. */
  readonly consumePerSecond: number;
  /** Both, one after the other. */
  readonly bothPerSecond: number;
  /** CPU seconds of the consumer per second of it. */
  readonly consumerCores: number;
}

/**
 * All people in, then all people out with an answer at once: the same clock for all, from the consumer's first connection until the
 * design says that everything is settled at its broker. What it checks or closes after that is not in it.
 */
export async function runQueue(
  stage: Stage,
  line: Line,
  people: number,
  patienceMs: number,
): Promise<QueueRun> {
  const { design } = line;
  const { place } = await stage.set(line, people);
  const job = (role: RoleJob['role']): RoleJob => ({ role, design: design.name, place, relay: null });
  await design.prepare(place);
  try {
    const published = await playWithin(patienceMs, job('publish'));
    const consumed = await playWithin(patienceMs, job('consume'));
    if (design.drainWithoutMail === undefined && consumed.answers.sent < people)
      throw new Error(`${line.key} handed out ${consumed.answers.sent} of ${people}`);
    const enqueue = secondsOf(published);
    if (consumed.settledAt === null) throw new Error(`${line.key} never said that everything is settled`);
    const drain = (consumed.settledAt - consumed.startedAt) / 1000;
    return {
      line: line.key,
      people,
      publishPerSecond: people / enqueue,
      consumePerSecond: people / drain,
      bothPerSecond: people / (enqueue + drain),
      consumerCores: consumed.cpuSeconds / secondsOf(consumed),
    };
  } finally {
    await design.dispose(place);
  }
}
