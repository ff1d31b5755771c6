import { setTimeout as wait } from 'node:timers/promises';
import { messageOf, SendstateError } from '../../src/errors.ts';
import type { Answer, Consuming, DeadLetter, Design, Person, Place, Standing } from '../contract.ts';
import { Memcached } from './memcached-client.ts';

/** People stored in one go by the publisher. */
const BATCH = 500;
/** Between two looks of a worker that has nothing to do, milliseconds. */
const LOOK_MS = 20;
/** After so long without any change nobody else is at work: what is missing then went with a killed worker, milliseconds. */
const SILENCE_MS = 3_000;

/** What stands at a position of the queue. */
interface Entry {
  readonly person: Person;
  readonly attempt: number;
  /** Milliseconds since 1970. */
  readonly notBefore: number;
}

/**
 * tail: positions up to which everything is stored; next: positions given to publishers; head: positions taken by
 * workers. One can only count up in memcached, and reading and taking are two commands.
 */
const COUNTERS = ['tail', 'next', 'head', 'sent', 'rejected'] as const;
type Counter = (typeof COUNTERS)[number];

class Queue {
  readonly #client: Memcached;
  readonly #place: Place;

  constructor(client: Memcached, place: Place) {
    this.#client = client;
    this.#place = place;
  }

  key(name: string): string {
    return `${this.#place.run}:${name}`;
  }

  async add(counter: Counter, amount = 1): Promise<number> {
    const value = await this.#client.add(this.key(counter), amount);
    if (value !== null) return value;
    throw new SendstateError(
      'bench_memory_gone',
      'memcached was restarted: the queue and everybody in it are gone',
    );
  }

  /** Stores first and moves the tail then, so that nobody reads what is not there yet. */
  async put(entries: readonly Entry[]): Promise<void> {
    if (entries.length === 0) return;
    const last = await this.add('next', entries.length);
    const first = last - entries.length + 1;
    const stored = await this.#client.together(() =>
      entries.map((entry, index) => this.#client.set(this.key(`q:${first + index}`), JSON.stringify(entry))),
    );
    await Promise.all(stored);
    await this.add('tail', entries.length);
  }

  async take(positions: readonly number[]): Promise<Map<number, Entry>> {
    const found = await this.#client.get(positions.map((position) => this.key(`q:${position}`)));
    const entries = new Map<number, Entry>();
    for (const position of positions) {
      const value = found.get(this.key(`q:${position}`));
      if (value !== undefined) entries.set(position, JSON.parse(value) as Entry);
    }
    return entries;
  }

  async bury(position: number, letter: DeadLetter): Promise<void> {
    await this.#client.set(this.key(`dead:${await this.add('rejected')}`), JSON.stringify(letter));
    await this.#client.delete(this.key(`q:${position}`));
  }

  forget(position: number): Promise<void> {
    return this.#client.delete(this.key(`q:${position}`));
  }

  async counts(): Promise<Record<Counter, number> & { readonly paused: boolean; readonly exists: boolean }> {
    const found = await this.#client.get([...COUNTERS, 'paused'].map((name) => this.key(name)));
    const count = (name: Counter): number => Number(found.get(this.key(name)) ?? 0);
    return {
      tail: count('tail'),
      next: count('next'),
      head: count('head'),
      sent: count('sent'),
      rejected: count('rejected'),
      paused: found.has(this.key('paused')),
      exists: found.has(this.key('tail')),
    };
  }
}

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

class Consumer {
  readonly #queue: Queue;
  readonly #place: Place;
  readonly #consuming: Consuming;
  /** Taken, and not there yet: two workers that see one free position both count the head up. */
  #awaited: number[] = [];
  #inFlight = 0;
  #held = 0;
  #failure: unknown;
  #failed = false;
  /** Ends the wait for work: a place has become free. */
  #wake: () => void = () => {};

  constructor(queue: Queue, place: Place, consuming: Consuming) {
    this.#queue = queue;
    this.#place = place;
    this.#consuming = consuming;
  }

  async run(): Promise<void> {
    const { signal } = this.#consuming;
    let seen = '';
    let since = performance.now();
    for (;;) {
      if (this.#failed) throw this.#failure;
      if (signal.aborted && this.#inFlight === 0 && this.#held === 0) return;
      const counts = await this.#queue.counts();
      if (!counts.exists) return;
      if (counts.sent + counts.rejected >= this.#place.people) {
        this.#consuming.settled?.();
        return;
      }
      const there = counts.tail - counts.head;
      if (!signal.aborted && !counts.paused) await this.#take(Math.min(this.#free, there));
      const now = JSON.stringify(counts);
      const busy = this.#inFlight > 0 || this.#held > 0 || counts.paused || counts.tail < this.#place.people;
      if (now !== seen || busy) since = performance.now();
      seen = now;
      // Nobody has done anything for a while and nobody is left: the others are gone, and with them whom they had taken.
      if (performance.now() - since > SILENCE_MS) return;
      if (this.#free === 0 || there <= 0 || counts.paused || signal.aborted) await this.#answered();
    }
  }

  get #free(): number {
    return Math.max(0, this.#consuming.capacity - this.#inFlight - this.#held - this.#awaited.length);
  }

  /** Until somebody is answered, or it is time to look again. */
  async #answered(): Promise<void> {
    const stop = new AbortController();
    const answered = new Promise<void>((resolve) => {
      this.#wake = resolve;
    });
    const late = wait(LOOK_MS, undefined, { signal: stop.signal }).catch(() => undefined);
    await Promise.race([answered, late]);
    stop.abort();
  }

  async #take(count: number): Promise<void> {
    let positions = this.#awaited;
    if (count > 0) {
      const last = await this.#queue.add('head', count);
      positions = [...positions, ...Array.from({ length: count }, (_, index) => last - count + 1 + index)];
    }
    if (positions.length === 0) return;
    const entries = await this.#queue.take(positions);
    this.#awaited = positions.filter((position) => !entries.has(position));
    for (const [position, entry] of entries) this.#begin(position, entry);
  }

  #begin(position: number, entry: Entry): void {
    const dueIn = entry.notBefore - Date.now();
    if (dueIn <= 0) {
      this.#hand(position, entry);
      return;
    }
    this.#held++;
    setTimeout(() => {
      this.#held--;
      this.#hand(position, entry);
    }, dueIn);
  }

  #hand(position: number, entry: Entry): void {
    this.#inFlight++;
    this.#consuming.deliver(entry.person, (answer) => {
      this.#answer(position, entry, answer)
        .catch((error: unknown) => {
          this.#failed = true;
          this.#failure = error;
        })
        .finally(() => {
          this.#inFlight--;
          this.#wake();
        });
    });
  }

  async #answer(position: number, { person, attempt }: Entry, answer: Answer): Promise<void> {
    const queue = this.#queue;
    if (answer.kind === 'sent') {
      await Promise.all([queue.forget(position), queue.add('sent')]);
    } else if (answer.kind === 'retry' && attempt < this.#place.maxAttempts) {
      await queue.put([{ person, attempt: attempt + 1, notBefore: Date.now() + answer.afterMs }]);
      await queue.forget(position);
    } else {
      await queue.bury(position, { address: person.address, reply: answer.reply });
    }
  }
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
    // Taken and not ended includes everybody whom a killed worker had, so it is no number of mails in flight.
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
 * -M, so that a full memory is an error and nobody is thrown out silently.
 * Followed: doc/protocol.txt of memcached (incr, multi-get, pipelining).
 */
export const memcached: Design = {
  name: 'memcached',
  broker: 'memcached',
  tiers: ['C'],
  guarantees:
    'Nothing. A restart of memcached loses everybody who was not sent, and also who was. A killed worker loses whom it had ' +
    'taken: the head has moved on and nobody will take them again. What it has taken and handed over is not sent twice.',
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
