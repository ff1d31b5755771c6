import { createHash } from 'node:crypto';
import { type JobResult, PgBoss } from 'pg-boss';
import type { Answer, Consuming, DeadLetter, Design, Person, Place } from '../contract.ts';
import { createDatabase, databaseUrl, dropDatabase, withClient } from './database.ts';
import { untilDone } from './until-done.ts';

/*
 * pg-boss as its documentation describes a queue with much in it: insert() in batches, workers that fetch 500 at once and go on
 * without a pause while batches come full, results job by job (completed, failed, dead letter) written a batch at a time, a
 * dead letter queue, retries with backoff, heartbeats so that a killed worker is noticed before the 15 minutes of expiry.
 */
const QUEUE = 'mail';
const DEAD = 'mail_dead';
const BATCH = 500;
/** Batches in hand at once: one is being sent while the other is being written and fetched. */
const WORKERS = 2;
/** The shortest that pg-boss allows, seconds. */
const HEARTBEAT_SECONDS = 10;
/** A campaign of 10,000 is over before the first look; a killed worker is noticed 10 to 15 s after its last heartbeat. */
const LOOK_SECONDS = 5;

function bossOf(place: Place, supervise: boolean): PgBoss {
  const boss = new PgBoss({
    connectionString: databaseUrl(place),
    max: 6,
    schedule: false,
    migrate: false,
    supervise,
    // How soon a missing heartbeat is noticed: each minute by default. Every look also counts the whole table.
    ...(supervise ? { superviseIntervalSeconds: LOOK_SECONDS, monitorIntervalSeconds: LOOK_SECONDS } : {}),
  });
  // Lost connections are reported here too; what was being asked rejects by itself.
  boss.on('error', () => undefined);
  return boss;
}

async function withBoss<T>(place: Place, work: (boss: PgBoss) => Promise<T>): Promise<T> {
  const boss = bossOf(place, false);
  await boss.start();
  try {
    return await work(boss);
  } finally {
    await boss.stop({ graceful: false });
  }
}

/** A job's id follows from the address, so that a person can be taken out again. */
function idOf(address: string): string {
  const hex = createHash('sha256').update(address).digest('hex');
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-4${hex.slice(13, 16)}-a${hex.slice(17, 20)}-${hex.slice(20, 32)}`;
}

async function prepare(place: Place): Promise<void> {
  await createDatabase(place);
  const boss = new PgBoss({ connectionString: databaseUrl(place), supervise: false, schedule: false });
  boss.on('error', () => undefined);
  await boss.start();
  try {
    await boss.createQueue(DEAD);
    await boss.createQueue(QUEUE, {
      retryLimit: place.maxAttempts - 1,
      retryDelay: 1,
      retryBackoff: true,
      deadLetter: DEAD,
      heartbeatSeconds: HEARTBEAT_SECONDS,
    });
  } finally {
    await boss.stop({ graceful: false });
  }
}

async function publish(place: Place, people: AsyncIterable<readonly Person[]>): Promise<void> {
  await withBoss(place, async (boss) => {
    for await (const piece of people) {
      await boss.insert(
        QUEUE,
        piece.map((data) => ({ id: idOf(data.address), data })),
        { returnId: false },
      );
    }
  });
}

/** Hands a batch over, at most `capacity` of all workers' mails at once. */
class Hands {
  readonly #consuming: Consuming;
  readonly #queue: (() => void)[] = [];
  #inFlight = 0;
  finished = 0;

  constructor(consuming: Consuming) {
    this.#consuming = consuming;
  }

  deliver(person: Person): Promise<Answer> {
    return new Promise((resolve) => {
      this.#queue.push(() => {
        this.#inFlight++;
        this.#consuming.deliver(person, (answer) => {
          this.#inFlight--;
          resolve(answer);
          this.#next();
        });
      });
      this.#next();
    });
  }

  #next(): void {
    while (this.#inFlight < this.#consuming.capacity) {
      const begin = this.#queue.shift();
      if (begin === undefined) return;
      begin();
    }
  }
}

const STATUS = { sent: 'completed', retry: 'failed', rejected: 'deadletter' } as const;

async function consume(place: Place, consuming: Consuming): Promise<void> {
  const boss = bossOf(place, true);
  await boss.start();
  const hands = new Hands(consuming);
  const settle = async (id: string, person: Person): Promise<JobResult> => {
    const answer = await hands.deliver(person);
    if (answer.kind !== 'retry') hands.finished++;
    return { id, status: STATUS[answer.kind], output: { reply: answer.reply } };
  };
  try {
    await boss.work<Person, unknown, { batchSize: number; perJobResults: true }>(
      QUEUE,
      {
        batchSize: BATCH,
        perJobResults: true,
        localConcurrency: WORKERS,
        pollingIntervalSeconds: 0.5,
        burstWhenBatchFull: true,
      } as { batchSize: number; perJobResults: true },
      async (jobs) => await Promise.all(jobs.map(({ id, data }) => settle(id, data))),
    );
    const nobodyLeft = async () =>
      await withClient(place, async (client) => {
        const { rowCount } = await client.query(
          "select from pgboss.job where name = $1 and state < 'completed' limit 1",
          [QUEUE],
        );
        return rowCount === 0;
      });
    await untilDone(place.people, () => hands.finished, nobodyLeft, consuming);
  } finally {
    await boss.stop({ graceful: true, timeout: 30_000 });
  }
}

async function deadLetters(place: Place): Promise<readonly DeadLetter[]> {
  return await withClient(place, async (client) => {
    const { rows } = await client.query<{ address: string; reply: string }>(
      `select data->>'address' as address, coalesce(output->>'reply', output::text, '') as reply
       from pgboss.job where name = $1 and state = 'failed'`,
      [QUEUE],
    );
    return rows;
  });
}

export const pgBoss: Design = {
  name: 'pg-boss',
  broker: 'postgres',
  tiers: ['A'],
  guarantees:
    'Jobs are rows of Postgres, at least once. A killed worker is noticed by its missing heartbeat after 10 s at the earliest; then everything it had fetched (up to two batches of 500), sent or not, is sent again.',
  cannotTell:
    'Which of a dead worker’s fetched jobs had been sent already: results are written a batch at a time. A queue cannot be paused, only its workers stopped.',
  afterPublisherKilled: 'once',
  twiceAtMost: () => WORKERS * BATCH,
  prepare,
  publish,
  consume,
  standing: async (place) =>
    await withClient(place, async (client) => {
      const { rows } = await client.query<{ state: string; jobs: number }>(
        'select state::text, count(*)::int as jobs from pgboss.job where name = $1 group by state',
        [QUEUE],
      );
      const of = (state: string) => rows.find((row) => row.state === state)?.jobs ?? 0;
      return {
        waiting: of('created'),
        inFlight: of('active'),
        sent: of('completed'),
        rejected: of('failed'),
        retrying: of('retry'),
      };
    }),
  deadLetters,
  stopOne: async (place, { address }) => {
    const id = idOf(address);
    return await withBoss(place, async (boss) => {
      const [job] = await boss.findJobs(QUEUE, { id });
      if (job === undefined || (job.state !== 'created' && job.state !== 'retry')) return false;
      await boss.cancel(QUEUE, id);
      const [after] = await boss.findJobs(QUEUE, { id });
      return after?.state === 'cancelled' && after.startedOn === null;
    });
  },
  pause: async () => false,
  resume: async () => false,
  dispose: dropDatabase,
};
