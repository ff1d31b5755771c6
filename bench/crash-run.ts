import { jobOf, playWithin } from './campaign-run.ts';
import { now, within } from './clock.ts';
import { NO_FAILURES } from './fate.ts';
import { RoleProcess } from './role-process.ts';
import type { Line, Stage } from './stage.ts';

/** What is left after a kill -9 in the middle, once what died has been started again. */
export interface CrashRun {
  readonly line: string;
  readonly killed: 'consumer' | 'broker';
  readonly people: number;
  /** Mails at the sink when the signal was sent. */
  readonly before: number;
  /** People without a mail although the design says that it has finished. */
  readonly lost: number;
  /** People without a mail, and the design waits for something that does not come. */
  readonly stuck: number;
  readonly duplicated: number;
  readonly wrong: number;
  /** From the kill until the sink had the last mail. */
  readonly recoverySeconds: number | null;
  /** Consumers that were started after the kill: 0, it went on by itself. */
  readonly consumersStarted: number;
}

export interface CrashOptions {
  readonly people: number;
  /** Reply delay of the sink, so that there is a middle. */
  readonly delayMs: number;
  /** How long after the kill all people are waited for, milliseconds. */
  readonly patienceMs: number;
}

/** What a killed consumer or broker must not lead to, by what the design says itself; null: nothing of it. */
export function crashFault(
  { key, design, tier }: Line,
  { killed, lost, stuck, wrong }: CrashRun,
): string | null {
  const after = (killed === 'consumer' ? design.afterConsumerKilled : design.afterBrokerKilled) ?? 'resumes';
  const when = `after the ${killed} was killed`;
  if (wrong > 0) return `${key}: ${wrong} wrong mails ${when}`;
  // The best tier of a design is what its promise is about; a cache promises nothing.
  if (lost > 0 && tier === 'A') return `${key}: ${lost} lost ${when}`;
  if (stuck > 0 && after === 'resumes') return `${key}: ${stuck} stuck ${when}, and it says that it resumes`;
  return null;
}

/** Share of the mails after which is killed. */
const MIDDLE = 1 / 3;

/** Publishes, kills the consumer or the broker in the middle of the drain, starts what died again, and counts. */
export async function runCrash(
  stage: Stage,
  line: Line,
  killed: CrashRun['killed'],
  { people, delayMs, patienceMs }: CrashOptions,
): Promise<CrashRun> {
  const { design } = line;
  const { place, broker } = await stage.set(line, people);
  const { sink } = stage;
  await sink.begin({ run: place.run, people, failures: NO_FAILURES, check: true }, delayMs);
  await design.prepare(place);
  const consumers = new Consumers(stage, line, place);
  try {
    await playWithin(patienceMs, jobOf(stage, line, place, 'publish'));
    await consumers.start();
    if (!(await sink.reaches(Math.ceil(people * MIDDLE), patienceMs)))
      throw new Error(`${line.key} never got to the middle: ${await sink.accepted()} of ${people}`);
    const before = await sink.accepted();
    const killedAt = now();
    if (killed === 'consumer') {
      await consumers.kill();
      await consumers.start();
    } else {
      if (broker === null) throw new Error(`${line.key} has no broker to kill`);
      await broker.kill();
      await broker.restart();
    }
    const finished = await consumers.finish(killedAt + patienceMs);
    const seen = await sink.seen();
    return {
      line: line.key,
      killed,
      people,
      before,
      lost: finished ? seen.lost : 0,
      stuck: finished ? 0 : seen.lost,
      duplicated: seen.duplicated,
      wrong: seen.wrong,
      recoverySeconds: seen.lost > 0 ? null : Math.max(0, seen.lastAt - killedAt) / 1000,
      consumersStarted: consumers.started - 1,
    };
  } finally {
    await consumers.kill();
    await design.dispose(place);
    if (killed === 'broker') await stage.pool.retire(design.broker, line.tier);
  }
}

/** What is left when every person is published once more after a publisher that was killed in the middle. */
export interface PublisherCrash {
  readonly lost: number;
  readonly duplicated: number;
  readonly wrong: number;
}

/** Kills the publisher when it has published `after` of them, publishes all people anew, and lets them all be sent. */
export async function runPublisherCrash(
  stage: Stage,
  line: Line,
  {
    people,
    after,
    patienceMs,
  }: { readonly people: number; readonly after: number; readonly patienceMs: number },
): Promise<PublisherCrash> {
  const { design } = line;
  const { place } = await stage.set(line, people);
  await stage.sink.begin({ run: place.run, people, failures: NO_FAILURES, check: true }, 0);
  await design.prepare(place);
  try {
    const publisher = await RoleProcess.start({ ...jobOf(stage, line, place, 'publish'), holdAfter: after });
    try {
      await within(patienceMs, `publish of ${line.key}`, publisher.goUntilHeld());
    } finally {
      await publisher.kill();
    }
    await playWithin(patienceMs, jobOf(stage, line, place, 'publish'));
    await playWithin(patienceMs, jobOf(stage, line, place, 'consume'));
    const { lost, duplicated, wrong } = await stage.sink.seen();
    return { lost, duplicated, wrong };
  } finally {
    await design.dispose(place);
  }
}

type End = 'finished' | 'failed';

/** Share of the patience after which a consumer that goes on without a mail is killed, as its operator would do. */
const STANDSTILL = 1 / 2;
const LOOK_MS = 100;

/** The consumers of one crash run: one at a time, started again when it ends in an error, as a supervisor does. */
class Consumers {
  started = 0;
  readonly #stage: Stage;
  readonly #line: Line;
  readonly #place: Parameters<typeof jobOf>[2];
  #role: RoleProcess | null = null;
  #end: Promise<End> = Promise.resolve('failed');

  constructor(stage: Stage, line: Line, place: Parameters<typeof jobOf>[2]) {
    this.#stage = stage;
    this.#line = line;
    this.#place = place;
  }

  async start(): Promise<void> {
    const role = await RoleProcess.start(jobOf(this.#stage, this.#line, this.#place, 'consume'));
    this.started++;
    this.#role = role;
    this.#end = role.go().then(
      () => 'finished',
      // A consumer may end in an error when its broker dies; what counts is what is left afterwards.
      () => 'failed',
    );
  }

  async kill(): Promise<void> {
    await this.#role?.kill();
    await this.#end;
    this.#role = null;
  }

  /** Waits until a consumer says that nothing is left; false when none did in time. */
  async finish(deadline: number): Promise<boolean> {
    const standstill = (deadline - now()) * STANDSTILL;
    let [count, since] = [await this.#stage.sink.accepted(), now()];
    while (now() < deadline) {
      const end = await Promise.race([this.#end, later(LOOK_MS)]);
      if (end === 'finished') return true;
      const accepted = await this.#stage.sink.accepted();
      if (accepted > count) [count, since] = [accepted, now()];
      if (end !== 'failed' && now() - since < standstill) continue;
      await this.kill();
      await later(LOOK_MS);
      await this.start();
      since = now();
    }
    return false;
  }
}

function later(ms: number): Promise<null> {
  return new Promise((resolve) => setTimeout(resolve, ms, null));
}
