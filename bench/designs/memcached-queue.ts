import { SendstateError } from '../../src/errors.ts';
import type { DeadLetter, Person, Place } from '../contract.ts';
import type { Memcached } from './memcached-client.ts';

/** What stands at a position of the queue. */
export interface Entry {
  readonly person: Person;
  readonly attempt: number;
  /** Milliseconds since 1970. */
  readonly notBefore: number;
}

/**
 * tail: positions up to which everything is stored; next: positions given to publishers; head: positions taken by
 * workers. One can only count up in memcached, and reading and taking are two commands.
 */
export const COUNTERS = ['tail', 'next', 'head', 'sent', 'rejected'] as const;
type Counter = (typeof COUNTERS)[number];

/** A queue made of counters and of a key for each position. */
export class Queue {
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
      'memcached was restarted: the queue and every person in it are gone',
    );
  }

  /** Stores first and moves the tail then, so that no consumer reads what is not there yet. */
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
