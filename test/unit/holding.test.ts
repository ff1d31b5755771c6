import fc from 'fast-check';
import { expect, test } from 'vitest';
import { Holding, type Next } from '../../src/sending/holding.ts';
import { released } from '../../src/sending/retry.ts';
import type { Claim, Result } from '../../src/sending/states.ts';

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

  write(batch: ReturnType<Holding['takeBatch']>): ReadonlySet<number> {
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

const action = fc.oneof(
  {
    weight: 1,
    arbitrary: fc.record({ do: fc.constant('claim' as const), size: fc.integer({ min: 1, max: 40 }) }),
  },
  {
    weight: 6,
    arbitrary: fc.record({ do: fc.constant('hand' as const), size: fc.integer({ min: 1, max: 9 }) }),
  },
  { weight: 6, arbitrary: fc.record({ do: fc.constant('answer' as const), size: fc.nat(30) }) },
  {
    weight: 3,
    arbitrary: fc.record({ do: fc.constant('begin' as const), size: fc.integer({ min: 1, max: 50 }) }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      do: fc.constantFrom('commit' as const, 'fail' as const, 'unknown' as const),
      size: fc.constant(0),
    }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('release' as const), size: fc.constant(0) }) },
);

test('whatever happens, at most a window is in doubt, nothing is handed over beyond a durable mark, every result is written', () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 25 }), fc.array(action, { maxLength: 120 }), (window, actions) => {
      const holding = new Holding(window);
      const durable = new Durable();
      const flying: Next[] = [];
      let open: ReturnType<Holding['takeBatch']> | null = null;
      const hand = (next: Next) => {
        expect(next.recipient.recipientId).toBeLessThanOrEqual(durable.marks.get(next.claimId) ?? 0);
        flying.push(next);
      };
      const settle = (how: 'commit' | 'fail' | 'unknown') => {
        if (open === null) return;
        const held = how === 'fail' ? new Set<number>() : durable.write(open);
        if (how === 'commit') expect(holding.confirm({ written: 0, held })).toEqual([]);
        else holding.putBack();
        open = null;
      };
      for (const step of actions) {
        if (step.do === 'claim') {
          const claim = claimOf(durable.claims.length + 1, step.size);
          durable.claims.push(claim);
          holding.add(claim);
        } else if (step.do === 'hand') {
          for (let i = 0; i < step.size; i++) {
            const next = holding.takeNext();
            if (next !== null) hand(next);
          }
        } else if (step.do === 'answer' && flying.length > 0) {
          const [next] = flying.splice(step.size % flying.length, 1) as [Next];
          expect(holding.addResult(sent(next))).toBe(true);
        } else if (step.do === 'begin' && open === null && holding.wantsStatement) {
          open = holding.takeBatch(step.size);
        } else if (step.do === 'commit' || step.do === 'fail' || step.do === 'unknown') {
          settle(step.do);
        } else if (step.do === 'release') {
          for (const { claimId, recipient } of holding.takeUnhanded())
            holding.addResult(released(claimId, recipient.recipientId, false));
        }
        expect(durable.inDoubt).toBeLessThanOrEqual(window);
      }
      // Everything comes to an end: what flies is answered, statements commit, marks move, nothing is forgotten.
      settle('commit');
      for (let round = 0; !holding.empty; round++) {
        expect(round).toBeLessThan(10_000);
        for (let next = holding.takeNext(); next !== null; next = holding.takeNext()) hand(next);
        for (const next of flying.splice(0)) holding.addResult(sent(next));
        open = holding.takeBatch(1000);
        settle('commit');
      }
      for (const { recipients } of durable.claims) {
        for (const { recipientId } of recipients)
          expect(durable.results.get(recipientId) ?? 0).toBeGreaterThanOrEqual(1);
      }
    }),
    { numRuns: 300 },
  );
});

test('a claim that others took is forgotten with its results, and its id comes back', () => {
  const holding = new Holding(10);
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
  const holding = new Holding(4);
  holding.add(claimOf(1, 3));
  holding.add(claimOf(2, 3));
  const { marks } = holding.takeBatch(100);
  expect(marks.map(({ claimId, handedThrough }) => [claimId, handedThrough])).toEqual([
    [1, 1007],
    [2, 2001],
  ]);
});

test('a statement is worth it only for results or when nothing can be handed over', () => {
  const holding = new Holding(2);
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
