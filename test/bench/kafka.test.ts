import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Broker, missing, startBroker } from '../../bench/brokers/index.ts';
import { kafka } from '../../bench/designs/kafka.ts';
import { without } from '../support/brokers.ts';
import { ConsumerChild, consumeHere, Handed, personOf, placeAt, somePeople } from '../support/design.ts';

describe.skipIf(without('kafka'))('Kafka', () => {
  let broker: Broker;
  beforeAll(async () => {
    expect(missing('kafka')).toBeNull();
    broker = await startBroker('kafka', 'A');
  }, 90_000);
  afterAll(() => broker?.stop());

  it('hands over every person once, whatever stands in a field, and knows when it is finished', async () => {
    const place = placeAt(broker.url, 250);
    await kafka.prepare(place);
    await kafka.publish(place, somePeople(250));
    expect(await kafka.standing(place)).toEqual({
      waiting: 250,
      inFlight: null,
      sent: 0,
      rejected: 0,
      retrying: 0,
    });
    const seen: unknown[] = [];
    const { handed, largestInFlight } = await consumeHere(kafka, place, (person) => {
      seen.push(person);
      return { kind: 'sent', reply: '250 ok' };
    });
    expect(handed.people).toBe(250);
    expect(handed.duplicated).toBe(0);
    expect(largestInFlight).toBe(20);
    expect(seen).toContainEqual(personOf(7));
    expect(await kafka.standing(place)).toMatchObject({ waiting: 0, sent: 250 });
    await kafka.dispose(place);
  }, 30_000);

  it('tries again later, and keeps whom it gives up with the last reply', async () => {
    const place = placeAt(broker.url, 30, { maxAttempts: 3 });
    await kafka.prepare(place);
    await kafka.publish(place, somePeople(30));
    const times: number[] = [];
    const { handed } = await consumeHere(kafka, place, ({ id }, time) => {
      if (id === 1) return { kind: 'rejected', reply: '550 no such user' };
      if (id === 2) {
        times.push(performance.now());
        return { kind: 'retry', afterMs: 150, reply: `451 time ${time}` };
      }
      if (id === 3 && time < 3) return { kind: 'retry', afterMs: 20, reply: '451 later' };
      return { kind: 'sent', reply: '250 ok' };
    });
    expect(handed.counts.get(personOf(1).address)).toBe(1);
    expect(handed.counts.get(personOf(3).address)).toBe(3);
    expect(times).toHaveLength(3);
    // A timer of Node may come up to a millisecond early.
    expect((times[1] ?? 0) - (times[0] ?? 0)).toBeGreaterThanOrEqual(149);
    const letters = await kafka.deadLetters(place);
    expect(letters).toHaveLength(2);
    expect(letters).toContainEqual({ address: personOf(1).address, reply: '550 no such user' });
    expect(letters).toContainEqual({ address: personOf(2).address, reply: '451 time 3' });
    expect(await kafka.standing(place)).toMatchObject({ waiting: 0, sent: 28, rejected: 2, retrying: 0 });
    await kafka.dispose(place);
  }, 30_000);

  it('loses no person when a worker is killed, and goes on from the committed offsets', async () => {
    const place = placeAt(broker.url, 300);
    await kafka.prepare(place);
    await kafka.publish(place, somePeople(300));
    const handed = new Handed();
    const first = new ConsumerChild('kafka', place, handed, 80);
    await first.handedOver(100);
    await first.kill();
    const second = new ConsumerChild('kafka', place, handed, 1);
    expect(await second.ended()).toBe('0');
    expect(handed.people).toBe(300);
    // In flight, and what had been sent since the last commit.
    expect(handed.duplicated).toBeLessThan(100);
    await kafka.dispose(place);
  }, 60_000);

  it('shares the partitions when a second worker comes', async () => {
    const place = placeAt(broker.url, 400);
    await kafka.prepare(place);
    await kafka.publish(place, somePeople(400));
    let second: ReturnType<typeof consumeHere> | undefined;
    const first = await consumeHere(kafka, place, undefined, {
      delayMs: 150,
      onHanded: () => {
        second ??= consumeHere(kafka, place, undefined, { delayMs: 5 });
      },
    });
    const other = await second;
    expect(other?.handed.people).toBeGreaterThan(0);
    const all = new Set([...first.handed.counts.keys(), ...(other?.handed.counts.keys() ?? [])]);
    expect(all.size).toBe(400);
    await kafka.dispose(place);
  }, 60_000);

  it('goes on after a kill of the broker, in the publisher and in the worker', async () => {
    const place = placeAt(broker.url, 600);
    await kafka.prepare(place);
    const published = kafka.publish(place, somePeople(600));
    let crash: Promise<void> | undefined;
    const consumed = consumeHere(kafka, place, undefined, {
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
    await kafka.dispose(place);
  }, 120_000);
});
