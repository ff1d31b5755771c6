import { Queue, UnrecoverableError, Worker } from 'bullmq';
import { Redis } from 'ioredis';
import type { Answer, Consuming, DeadLetter, Design, Person, Place } from '../contract.ts';
import { untilDone } from './until-done.ts';

/** Jobs in one round trip to Redis. */
const BULK = 1_000;
/** Dead letters in one round trip. */
const PAGE = 1_000;
/**
 * How long a job of a silent worker stays its own, and how often is looked for such, milliseconds. The default of 30,000
 * for each would leave the mails of a killed worker for a minute; the workers here do nothing that blocks for seconds.
 */
const LOCK_MS = 5_000;
const STALLED_MS = 2_500;
/** By default the second killed worker in a row makes a failed job of its job: a mail that no relay refused. */
const MAX_STALLED = 20;

/** Reconnects for as long as it takes: what BullMQ's guide asks of workers; a publisher may wait for a restart too. */
function connectionTo({ url }: Place): Redis {
  const connection = new Redis(url, { maxRetriesPerRequest: null, retryStrategy: () => 200 });
  // Every lost connection is reported here and mended by the next attempt.
  connection.on('error', () => {});
  return connection;
}

const publishedKey = ({ run }: Place): string => `bench:${run}:published`;
const jobId = (person: Person): string => `person-${person.id}`;

async function withQueue<T>(
  place: Place,
  work: (queue: Queue<Person>, redis: Redis) => Promise<T>,
): Promise<T> {
  const connection = connectionTo(place);
  const queue = new Queue<Person>(place.run, { connection });
  // As above.
  queue.on('error', () => {});
  try {
    return await work(queue, connection);
  } finally {
    await queue.close();
    connection.disconnect();
  }
}

async function publish(place: Place, people: AsyncIterable<readonly Person[]>): Promise<void> {
  await withQueue(place, async (queue, redis) => {
    let jobs: Parameters<typeof queue.addBulk>[0] = [];
    const add = async (): Promise<void> => {
      await queue.addBulk(jobs);
      jobs = [];
    };
    for await (const batch of people) {
      for (const person of batch) {
        // An id of its own makes a repeated publication harmless for as long as the job is there.
        const opts = { jobId: jobId(person), attempts: place.maxAttempts, backoff: { type: 'custom' } };
        jobs.push({ name: 'mail', data: person, opts });
        if (jobs.length >= BULK) await add();
      }
    }
    if (jobs.length > 0) await add();
    // Only now does an empty queue mean that all is done.
    await redis.set(publishedKey(place), '1');
  });
}

/** A temporary failure: BullMQ asks the backoff strategy when to try again, and gives it this. */
class Later extends Error {
  readonly afterMs: number;

  constructor(reply: string, afterMs: number) {
    super(reply);
    this.afterMs = afterMs;
  }
}

function outcome(answer: Answer): string {
  if (answer.kind === 'sent') return answer.reply;
  if (answer.kind === 'retry') throw new Later(answer.reply, answer.afterMs);
  throw new UnrecoverableError(answer.reply);
}

async function consume(place: Place, consuming: Consuming): Promise<void> {
  const { deliver, capacity } = consuming;
  await withQueue(place, async (queue, redis) => {
    let answered = 0;
    const connection = connectionTo(place);
    const worker = new Worker<Person>(
      place.run,
      async ({ data }) => {
        const answer = await new Promise<Answer>((resolve) => deliver(data, resolve));
        answered++;
        return outcome(answer);
      },
      {
        connection,
        concurrency: capacity,
        lockDuration: LOCK_MS,
        stalledInterval: STALLED_MS,
        maxStalledCount: MAX_STALLED,
        removeOnComplete: { count: 0 },
        settings: {
          backoffStrategy: (_attempts, _type, error) => (error instanceof Later ? error.afterMs : 0),
        },
      },
    );
    // Lost connections again; a failed job is in the failed set.
    worker.on('error', () => {});
    try {
      // Retries are answers too, so that only the queue can say when all is done.
      const finished = (): number => Math.min(answered, place.people - 1);
      await untilDone(place.people, finished, async () => await nothingLeft(queue, redis, place), consuming);
    } finally {
      await worker.close();
      connection.disconnect();
    }
  });
}

/** One script counts all states at once: no job can slip from one to another in between. */
async function nothingLeft(queue: Queue<Person>, redis: Redis, place: Place): Promise<boolean> {
  if ((await redis.get(publishedKey(place))) === null) return false;
  const counts = await queue.getJobCounts('waiting', 'active', 'delayed', 'prioritized');
  return Object.values(counts).every((count) => count === 0);
}

async function readDead(queue: Queue<Person>): Promise<DeadLetter[]> {
  const letters: DeadLetter[] = [];
  for (let from = 0; ; from += PAGE) {
    const jobs = await queue.getFailed(from, from + PAGE - 1);
    letters.push(...jobs.map((job) => ({ address: job.data.address, reply: job.failedReason ?? '' })));
    if (jobs.length < PAGE) return letters;
  }
}

async function stopOne(place: Place, person: Person): Promise<boolean> {
  return await withQueue(place, async (queue) => {
    const state = await queue.getJobState(jobId(person));
    if (state !== 'waiting' && state !== 'delayed') return false;
    return (await queue.remove(jobId(person))) === 1;
  });
}

/**
 * BullMQ on Redis as its documentation says to use it in production: an append-only file, noeviction, connections that
 * never give up, addBulk, attempts with a custom backoff, completed jobs removed, the failed set as the dead letters.
 * Followed: "Going to production", "Auto-removal of jobs", "Retrying failing jobs", "Stalled jobs" and "Concurrency" of
 * docs.bullmq.io.
 */
export const bullmq: Design = {
  name: 'bullmq',
  broker: 'redis',
  tiers: ['A', 'B'],
  guarantees:
    'An added job is in the append-only file: with an fsync in tier A (appendfsync always), written and not yet synced in ' +
    'tier B (everysec, which the guide recommends). A killed worker or Redis loses no person; the jobs that a killed worker ' +
    'held are done again, at most its concurrency, once their locks have run out. Every job is in memory until sent.',
  cannotTell:
    'Who was sent: a completed job is removed. It can be kept, which costs its memory for as long as it may be asked for. It ' +
    'can tell what waits, is in flight and has failed, with the reply, can take one out that waits, and can pause.',
  afterPublisherKilled: 'once',
  twiceAtMost: (capacity) => capacity,
  prepare: (place) => withQueue(place, async (_queue, redis) => void (await redis.del(publishedKey(place)))),
  publish,
  consume,
  standing: (place) =>
    withQueue(place, async (queue) => {
      // A paused queue's jobs count as waiting.
      const counts = await queue.getJobCounts('waiting', 'active', 'delayed', 'failed');
      const { waiting = 0, active = 0, delayed = 0, failed = 0 } = counts;
      return {
        waiting,
        inFlight: active,
        sent: null,
        rejected: failed,
        retrying: delayed,
      };
    }),
  deadLetters: (place) => withQueue(place, readDead),
  stopOne,
  pause: (place) => withQueue(place, async (queue) => await queue.pause().then(() => true)),
  resume: (place) => withQueue(place, async (queue) => await queue.resume().then(() => true)),
  dispose: (place) =>
    withQueue(place, async (queue, redis) => {
      // A worker that was killed still holds locks.
      await queue.obliterate({ force: true });
      await redis.del(publishedKey(place));
    }),
};
