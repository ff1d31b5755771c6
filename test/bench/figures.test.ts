import { expect, test } from 'vitest';
import { between } from '../../bench/between.ts';
import { judgeRates, tableOfRates } from '../../bench/rates-judged.ts';
import { tableOf } from '../../bench/torture/table.ts';

const machine = { cpu: 'A', cores: 2, memoryGb: 4, system: 'Linux', node: 'v24', packages: {} };

test('figures replace what stands between their marks, and nothing else', () => {
  const page = 'a\n<!-- x: begin -->\nold\n<!-- x: end -->\n<!-- y: begin -->\nb\n<!-- y: end -->\n';
  const replaced = between(page, 'x', '| new |');
  expect(replaced).toBe(page.replace('old', '| new |'));
  expect(between(replaced, 'x', '| new |')).toBe(replaced);
  expect(() => between(page, 'z', '')).toThrow(/no place for z/);
});

test('a rate that is kept to within two in a hundred is kept', () => {
  expect(judgeRates({ campaign: 0.98, domain: 1.02, relay: 1 })).toEqual([]);
  expect(judgeRates({ campaign: 0.9799, domain: 1.0201, relay: 1 })).toEqual([
    'the rate of the campaign was kept to 0.9799, and not to 1 ± 0.02',
    'the rate of the domain was kept to 1.0201, and not to 1 ± 0.02',
  ]);
  expect(judgeRates({ campaign: 1, domain: 1, relay: Number.NaN })).toHaveLength(1);
});

test('the table of rates says what was measured and on what', () => {
  const table = tableOfRates({
    ...{ kind: 'sendstate-rates', format: 1, measuredAt: '2026-01-02T03:04:05.000Z', machine },
    ...{ workers: 4, seconds: 30, rate: 100, shares: { campaign: 0.99, domain: 1, relay: 1.01 } },
  });
  expect(table).toContain(
    'Measured on 2026-01-02 on 2 cores (A), Node v24: 4 worker processes, 30 s, 100 mails',
  );
  expect(
    table
      .split('\n')
      .slice(-3)
      .map((line) => line.split(' | ')[1]),
  ).toEqual(['0.99 |', '1 |', '1.01 |']);
});

test('the table of torture has a line a run, also of one that failed', () => {
  const result = {
    ...{ seed: 1, kills: 100, lost: 0, duplicated: 3, bound: 8, unconfirmed: 0, stuck: 0, counterDrift: 0 },
    ...{
      secondsToFinish: 0.5,
      secondsToReturn: 2.1,
      secondsToFirst: 3,
      secondsToRescue: 3.5,
      secondsToLast: 4,
    },
    ...{ faults: {}, faultsLeftOut: [], seconds: 360, broken: 0 },
  };
  const table = tableOf({
    ...{
      kind: 'sendstate-torture',
      format: 1,
      measuredAt: '2026-01-02T03:04:05.000Z',
      machine,
      seconds: 600,
    },
    options: { kills: 100, recipients: 10_000, parallel: 2 },
    runs: [
      { seed: 1, policy: 'resend', result, brokenLines: [] },
      { seed: 2, policy: 'hold', result: null, brokenLines: ['ended with 1'] },
      {
        seed: 3,
        policy: 'hold',
        result: { ...result, seed: 3, secondsToRescue: 4.5, broken: 1 },
        brokenLines: ['  9.0  evidence: /tmp/x', 'BROKEN (seed 3): rescues took 4.5 s; 4 s were promised'],
      },
    ],
  });
  const lines = table.split('\n');
  const columns = (line: string | undefined) => line?.split('|').length;
  expect(lines[4]).toBe(
    '| 1 | resend | 100 | 0 | 3 of at most 8 | 0 | 0 | 0 | 2.1 s / 3, 3.5, 4 s | 0.5 s | 0 |',
  );
  expect(lines[5]).toContain('| 2 | hold | failed: ended with 1 |');
  expect(lines[7]).toBe(
    '| all |  | 200 | 0 | 6 of at most 16 | 0 | 0 | 0 | 2.1 s / 3, 4, 4 s (medians) | 0.5 s | 1 |',
  );
  expect(lines.slice(2, 8).map(columns)).toEqual(Array(6).fill(13));
  expect(lines.at(-1)).toBe('- (seed 3): rescues took 4.5 s; 4 s were promised');
});
