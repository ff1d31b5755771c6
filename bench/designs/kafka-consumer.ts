import { setTimeout as wait } from 'node:timers/promises';
import { type Admin, Consumer, type Message } from '@platformatic/kafka';
import { SendstateError } from '../../src/errors.ts';
import type { Answer, Consuming, Person, Place } from '../contract.ts';
import { Contiguous } from './contiguous.ts';
import { closeQuietly, Sender } from './kafka-sender.ts';
import { brokersOf, look, topicsOf, withAdmin } from './kafka-topics.ts';
import { waitFor } from './waits.ts';

/** Between two commits, milliseconds. What was sent since the last one is sent again after a crash. */
const COMMIT_MS = 50;
/** Records read ahead, as a multiple of those in flight: beyond this the stream is paused. */
const AHEAD = 8;
/**
 * A member that is silent for this long has died, milliseconds; until then no member gets its partitions. The broker's
 * smallest by default, against a default of 60,000 in this client.
 */
const SESSION_MS = 6_000;
/** Without work for this long a worker looks whether all is done, milliseconds. */
const IDLE_MS = 150;
const LOOK_MS = 100;
/** How long no session may be possible before this gives up, milliseconds. */
const PATIENCE_MS = 90_000;

type TextConsumer = Consumer<string, string, string, string>;
type TextRecord = Message<string, string, string, string>;

interface Partition {
  readonly topic: string;
  readonly partition: number;
  readonly offsets: Contiguous;
  leaderEpoch: number;
  committed: number;
}

interface Delivery {
  readonly from: Partition;
  readonly offset: number;
  readonly value: string;
  readonly person: Person;
  readonly attempt: number;
}

const text = (data?: Buffer): string => data?.toString('utf8') ?? '';

export class KafkaConsumer {
  readonly #place: Place;
  readonly #consuming: Consuming;
  readonly #sender: Sender;
  readonly #partitions = new Map<string, Partition>();
  readonly #ready: Delivery[] = [];
  #consumer: TextConsumer | null = null;
  #stream: { pause(): unknown; resume(): unknown } | null = null;
  #paused = false;
  #inFlight = 0;
  /** Records of retry topics that are not due. */
  #held = 0;
  #finished = false;
  #lastWork = performance.now();

  constructor(place: Place, consuming: Consuming) {
    this.#place = place;
    this.#consuming = consuming;
    this.#sender = new Sender(brokersOf(place));
  }

  async run(): Promise<void> {
    const sessions = this.#sessions();
    try {
      await Promise.race([this.#untilDone(), sessions, this.#sender.failed]);
    } finally {
      this.#finished = true;
      if (this.#consumer !== null) await closeQuietly(this.#consumer);
      await this.#sender.close();
      // Its error, if it has one, has been thrown above or no longer matters.
      await sessions.catch(() => {});
    }
  }

  /** One membership after the other: after an error that the client cannot mend a new consumer joins. */
  async #sessions(): Promise<void> {
    let since = performance.now();
    while (!this.#finished) {
      const consumer: TextConsumer = new Consumer({
        clientId: 'sendstate-bench',
        bootstrapBrokers: brokersOf(this.#place),
        groupId: topicsOf(this.#place).group,
        autocommit: false,
        sessionTimeout: SESSION_MS,
        rebalanceTimeout: SESSION_MS * 2,
        heartbeatInterval: 1_000,
        // A worker that comes or goes moves as few partitions as possible.
        protocols: [{ name: 'cooperative-sticky', version: 3 }],
        metadataMaxAge: 1_000,
        deserializers: { key: text, value: text, headerKey: text, headerValue: text },
      });
      this.#consumer = consumer;
      try {
        await this.#session(consumer, () => {
          since = performance.now();
        });
      } catch (error) {
        if (performance.now() - since > PATIENCE_MS) {
          throw new SendstateError('bench_broker_gone', 'Kafka could not be reached again', { cause: error });
        }
      }
      this.#stream = null;
      if (this.#finished) return;
      this.#consumer = null;
      await closeQuietly(consumer);
      await wait(LOOK_MS);
    }
  }

  async #session(consumer: TextConsumer, joined: () => void): Promise<void> {
    const failed = new Promise<never>((_, reject) => consumer.on('error', reject));
    failed.catch(() => {});
    const { work, retries } = topicsOf(this.#place);
    const stream = await Promise.race([
      failed,
      consumer.consume({
        topics: [work, ...retries],
        mode: 'committed',
        fallbackMode: 'earliest',
        autocommit: false,
        maxWaitTime: 500,
      }),
    ]);
    joined();
    this.#stream = stream;
    this.#paused = false;
    stream.on('data', (message) => this.#take(message));
    const ended = new Promise<void>((resolve, reject) => {
      stream.once('error', reject);
      stream.once('close', () => resolve());
    });
    await Promise.race([failed, ended]);
  }

  /**
   * What this worker has had already comes again after every rebalance and reconnection, because both go back to the
   * committed offset; it is in flight here or done, and is passed over.
   */
  #take(message: TextRecord): void {
    const key = `${message.topic} ${message.partition}`;
    const offset = Number(message.offset);
    let from = this.#partitions.get(key);
    if (from === undefined) {
      const { topic, partition, leaderEpoch } = message;
      from = { topic, partition, leaderEpoch, offsets: new Contiguous(offset - 1), committed: offset };
      this.#partitions.set(key, from);
    }
    from.leaderEpoch = message.leaderEpoch;
    if (!from.offsets.begin(offset)) return;
    const attempt = Number(message.headers.get('attempt') ?? 1);
    const person = JSON.parse(message.value) as Person;
    const delivery = { from, offset, value: message.value, person, attempt };
    const dueIn = Number(message.headers.get('not-before') ?? 0) - Date.now();
    this.#lastWork = performance.now();
    if (dueIn <= 0) {
      this.#ready.push(delivery);
    } else {
      this.#held++;
      setTimeout(() => {
        this.#held--;
        this.#ready.push(delivery);
        this.#fill();
      }, dueIn);
    }
    this.#fill();
  }

  #fill(): void {
    const { capacity, deliver, signal } = this.#consuming;
    while (this.#inFlight < capacity && !signal.aborted) {
      const delivery = this.#ready.shift();
      if (delivery === undefined) break;
      this.#inFlight++;
      deliver(delivery.person, (answer) => this.#answer(delivery, answer));
    }
    const full = this.#ready.length + this.#held > capacity * AHEAD;
    if (full === this.#paused) return;
    this.#paused = full;
    if (full) this.#stream?.pause();
    else this.#stream?.resume();
  }

  /** What goes to another topic is done here only once it is written there. */
  #answer(delivery: Delivery, answer: Answer): void {
    if (answer.kind === 'sent') {
      this.#finish(delivery);
      return;
    }
    const { retries, dead } = topicsOf(this.#place);
    const again = answer.kind === 'retry' && delivery.attempt < this.#place.maxAttempts;
    const step = again ? waitFor(answer.afterMs) : 0;
    const headers: Record<string, string> = {
      attempt: `${delivery.attempt + (again ? 1 : 0)}`,
      reply: answer.reply,
      'not-before': `${Date.now() + step}`,
    };
    const topic = again ? (retries.find((name) => name.endsWith(`.${step}`)) ?? dead) : dead;
    const message = { topic, partition: 0, key: delivery.person.address, value: delivery.value, headers };
    this.#sender.send(message, () => this.#finish(delivery));
  }

  #finish({ from, offset }: Delivery): void {
    from.offsets.end(offset);
    this.#inFlight--;
    this.#lastWork = performance.now();
    this.#fill();
  }

  /** Up to the first record that is not done, of the partitions that are this worker's now. */
  async #commit(): Promise<void> {
    const consumer = this.#consumer;
    if (consumer === null || !consumer.isActive()) return;
    const mine = new Set(
      (consumer.assignments ?? []).flatMap(({ topic, partitions }) =>
        partitions.map((one) => `${topic} ${one}`),
      ),
    );
    const behind = [...this.#partitions].flatMap(([key, one]) =>
      mine.has(key) && one.offsets.next > one.committed ? [{ one, next: one.offsets.next }] : [],
    );
    if (behind.length === 0) return;
    await consumer.commit({
      offsets: behind.map(({ one: { topic, partition, leaderEpoch }, next }) => ({
        topic,
        partition,
        leaderEpoch,
        offset: BigInt(next),
      })),
    });
    for (const { one, next } of behind) one.committed = next;
    if (this.#inFlight === 0 && this.#ready.length + this.#held === 0) this.#consuming.settled?.();
  }

  async #untilDone(): Promise<void> {
    await withAdmin(this.#place, async (admin) => {
      let since = performance.now();
      for (;;) {
        await wait(COMMIT_MS);
        const idle = this.#inFlight === 0 && this.#sender.pending === 0;
        const stop = this.#consuming.signal.aborted && idle;
        try {
          await this.#commit();
          if (stop) return;
          const quiet = performance.now() - this.#lastWork > IDLE_MS;
          if (idle && quiet && this.#ready.length + this.#held === 0) {
            if (await this.#nothingLeft(admin)) return;
            await wait(LOOK_MS);
          }
          since = performance.now();
        } catch (error) {
          // A coordinator that is away comes back, or the session ends and the next one brings the records again.
          if (performance.now() - since > PATIENCE_MS) throw error;
        }
      }
    });
  }

  /** A log can tell: every person was written, and the group has committed all that was ever written. */
  async #nothingLeft(admin: Admin): Promise<boolean> {
    const { work, retries } = await look(admin, topicsOf(this.#place));
    return (
      work.written >= this.#place.people &&
      work.committed === work.written &&
      retries.committed === retries.written
    );
  }
}
