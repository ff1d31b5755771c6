import { afterAll, describe, expect, test } from 'vitest';
import { type FreshDatabase, freshDatabase } from '../support/database.ts';
import { randomSeed, runTarget } from './target.ts';
import { TARGETS } from './targets/index.ts';

/** The same on every machine and for ever, so that what once failed is looked at again on every run. */
const COMMITTED_SEED = 20_260_301;

let fresh: FreshDatabase | undefined;
afterAll(() => fresh?.drop());

const surroundings = {
  database: async () => {
    fresh ??= await freshDatabase();
    return fresh.database;
  },
};

describe.each(TARGETS)('$name: $promise', (target) => {
  test('with the committed seed and a random one', { timeout: 120_000 }, async () => {
    const today = randomSeed();
    process.stdout.write(`fuzz ${target.name}: seeds ${COMMITTED_SEED} and ${today}\n`);
    const started = await target.start(surroundings);
    try {
      expect(await runTarget(target, started, COMMITTED_SEED, target.cases)).toBe(target.cases);
      expect(await runTarget(target, started, today, target.cases)).toBe(target.cases);
    } finally {
      await started.end?.();
    }
  });
});
