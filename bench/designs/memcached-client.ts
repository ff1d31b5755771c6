import { setTimeout as wait } from 'node:timers/promises';
import { createNode, type MemcacheNode } from 'memcache';
import { SendstateError } from '../../src/errors.ts';

/** How long no connection may be possible before this gives up, and the pause between two attempts, milliseconds. */
const PATIENCE_MS = 30_000;
const AGAIN_MS = 100;
/** How long an answer may take, milliseconds. */
const ANSWER_MS = 10_000;
/** Keys of one get; the line has to stay below memcached's 2,048 bytes by a wide margin for older servers. */
const KEYS = 30;

/**
 * The few commands of the design on one connection of the package `memcache`. Its MemcacheNode writes every command at
 * once and answers in order, so that a batch is one round trip; the socket is corked, so that it is also one packet.
 */
export class Memcached {
  readonly #node: MemcacheNode;

  private constructor(node: MemcacheNode) {
    this.#node = node;
  }

  static async connect(url: string): Promise<Memcached> {
    const deadline = performance.now() + PATIENCE_MS;
    for (;;) {
      const node = createNode(url.split(':')[0] ?? '', Number(url.split(':')[1]), { timeout: ANSWER_MS });
      // Every pending command is rejected with it.
      node.on('error', () => {});
      try {
        await node.connect();
        return new Memcached(node);
      } catch (error) {
        if (performance.now() > deadline) {
          throw new SendstateError('bench_broker_gone', `memcached at ${url} cannot be reached`, {
            cause: error,
          });
        }
        await wait(AGAIN_MS);
      }
    }
  }

  async close(): Promise<void> {
    if (this.#node.isConnected()) await this.#node.disconnect();
  }

  /** All that is asked for in `work` leaves together. */
  async together<T>(work: () => T): Promise<T> {
    const { socket } = this.#node;
    socket?.cork();
    try {
      return work();
    } finally {
      socket?.uncork();
    }
  }

  /** @throws when it is not stored, when the memory is full for instance */
  async set(key: string, value: string): Promise<void> {
    const answer: unknown = await this.#node.command(
      `set ${key} 0 0 ${Buffer.byteLength(value)}\r\n${value}`,
    );
    if (answer !== 'STORED')
      throw new SendstateError('bench_memcached', `${key} was not stored: ${String(answer)}`);
  }

  /** The new number; null: there is no such counter (any more). */
  async add(key: string, amount: number): Promise<number | null> {
    const answer: unknown = await this.#node.command(`incr ${key} ${amount}`);
    return typeof answer === 'number' ? answer : null;
  }

  async delete(key: string): Promise<void> {
    await this.#node.command(`delete ${key}`);
  }

  /** What is there of these keys. */
  async get(keys: readonly string[]): Promise<Map<string, string>> {
    const found = new Map<string, string>();
    const parts: string[][] = [];
    for (let from = 0; from < keys.length; from += KEYS) parts.push(keys.slice(from, from + KEYS));
    await Promise.all(
      parts.map(async (requestedKeys) => {
        const answer = (await this.#node.command(`get ${requestedKeys.join(' ')}`, {
          isMultiline: true,
          requestedKeys,
        })) as { values?: string[]; foundKeys: string[] };
        for (const [index, key] of answer.foundKeys.entries()) {
          const value = answer.values?.[index];
          if (value !== undefined) found.set(key, value);
        }
      }),
    );
    return found;
  }
}
