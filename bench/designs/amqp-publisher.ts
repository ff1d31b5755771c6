import { type ConfirmChannel, IllegalOperationError } from 'amqplib';
import { SendstateError } from '../../src/errors.ts';
import { ANSWER_MS } from './amqp-link.ts';

interface Item {
  readonly key: string;
  readonly content: Buffer;
  readonly headers: Readonly<Record<string, unknown>>;
  readonly confirmed: () => void;
}

/** After which a refused message is tried again, milliseconds: a quorum queue refuses while it elects a leader. */
const AGAIN_MS = 100;
/** How often is looked whether the broker still confirms, milliseconds. */
const LOOK_MS = 1_000;

/**
 * Publishes persistent messages and knows which of them the broker has confirmed. Everything that is unconfirmed when a
 * channel ends is published again on the next one: nothing gets lost, something may come twice.
 */
export class Publisher {
  readonly #exchange: string;
  readonly #pending = new Set<Item>();
  #channel: ConfirmChannel | null = null;
  #below: { count: number; resolve: () => void } | null = null;
  #fail: (error: unknown) => void = () => {};
  /** Since when nothing has been confirmed that should be, milliseconds of performance.now(). */
  #waitingSince = 0;
  readonly #watch: NodeJS.Timeout;
  /** Rejects when a message has no queue to go to; never fulfilled. */
  readonly failed: Promise<never>;

  /** @param silent the broker confirms nothing more on this channel: another one is needed */
  constructor(exchange: string, silent: () => void) {
    this.#exchange = exchange;
    this.#watch = setInterval(() => {
      if (this.#channel === null || this.#pending.size === 0) return;
      if (performance.now() - this.#waitingSince > ANSWER_MS) silent();
    }, LOOK_MS);
    this.failed = new Promise((_, reject) => {
      this.#fail = reject;
    });
    // A caller that waits for it is told; none has to.
    this.failed.catch(() => {});
  }

  attach(channel: ConfirmChannel): void {
    this.#channel = channel;
    this.#waitingSince = performance.now();
    channel.on('return', ({ fields }) => {
      this.#fail(
        new SendstateError('bench_unroutable', `no queue takes ${fields.routingKey} of ${fields.exchange}`),
      );
    });
    for (const item of this.#pending) this.#write(channel, item);
  }

  detach(): void {
    this.#channel = null;
  }

  /** No caller waits any more. */
  end(): void {
    clearInterval(this.#watch);
  }

  get pending(): number {
    return this.#pending.size;
  }

  /** `confirmed` is called once, when the broker has it on disk. */
  send(
    key: string,
    content: Buffer,
    headers: Readonly<Record<string, unknown>>,
    confirmed: () => void = () => {},
  ): void {
    const item = { key, content, headers, confirmed };
    if (this.#pending.size === 0) this.#waitingSince = performance.now();
    this.#pending.add(item);
    if (this.#channel !== null) this.#write(this.#channel, item);
  }

  /** Until fewer than `count` are unconfirmed. One caller at a time. */
  below(count: number): Promise<void> {
    if (this.#pending.size < count) return Promise.resolve();
    return Promise.race([
      this.failed,
      new Promise<void>((resolve) => {
        this.#below = { count, resolve };
      }),
    ]);
  }

  #write(channel: ConfirmChannel, item: Item): void {
    const options = {
      persistent: true,
      mandatory: true,
      contentType: 'application/json',
      headers: { ...item.headers },
    };
    try {
      channel.publish(this.#exchange, item.key, item.content, options, (error: unknown) => {
        if (error === null || error === undefined) this.#done(item);
        // When the channel is gone, attach() of the next one writes it again.
        else if (this.#channel === channel) this.#later(channel, item);
      });
    } catch (error) {
      // Closed, and the event is still on its way: as above.
      if (!(error instanceof IllegalOperationError)) throw error;
    }
  }

  #later(channel: ConfirmChannel, item: Item): void {
    setTimeout(() => {
      if (this.#channel === channel) this.#write(channel, item);
    }, AGAIN_MS);
  }

  #done(item: Item): void {
    this.#pending.delete(item);
    this.#waitingSince = performance.now();
    item.confirmed();
    if (this.#below !== null && this.#pending.size < this.#below.count) {
      this.#below.resolve();
      this.#below = null;
    }
  }
}
