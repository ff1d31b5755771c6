import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Broker, missing, startBroker } from '../../bench/brokers/index.ts';
import { bullmq } from '../../bench/designs/bullmq.ts';
import { without } from '../support/brokers.ts';
import { ConsumerChild, consumeHere, Handed, personOf, placeAt, somePeople } from '../support/design.ts';

describe.skipIf(without('redis'))('BullMQ', () => {
  let broker: Broker;
  beforeAll(async () => {
    expect(missing('redis')).toBeNull();
    broker = await startBroker('redis', 'A');
  }, 60_000);
  afterAll(() => broker?.stop());

  it('hands over every person once, also when they are published twice before any mail is sent', async () => {
    const place = placeAt(broker.url, 250);
    await bullmq.prepare(place);
    await bullmq.publish(place, somePeople(250));
    await bullmq.publish(place, somePeople(250));
    expect(await bullmq.standing(place)).toEqual({
      waiting: 250,
      inFlight: 0,
      sent: null,
      rejected: 0,
      retrying: 0,
    });
    const seen: unknown[] = [];
    const { handed, largestInFlight } = await consumeHere(bullmq, place, (person) => {
      seen.push(person);
      return { kind: 'sent', reply: '250 ok' };
    });
    expect(handed.people).toBe(250);
    expect(handed.duplicated).toBe(0);
    expect(largestInFlight).toBe(20);
    expect(seen).toContainEqual(personOf(7));
    expect(await bullmq.standing(place)).toMatchObject({ waiting: 0, inFlight: 0 });
    await bullmq.dispose(place);
  });

  it('tries again later, and keeps whom it gives up with the last reply', async () => {
    const place = placeAt(broker.url, 30, { maxAttempts: 3 });
    await bullmq.prepare(place);
    await bullmq.publish(place, somePeople(30));
    const times: number[] = [];
    const { handed } = await consumeHere(bullmq, place, ({ id }, time) => {
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
    expect((times[1] ?? 0) - (times[0] ?? 0)).toBeGreaterThanOrEqual(149);
    const letters = await bullmq.deadLetters(place);
    expect(letters).toHaveLength(2);
    expect(letters).toContainEqual({ address: personOf(1).address, reply: '550 no such user' });
    expect(letters).toContainEqual({ address: personOf(2).address, reply: '451 time 3' });
    expect(await bullmq.standing(place)).toMatchObject({ rejected: 2, retrying: 0 });
    await bullmq.dispose(place);
  });

  it('takes one out who waits, and holds every job while it is paused', async () => {
    const place = placeAt(broker.url, 20);
    await bullmq.prepare(place);
    await bullmq.publish(place, somePeople(20));
    expect(await bullmq.stopOne(place, personOf(7))).toBe(true);
    expect(await bullmq.stopOne(place, personOf(7))).toBe(false);
    expect(await bullmq.pause(place)).toBe(true);
    const handed: string[] = [];
    const consumed = bullmq.consume(place, {
      capacity: 5,
      signal: new AbortController().signal,
      deliver: ({ address }, done) => {
        handed.push(address);
        setImmediate(() => done({ kind: 'sent', reply: '250 ok' }));
      },
    });
    expect(await bullmq.standing(place)).toMatchObject({ waiting: 19 });
    expect(handed).toEqual([]);
    expect(await bullmq.resume(place)).toBe(true);
    await consumed;
    expect(handed).toHaveLength(19);
    expect(handed).not.toContain(personOf(7).address);
    await bullmq.dispose(place);
  });

  it('loses no person when a worker is killed, and sends again at most what that one held', async () => {
    const place = placeAt(broker.url, 300);
    await bullmq.prepare(place);
    await bullmq.publish(place, somePeople(300));
    const handed = new Handed();
    const first = new ConsumerChild('bullmq', place, handed, 80);
    await first.handedOver(100);
    await first.kill();
    const second = new ConsumerChild('bullmq', place, handed, 1);
    expect(await second.ended()).toBe('0');
    expect(handed.people).toBe(300);
    expect(handed.duplicated).toBeLessThanOrEqual(20);
    await bullmq.dispose(place);
  }, 60_000);

  it('goes on after a kill of Redis, in the publisher and in the worker', async () => {
    const place = placeAt(broker.url, 600);
    await bullmq.prepare(place);
    const published = bullmq.publish(place, somePeople(600));
    let crash: Promise<void> | undefined;
    const consumed = consumeHere(bullmq, place, undefined, {
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
    await bullmq.dispose(place);
  }, 60_000);
});
