import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { BREAKER_FAILURES, BREAKER_FIRST_PAUSE_MS } from '../../src/relays/breaker.ts';
import { Gate, STALLED_MS, STUCK_MS, type Tokens } from '../../src/relays/gate.ts';
import { Relays } from '../../src/relays/router.ts';
import { SENDER_REFUSALS } from '../../src/relays/sender-refusals.ts';
import type { Verdict } from '../../src/smtp/classify.ts';

let now = 0;
/** The campaign whose mails they are. */
const ME = () => undefined;

interface Made {
  readonly label?: string;
  readonly weight?: number;
  readonly capacity?: number;
  readonly rate?: number;
  readonly tokens?: Tokens;
}

function gate({ label = 'x', weight = 1, capacity = 10, rate, tokens }: Made = {}): Gate {
  const deliverer = { capacity, deliver: () => undefined };
  const events = { changed: () => undefined, paced: () => undefined };
  return new Gate({ label, weight, rate: rate ?? null, deliverer }, tokens ?? null, events, () => now);
}

const house = (...made: Made[]) => {
  const gates = made.map(gate);
  const relays = new Relays(gates);
  relays.join(ME);
  return { relays, gates };
};

const SENT: Verdict = { kind: 'sent' };
const back = (relays: Relays, one: Gate, verdict: Verdict = SENT) =>
  relays.cameBack(ME, one, verdict, 'words', false);
const breakDown = (relays: Relays, one: Gate, verdict: Verdict = { kind: 'backoff' }) => {
  for (let i = 0; i < BREAKER_FAILURES; i++) {
    one.handedOver();
    back(relays, one, verdict);
  }
};

/** Hands over until no gate has room; which gate got how many. */
function fill(relays: Relays, gates: readonly Gate[], most = Number.POSITIVE_INFINITY): number[] {
  const got = gates.map(() => 0);
  const before = gates.reduce((sum, { inFlight }) => sum + inFlight, 0);
  for (let own = before; own < before + most; own++) {
    const next = relays.next(ME, own);
    if (next === null) break;
    relays.handedOver(ME, next);
    const index = gates.indexOf(next);
    got[index] = (got[index] ?? 0) + 1;
  }
  return got;
}

describe('weights', () => {
  test('hold at every moment to less than a round, in whatever order the replies come', () => {
    const weights = fc.array(fc.integer({ min: 1, max: 20 }), { minLength: 2, maxLength: 6 });
    fc.assert(
      fc.property(weights, fc.infiniteStream(fc.nat(1000)), (shares, order) => {
        const { relays, gates } = house(...shares.map((weight) => ({ weight, capacity: 5 })));
        const total = shares.reduce((sum, weight) => sum + weight, 0);
        const got = shares.map(() => 0);
        let handed = 0;
        while (handed < 200) {
          const next = relays.next(
            ME,
            gates.reduce((sum, { inFlight }) => sum + inFlight, 0),
          );
          if (next === null) {
            // All are busy, or the one whose turn it is: one of them answers.
            const busy = gates.filter(({ inFlight }) => inFlight > 0);
            back(relays, busy[(order.next().value ?? 0) % busy.length] as Gate);
            continue;
          }
          relays.handedOver(ME, next);
          handed++;
          const index = gates.indexOf(next);
          got[index] = (got[index] ?? 0) + 1;
          const off = shares.map((weight, i) => Math.abs((got[i] ?? 0) - (handed * weight) / total));
          if (Math.max(...off) >= shares.length) expect.fail(`${got} of ${handed} for the weights ${shares}`);
        }
      }),
      { numRuns: 30 },
    );
  });

  test('a relay without weight is used only while the others are in trouble', () => {
    const { relays, gates } = house({}, { weight: 0, capacity: 4 });
    const [one, standBy] = gates as [Gate, Gate];
    expect(fill(relays, gates)).toEqual([10, 0]);
    for (let i = 0; i < 10; i++) back(relays, one);
    breakDown(relays, one);
    expect(fill(relays, gates)).toEqual([0, 4]);
    for (let i = 0; i < 4; i++) back(relays, standBy);
    // Its pause is over: one mail is tried, the others still go to the stand-by.
    now += BREAKER_FIRST_PAUSE_MS;
    expect(fill(relays, gates)).toEqual([1, 4]);
    back(relays, one);
    for (let i = 0; i < 4; i++) back(relays, standBy);
    expect(fill(relays, gates)).toEqual([10, 0]);
  });

  test('a full relay is waited for, and after a second of silence no more', () => {
    const { relays, gates } = house({ capacity: 2 }, { capacity: 10 });
    const [slow, fast] = gates as [Gate, Gate];
    // After two each it is the slow one's turn.
    expect(fill(relays, gates)).toEqual([2, 2]);
    back(relays, fast);
    expect(relays.next(ME, 3)).toBeNull();
    for (const one of gates) one.tick();
    now += STALLED_MS;
    for (const one of gates) one.tick();
    expect(fill(relays, gates, 5)).toEqual([0, 5]);
    // It answers: it takes part again.
    back(relays, slow);
    expect(fill(relays, gates, 2)).toEqual([1, 1]);
  });

  test('a stand-by steps in for one that is silent with everything in flight, later', () => {
    const { relays, gates } = house({ capacity: 2 }, { weight: 0 });
    expect(fill(relays, gates)).toEqual([2, 0]);
    for (const one of gates) one.tick();
    now += STALLED_MS;
    for (const one of gates) one.tick();
    expect(relays.next(ME, 0)).toBeNull();
    now += STUCK_MS - STALLED_MS;
    expect(fill(relays, gates, 3)).toEqual([0, 3]);
  });
});

describe('trouble', () => {
  test('the others take over at once; half-open one mail is tried, and they go on', () => {
    const { relays, gates } = house({}, {});
    const [one, two] = gates as [Gate, Gate];
    breakDown(relays, one);
    expect(relays.waitMs).toBe(0);
    expect(fill(relays, gates)).toEqual([0, 10]);
    for (let i = 0; i < 10; i++) back(relays, two);
    now += BREAKER_FIRST_PAUSE_MS;
    const [probes, others] = fill(relays, gates);
    expect(probes).toBe(1);
    expect(others).toBe(10);
  });

  test('only when all are in trouble is there a wait, until the first may be tried', () => {
    const { relays, gates } = house({}, {});
    breakDown(relays, gates[0] as Gate);
    now += 1_000;
    breakDown(relays, gates[1] as Gate);
    expect(relays.next(ME, 0)).toBeNull();
    expect(relays.waitMs).toBe(BREAKER_FIRST_PAUSE_MS - 1_000);
    expect(relays.claimLimit(500)).toBe(2);
  });

  test.each(['misconfigured', 'fallback'] as const)(
    '%s: one pause, whatever was in flight; it doubles with each probe',
    (kind) => {
      const { relays, gates } = house({ capacity: 20 });
      const [one] = gates as [Gate];
      fill(relays, gates);
      for (let i = 0; i < 20; i++) back(relays, one, { kind });
      expect(one.state).toBe('misconfigured');
      expect(one.waitMs).toBe(BREAKER_FIRST_PAUSE_MS);
      now += BREAKER_FIRST_PAUSE_MS;
      expect(fill(relays, gates)).toEqual([1]);
      back(relays, one, { kind });
      expect(one.waitMs).toBe(2 * BREAKER_FIRST_PAUSE_MS);
    },
  );

  test('misconfigured is said only when every relay refuses the sender', () => {
    const { relays, gates } = house({}, {});
    breakDown(relays, gates[0] as Gate, { kind: 'misconfigured' });
    expect(gates[0]?.state).toBe('misconfigured');
    expect(relays.misconfigured).toBeNull();
    expect(fill(relays, gates)).toEqual([0, 10]);
    breakDown(relays, gates[1] as Gate, { kind: 'misconfigured' });
    expect(relays.misconfigured).toBe('words');
  });
});

describe('a campaign whose sender is refused', () => {
  const REFUSED: Verdict = { kind: 'sender' };

  test('uses the relays that take it, the others go on as ever, and it hears when none is left', () => {
    const { relays, gates } = house({}, {});
    const [one, two] = gates as [Gate, Gate];
    for (let i = 0; i < SENDER_REFUSALS; i++) {
      one.handedOver();
      expect(back(relays, one, REFUSED)).toBe(false);
    }
    expect(one.state).toBe('working');
    const other = () => undefined;
    relays.join(other);
    expect(fill(relays, gates, 4)).toEqual([0, 4]);
    // Another campaign's mails still go through both.
    const theirs = relays.next(other, 0);
    expect(theirs).toBe(one);
    for (let i = 0; i < 4; i++) back(relays, two);
    for (let i = 1; i <= SENDER_REFUSALS; i++) {
      two.handedOver();
      expect(back(relays, two, REFUSED)).toBe(i === SENDER_REFUSALS);
    }
  });

  test('in a row: a relay that judges a recipient has taken the sender', () => {
    const { relays, gates } = house({});
    const [one] = gates as [Gate];
    for (let i = 0; i < 3 * SENDER_REFUSALS; i++) {
      const last = i % SENDER_REFUSALS === SENDER_REFUSALS - 1;
      one.handedOver();
      expect(back(relays, one, last ? { kind: 'rejected', policy: false } : REFUSED)).toBe(false);
    }
  });

  test('a stand-by is used when all others refuse it', () => {
    const { relays, gates } = house({}, { weight: 0, capacity: 4 });
    for (let i = 0; i < SENDER_REFUSALS; i++) {
      (gates[0] as Gate).handedOver();
      back(relays, gates[0] as Gate, REFUSED);
    }
    expect(fill(relays, gates)).toEqual([0, 4]);
  });
});

describe('sharing', () => {
  test('campaigns have equal parts of what all relays take', () => {
    const { relays, gates } = house({ capacity: 6 }, { capacity: 6 });
    const other = () => undefined;
    relays.join(other);
    expect(fill(relays, gates)).toEqual([3, 3]);
    relays.leave(other);
    expect(fill(relays, gates)).toEqual([3, 3]);
    expect(relays.next(ME, 0)).toBeNull();
  });

  test('one relay: as many as it takes, by one campaign or by two', () => {
    const { relays, gates } = house({ capacity: 9 });
    expect(fill(relays, gates)).toEqual([9]);
    for (let i = 0; i < 9; i++) back(relays, gates[0] as Gate);
    relays.join(() => undefined);
    expect(fill(relays, gates)).toEqual([4]);
  });
});

describe('more campaigns than places', () => {
  /** Campaigns as workers: each hands over while it may, and looks when one of its own mails came back. */
  function busy(capacities: readonly number[], campaigns: number) {
    const { relays } = house(...capacities.map((capacity) => ({ capacity })));
    relays.leave(ME);
    const open: { readonly of: number; readonly gate: Gate }[] = [];
    const sent = Array.from({ length: campaigns }, () => 0);
    const own = Array.from({ length: campaigns }, () => 0);
    const pumps = sent.map((_, of) => {
      const pump = () => {
        for (;;) {
          const gate = relays.next(pump, own[of] ?? 0);
          if (gate === null) return relays.wanted(pump, own[of] ?? 0);
          relays.handedOver(pump, gate);
          open.push({ of, gate });
          own[of] = (own[of] ?? 0) + 1;
        }
      };
      relays.join(pump);
      return pump;
    });
    for (const pump of pumps) pump();
    const answer = (nth: number) => {
      const [mail] = open.splice(nth % open.length, 1);
      if (mail === undefined) throw new Error('nothing is in flight');
      own[mail.of] = (own[mail.of] ?? 0) - 1;
      sent[mail.of] = (sent[mail.of] ?? 0) + 1;
      const pump = pumps[mail.of] as () => void;
      relays.cameBack(pump, mail.gate, SENT, 'words', false);
      pump();
    };
    return { answer, sent };
  }

  test.each([
    [[1], 2],
    [[1], 7],
    [[2], 3],
    [[4], 5],
    [[1, 1], 3],
    [[2, 1], 7],
  ])(
    'relays of %j, %i campaigns: all get the same, in whatever order the replies come',
    (capacities, campaigns) => {
      const { answer, sent } = busy(capacities, campaigns);
      for (let i = 0; i < 100 * campaigns; i++) answer(0);
      for (const mails of sent) expect(Math.abs(mails - 100)).toBeLessThanOrEqual(10);
    },
  );
});

describe('rates', () => {
  const bucket = (tokens: number) => ({
    tokens,
    asked: 0,
    get any() {
      return this.tokens >= 1;
    },
    take() {
      this.tokens--;
    },
    wanted() {
      this.asked++;
    },
  });

  test('nothing goes without a token; the others take what is beyond', () => {
    const tokens = bucket(3);
    const { relays, gates } = house({ rate: 10, tokens }, {});
    const got = fill(relays, gates);
    expect(got).toEqual([3, 10]);
    expect(tokens.tokens).toBe(0);
    relays.wanted(ME, 13);
    expect(tokens.asked).toBe(1);
  });

  test('campaigns take turns where mails are rationed, whichever asks first', () => {
    const tokens = bucket(0);
    const { relays } = house({ rate: 10, tokens, capacity: 50 });
    relays.leave(ME);
    const sent: string[] = [];
    /** A campaign as a worker: hands over while it may. */
    const campaign = (name: string) => {
      let own = 0;
      const pump = () => {
        for (;;) {
          const next = relays.next(pump, own);
          if (next === null) return relays.wanted(pump, own);
          relays.handedOver(pump, next);
          sent.push(name);
          own++;
        }
      };
      relays.join(pump);
      return pump;
    };
    const [one, two, three] = ['one', 'two', 'three'].map(campaign) as [() => void, () => void, () => void];
    for (const pump of [one, two, three]) pump();
    for (let i = 0; i < 30; i++) {
      tokens.tokens++;
      one();
    }
    const count = (name: string) => sent.filter((sender) => sender === name).length;
    expect(['one', 'two', 'three'].map(count)).toEqual([10, 10, 10]);
    relays.leave(two);
    tokens.tokens += 10;
    three();
    expect(sent).toHaveLength(40);
    expect(count('two')).toBe(10);
  });

  test('a claim is no larger than a second’s worth', () => {
    expect(
      house({ rate: 10, tokens: bucket(0) }, { rate: 2.5, tokens: bucket(0) }).relays.claimLimit(500),
    ).toBe(13);
    expect(house({ rate: 10, tokens: bucket(0) }, {}).relays.claimLimit(500)).toBe(500);
    expect(house({ rate: 0.1, tokens: bucket(0) }).relays.claimLimit(500)).toBe(1);
    expect(house({ rate: 10, tokens: bucket(0) }, { weight: 0 }).relays.claimLimit(500)).toBe(10);
  });
});
