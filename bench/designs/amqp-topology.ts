import type { Channel, ConfirmChannel } from 'amqplib';
import type { Place } from '../contract.ts';
import { WAITS_MS } from './waits.ts';

export type QueueType = 'quorum' | 'classic';

/** How often a message may come back unacknowledged before it is a poison message; RabbitMQ 4 has the same by default. */
const DELIVERY_LIMIT = 20;

/**
 * Workers of one run at once. The tokens come back by themselves when a connection or a node dies; the number of a
 * queue's consumers would not do: a quorum queue goes on counting those of a node that has gone.
 */
const TOKENS = 64;

/** The names of one run. Everything is routed by one direct exchange of its own. */
export interface Names {
  readonly exchange: string;
  readonly work: string;
  readonly dead: string;
  /** Gets one message once every person is in. */
  readonly published: string;
  /** Holds `TOKENS` messages: who has taken work holds one of them unacknowledged, so that the rest can be counted. */
  readonly tokens: string;
  readonly delays: readonly string[];
}

export function namesOf({ run }: Place): Names {
  return {
    exchange: run,
    work: `${run}.work`,
    dead: `${run}.dead`,
    published: `${run}.published`,
    tokens: `${run}.tokens`,
    delays: WAITS_MS.map((ms) => `${run}.delay.${ms}`),
  };
}

/**
 * Delay queues have no consumer: what has waited its time is dead-lettered back to the work queue. One queue for
 * each wait, because only the head of a queue expires: behind a message that waits an hour, one of 50 ms waits an hour.
 *
 * Dead-lettering is at-most-once unless a quorum queue is told otherwise (and at-least-once needs reject-publish):
 * the guide to quorum queues says so, and a mail that vanishes between two queues is a lost mail. Classic queues have
 * only the first kind, and no delivery limit either.
 */
export async function declare(channel: ConfirmChannel, names: Names, type: QueueType): Promise<void> {
  const safe =
    type === 'quorum' ? { 'x-dead-letter-strategy': 'at-least-once', 'x-overflow': 'reject-publish' } : {};
  const limit = type === 'quorum' ? { 'x-delivery-limit': DELIVERY_LIMIT } : {};
  const back = (key: string): Record<string, string> => ({
    'x-dead-letter-exchange': names.exchange,
    'x-dead-letter-routing-key': key,
  });
  await channel.assertExchange(names.exchange, 'direct', { durable: true });
  const queue = async (name: string, key: string, more: Record<string, unknown>): Promise<void> => {
    await channel.assertQueue(name, { durable: true, arguments: { 'x-queue-type': type, ...more } });
    await channel.bindQueue(name, names.exchange, key);
  };
  await queue(names.work, 'work', { ...back('dead'), ...safe, ...limit });
  // Dead letters that are read, and tokens, are put back, which must not use them up.
  const unlimited = type === 'quorum' ? { 'x-delivery-limit': 1_000_000 } : {};
  await queue(names.dead, 'dead', unlimited);
  await queue(names.tokens, 'tokens', unlimited);
  await queue(names.published, 'published', {});
  for (const [index, ms] of WAITS_MS.entries()) {
    const name = names.delays[index];
    if (name !== undefined)
      await queue(name, `delay.${ms}`, { ...back('work'), ...safe, 'x-message-ttl': ms });
  }
  for (let token = 0; token < TOKENS; token++) {
    channel.publish(names.exchange, 'tokens', Buffer.alloc(0), { persistent: true, mandatory: true });
  }
  await channel.waitForConfirms();
}

export async function remove(channel: Channel, names: Names): Promise<void> {
  for (const name of [names.work, names.dead, names.published, names.tokens, ...names.delays]) {
    await channel.deleteQueue(name);
  }
  await channel.deleteExchange(names.exchange);
}

export interface Look {
  readonly waiting: number;
  readonly retrying: number;
  readonly rejected: number;
  readonly published: boolean;
  /** Processes that hold, or may at any moment be given, a message. */
  readonly busy: number;
}

/**
 * What a passive declaration tells: messages that are ready, never those that a consumer holds unacknowledged. Delay
 * queues are asked before the work queue, the way that messages take, so that none slips past both.
 */
export async function look(channel: Channel, names: Names): Promise<Look> {
  const { messageCount: free } = await channel.checkQueue(names.tokens);
  let retrying = 0;
  for (const name of names.delays) retrying += (await channel.checkQueue(name)).messageCount;
  const { messageCount: waiting } = await channel.checkQueue(names.work);
  const { messageCount: rejected } = await channel.checkQueue(names.dead);
  const { messageCount: published } = await channel.checkQueue(names.published);
  return { waiting, retrying, rejected, published: published > 0, busy: TOKENS - free };
}
