import type { Channel } from 'amqplib';
import type { Consuming, DeadLetter, Design, Person, Place, Tier } from '../contract.ts';
import { AmqpConsumer, PREFETCH } from './amqp-consumer.ts';
import { answered, Link, withChannel } from './amqp-link.ts';
import { Publisher } from './amqp-publisher.ts';
import { declare, look, namesOf, type QueueType, remove } from './amqp-topology.ts';

/** Unconfirmed messages at once. RabbitMQ's guide to confirms: a bounded window, not one at a time and not all. */
const WINDOW = 1_000;

async function publish(place: Place, people: AsyncIterable<readonly Person[]>): Promise<void> {
  const publisher = new Publisher(namesOf(place).exchange, () => link.drop());
  const link = new Link(
    place.url,
    async (connection) => {
      const channel = await answered(connection.createConfirmChannel());
      channel.on('error', () => link.drop());
      publisher.attach(channel);
    },
    () => publisher.detach(),
  );
  const allIn = async (): Promise<void> => {
    for await (const batch of people) {
      for (const person of batch) {
        await publisher.below(WINDOW);
        publisher.send('work', Buffer.from(JSON.stringify(person)), { 'x-attempt': 1 });
      }
    }
    await publisher.below(1);
    // Only now: an empty queue in front of this message is not an empty queue behind it.
    publisher.send('published', Buffer.alloc(0), {});
    await publisher.below(1);
  };
  try {
    await Promise.race([allIn(), link.failed, publisher.failed]);
  } finally {
    publisher.end();
    await link.close();
  }
}

/** Reads all dead letters and lets go of them again: closing the channel puts them back. */
async function readDead(channel: Channel, queue: string): Promise<DeadLetter[]> {
  const letters: DeadLetter[] = [];
  for (;;) {
    const message = await channel.get(queue);
    if (message === false) return letters;
    const { address } = JSON.parse(message.content.toString('utf8')) as Person;
    const headers = message.properties.headers ?? {};
    const reason = headers['x-first-death-reason'] ?? 'no reply is known';
    letters.push({ address, reply: String(headers['x-reply'] ?? reason) });
  }
}

/** The design for either type of queue; what they promise is said where they are named. */
export function amqpDesign(
  type: QueueType,
  words: Pick<Design, 'name' | 'guarantees' | 'cannotTell'> & { readonly tiers: () => readonly Tier[] },
): Design {
  return {
    ...words,
    get tiers() {
      return words.tiers();
    },
    broker: 'rabbitmq',
    // A classic queue writes acknowledgements down later, at a time of its own: those that a killed broker had not are forgotten.
    twiceAtMost: (capacity, killed) =>
      type === 'classic' && killed === 'broker' ? Number.POSITIVE_INFINITY : capacity * PREFETCH,
    prepare: (place) => withChannel(place.url, (channel) => declare(channel, namesOf(place), type)),
    publish,
    consume: (place: Place, consuming: Consuming) => new AmqpConsumer(place, namesOf(place), consuming).run(),
    standing: async (place) => {
      const { waiting, retrying, rejected } = await withChannel(place.url, (channel) =>
        look(channel, namesOf(place)),
      );
      return { waiting, inFlight: null, sent: null, rejected, retrying };
    },
    deadLetters: (place) => withChannel(place.url, (channel) => readDead(channel, namesOf(place).dead)),
    // A queue gives its head only. To take one out, keep a list elsewhere and ask it before every mail.
    stopOne: async () => null,
    pause: async () => false,
    resume: async () => false,
    dispose: (place) => withChannel(place.url, (channel) => remove(channel, namesOf(place))),
  };
}
