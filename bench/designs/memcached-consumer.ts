import { setTimeout as wait } from 'node:timers/promises';
import type { Answer, Consuming, Place } from '../contract.ts';
import type { Entry, Queue } from './memcached-queue.ts';

/** Between two looks of a worker that has nothing to do, milliseconds. */
const LOOK_MS = 20;
/** After so long without any change no other consumer is at work: what is missing then went with a killed worker, milliseconds. */
const SILENCE_MS = 3_000;

/** Takes positions off the head and hands them over, until the sums say that all is done or no other consumer is left. */
export class Consumer {
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
      // No consumer has done anything for a while and none is left: the others are gone, and with them whom they had taken.
      if (performance.now() - since > SILENCE_MS) return;
      if (this.#free === 0 || there <= 0 || counts.paused || signal.aborted) await this.#answered();
    }
  }

  get #free(): number {
    return Math.max(0, this.#consuming.capacity - this.#inFlight - this.#held - this.#awaited.length);
  }

  /** Until a person is answered, or it is time to look again. */
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
