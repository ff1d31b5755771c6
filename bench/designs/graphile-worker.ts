import { EventEmitter } from 'node:events';
import { Logger, makeWorkerUtils, run, type WorkerEvents, type WorkerUtils } from 'graphile-worker';
import type { Answer, Consuming, DeadLetter, Design, Person, Place } from '../contract.ts';
import { createDatabase, databaseUrl, dropDatabase, withClient } from './database.ts';
import { untilDone } from './until-done.ts';

/*
 * graphile-worker as its documentation on performance configures it: addJobs in batches, a local queue of 500, completions and
 * failures written in batches without delay (https://worker.graphile.org/docs/performance).
 *
 * A task can only succeed or fail, and a failed one is tried again; so a permanent refusal succeeds, after it has been written
 * into a table of our own. Jobs of a dead worker stay locked for four hours, or until an operator unlocks them: each consumer notes
 * its pool and its process, and unlocks at its start what processes of this machine that are gone have left.
 */
const TASK = 'mail';
const LOCAL_QUEUE = 500;
const CONNECTIONS = 10;

const OWN = `
create table bench_dead (address text not null, reply text not null);
create table bench_pool (pool_id text primary key, pid int not null);`;

const logger = new Logger(() => () => undefined);
const optionsOf = (place: Place) => ({ connectionString: databaseUrl(place), logger });

async function withUtils<T>(place: Place, work: (utils: WorkerUtils) => Promise<T>): Promise<T> {
  const utils = await makeWorkerUtils(optionsOf(place));
  try {
    return await work(utils);
  } finally {
    await utils.release();
  }
}

async function publish(place: Place, people: AsyncIterable<readonly Person[]>): Promise<void> {
  await withUtils(place, async (utils) => {
    for await (const piece of people) {
      await utils.addJobs(
        piece.map((person) => ({
          identifier: TASK,
          payload: person,
          maxAttempts: place.maxAttempts,
          jobKey: person.address,
        })),
      );
    }
  });
}

function isGone(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return false;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'ESRCH';
  }
}

/** Gives back what consumers have locked that were killed. */
async function unlockDead(place: Place): Promise<void> {
  const dead = await withClient(place, async (client) => {
    const { rows } = await client.query<{ pool_id: string; pid: number }>(
      'select pool_id, pid from bench_pool',
    );
    return rows.filter(({ pid }) => isGone(pid)).map(({ pool_id }) => pool_id);
  });
  if (dead.length > 0) await withUtils(place, (utils) => utils.forceUnlockWorkers(dead));
}

async function consume(place: Place, consuming: Consuming): Promise<void> {
  const { deliver, capacity } = consuming;
  await unlockDead(place);
  let finished = 0;
  const events: WorkerEvents = new EventEmitter();
  const noted: Promise<unknown>[] = [];
  events.on('pool:create', ({ workerPool }) => {
    noted.push(
      withClient(place, (client) =>
        client.query('insert into bench_pool values ($1, $2) on conflict do nothing', [
          workerPool.id,
          process.pid,
        ]),
      ),
    );
  });
  const runner = await run({
    preset: {
      worker: {
        connectionString: databaseUrl(place),
        concurrentJobs: capacity,
        maxPoolSize: CONNECTIONS,
        // Retries become due by time alone; new jobs announce themselves.
        pollInterval: 250,
        localQueue: { size: Math.max(LOCAL_QUEUE, capacity + 1) },
        completeJobBatchDelay: 0,
        failJobBatchDelay: 0,
        logger,
        events,
      },
    },
    noHandleSignals: true,
    taskList: {
      [TASK]: async (payload: unknown, { query }) => {
        const person = payload as Person;
        const answer = await new Promise<Answer>((resolve) => deliver(person, resolve));
        if (answer.kind === 'retry') throw new Error(answer.reply);
        if (answer.kind === 'rejected')
          await query('insert into bench_dead values ($1, $2)', [person.address, answer.reply]);
        finished++;
      },
    },
  });
  try {
    await Promise.all(noted);
    const nobodyLeft = async () =>
      await withClient(place, async (client) => {
        const { rowCount } = await client.query(
          'select from graphile_worker.jobs where attempts < max_attempts or locked_at is not null limit 1',
        );
        return rowCount === 0;
      });
    await untilDone(place.people, () => finished, nobodyLeft, consuming);
  } finally {
    await runner.stop();
  }
}

async function deadLetters(place: Place): Promise<readonly DeadLetter[]> {
  return await withClient(place, async (client) => {
    const { rows } = await client.query<{ address: string; reply: string }>(
      `select address, reply from bench_dead
       union all select key, coalesce(last_error, '') from graphile_worker.jobs
       where attempts >= max_attempts and locked_at is null and key is not null`,
    );
    return rows;
  });
}

export const graphileWorker: Design = {
  name: 'graphile-worker',
  broker: 'postgres',
  tiers: ['A'],
  guarantees:
    'Jobs are rows of Postgres, at least once. What a killed worker had locked (its local queue of 500 jobs, more than what was in flight) stays locked for four hours unless an operator unlocks it; this design does so when the next worker of the machine starts.',
  cannotTell:
    'How many are sent: a job that is done is deleted. Who was refused for good is known only because the task writes it down itself.',
  afterPublisherKilled: 'once',
  twiceAtMost: (capacity) => Math.max(LOCAL_QUEUE, capacity + 1) + capacity,
  prepare: async (place) => {
    await createDatabase(place);
    await withUtils(place, (utils) => utils.migrate());
    await withClient(place, (client) => client.query(OWN));
  },
  publish,
  consume,
  standing: async (place) =>
    await withClient(place, async (client) => {
      const { rows } = await client.query<Record<'waiting' | 'retrying' | 'locked' | 'failed', number>>(
        `select count(*) filter (where locked_at is null and attempts = 0)::int as waiting,
                count(*) filter (where locked_at is null and attempts > 0 and attempts < max_attempts)::int as retrying,
                count(*) filter (where locked_at is not null)::int as locked,
                (count(*) filter (where locked_at is null and attempts >= max_attempts) + (select count(*) from bench_dead))::int as failed
         from graphile_worker.jobs`,
      );
      const counts = rows[0] ?? { waiting: 0, retrying: 0, locked: 0, failed: 0 };
      return {
        waiting: counts.waiting,
        inFlight: counts.locked,
        sent: null,
        rejected: counts.failed,
        retrying: counts.retrying,
      };
    }),
  deadLetters,
  stopOne: async (place, { address }) =>
    await withClient(place, async (client) => {
      const { rows } = await client.query<{ waiting: boolean }>(
        'select locked_at is null and id is not null as waiting from graphile_worker.remove_job($1)',
        [address],
      );
      return rows[0]?.waiting === true;
    }),
  pause: async () => false,
  resume: async () => false,
  dispose: dropDatabase,
};
