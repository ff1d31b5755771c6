import { median } from './server.ts';

/** Numbers that look random and are the same for the same seed (mulberry32). */
export function randomFrom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let bits = Math.imul(state ^ (state >>> 15), state | 1);
    bits ^= bits + Math.imul(bits ^ (bits >>> 7), bits | 61);
    return ((bits ^ (bits >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** The same items in another order (Fisher and Yates). */
export function shuffled<T>(items: readonly T[], random: () => number): T[] {
  const order = [...items];
  for (let at = order.length - 1; at > 0; at--) {
    const other = Math.floor(random() * (at + 1));
    [order[at], order[other]] = [order[other] as T, order[at] as T];
  }
  return order;
}

/** Fewer values than this have no interval that means 95% of anything: their lowest and highest are given. */
export const FEW = 6;

/** A median and the interval that holds it with 95%; of few values their range. */
export interface Estimate {
  readonly median: number;
  readonly low: number;
  readonly high: number;
  readonly rounds: number;
}

/** Resamples: enough for the second digit of the bounds. */
const RESAMPLES = 2_000;

/**
 * The median with its 95% interval by the percentile bootstrap: medians of samples drawn from the sample, with replacement. One
 * value alone has no interval but itself.
 */
export function estimate(values: readonly number[], seed = 1, resamples = RESAMPLES): Estimate {
  if (values.length === 0) throw new Error('there is no median of nothing');
  if (values.length < FEW)
    return {
      median: median(values),
      low: Math.min(...values),
      high: Math.max(...values),
      rounds: values.length,
    };
  const random = randomFrom(seed);
  const medians = Array.from({ length: resamples }, () =>
    median(values.map(() => values[Math.floor(random() * values.length)] as number)),
  ).sort((a, b) => a - b);
  const at = (share: number) => medians[Math.round(share * (resamples - 1))] as number;
  return { median: median(values), low: at(0.025), high: at(0.975), rounds: values.length };
}
