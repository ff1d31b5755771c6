import { setTimeout as wait } from 'node:timers/promises';
import { type MessageToProduce, ProduceAcks, Producer } from '@platformatic/kafka';
import { messageOf, SendstateError } from '../../src/errors.ts';

/** What a record is to this design: everything is text, and the partition is given. */
export type TextMessage = MessageToProduce<string, string, string, string> & { readonly partition: number };
type TextProducer = Producer<string, string, string, string>;

/** How long a record waits for others, milliseconds. Kafka's linger.ms: 5 to 20 for throughput. */
const LINGER_MS = 10;
/** Records that are collected before they are sent. With fsync on every append, each partition among them costs one. */
const BATCH = 2_000;
/**
 * How long one request may take with all its repetitions, milliseconds. The client repeats by itself with the same
 * sequence numbers, so that the broker drops what it has already; but without any broker it can wait for ever.
 */
const TIMEOUT_MS = 45_000;
const REPEAT_MS = 250;
const REPEATS = 120;
/** How often a request is begun anew with a new producer before this gives up. */
const TRIES = 3;

/** Text in and out, for producers and consumers. */
export const TEXT = {
  key: (text?: string): Buffer | undefined => (text === undefined ? undefined : Buffer.from(text)),
  value: (text?: string): Buffer | undefined => (text === undefined ? undefined : Buffer.from(text)),
  headerKey: (text?: string): Buffer | undefined => (text === undefined ? undefined : Buffer.from(text)),
  headerValue: (text?: string): Buffer | undefined => (text === undefined ? undefined : Buffer.from(text)),
};

/** An idempotent producer with acks=all that collects records, and knows which are in the log. */
export class Sender {
  readonly #brokers: string[];
  #producer: TextProducer | null = null;
  #queue: { message: TextMessage; written: () => void }[] = [];
  #pending = 0;
  #flushing = false;
  #below: { count: number; resolve: () => void } | null = null;
  #fail: (error: unknown) => void = () => {};
  /** Rejects when records cannot be written; never fulfilled. */
  readonly failed: Promise<never>;

  constructor(brokers: string[]) {
    this.#brokers = brokers;
    this.failed = new Promise((_, reject) => {
      this.#fail = reject;
    });
    // A caller that waits for it is told; none has to.
    this.failed.catch(() => {});
  }

  get pending(): number {
    return this.#pending;
  }

  /** `written` is called once, when every in-sync copy has the record. */
  send(message: TextMessage, written: () => void = () => {}): void {
    this.#queue.push({ message, written });
    this.#pending++;
    if (this.#flushing) return;
    this.#flushing = true;
    this.#flush().catch(this.#fail);
  }

  /** Until fewer than `count` are not written yet. One caller at a time. */
  below(count: number): Promise<void> {
    if (this.#pending < count) return Promise.resolve();
    return Promise.race([
      this.failed,
      new Promise<void>((resolve) => {
        this.#below = { count, resolve };
      }),
    ]);
  }

  /** One request at a time: a second one on its way would have to be undone when the first fails. */
  async #flush(): Promise<void> {
    while (this.#queue.length > 0) {
      if (this.#queue.length < BATCH) await wait(LINGER_MS);
      const batch = this.#queue.splice(0, BATCH);
      await this.#write(batch.map(({ message }) => message));
      this.#pending -= batch.length;
      for (const { written } of batch) written();
      if (this.#below !== null && this.#pending < this.#below.count) {
        this.#below.resolve();
        this.#below = null;
      }
    }
    this.#flushing = false;
  }

  /**
   * A request for each partition: of a request for several, the client repeats all at the broker that now leads the first
   * of them, in vain for the others once their leader has died. What has failed is begun anew, and nothing else.
   */
  async #write(batch: readonly TextMessage[]): Promise<void> {
    const byPartition = Map.groupBy(batch, ({ topic, partition }) => `${topic} ${partition}`);
    let parts = [...byPartition.values()];
    for (let turn = 1; parts.length > 0; turn++) {
      const producer = this.#connect();
      const results = await Promise.allSettled(
        parts.map((messages) => withTimeout(producer.send({ messages }), 'Kafka did not take a batch')),
      );
      parts = parts.filter((_, index) => results[index]?.status === 'rejected');
      const failure = results.find((result) => result.status === 'rejected');
      if (failure === undefined) return;
      // The next producer has new numbers: what was written without an answer is then written twice.
      await this.close();
      if (turn < TRIES) continue;
      const why = messageOf(failure.reason);
      throw new SendstateError('bench_broker_gone', `Kafka takes no records: ${why}`, {
        cause: failure.reason,
      });
    }
  }

  #connect(): TextProducer {
    this.#producer ??= new Producer({
      clientId: 'sendstate-bench',
      bootstrapBrokers: this.#brokers,
      idempotent: true,
      acks: ProduceAcks.ALL,
      retries: REPEATS,
      retryDelay: REPEAT_MS,
      // A leader that died is in the metadata until they are asked for again.
      metadataMaxAge: 1_000,
      serializers: TEXT,
    });
    return this.#producer;
  }

  async close(): Promise<void> {
    const producer = this.#producer;
    this.#producer = null;
    if (producer !== null) await closeQuietly(producer);
  }
}

function withTimeout<T>(work: Promise<T>, what: string, ms = TIMEOUT_MS): Promise<T> {
  const stop = new AbortController();
  const late = wait(ms, undefined, { signal: stop.signal }).then(
    () => {
      throw new Error(`${what} within ${ms / 1000} s`);
    },
    // Stopped: the work was in time.
    () => work,
  );
  return Promise.race([work, late]).finally(() => stop.abort());
}

/** How long a client may take to say good-bye, milliseconds: without a broker it can wait for ever. */
const CLOSE_MS = 3_000;

/** Closes a client of which nothing more is wanted. Leaving in disorder costs others a wait, and never a record. */
export async function closeQuietly(client: { close(force?: boolean): Promise<void> }): Promise<void> {
  await withTimeout(client.close(true), 'the client did not close', CLOSE_MS).catch(() => {});
}
