import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { countOf, fateOf, NO_FAILURES } from '../../bench/fate.ts';
import { estimate, randomFrom, shuffled } from '../../bench/statistics.ts';

describe('medians with their intervals', () => {
  test('one value alone is its own interval', () => {
    expect(estimate([7])).toEqual({ median: 7, low: 7, high: 7, rounds: 1 });
  });

  test('of nothing there is none', () => {
    expect(() => estimate([])).toThrow('no median');
  });

  test('the interval holds the median, lies within the values, and is the same each time', () => {
    const values = fc.array(fc.double({ min: 0, max: 1e6, noNaN: true }), { minLength: 2, maxLength: 12 });
    fc.assert(
      fc.property(values, (some) => {
        const found = estimate(some);
        expect(found.low).toBeLessThanOrEqual(found.median);
        expect(found.high).toBeGreaterThanOrEqual(found.median);
        expect(found.low).toBeGreaterThanOrEqual(Math.min(...some));
        expect(found.high).toBeLessThanOrEqual(Math.max(...some));
        expect(estimate(some)).toEqual(found);
      }),
      { numRuns: 30 },
    );
  });

  test('holds the true median as often as it says', () => {
    // Uniform numbers, whose median is 0.5: 200 samples of 9.
    const random = randomFrom(3);
    const samples = Array.from({ length: 200 }, () => Array.from({ length: 9 }, random));
    const held = samples
      .map((sample) => estimate(sample, 1, 200))
      .filter(({ low, high }) => low <= 0.5 && high >= 0.5);
    expect(held.length).toBeGreaterThan(175);
    expect(held.length).toBeLessThan(200);
  });

  test('a wider spread has a wider interval', () => {
    const narrow = estimate([98, 99, 100, 101, 102, 100, 99, 101]);
    const wide = estimate([50, 80, 100, 120, 150, 100, 70, 130]);
    expect(wide.high - wide.low).toBeGreaterThan(narrow.high - narrow.low);
  });
});

test('an order is the same for a seed, another for another, and holds every person once', () => {
  const items = Array.from({ length: 12 }, (_, at) => at);
  expect(shuffled(items, randomFrom(5))).toEqual(shuffled(items, randomFrom(5)));
  expect(shuffled(items, randomFrom(5))).not.toEqual(shuffled(items, randomFrom(6)));
  expect(shuffled(items, randomFrom(5)).sort((a, b) => a - b)).toEqual(items);
});

describe('who is refused', () => {
  const failures = { temporary: 0.02, permanent: 0.01, seed: 1 };

  test('about as many as asked for, the same each time, others with another seed', () => {
    const people = 100_000;
    expect(countOf(failures, people, 'temporary') / people).toBeCloseTo(0.02, 2.5);
    expect(countOf(failures, people, 'permanent') / people).toBeCloseTo(0.01, 2.5);
    const fates = (seed: number) =>
      Array.from({ length: 1_000 }, (_, at) => fateOf({ ...failures, seed }, at + 1)).join();
    expect(fates(1)).toBe(fates(1));
    expect(fates(1)).not.toBe(fates(2));
  });

  test('none when none is asked for', () => {
    expect(countOf(NO_FAILURES, 1_000, 'accepted')).toBe(1_000);
  });
});
