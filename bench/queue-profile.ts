import pg from 'pg';
import { playWithin, secondsOf } from './campaign-run.ts';
import type { Place } from './contract.ts';
import type { Share } from './cpu-profile.ts';
import { databaseUrl } from './designs/database.ts';
import { usedBetween, usedBy } from './processes.ts';
import { compareWays, type Way } from './queue-ways.ts';
import type { RoleJob } from './role.ts';
import type { Line, Stage } from './stage.ts';

/** Where the time goes when the table moves all people without mail. */
export interface QueueProfile {
  readonly people: number;
  /** With the profiler at work, which costs some of it. */
  readonly consumePerSecond: number;
  /** Processors that were busy with it, of those that there are. */
  readonly nodeCores: number;
  readonly postgresCores: number;
  /** What the consumer's connections were found doing, as shares of all looks at both. `CPU`: at work, waiting for nothing. */
  readonly waits: readonly Share[];
  /** The consumer's functions by their own time. */
  readonly functions: readonly Share[];
  /** The same statements by every way in which they are measured here. */
  readonly ways: readonly Way[];
}

/** Between two looks at what Postgres does, milliseconds. */
const LOOK_MS = 10;

/** Rounds of each way to measure it. */
const ROUNDS = 3;

/** One round of the queue alone with all processes watched. @throws when the design is not on Postgres */
export async function runProfile(
  stage: Stage,
  line: Line,
  people: number,
  patienceMs: number,
): Promise<QueueProfile> {
  const watched = await watchedRound(stage, line, people, patienceMs);
  return { ...watched, ways: await compareWays(stage, line, people, ROUNDS, patienceMs) };
}

async function watchedRound(
  stage: Stage,
  line: Line,
  people: number,
  patienceMs: number,
): Promise<Omit<QueueProfile, 'ways'>> {
  const { design } = line;
  const { place, broker } = await stage.set(line, people);
  if (broker === null || design.broker !== 'postgres')
    throw new Error(`${line.key} has no Postgres to look at`);
  const job = (role: RoleJob['role']): RoleJob => ({ role, design: design.name, place, relay: null });
  await design.prepare(place);
  try {
    await playWithin(patienceMs, job('publish'));
    const watch = await Watch.start(place);
    const before = usedBy(broker.pids());
    const consumed = await playWithin(patienceMs, { ...job('consume'), profile: true });
    const { cpuSeconds } = usedBetween(before, usedBy(broker.pids()));
    const waits = await watch.stop();
    const seconds = secondsOf(consumed);
    return {
      people,
      consumePerSecond: (people * 1_000) / ((consumed.settledAt ?? consumed.endedAt) - consumed.startedAt),
      nodeCores: consumed.cpuSeconds / seconds,
      postgresCores: cpuSeconds / seconds,
      waits,
      functions: consumed.functions ?? [],
    };
  } finally {
    await design.dispose(place);
  }
}

/** Looks every few milliseconds at what the other connections of a database are doing. */
class Watch {
  readonly #client: pg.Client;
  readonly #counts = new Map<string, number>();
  #stopped = false;
  #running: Promise<void> = Promise.resolve();

  private constructor(client: pg.Client) {
    this.#client = client;
  }

  static async start(place: Place): Promise<Watch> {
    const client = new pg.Client({ connectionString: databaseUrl(place) });
    await client.connect();
    const watch = new Watch(client);
    watch.#running = watch.#run();
    return watch;
  }

  async #run(): Promise<void> {
    while (!this.#stopped) {
      const { rows } = await this.#client.query<{ doing: string }>({
        name: 'doing',
        text: `select case when state = 'idle' then 'idle: waiting for Node'
                           when wait_event is null then 'CPU'
                           else wait_event_type || ': ' || wait_event end as doing
               from pg_stat_activity
               where datname = current_database() and backend_type = 'client backend' and pid <> pg_backend_pid()`,
      });
      for (const { doing } of rows) this.#counts.set(doing, (this.#counts.get(doing) ?? 0) + 1);
      await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
    }
  }

  async stop(): Promise<readonly Share[]> {
    this.#stopped = true;
    try {
      await this.#running;
    } finally {
      await this.#client.end();
    }
    const total = [...this.#counts.values()].reduce((sum, count) => sum + count, 0);
    return [...this.#counts]
      .map(([name, count]) => ({ name, share: count / total }))
      .sort((a, b) => b.share - a.share);
  }
}
