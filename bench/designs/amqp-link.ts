import { setTimeout as wait } from 'node:timers/promises';
import { type ChannelModel, type ConfirmChannel, connect } from 'amqplib';
import { SendstateError } from '../../src/errors.ts';
import { within } from '../clock.ts';

/** How long no node may be reachable before this gives up, milliseconds: longer than a broker takes to start. */
const PATIENCE_MS = 90_000;
/** Between two attempts to connect, milliseconds. */
const AGAIN_MS = 150;
/** A peer that says nothing for twice this long is dead, seconds. RabbitMQ's guide advises 5 to 20. */
const HEARTBEAT_S = 10;
/** How long a node may take over a question or a confirmation, milliseconds: an election of a leader is over by then. */
export const ANSWER_MS = 30_000;
/** How long the end of a connection is waited for, milliseconds: a node that hangs says no goodbye. */
const GOODBYE_MS = 2_000;

/**
 * The answer to a question; an error where none comes. The node is alive then, or its heartbeats would have told, but what it
 * has asked the queue's leader was lost with the leader: nothing but a new connection helps.
 */
export function answered<T>(question: Promise<T>): Promise<T> {
  return within(ANSWER_MS, 'an answer of RabbitMQ', question);
}

/**
 * A connection that comes back: after every loss the next node of the list is tried and `setup` makes the channels
 * again. amqplib's own recovery knows one address only, and a cluster has several.
 */
export class Link {
  readonly #urls: readonly string[];
  readonly #setup: (connection: ChannelModel) => Promise<void>;
  readonly #lost: () => void;
  #connection: ChannelModel | null = null;
  #over: () => void = () => {};
  #closed = false;
  #fail: (error: unknown) => void = () => {};
  /** Rejects when no node can be reached any more; never fulfilled. */
  readonly failed: Promise<never>;
  #running: Promise<void> = Promise.resolve();

  /** `urls`: the nodes, separated by commas. */
  constructor(urls: string, setup: (connection: ChannelModel) => Promise<void>, lost: () => void) {
    this.#urls = urls.split(',');
    this.#setup = setup;
    this.#lost = lost;
    this.failed = new Promise((_, reject) => {
      this.#fail = reject;
    });
    // A caller that waits for it is told; none has to.
    this.failed.catch(() => {});
    this.#running = this.#run();
  }

  async #run(): Promise<void> {
    let since = performance.now();
    for (let turn = 0; !this.#closed; turn++) {
      try {
        const url = this.#urls[turn % this.#urls.length] ?? '';
        const connection = await connect(`${url}?heartbeat=${HEARTBEAT_S}`, {
          noDelay: true,
          timeout: 5_000,
        });
        const lost = new Promise<void>((resolve) => {
          this.#over = resolve;
          connection.once('close', () => resolve());
        });
        // The 'close' that follows is what is acted on.
        connection.on('error', () => {});
        this.#connection = connection;
        if (!this.#closed) await Promise.race([this.#setup(connection), lost]);
        since = performance.now();
        if (this.#closed) this.drop();
        await lost;
      } catch (error) {
        this.drop();
        if (performance.now() - since > PATIENCE_MS) {
          this.#fail(
            new SendstateError('bench_broker_gone', 'RabbitMQ could not be reached again', { cause: error }),
          );
          return;
        }
      }
      this.#connection = null;
      this.#lost();
      if (!this.#closed) await wait(AGAIN_MS);
    }
  }

  /** Ends this connection, after an error of a channel for instance; the next one follows. */
  drop(): void {
    const connection = this.#connection;
    if (connection === null) return;
    this.#connection = null;
    // It may be closed or closing already, which is what is wanted.
    connection.close().catch(() => {});
    setTimeout(this.#over, GOODBYE_MS).unref();
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.drop();
    await this.#running;
  }
}

/** One connection for a few questions, to the first node that answers. */
export async function withChannel<T>(
  urls: string,
  work: (channel: ConfirmChannel) => Promise<T>,
): Promise<T> {
  let failure: unknown;
  for (const url of urls.split(',')) {
    let connection: ChannelModel;
    try {
      connection = await connect(url, { noDelay: true, timeout: 5_000 });
    } catch (error) {
      failure = error;
      continue;
    }
    connection.on('error', () => {});
    try {
      const channel = await connection.createConfirmChannel();
      // A rejected question says the same as the event does.
      channel.on('error', () => {});
      return await work(channel);
    } finally {
      // The server may have closed it over an error, which is on its way to the caller.
      await Promise.race([connection.close().catch(() => {}), wait(GOODBYE_MS, undefined, { ref: false })]);
    }
  }
  throw failure;
}
