import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Broker, missing, startBroker } from '../../bench/brokers/index.ts';
import { startMemcached } from '../../bench/brokers/memcached.ts';
import { memcached } from '../../bench/designs/memcached.ts';
import { without } from '../support/brokers.ts';
import { ConsumerChild, consumeHere, Handed, personOf, placeAt, somePeople } from '../support/design.ts';

describe.skipIf(without('memcached'))('memcached', () => {
  let broker: Broker;
  beforeAll(async () => {
    expect(missing('memcached')).toBeNull();
    broker = await startBroker('memcached', 'C');
  }, 60_000);
  afterAll(() => broker?.stop());

  it('hands over every person once to two workers, and counts', async () => {
    const place = placeAt(broker.url, 250);
    await memcached.prepare(place);
    await memcached.publish(place, somePeople(250));
    expect(await memcached.standing(place)).toMatchObject({ waiting: 250, sent: 0, rejected: 0 });
    const seen: unknown[] = [];
    const consumed = await Promise.all(
      [1, 2].map(() =>
        consumeHere(memcached, place, (person) => {
          seen.push(person);
          return { kind: 'sent', reply: '250 ok' };
        }),
      ),
    );
    expect(seen).toHaveLength(250);
    expect(seen).toContainEqual(personOf(7));
    expect(consumed.reduce((sum, { handed }) => sum + handed.people, 0)).toBe(250);
    for (const { largestInFlight } of consumed) expect(largestInFlight).toBeLessThanOrEqual(20);
    expect(await memcached.standing(place)).toMatchObject({ waiting: 0, sent: 250 });
    await memcached.dispose(place);
  });

  it('tries again later, and keeps whom it gives up with the last reply', async () => {
    const place = placeAt(broker.url, 30, { maxAttempts: 3 });
    await memcached.prepare(place);
    await memcached.publish(place, somePeople(30));
    const times: number[] = [];
    const { handed } = await consumeHere(memcached, place, ({ id }, time) => {
      if (id === 1) return { kind: 'rejected', reply: '550 no such user' };
      if (id === 2) {
        times.push(performance.now());
        return { kind: 'retry', afterMs: 150, reply: `451 time ${time}` };
      }
      if (id === 3 && time < 3) return { kind: 'retry', afterMs: 20, reply: '451 later' };
      return { kind: 'sent', reply: '250 ok' };
    });
    expect(handed.counts.get(personOf(3).address)).toBe(3);
    expect(times).toHaveLength(3);
    expect((times[1] ?? 0) - (times[0] ?? 0)).toBeGreaterThanOrEqual(149);
    const letters = await memcached.deadLetters(place);
    expect(letters).toHaveLength(2);
    expect(letters).toContainEqual({ address: personOf(1).address, reply: '550 no such user' });
    expect(letters).toContainEqual({ address: personOf(2).address, reply: '451 time 3' });
    expect(await memcached.standing(place)).toMatchObject({ sent: 28, rejected: 2 });
    await memcached.dispose(place);
  });

  it('holds every person while it is paused', async () => {
    const place = placeAt(broker.url, 10);
    await memcached.prepare(place);
    await memcached.publish(place, somePeople(10));
    expect(await memcached.pause(place)).toBe(true);
    const consumed = consumeHere(memcached, place);
    expect(await memcached.standing(place)).toMatchObject({ waiting: 10, sent: 0 });
    expect(await memcached.resume(place)).toBe(true);
    expect((await consumed).handed.people).toBe(10);
    await memcached.dispose(place);
  });

  it('loses exactly whom a killed worker had taken, and the next worker does not wait for them for ever', async () => {
    const place = placeAt(broker.url, 300);
    await memcached.prepare(place);
    await memcached.publish(place, somePeople(300));
    const handed = new Handed();
    const first = new ConsumerChild('memcached', place, handed, 100);
    await first.handedOver(100);
    await first.kill();
    const second = new ConsumerChild('memcached', place, handed, 1);
    expect(await second.ended()).toBe('0');
    expect(handed.duplicated).toBe(0);
    expect(300 - handed.people).toBeLessThanOrEqual(20);
    expect(300 - handed.people).toBeGreaterThan(0);
    await memcached.dispose(place);
  });

  it('loses every person not yet sent when memcached is killed, and the worker comes back', async () => {
    const place = placeAt(broker.url, 300);
    await memcached.prepare(place);
    await memcached.publish(place, somePeople(300));
    let crash: Promise<void> | undefined;
    const { handed } = await consumeHere(memcached, place, undefined, {
      delayMs: 5,
      onHanded: ({ people }) => {
        if (people < 100 || crash !== undefined) return;
        crash = broker.kill().then(() => broker.restart());
      },
    });
    await crash;
    expect(handed.people).toBeGreaterThanOrEqual(100);
    expect(handed.people).toBeLessThan(300);
    expect(await memcached.standing(place)).toMatchObject({ waiting: 0, sent: 0 });
  });

  it('says that the memory is full instead of throwing people out', async () => {
    const small = await startMemcached({}, 16);
    try {
      const place = placeAt(small.url, 500);
      await memcached.prepare(place);
      const people = (async function* () {
        for (let id = 1; id <= 500; id++) yield [{ ...personOf(id), vars: { long: 'x'.repeat(100_000) } }];
      })();
      await expect(memcached.publish(place, people)).rejects.toThrow(/out of memory/i);
    } finally {
      await small.stop();
    }
  });
});
