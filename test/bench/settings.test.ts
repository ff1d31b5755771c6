import { describe, expect, test } from 'vitest';
import { DESIGN_NAMES, loadDesign } from '../../bench/designs/index.ts';
import { readSettings } from '../../bench/settings.ts';

describe('the options of the benchmark', () => {
  test('full by default: ten rounds of 10,000 people, four distances', () => {
    expect(readSettings([])).toMatchObject({
      profile: 'full',
      designs: null,
      recipients: 10_000,
      rounds: 10,
      latencies: [0, 5, 50, 200],
      growth: [100_000, 1_000_000],
      out: null,
      report: false,
    });
  });

  test('what is given wins over the profile', () => {
    const given = readSettings(
      '--profile quick --designs postgres,kafka --recipients 700 --rounds 2 --latency 0,20 --seed 9 --json'.split(
        ' ',
      ),
    );
    expect(given).toMatchObject({
      profile: 'quick',
      designs: ['postgres', 'kafka'],
      recipients: 700,
      rounds: 2,
      latencies: [0, 20],
      seed: 9,
      json: true,
    });
    expect(given.failures.seed).toBe(9);
  });

  test('a report goes where the repository has its own', () => {
    expect(readSettings(['--report']).out).toBe('docs/benchmarks');
    expect(readSettings(['--report', '--out', '/tmp/x']).out).toBe('/tmp/x');
  });

  test.each(['--recipients 0', '--rounds x', '--latency 5,-1', '--profile fast', '--what'])(
    'refuses %s, and says what there is',
    (args) => {
      expect(() => readSettings(args.split(' '))).toThrow(/--profile quick\|full/);
    },
  );
});

// Loads every broker's client.
test('every design has the name that it is asked for by', { timeout: 120_000 }, async () => {
  for (const name of DESIGN_NAMES) expect((await loadDesign(name)).name).toBe(name);
  await expect(loadDesign('excel')).rejects.toThrow(/postgres, /);
});
