import { randomUUID } from 'node:crypto';
import { Consumer } from '@platformatic/kafka';
import type { DeadLetter, Design, Person, Place } from '../contract.ts';
import { KafkaConsumer } from './kafka-consumer.ts';
import { closeQuietly, Sender } from './kafka-sender.ts';
import {
  brokersOf,
  createTopics,
  deleteTopics,
  look,
  partitionOf,
  topicsOf,
  withAdmin,
} from './kafka-topics.ts';

/** Records that may wait to be written before the reader of the list is held back. */
const WINDOW = 8_000;

async function publish(place: Place, people: AsyncIterable<readonly Person[]>): Promise<void> {
  const { work } = topicsOf(place);
  const sender = new Sender(brokersOf(place));
  try {
    for await (const batch of people) {
      await sender.below(WINDOW);
      for (const person of batch) {
        const key = person.address;
        sender.send({ topic: work, partition: partitionOf(key), key, value: JSON.stringify(person) });
      }
    }
    await sender.below(1);
  } finally {
    await sender.close();
  }
}

/** Reads the dead-letter topic from its beginning. A worker that crashed may have written a person twice. */
async function readDead(place: Place): Promise<DeadLetter[]> {
  const topics = topicsOf(place);
  const { dead: count } = await withAdmin(place, (admin) => look(admin, topics));
  if (count === 0) return [];
  const text = (data?: Buffer): string => data?.toString('utf8') ?? '';
  const consumer = new Consumer({
    clientId: 'sendstate-bench',
    bootstrapBrokers: brokersOf(place),
    groupId: `${topics.dead}.${randomUUID()}`,
    deserializers: { key: text, value: text, headerKey: text, headerValue: text },
  });
  const letters = new Map<string, DeadLetter>();
  try {
    const stream = await consumer.consume({
      topics: [topics.dead],
      mode: 'earliest',
      autocommit: false,
      maxWaitTime: 500,
    });
    for await (const { value, headers, offset } of stream) {
      const { address } = JSON.parse(value) as Person;
      letters.set(address, { address, reply: headers.get('reply') ?? '' });
      if (Number(offset) + 1 >= count) break;
    }
  } finally {
    await closeQuietly(consumer);
  }
  return [...letters.values()];
}

/**
 * Kafka as its documentation says to use it as a work queue: acks=all, an idempotent producer with some milliseconds of
 * linger, one consumer group without autocommit that commits the highest offset below which all are done, a retry topic
 * for each wait, a dead-letter topic, the address as the key.
 * Followed: "Producer Configs", "Consumer Configs" and "Design: Message Delivery Guarantees" of kafka.apache.org, and
 * the documentation of @platformatic/kafka.
 */
export const kafka: Design = {
  name: 'kafka',
  broker: 'kafka',
  tiers: ['A', 'B'],
  guarantees:
    'A record that was acknowledged is in the log: with an fsync in tier A (flush.messages=1), in the memory of the ' +
    'system in tier B, which is how Kafka is delivered: it relies on copies instead. A killed worker or broker loses ' +
    'no person. What was sent above the committed offset is sent again; a slow mail holds the offset of its partition back, ' +
    'so one slow relay makes that more. Who takes over waits for the session of the dead worker to run out, 6 seconds here.',
  cannotTell:
    'Whether one person was sent: the log knows how far a partition is, and above that nothing. How many are in flight. ' +
    'One person cannot be taken out, and the group cannot be paused: the workers are stopped. It can tell that all is ' +
    'done, and how many were written, sent and given up, in sums.',
  prepare: createTopics,
  publish,
  consume: (place, consuming) => new KafkaConsumer(place, consuming).run(),
  standing: async (place) => {
    const { work, retries, dead } = await withAdmin(place, (admin) => look(admin, topicsOf(place)));
    // Of all that was consumed, what was not written again somewhere was sent.
    const sent = work.committed + retries.committed - retries.written - dead;
    return {
      waiting: work.written - work.committed,
      inFlight: null,
      sent: Math.max(0, sent),
      rejected: dead,
      retrying: retries.written - retries.committed,
    };
  },
  deadLetters: readDead,
  stopOne: async () => null,
  pause: async () => false,
  resume: async () => false,
  dispose: deleteTopics,
};
