import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Claim, Result } from '../../src/model/states.ts';
import { ClaimLedger, type Next } from '../../src/worker/ledger.ts';
import { released } from '../../src/worker/retry.ts';
import { SharedWindow } from '../../src/worker/window.ts';

function claimOf(claimId: number, size: number): Claim {
  const recipients = Array.from({ length: size }, (_, index) => ({
    recipientId: claimId * 1000 + index * 3 + 1,
    address: 'a@example.com',
    vars: {},
    attempts: 0,
    maybeSent: 0,
  }));
  return { campaignId: 1, claimId, recipients };
}

const sent = ({ claimId, recipient }: Next): Result => ({
  ...released(claimId, recipient.recipientId, false),
  outcome: 'sent',
});

/** A table that remembers, beside the holding under test, what is durable. */
class Durable {
  readonly marks = new Map<number, number>();
  readonly results = new Map<number, number>();
  readonly claims: Claim[] = [];

  write(batch: ReturnType<ClaimLedger['takeBatch']>): ReadonlySet<number> {
    for (const { recipientId } of batch.results)
      this.results.set(recipientId, (this.results.get(recipientId) ?? 0) + 1);
    for (const mark of batch.marks)
      this.marks.set(mark.claimId, Math.max(this.marks.get(mark.claimId) ?? 0, mark.handedThrough));
    return new Set(batch.marks.map(({ claimId }) => claimId));
  }

  get inDoubt(): number {
    return this.claims
      .flatMap(({ claimId, recipients }) => recipients.map((recipient) => ({ claimId, recipient })))
      .filter(({ claimId, recipient }) => recipient.recipientId <= (this.marks.get(claimId) ?? 0))
      .filter(({ recipient }) => !this.results.has(recipient.recipientId)).length;
  }
}

const step = fc.record({
  who: fc.nat(3),
  size: fc.integer({ min: 1, max: 50 }),
  what: fc.oneof(
    { weight: 1, arbitrary: fc.constantFrom('claim' as const, 'release' as const) },
    { weight: 6, arbitrary: fc.constantFrom('hand' as const, 'answer' as const) },
    { weight: 3, arbitrary: fc.constantFrom('begin' as const, 'commit' as const) },
    { weight: 1, arbitrary: fc.constantFrom('fail' as const, 'unknown' as const) },
  ),
});

/** One campaign of a process: its holding, what is on the wire, and its statement. */
class Campaign {
  readonly holding: ClaimLedger;
  readonly flying: Next[] = [];
  readonly #durable: Durable;
  #open: ReturnType<ClaimLedger['takeBatch']> | null = null;

  constructor(window: SharedWindow, durable: Durable) {
    this.holding = new ClaimLedger(window);
    this.#durable = durable;
  }

  claim(size: number): void {
    const claim = claimOf(this.#durable.claims.length + 1, size);
    this.#durable.claims.push(claim);
    this.holding.add(claim);
  }

  hand(most: number): void {
    for (let i = 0; i < most; i++) {
      const next = this.holding.takeNext();
      if (next === null) return;
      expect(next.recipient.recipientId).toBeLessThanOrEqual(this.#durable.marks.get(next.claimId) ?? 0);
      this.flying.push(next);
    }
  }

  answer(which: number): void {
    const [next] = this.flying.splice(which % Math.max(this.flying.length, 1), 1);
    if (next !== undefined) expect(this.holding.addResult(sent(next))).toBe(true);
  }

  release(): void {
    for (const { claimId, recipient } of this.holding.takeUnhanded())
      this.holding.addResult(released(claimId, recipient.recipientId, false));
  }

  begin(limit: number): void {
    if (this.#open === null && this.holding.wantsStatement) this.#open = this.holding.takeBatch(limit);
  }

  /** `unknown`: it has committed, and the caller was not told. */
  settle(how: 'commit' | 'fail' | 'unknown'): void {
    if (this.#open === null) return;
    const held = how === 'fail' ? new Set<number>() : this.#durable.write(this.#open);
    if (how === 'commit') expect(this.holding.confirm({ written: 0, held })).toEqual([]);
    else this.holding.putBack();
    this.#open = null;
  }
}

test('whatever happens, at most a window is in doubt, nothing is handed over beyond a durable mark, every result is written', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 25 }),
      fc.integer({ min: 1, max: 4 }),
      fc.array(step, { maxLength: 200 }),
      (size, count, steps) => {
        const window = new SharedWindow(size);
        const durable = new Durable();
        const campaigns = Array.from({ length: count }, () => new Campaign(window, durable));
        for (const { who, what, size: n } of steps) {
          const campaign = campaigns[who % count] as Campaign;
          if (what === 'claim') campaign.claim(n);
          else if (what === 'hand') campaign.hand(n % 10);
          else if (what === 'answer') campaign.answer(n);
          else if (what === 'release') campaign.release();
          else if (what === 'begin') campaign.begin(n);
          else campaign.settle(what);
          expect(durable.inDoubt).toBeLessThanOrEqual(size);
        }
        // Everything comes to an end: what flies is answered, statements commit, marks move, nothing is forgotten.
        for (let round = 0; campaigns.some(({ holding }) => !holding.empty); round++) {
          expect(round).toBeLessThan(10_000);
          for (const campaign of campaigns) {
            campaign.settle('commit');
            campaign.hand(Number.MAX_SAFE_INTEGER);
            while (campaign.flying.length > 0) campaign.answer(0);
            campaign.begin(1000);
            expect(durable.inDoubt).toBeLessThanOrEqual(size);
          }
        }
        for (const { recipients } of durable.claims) {
          for (const { recipientId } of recipients)
            expect(durable.results.get(recipientId) ?? 0).toBeGreaterThanOrEqual(1);
        }
      },
    ),
    { numRuns: 400 },
  );
});

describe('a window that several campaigns share', () => {
  const three = (size: number) => {
    const window = new SharedWindow(size);
    const durable = new Durable();
    const freed: number[] = [];
    const campaigns = [0, 1, 2].map((n) => new ClaimLedger(window, () => freed.push(n)));
    for (const holding of campaigns) {
      const claim = claimOf(durable.claims.length + 1, 10);
      durable.claims.push(claim);
      holding.add(claim);
    }
    return { campaigns: campaigns as [ClaimLedger, ClaimLedger, ClaimLedger], freed, durable };
  };
  const room = (holding: ClaimLedger, durable: Durable) =>
    holding.confirm({ written: 0, held: durable.write(holding.takeBatch(100)) });

  test('each has an equal share', () => {
    const { campaigns, durable } = three(9);
    for (const holding of campaigns) room(holding, durable);
    expect(campaigns.map(({ inDoubt }) => inDoubt)).toEqual([3, 3, 3]);
  });

  test('more campaigns than places: the next free place is for one that has none', () => {
    const { campaigns, freed, durable } = three(2);
    const [a, b, c] = campaigns;
    room(a, durable);
    room(b, durable);
    expect(c.wantsStatement).toBe(false);
    a.addResult(sent(a.takeNext() as Next));
    room(a, durable);
    expect(a.inDoubt).toBe(0);
    expect(freed).toContain(2);
    expect(c.wantsStatement).toBe(true);
    room(c, durable);
    expect([a, b, c].map(({ inDoubt }) => inDoubt)).toEqual([0, 1, 1]);
  });

  test('one that leaves gives its places back', () => {
    const { campaigns, freed, durable } = three(2);
    const [a, b, c] = campaigns;
    room(a, durable);
    room(b, durable);
    a.leave();
    expect(freed).toContain(2);
    expect(c.wantsStatement).toBe(true);
  });
});

test('a claim that others took is forgotten with its results, and its id comes back', () => {
  const holding = new ClaimLedger(new SharedWindow(10));
  holding.add(claimOf(1, 3));
  holding.add(claimOf(2, 3));
  holding.takeBatch(100);
  expect(holding.confirm({ written: 0, held: new Set([1, 2]) })).toEqual([]);
  const first = holding.takeNext() as Next;
  holding.addResult(sent(first));
  holding.takeBatch(100);
  expect(holding.confirm({ written: 0, held: new Set([2]) })).toEqual([1]);
  expect(holding.addResult(sent(first))).toBe(false);
  expect(holding.unhanded).toBe(3);
});

test('the window belongs to the oldest claim first', () => {
  const holding = new ClaimLedger(new SharedWindow(4));
  holding.add(claimOf(1, 3));
  holding.add(claimOf(2, 3));
  const { marks } = holding.takeBatch(100);
  expect(marks.map(({ claimId, handedThrough }) => [claimId, handedThrough])).toEqual([
    [1, 1007],
    [2, 2001],
  ]);
});

test('a statement is worth it only for results or when nothing can be handed over', () => {
  const holding = new ClaimLedger(new SharedWindow(2));
  expect(holding.wantsStatement).toBe(false);
  holding.add(claimOf(1, 5));
  expect(holding.wantsStatement).toBe(true);
  holding.takeBatch(10);
  expect(holding.wantsStatement).toBe(false);
  holding.confirm({ written: 0, held: new Set([1]) });
  expect(holding.wantsStatement).toBe(false);
  const a = holding.takeNext() as Next;
  holding.takeNext();
  expect(holding.takeNext()).toBeNull();
  expect(holding.wantsStatement).toBe(false);
  holding.addResult(sent(a));
  expect(holding.wantsStatement).toBe(true);
});
