import { setTimeout as wait } from 'node:timers/promises';
import { now } from './clock.ts';
import type { SinkRequest } from './counting-sink.ts';
import { NO_FAILURES } from './fate.ts';
import { median } from './server.ts';
import type { Expected, Seen } from './sink-book.ts';
import { Child } from './speed-child.ts';
import type { Job, Run } from './speed-client.ts';

/** How often the sink is asked how many it has, milliseconds: often enough to kill a process in the middle. */
const LOOK_EVERY_MS = 10;

/** The counting sink, from outside. */
export class VerifyingSink {
  readonly port: number;
  readonly pid: number;
  readonly #child: Child;
  /** Answers come in the order of the questions, so only one is asked at a time. */
  #asked: Promise<unknown> = Promise.resolve();

  private constructor(child: Child, port: number) {
    this.#child = child;
    this.port = port;
    this.pid = child.pid;
  }

  static async start(): Promise<VerifyingSink> {
    const child = Child.start(new URL('./counting-sink.ts', import.meta.url));
    return new VerifyingSink(child, (await child.next<{ port: number }>()).port);
  }

  /** `smtp://…` of it, with so many connections. */
  url(connections: number): string {
    return `smtp://127.0.0.1:${this.port}?connections=${connections}`;
  }

  async begin(expected: Expected, delayMs: number): Promise<void> {
    await this.#ask<object>({ kind: 'begin', expected, delayMs });
  }

  async accepted(): Promise<number> {
    return (await this.#ask<{ accepted: number }>({ kind: 'accepted' })).accepted;
  }

  async has(number: number): Promise<boolean> {
    return (await this.#ask<{ has: boolean }>({ kind: 'has', number })).has;
  }

  async seen(): Promise<Seen> {
    return await this.#ask<Seen>({ kind: 'seen' });
  }

  /** Waits for so many mails; false when they did not come in time, or when no caller waits any more. */
  async reaches(count: number, patienceMs: number, signal?: AbortSignal): Promise<boolean> {
    const end = now() + patienceMs;
    while ((await this.accepted()) < count) {
      if (now() > end || signal?.aborted === true) return false;
      await wait(LOOK_EVERY_MS);
    }
    return true;
  }

  async stop(): Promise<void> {
    await this.#child.stop();
  }

  #ask<T>(request: SinkRequest): Promise<T> {
    const answer = this.#asked.then(() => this.#child.ask<T>(request));
    this.#asked = answer.catch(() => undefined);
    return answer;
  }
}

/** Mails per second that the sink takes from the client of all designs when nothing else has to be done: no queue, no composing. */
export async function sinkLimit(
  sink: VerifyingSink,
  mails: number,
  rounds: number,
  connections: number,
): Promise<number> {
  const client = Child.start(new URL('./speed-client.ts', import.meta.url));
  try {
    const rates: number[] = [];
    for (let round = 0; round <= rounds; round++) {
      await sink.begin({ run: 'limit', people: 1, failures: NO_FAILURES, check: false }, 0);
      const job: Job = {
        kind: 'blast',
        watched: { postgres: null, sink: null },
        count: mails,
        to: { port: sink.port, query: `connections=${connections}` },
      };
      const { seconds } = await client.ask<Run>(job);
      // The first one warms up.
      if (round > 0) rates.push(mails / seconds);
    }
    return median(rates);
  } finally {
    await client.stop();
  }
}
