import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { CLOSED } from '../../src/relays/breaker.ts';
import { Gate } from '../../src/relays/gate.ts';
import {
  FLOOR,
  FORGOTTEN_AFTER_SECONDS,
  slowed,
  type Throttle,
  UNLIMITED,
  type Window,
  wantsLess,
  windowEnded,
} from '../../src/relays/throttle.ts';

const window = (more: Partial<Window>): Window => ({
  seconds: 1,
  taken: 0,
  complaints: 0,
  inARow: 0,
  heldBack: false,
  ...more,
});

describe('what counts as a wish for less', () => {
  test.each([
    ['nothing', window({ taken: 100 }), false],
    ['one 421, about one person or one connection', window({ taken: 10, complaints: 1 }), false],
    ['two of ten', window({ taken: 8, complaints: 2 }), true],
    ['ten of a thousand', window({ taken: 990, complaints: 10 }), false],
    ['three in a row, of a thousand', window({ taken: 997, complaints: 3, inARow: 3 }), true],
    ['thirty of a thousand', window({ taken: 970, complaints: 30 }), true],
  ])('%s', (_, seen, less) => {
    expect(wantsLess(UNLIMITED, seen)).toBe(less);
  });
});

test('a relay that is slowed already is believed when it complains once among few', () => {
  const slow = { ...UNLIMITED, limit: 2 };
  expect(wantsLess(slow, window({ taken: 1, complaints: 1 }))).toBe(true);
  expect(wantsLess(slow, window({ taken: 50, complaints: 1 }))).toBe(false);
  expect(wantsLess(UNLIMITED, window({ taken: 1, complaints: 1 }))).toBe(false);
});

describe('the limit', () => {
  test('begins at half of what the relay took', () => {
    expect(slowed(UNLIMITED, window({ taken: 100, complaints: 5 })).limit).toBe(50);
    // In the first moment of a second: what it took in this moment is no rate.
    expect(slowed(UNLIMITED, window({ seconds: 0.1, taken: 100, complaints: 5 })).limit).toBe(50);
    expect(slowed({ ...UNLIMITED, before: 300 }, window({ seconds: 0.1, taken: 5 })).limit).toBe(150);
  });

  test('is none for a relay that takes nothing at all: that is the breaker’s business', () => {
    expect(slowed(UNLIMITED, window({ complaints: 5 }))).toBe(UNLIMITED);
  });

  test('goes down to the floor and no further', () => {
    let throttle = slowed(UNLIMITED, window({ taken: 100, complaints: 5 }));
    for (let i = 0; i < 50; i++) throttle = slowed(throttle, window({ complaints: 5 }));
    expect(throttle.limit).toBe(FLOOR);
  });

  test('rises only while a mail is held back by it', () => {
    const cut = slowed(UNLIMITED, window({ taken: 100, complaints: 5 }));
    expect(windowEnded(cut, window({ taken: 20 })).limit).toBe(50);
    expect(windowEnded(cut, window({ taken: 50, heldBack: true })).limit).toBe(62.5);
    expect(windowEnded(cut, window({ taken: 50, heldBack: true, complaints: 1 })).limit).toBe(50);
  });

  test('is dropped after a minute in which it held no mail back', () => {
    let throttle: Throttle = slowed(UNLIMITED, window({ taken: 100, complaints: 5 }));
    for (let i = 1; i < FORGOTTEN_AFTER_SECONDS; i++) throttle = windowEnded(throttle, window({ taken: 1 }));
    expect(throttle.limit).toBe(50);
    expect(windowEnded(throttle, window({ taken: 1 })).limit).toBeNull();
  });

  test('whatever happens, it is none, or a number from the floor on; a content relay is unlimited at last', () => {
    const windows = fc.record({
      seconds: fc.double({ min: 1, max: 10, noNaN: true }),
      taken: fc.nat(30_000),
      complaints: fc.nat(100),
      inARow: fc.nat(2),
      heldBack: fc.boolean(),
    });
    fc.assert(
      fc.property(fc.array(windows, { maxLength: 60 }), (seen) => {
        let throttle = UNLIMITED;
        for (const one of seen)
          throttle = wantsLess(throttle, one) ? slowed(throttle, one) : windowEnded(throttle, one);
        if (throttle.limit !== null) expect(throttle.limit).toBeGreaterThanOrEqual(FLOOR);
        let windowsLeft = 0;
        while (throttle.limit !== null && windowsLeft++ < 200)
          throttle = windowEnded(throttle, window({ taken: Math.round(throttle.limit), heldBack: true }));
        expect(throttle.limit).toBeNull();
      }),
    );
  });
});

/** A relay that takes so many mails in each second of its own clock and answers 421 to the rest, on a clock of the test. */
class Overrun {
  now = 0;
  limit: number;
  taken = 0;
  refused = 0;
  readonly gate: Gate;
  readonly limits: number[] = [];
  #second = 0;
  #inSecond = 0;
  #due: { at: number; sent: boolean }[] = [];

  constructor(limit: number, capacity = 20) {
    this.limit = limit;
    const relay = { label: 'x', weight: 1, rate: null, deliverer: { capacity, deliver: () => undefined } };
    this.gate = new Gate(relay, null, { changed: () => undefined, paced: () => undefined }, () => this.now);
  }

  /** As a worker with more mails than could be sent: hands over what the gate lets, at every millisecond. */
  run(seconds: number): { perSecond: number; refused: number } {
    const [until, taken, refused] = [this.now + seconds * 1000, this.taken, this.refused];
    while (this.now < until) {
      this.now++;
      for (const { sent } of this.#due.filter(({ at }) => at <= this.now)) {
        this.gate.cameBack(sent ? { kind: 'sent' } : { kind: 'backoff' }, '421 slow down', true);
      }
      this.#due = this.#due.filter(({ at }) => at > this.now);
      if (this.now % 100 === 0) this.gate.tick();
      while (this.gate.room === 'yes') this.#handOver();
      this.gate.wanted();
    }
    return { perSecond: (this.taken - taken) / seconds, refused: this.refused - refused };
  }

  #handOver(): void {
    this.gate.handedOver();
    const second = Math.floor(this.now / 1000);
    if (second !== this.#second) [this.#second, this.#inSecond] = [second, 0];
    const sent = ++this.#inSecond <= this.limit;
    if (sent) this.taken++;
    else this.refused++;
    this.#due.push({ at: this.now + 5, sent });
  }
}

describe('a relay that takes only so many a second', () => {
  test.each([20, 100, 1000])('%i: the sender settles below it, and uses most of it', (limit) => {
    const relay = new Overrun(limit);
    relay.run(20);
    const { perSecond, refused } = relay.run(60);
    expect(perSecond).toBeGreaterThan(limit * 0.75);
    expect(perSecond).toBeLessThanOrEqual(limit);
    // Not one in thirty is refused, and none of these is charged.
    expect(refused).toBeLessThan(60 * limit * 0.03);
    expect(relay.gate.slowedTo).not.toBeNull();
  });

  test('lifted: unlimited again within half a minute', () => {
    const relay = new Overrun(100);
    relay.run(20);
    relay.limit = 1e9;
    relay.run(30);
    expect(relay.gate.slowedTo).toBeNull();
    expect(relay.gate.state).toBe('working');
    expect(relay.run(5).perSecond).toBeGreaterThan(1000);
  });

  test('lowered while it runs: the sender follows', () => {
    const relay = new Overrun(1000);
    relay.run(20);
    relay.limit = 50;
    relay.run(30);
    const { perSecond } = relay.run(30);
    expect(perSecond).toBeGreaterThan(50 * 0.6);
    expect(perSecond).toBeLessThanOrEqual(50);
  });

  test('one that never complains is never slowed', () => {
    const relay = new Overrun(1e9);
    relay.run(10);
    expect(relay.gate.slowedTo).toBeNull();
    expect(relay.gate.breaker).toEqual(CLOSED);
  });
});

test('a relay that answers 421 to everything is not slowed but paused: five in a row open the breaker', () => {
  const relay = new Overrun(0);
  relay.run(1);
  expect(relay.gate.slowedTo).toBeNull();
  expect(relay.gate.state).toBe('open');
});
