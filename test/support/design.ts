import { type ChildProcess, spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import type { Answer, Design, Person, Place } from '../../bench/contract.ts';

/** People of a run, in batches, as the driver gives them to a design. */
export async function* somePeople(count: number, batch = 100): AsyncGenerator<readonly Person[]> {
  for (let from = 1; from <= count; from += batch) {
    const size = Math.min(batch, count - from + 1);
    yield Array.from({ length: size }, (_, index) => personOf(from + index));
  }
}

export function personOf(id: number): Person {
  return { id, address: `person${id}@example.org`, vars: { name: `Zoë ${id}`, code: 'a\r\nb "c"' } };
}

let runs = 0;

/** A place for one run at this broker; every call is a new run. */
export function placeAt(url: string, people: number, more: Partial<Place> = {}): Place {
  return { url, people, run: `t${process.pid}_${++runs}`, tier: 'A', maxAttempts: 4, ...more };
}

/** Who was handed over how often, in the order of the first time. */
export class Handed {
  readonly counts = new Map<string, number>();

  add(address: string): void {
    this.counts.set(address, (this.counts.get(address) ?? 0) + 1);
  }

  get people(): number {
    return this.counts.size;
  }

  get duplicated(): number {
    return [...this.counts.values()].filter((count) => count > 1).length;
  }
}

export interface Consumption {
  readonly handed: Handed;
  readonly largestInFlight: number;
}

/** Consumes in this process until the design says that all is done. */
export async function consumeHere(
  design: Design,
  place: Place,
  answer: (person: Person, time: number) => Answer = () => ({ kind: 'sent', reply: '250 ok' }),
  options: {
    capacity?: number;
    signal?: AbortSignal;
    onHanded?: (handed: Handed) => void;
    delayMs?: number;
  } = {},
): Promise<Consumption> {
  const handed = new Handed();
  let inFlight = 0;
  let largestInFlight = 0;
  await design.consume(place, {
    capacity: options.capacity ?? 20,
    signal: options.signal ?? new AbortController().signal,
    deliver: (person, done) => {
      inFlight++;
      largestInFlight = Math.max(largestInFlight, inFlight);
      handed.add(person.address);
      setTimeout(() => {
        inFlight--;
        done(answer(person, handed.counts.get(person.address) ?? 0));
        options.onHanded?.(handed);
      }, options.delayMs ?? 1);
    },
  });
  return { handed, largestInFlight };
}

const CHILD = new URL('./design-child.ts', import.meta.url).pathname;

/** A consumer in a process of its own, which can be killed; what it hands over goes into `handed`. */
export class ConsumerChild {
  readonly #child: ChildProcess;
  readonly #ended: Promise<string>;
  readonly #waiters: { count: number; resolve: () => void }[] = [];
  #lines = 0;

  constructor(design: string, place: Place, handed: Handed, delayMs: number) {
    const args = [CHILD, JSON.stringify({ design, place, delayMs })];
    this.#child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'pipe'] });
    let errors = '';
    this.#child.stderr?.on('data', (data: Buffer) => {
      errors += data.toString('utf8');
    });
    if (this.#child.stdout === null) throw new Error('the consumer has no output');
    createInterface({ input: this.#child.stdout }).on('line', (line) => {
      handed.add(line);
      this.#lines++;
      for (const waiter of this.#waiters) if (this.#lines >= waiter.count) waiter.resolve();
    });
    this.#ended = new Promise((resolve) => {
      this.#child.once('close', (code, signal) =>
        resolve(`${signal ?? code}${errors === '' ? '' : `: ${errors}`}`),
      );
    });
  }

  /** Until it has handed over this many. */
  handedOver(count: number): Promise<void> {
    if (this.#lines >= count) return Promise.resolve();
    const ended = this.#ended.then((how) => {
      throw new Error(`the consumer ended with ${how}`);
    });
    return Promise.race([ended, new Promise<void>((resolve) => this.#waiters.push({ count, resolve }))]);
  }

  async kill(): Promise<void> {
    this.#child.kill('SIGKILL');
    await this.#ended;
  }

  /** '0' when it came to the end by itself. */
  ended(): Promise<string> {
    return this.#ended;
  }
}
