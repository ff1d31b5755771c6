import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { CAMPAIGNS, campaignsOfPeople, sharesOf } from '../../bench/torture/campaigns.ts';
import { readLog } from '../../bench/torture/log.ts';
import { DEATHS, KINDS, type Kind, plan } from '../../bench/torture/plan.ts';

const options = { seed: 7, kills: 100, recipients: 10_000, kinds: KINDS };
const isDeath = (kind: Kind) => (DEATHS as readonly Kind[]).includes(kind);

describe('the plan of the torture bench', () => {
  test('a seed gives the same plan again, and another seed another one', () => {
    expect(plan(options)).toEqual(plan({ ...options }));
    expect(plan({ ...options, seed: 8 })).not.toEqual(plan(options));
  });

  test('has as many deaths as were asked for, every kind, in the order of the mails, imports early', () => {
    fc.assert(
      fc.property(
        fc.nat(),
        fc.integer({ min: 4, max: 150 }),
        fc.integer({ min: 500, max: 20_000 }),
        (seed, kills, recipients) => {
          const faults = plan({ seed, kills, recipients, kinds: KINDS });
          expect(faults.filter(({ kind }) => isDeath(kind))).toHaveLength(kills);
          expect(new Set(faults.map(({ kind }) => kind))).toEqual(new Set(KINDS));
          const places = faults.map(({ at }) => at);
          expect(places).toEqual([...places].sort((a, b) => a - b));
          expect(places.at(-1)).toBeLessThan(recipients * 0.95);
          for (const { kind, at } of faults)
            if (kind === 'kill-import') expect(at).toBeLessThan(recipients / 2);
        },
      ),
    );
  });

  test('--only leaves the others out, and without a death there is none', () => {
    expect(plan({ ...options, kills: 5, kinds: ['freeze-worker'] }).map(({ kind }) => kind)).toEqual(
      Array(5).fill('freeze-worker'),
    );
    expect(plan({ ...options, kinds: ['reset-relay'] }).every(({ kind }) => kind === 'reset-relay')).toBe(
      true,
    );
  });

  test('imports every person exactly once, a slice for each importing process that dies', () => {
    fc.assert(
      fc.property(
        fc.nat(),
        fc.integer({ min: 4, max: 100 }),
        fc.integer({ min: 400, max: 5_000 }),
        (seed, kills, recipients) => {
          const faults = plan({ seed, kills, recipients, kinds: KINDS });
          const { first, slices } = sharesOf(recipients, faults);
          expect(slices).toHaveLength(faults.filter(({ kind }) => kind === 'kill-import').length);
          let next = 1;
          for (const { from, to } of [...first, ...slices]) {
            expect(from).toBe(next);
            expect(to).toBeGreaterThanOrEqual(from);
            next = to + 1;
          }
          expect(next).toBe(recipients + 1);
          const campaigns = [...campaignsOfPeople({ first, slices }).values()];
          expect(campaigns).toHaveLength(recipients);
          for (const name of CAMPAIGNS)
            expect(campaigns.filter((one) => one === name).length).toBeGreaterThan(recipients / 5);
        },
      ),
    );
  });
});

describe("the sink's account", () => {
  test('tells what was named, taken, answered and cut off; an unfinished line is not read', () => {
    const { mails, cut, left, wrong } = readLog(
      [
        'N 100 1 1 w1 a@example.com',
        'D 101 1',
        'A 102 1',
        'R 103 1 250',
        'N 104 2 1 w1 b@example.com',
        'D 105 2',
        'W 106 2',
        'C 107 1 reset',
        'Q 108 2',
        'N 108 3 2 w2 c@exa',
      ].join('\n'),
    );
    expect(mails).toMatchObject([
      {
        number: 1,
        client: 'w1',
        address: 'a@example.com',
        named: 100,
        dotted: 101,
        accepted: 102,
        reply: 250,
      },
      { number: 2, address: 'b@example.com', accepted: 106, reply: null },
    ]);
    expect([...cut]).toEqual([[1, 'reset']]);
    expect([...left]).toEqual([[2, 108]]);
    expect(wrong).toEqual(['b@example.com']);
  });

  test('a line about an unknown mail is an error, not silence', () => {
    expect(() => readLog('A 102 9\n')).toThrow(/never named/);
  });
});
