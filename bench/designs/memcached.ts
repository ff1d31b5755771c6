import { messageOf, SendstateError } from '../../src/errors.ts';
import type { Consuming, DeadLetter, Design, Person, Place, Standing } from '../contract.ts';
import { Memcached } from './memcached-client.ts';
import { Consumer } from './memcached-consumer.ts';
import { COUNTERS, Queue } from './memcached-queue.ts';

/** People stored in one go by the publisher. */
const BATCH = 500;

async function withQueue<T>(place: Place, work: (queue: Queue, client: Memcached) => Promise<T>): Promise<T> {
  const client = await Memcached.connect(place.url);
  try {
    return await work(new Queue(client, place), client);
  } finally {
    await client.close();
  }
}

async function publish(place: Place, people: AsyncIterable<readonly Person[]>): Promise<void> {
  await withQueue(place, async (queue) => {
    for await (const batch of people) {
      const entries = batch.map((person) => ({ person, attempt: 1, notBefore: 0 }));
      for (let from = 0; from < entries.length; from += BATCH)
        await queue.put(entries.slice(from, from + BATCH));
    }
  });
}

/** A lost connection is a lost queue here: everything was in that memory. */
async function consume(place: Place, consuming: Consuming): Promise<void> {
  try {
    await withQueue(place, (queue) => new Consumer(queue, place, consuming).run());
  } catch (error) {
    const gone = await withQueue(place, async (queue) => !(await queue.counts()).exists);
    if (!gone)
      throw new SendstateError('bench_memcached', `memcached: ${messageOf(error)}`, { cause: error });
  }
}

async function standing(place: Place): Promise<Standing> {
  const counts = await withQueue(place, (queue) => queue.counts());
  return {
    waiting: Math.max(0, counts.tail - counts.head),
    // Taken and not ended includes every person that a killed worker had, so it is no number of mails in flight.
    inFlight: null,
    sent: counts.sent,
    rejected: counts.rejected,
    retrying: null,
  };
}

async function readDead(place: Place): Promise<DeadLetter[]> {
  return await withQueue(place, async (queue, client) => {
    const { rejected } = await queue.counts();
    const keys = Array.from({ length: rejected }, (_, index) => queue.key(`dead:${index + 1}`));
    const found = await client.get(keys);
    return [...found.values()].map((value) => JSON.parse(value) as DeadLetter);
  });
}

/**
 * The queue that people build in a cache: a counter for the tail, a counter for the head, a key for each position. With
 * -M, so that a full memory is an error and no person is evicted silently.
 * Followed: doc/protocol.txt of memcached (incr, multi-get, pipelining).
 */
export const memcached: Design = {
  name: 'memcached',
  broker: 'memcached',
  tiers: ['C'],
  guarantees:
    'Nothing. A restart of memcached loses every person not yet sent, and the record of those who were. A killed worker loses whom it had ' +
    'taken: the head has moved on and they are not taken again. What it has taken and handed over is not sent twice.',
  cannotTell:
    'Who was sent or lost. How many are in flight. Whether it is finished after a crash: the sums then never add up, and ' +
    'a worker goes when nothing has happened for a while. One person cannot be taken out without a list elsewhere.',
  afterConsumerKilled: 'loses',
  afterBrokerKilled: 'loses',
  afterPublisherKilled: 'loses',
  twiceAtMost: () => 0,
  prepare: (place) =>
    withQueue(place, async (queue, client) => {
      for (const counter of COUNTERS) await client.set(queue.key(counter), '0');
    }),
  publish,
  consume,
  standing,
  deadLetters: readDead,
  stopOne: async () => null,
  pause: (place) =>
    withQueue(place, async (queue, client) => await client.set(queue.key('paused'), '1').then(() => true)),
  resume: (place) =>
    withQueue(place, async (queue, client) => await client.delete(queue.key('paused')).then(() => true)),
  dispose: (place) =>
    withQueue(place, async (queue, client) => {
      const { tail, rejected } = await queue.counts();
      const keys = [...COUNTERS, 'paused'].map((name) => queue.key(name));
      for (let index = 1; index <= tail; index++) keys.push(queue.key(`q:${index}`));
      for (let index = 1; index <= rejected; index++) keys.push(queue.key(`dead:${index}`));
      for (let from = 0; from < keys.length; from += BATCH) {
        const part = keys.slice(from, from + BATCH);
        await Promise.all(await client.together(() => part.map((key) => client.delete(key))));
      }
    }),
};
