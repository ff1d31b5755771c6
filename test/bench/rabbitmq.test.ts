import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Broker, missing, startBroker } from '../../bench/brokers/index.ts';
import { rabbitmq } from '../../bench/designs/rabbitmq.ts';
import { rabbitmqClassic } from '../../bench/designs/rabbitmq-classic.ts';
import { without } from '../support/brokers.ts';
import { ConsumerChild, consumeHere, Handed, personOf, placeAt, somePeople } from '../support/design.ts';

describe.skipIf(without('rabbitmq'))('RabbitMQ', () => {
  let broker: Broker;
  beforeAll(async () => {
    expect(missing('rabbitmq')).toBeNull();
    broker = await startBroker('rabbitmq', 'A');
  }, 60_000);
  afterAll(() => broker?.stop());

  describe.each([rabbitmq, rabbitmqClassic])('$name', (design) => {
    it('hands over every person once, whatever stands in a field, and knows when it is finished', async () => {
      const place = placeAt(broker.url, 250);
      await design.prepare(place);
      await design.publish(place, somePeople(250));
      expect(await design.standing(place)).toMatchObject({
        waiting: 250,
        sent: null,
        rejected: 0,
        retrying: 0,
      });
      const seen: unknown[] = [];
      const { handed, largestInFlight } = await consumeHere(design, place, (person) => {
        seen.push(person);
        return { kind: 'sent', reply: '250 ok' };
      });
      expect(handed.people).toBe(250);
      expect(handed.duplicated).toBe(0);
      expect(largestInFlight).toBe(20);
      expect(seen).toContainEqual(personOf(7));
      expect(await design.standing(place)).toMatchObject({ waiting: 0 });
      await design.dispose(place);
    });

    it('tries again later, and keeps whom it gives up with the last reply', async () => {
      const place = placeAt(broker.url, 30, { maxAttempts: 3 });
      await design.prepare(place);
      await design.publish(place, somePeople(30));
      const { handed } = await consumeHere(design, place, ({ id }, time) => {
        if (id === 1) return { kind: 'rejected', reply: '550 no such user' };
        if (id === 2) return { kind: 'retry', afterMs: 20, reply: `451 time ${time}` };
        if (id === 3 && time < 3) return { kind: 'retry', afterMs: 20, reply: '451 later' };
        return { kind: 'sent', reply: '250 ok' };
      });
      expect(handed.counts.get(personOf(1).address)).toBe(1);
      expect(handed.counts.get(personOf(2).address)).toBe(3);
      expect(handed.counts.get(personOf(3).address)).toBe(3);
      const letters = await design.deadLetters(place);
      expect(letters).toHaveLength(2);
      expect(letters).toContainEqual({ address: personOf(1).address, reply: '550 no such user' });
      expect(letters).toContainEqual({ address: personOf(2).address, reply: '451 time 3' });
      // Reading them does not take them away.
      await expect.poll(() => design.standing(place)).toMatchObject({ rejected: 2 });
      await design.dispose(place);
    });

    it('loses no person when a worker is killed, and sends again at most what that one held', async () => {
      const place = placeAt(broker.url, 300);
      await design.prepare(place);
      await design.publish(place, somePeople(300));
      const handed = new Handed();
      const first = new ConsumerChild(design.name, place, handed, 80);
      await first.handedOver(100);
      await first.kill();
      const second = new ConsumerChild(design.name, place, handed, 1);
      expect(await second.ended()).toBe('0');
      expect(handed.people).toBe(300);
      expect(handed.duplicated).toBeLessThanOrEqual(40);
      await design.dispose(place);
    });

    it('goes on after a kill of the broker, in the publisher and in the worker', async () => {
      const place = placeAt(broker.url, 600);
      await design.prepare(place);
      const published = design.publish(place, somePeople(600));
      let crash: Promise<void> | undefined;
      const consumed = consumeHere(design, place, undefined, {
        delayMs: 3,
        onHanded: ({ people }) => {
          if (people < 100 || crash !== undefined) return;
          crash = broker.kill().then(() => broker.restart());
        },
      });
      await published;
      const { handed } = await consumed;
      await crash;
      expect(handed.people).toBe(600);
      await design.dispose(place);
    }, 60_000);
  });

  it('stops when it is told to, with what is in flight finished, and leaves the rest', async () => {
    const place = placeAt(broker.url, 200);
    await rabbitmq.prepare(place);
    await rabbitmq.publish(place, somePeople(200));
    const stop = new AbortController();
    const { handed } = await consumeHere(rabbitmq, place, undefined, {
      signal: stop.signal,
      onHanded: ({ people }) => people >= 50 && stop.abort(),
    });
    expect(handed.people).toBeLessThan(200);
    await expect.poll(() => rabbitmq.standing(place)).toMatchObject({ waiting: 200 - handed.people });
    const rest = await consumeHere(rabbitmq, place);
    expect(rest.handed.people).toBe(200 - handed.people);
    await rabbitmq.dispose(place);
  });

  it('does not take an empty queue for a finished campaign, neither before it is published nor while another works', async () => {
    const place = placeAt(broker.url, 5);
    await rabbitmq.prepare(place);
    const early = consumeHere(rabbitmq, place, undefined, { delayMs: 1_500, capacity: 5 });
    const idle = consumeHere(rabbitmq, place, undefined, { capacity: 5 });
    await rabbitmq.publish(place, somePeople(5));
    const [one, two] = await Promise.all([early, idle]);
    expect(one.handed.people + two.handed.people).toBe(5);
    await rabbitmq.dispose(place);
  });

  it('says that a message has no queue to go to instead of losing it', async () => {
    const place = placeAt(broker.url, 10);
    await rabbitmq.prepare(place);
    await rabbitmq.dispose(place);
    const { exchange } = await import('../../bench/designs/amqp-topology.ts').then((m) => m.namesOf(place));
    const { withChannel } = await import('../../bench/designs/amqp-link.ts');
    await withChannel(broker.url, (channel) => channel.assertExchange(exchange, 'direct'));
    await expect(rabbitmq.publish(place, somePeople(10))).rejects.toMatchObject({ code: 'bench_unroutable' });
    await withChannel(broker.url, (channel) => channel.deleteExchange(exchange));
  });
});
