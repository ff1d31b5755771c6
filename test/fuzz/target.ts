import fc from 'fast-check';
import type { Database } from '../../src/database/connect.ts';

/** What a target may ask of its runner. */
export interface Surroundings {
  /** A migrated database of this run's own. */
  database(): Promise<Database>;
}

/** One kind of input from outside, and what has to hold whatever it is. */
export interface Target {
  /** As `--target` says it. */
  readonly name: string;
  /** What has to hold, as one sentence. */
  readonly promise: string;
  /** Cases for each of the two seeds of the ordinary suite, so that all targets together take some seconds. */
  readonly cases: number;
  /** Makes the property, and what it needs; `end` lets go of that. */
  start(surroundings: Surroundings): Promise<Started>;
}

export interface Started {
  readonly property: fc.IAsyncProperty<unknown>;
  end?(): Promise<void>;
}

/** Cases in the ordinary suite from which on a target is quick. */
const QUICK = 100;

/** Characters: a counterexample may be a megabyte, and its seed finds it again. */
const LONGEST_REPORT = 4_000;

/** A property as the targets give it: one arbitrary, one check that throws. */
export function propertyOf<T>(
  arbitrary: fc.Arbitrary<T>,
  check: (value: T) => Promise<void> | void,
): fc.IAsyncProperty<unknown> {
  return fc.asyncProperty(arbitrary, async (value) => {
    await check(value);
  }) as unknown as fc.IAsyncProperty<unknown>;
}

/** Runs so many cases from a seed; throws with the smallest counterexample and the command that finds it again. */
export async function runTarget(
  target: Target,
  started: Started,
  seed: number,
  cases: number,
  deadline: number = Number.POSITIVE_INFINITY,
): Promise<number> {
  const left = deadline - Date.now();
  const details = await fc.check(started.property, {
    seed,
    numRuns: cases,
    // Where a case takes a second, a smaller counterexample takes too long to find.
    endOnFailure: target.cases < QUICK,
    ...(Number.isFinite(left) ? { interruptAfterTimeLimit: Math.max(1, left) } : {}),
  });
  if (details.failed) {
    const report = fc.defaultReportMessage(details) ?? 'no report';
    const cause = details.errorInstance;
    const again = `npm run fuzz -- --target ${target.name} --seed ${seed} --cases ${cases}`;
    throw new Error(
      `${target.name}: not true that ${target.promise}\nAgain: ${again}\n${cause instanceof Error ? cause.stack : cause}\n${report.slice(0, LONGEST_REPORT)}`,
      { cause },
    );
  }
  return details.numRuns;
}

/** A seed for today, as fast-check takes them. */
export function randomSeed(): number {
  return Math.floor(Math.random() * 0x7fff_ffff);
}
