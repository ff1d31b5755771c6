import { SendstateError } from '../../src/errors.ts';

/** The waits for which there is a delay queue or a retry topic, milliseconds. */
export const WAITS_MS = [50, 200, 1_000, 5_000, 30_000, 300_000, 3_600_000] as const;

/** The first that is not shorter than a person has to wait. */
export function waitFor(afterMs: number): number {
  const step = WAITS_MS.find((ms) => ms >= afterMs);
  if (step !== undefined) return step;
  throw new SendstateError('bench_wait', `nothing waits ${afterMs} ms; the longest is ${WAITS_MS.at(-1)} ms`);
}
