import { readdir, readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { answer } from '../../bench/report/answer.ts';
import { chartsOf } from '../../bench/report/charts.ts';
import { withMeasured } from '../../bench/report/choosing.ts';
import { losses } from '../../bench/report/losses.ts';
import { page } from '../../bench/report/page.ts';
import { rowsOf } from '../../bench/report/rows.ts';
import { compared, listed, rounded } from '../../bench/report/words.ts';
import { readClusters, writeReport } from '../../bench/report/write.ts';
import { summarise } from '../../bench/summary.ts';
import { textOf } from '../docs/markdown.ts';
import { type MadeUp, rawFigures } from '../support/raw-figures.ts';
import { makeScratch, removeScratch } from '../support/scratch.ts';

const said = (figures: MadeUp) => {
  const raw = rawFigures(figures);
  return answer(raw, rowsOf(raw)).join('\n');
};
const lost = (figures: MadeUp) => losses(rowsOf(rawFigures(figures)));

describe('the first screen', () => {
  test('the table wins', () => {
    const text = said({
      campaign: { postgres: [18_000, 19_000, 18_500], rabbitmq: [12_000, 12_500, 11_800] },
    });
    expect(text).toContain('Up to 10,000 people a table is enough');
    expect(text).toContain('18,500 a second, 54% more than rabbitmq');
  });

  test('within five percent is as good', () => {
    const text = said({ campaign: { postgres: [9_700], rabbitmq: [10_000] } });
    expect(text).toContain('Up to 10,000 people a table is enough');
    expect(text).toContain('within 5% of rabbitmq');
  });

  test('the table loses, and it says so', () => {
    const figures = { campaign: { postgres: [6_000], rabbitmq: [10_000], kafka: [9_000] } };
    expect(said(figures)).toContain('rabbitmq is faster here');
    expect(said(figures)).not.toContain('is enough');
    expect(lost(figures)).toContain('mails a second, end to end: 6,000; rabbitmq 10,000');
  });

  test('a design of another durability is no rival', () => {
    const figures = { campaign: { postgres: [10_000], 'kafka@B': [30_000], memcached: [50_000] } };
    expect(said(figures)).toContain('Nothing else of its durability was measured');
    expect(said(figures)).not.toMatch(/kafka|memcached/);
    expect(lost(figures)).toEqual([]);
  });

  test('the claims of the note beside what was measured', () => {
    const campaign = { postgres: [1], rabbitmq: [1], kafka: [1] };
    const queue = (own: number) => ({
      postgres: [50_000, own] as const,
      rabbitmq: [11_000, 12_000] as const,
      kafka: [70_000, 80_000] as const,
    });
    expect(said({ campaign, queue: queue(101_000) })).toContain('The table reaches the 100,000');
    const text = said({ campaign, queue: queue(60_000) });
    expect(text).toContain('The table does not reach the 100,000');
    expect(text).toContain('rabbitmq takes 11,000 and hands out 12,000 (the note says 20,000)');
    expect(lost({ campaign, queue: queue(60_000) })).toEqual(
      expect.arrayContaining([
        'people taken in a second: 50,000; kafka 70,000',
        'people handed out a second, without mail: 60,000; kafka 80,000',
      ]),
    );
  });

  test('who writes less is named', () => {
    const campaign = { postgres: [1], rabbitmq: [1], kafka: [1] };
    expect(said({ campaign, bytes: { postgres: 900, rabbitmq: 1_500, kafka: 1_200 } })).toContain(
      'none of its tier clearly less',
    );
    const text = said({ campaign, bytes: { postgres: 1_300, rabbitmq: 1_500, kafka: 700 } });
    expect(text).toContain('1,300 bytes to be written, more than kafka (700)');
  });

  test('who loses or leaves people behind is named', () => {
    const campaign = { postgres: [1], rabbitmq: [1], kafka: [1] };
    const none = [0, 0] as const;
    expect(said({ campaign, crash: { postgres: none, rabbitmq: none } })).toContain(
      'of the 2 designs of that tier (of 3) that were killed, 0 of them consumer and broker, none lost a person',
    );
    const text = said({ campaign, crash: { postgres: none, rabbitmq: [0, 20], kafka: [5, 0] } });
    expect(text).toContain('kafka lost people; rabbitmq left people behind');
  });

  test('a table that leaves people without a mail is never enough', () => {
    const campaign = { postgres: [18_000], rabbitmq: [9_000] };
    for (const crash of [
      [1, 0],
      [0, 1],
    ] as const)
      expect(said({ campaign, crash: { postgres: crash } })).toContain(
        'The table left 1 people without a mail',
      );
  });

  test('why it is enough follows from the share of the queue', () => {
    const campaign = { postgres: [10_000], rabbitmq: [9_000] };
    const cheap = said({ campaign, queue: { postgres: [50_000, 50_000] } });
    expect(cheap).toContain('because the mail costs more than the queue (its queue takes 40.0% of the time');
    const dear = said({ campaign, queue: { postgres: [30_000, 30_000] } });
    expect(dear).toContain('though its queue takes 66.7% of the time that a mail takes');
    expect(said({ campaign })).not.toMatch(/because|though/);
  });

  test('how far it is enough is the largest size at which no design was clearly faster', () => {
    const campaign = { postgres: [10_000], rabbitmq: [9_000] };
    const grown = (own: number) => ({ campaign, growth: { postgres: own, rabbitmq: 9_000 } });
    expect(said(grown(9_100))).toContain('Up to 100,000 people a table is enough');
    expect(said(grown(5_000))).toContain('Up to 10,000 people a table is enough');
    expect(lost(grown(5_000))).toContain('mails a second, 100,000 people: 5,000; rabbitmq 9,000');
  });

  test('who is stuck has not won by sending nothing twice', () => {
    const campaign = { postgres: [1], rabbitmq: [1] };
    const own = [0, 0, 9] as const;
    const said = (rabbitmq: readonly [number, number, number]) =>
      lost({ campaign, crash: { postgres: own, rabbitmq } }).filter((one) => one.includes('twice'));
    expect(said([0, 50, 0])).toEqual([]);
    expect(said([0, 0, 2])).toEqual(['mails sent twice after a killed consumer: 9.00; rabbitmq 2.00']);
  });

  test('says nothing that the list of losses denies, whatever the figures', () => {
    const rate = fc.integer({ min: 1_000, max: 200_000 });
    const three = <T>(one: fc.Arbitrary<T>) => fc.record({ postgres: one, rabbitmq: one, kafka: one });
    const figures = fc.record({
      campaign: three(fc.array(rate, { minLength: 1, maxLength: 4 })),
      queue: three(fc.tuple(rate, rate)),
      bytes: three(rate),
      far: three(rate),
      growth: three(rate),
      crash: three(fc.constantFrom<readonly [number, number]>([0, 0], [1, 0], [0, 1])),
    });
    fc.assert(
      fc.property(figures, (one) => {
        const [text, worse] = [said(one), lost(one)];
        const loses = (what: string) => worse.some((line) => line.startsWith(what));
        const [lostSome, stuckSome] = one.crash.postgres;
        const enough = lostSome + stuckSome === 0 && !loses('mails a second, end to end');
        expect(text.includes('a table is enough')).toBe(enough);
        expect(text.includes('Up to 100,000 people')).toBe(
          enough && !loses('mails a second, 100,000 people'),
        );
        expect(text.includes('none of its tier clearly less')).toBe(!loses('bytes written a mail'));
        expect(text.includes('The table reaches')).toBe(one.queue.postgres[1] >= 100_000);
        if (loses('mails a second, 50 ms away'))
          expect(text).toMatch(/50 ms: [^(]*(less than) the fastest other/);
        else expect(text).not.toMatch(/50 ms: [^(]*less than the fastest other/);
      }),
      { numRuns: 300 },
    );
  });

  test('far away all are the same', () => {
    const campaign = { postgres: [18_000], rabbitmq: [9_000] };
    expect(said({ campaign, far: { postgres: 98, rabbitmq: 99 } })).toContain(
      '50 ms: 98.0 mails/s, within 5% of the fastest other (rabbitmq)',
    );
  });
});

describe('the page', () => {
  const figures: MadeUp = {
    campaign: {
      postgres: [18_000, 18_200, 17_900],
      rabbitmq: [9_000, 9_100, 8_800],
      memcached: [30_000, 31_000, 29_000],
    },
    queue: { postgres: [50_000, 90_000], rabbitmq: [11_000, 12_000], memcached: [20_000, 40_000] },
    bytes: { postgres: 900, rabbitmq: 1_500 },
    crash: { postgres: [0, 0], rabbitmq: [0, 0] },
    far: { postgres: 98, rabbitmq: 99, memcached: 99 },
  };
  const raw = rawFigures(figures);
  const rows = rowsOf(raw);

  test('holds every figure, tiers apart', () => {
    const text = page(raw, rows, []);
    expect(text).toContain('18,000 (17,900 to 18,200)');
    expect(text.indexOf('Tier A')).toBeLessThan(text.indexOf('Tier C'));
    const [a = ''] = text.split('Tier C');
    expect(a).not.toMatch(/^\| memcached/m);
    expect(text).toContain('What postgres promises.');
    expect(text).not.toMatch(/undefined|NaN|\[object/);
  });

  test('a section that has nothing says so, and what was left out is listed by reason', () => {
    const bare = rawFigures({ campaign: { postgres: [1], rabbitmq: [1] } });
    const text = page(
      {
        ...bare,
        leftOut: [
          { design: 'postgres', why: 'growth: the time was over' },
          { design: 'kafka', why: 'growth: the time was over' },
        ],
      },
      rowsOf(bare),
      [],
    );
    for (const part of text.split(/^##+ /m).slice(1)) {
      const [, ...body] = part.split('\n');
      expect(body.join('')).toMatch(
        /\| --- \||Not measured in this run\.|Not measured yet|Not asked in this run\.|^- /,
      );
    }
    expect(text).toContain('- postgres and kafka: growth: the time was over');
    expect(text.indexOf('personalised mails from the table')).toBeLessThan(
      text.indexOf('What to keep in mind'),
    );
  });

  test('says what went wrong, and that a quick run means nothing', () => {
    expect(page({ ...raw, faults: ['rabbitmq: 3 lost'] }, rows, [])).toContain('- rabbitmq: 3 lost');
    const quick = { ...raw, settings: { ...raw.settings, profile: 'quick' as const } };
    expect(page(quick, rows, [])).toContain('its figures mean nothing');
    expect(page(raw, rows, [])).not.toContain('its figures mean nothing');
  });

  test('its charts are whole, never mix tiers, and name the sink’s limit', async () => {
    const charts = await chartsOf(raw, rows);
    const files = charts.map(({ file }) => file);
    expect(files).toEqual(
      expect.arrayContaining(['campaign-a.svg', 'campaign-c.svg', 'queue-a.svg', 'bytes-a.svg']),
    );
    for (const { file, svg } of charts) {
      expect(svg).toMatch(/^<svg[\s\S]*<\/svg>\n$/);
      expect(svg).toContain('the sink alone takes 60,000 mails/s');
      expect(svg).not.toContain('NaN');
      expect(svg.includes('memcached')).toBe(file.endsWith('-c.svg'));
    }
  });

  test('is written beside its figures, charts of an earlier report removed', async () => {
    const folder = await makeScratch('report');
    try {
      await writeFile(path.join(folder, 'growth-b.svg'), 'old');
      await writeReport(raw, folder);
      const files = await readdir(folder);
      expect(files).toContain('campaign-a.svg');
      expect(files).not.toContain('growth-b.svg');
      const text = await readFile(path.join(folder, 'queues.md'), 'utf8');
      const shown = [...text.matchAll(/\]\(([\w-]+\.svg)\)/g)].map(([, file]) => file);
      expect(shown.length).toBeGreaterThan(3);
      expect(files).toEqual(expect.arrayContaining(shown));
    } finally {
      await removeScratch(folder);
    }
  });

  test('the measured part of choosing.md is replaced, the rest stays', () => {
    const text = 'before\n<!-- measured: begin -->\nold\n<!-- measured: end -->\nafter\n';
    const changed = withMeasured(text, raw, rows);
    expect(changed).toMatch(/^before\n<!-- measured: begin -->\n[\s\S]*\n<!-- measured: end -->\nafter\n$/);
    expect(changed).toContain('11,000 in, 12,000 out');
    expect(changed).not.toContain('old');
    expect(withMeasured(changed, raw, rows)).toBe(changed);
    expect(() => withMeasured('nothing', raw, rows)).toThrow('choosing.md');
  });
});

test('the summary has the figures that are asked for by name', () => {
  const raw = rawFigures({
    campaign: { postgres: [3, 1, 2] },
    queue: { postgres: [5, 7] },
    bytes: { postgres: 900 },
  });
  expect(summarise(raw)).toEqual({
    postgres: {
      mailsPerSecond: 2,
      queueRowsPerSecond: 7,
      publishPerSecond: 5,
      bytesPerMail: 900,
      lost: 0,
      duplicated: 0,
      tier: 'A',
    },
  });
});

test('numbers and comparisons in words', () => {
  expect([0, 0.123, 12.34, 123.4, 12_345, 1_234_567].map(rounded)).toEqual([
    '0',
    '0.12',
    '12.3',
    '123',
    '12,300',
    '1,230,000',
  ]);
  expect([
    compared(300, 100),
    compared(30, 100),
    compared(98, 100),
    compared(120, 100),
    compared(80, 100),
  ]).toEqual([
    '3.00 times as much as',
    '3.33 times less than',
    'within 5% of',
    '20% more than',
    '20% less than',
  ]);
  expect([listed([]), listed(['a']), listed(['a', 'b', 'c'])]).toEqual(['', 'a', 'a, b and c']);
});

test('what the repository shows was made from the figures beside it', async () => {
  const raw = JSON.parse(textOf('docs/benchmarks/queues.json')) as Parameters<typeof rowsOf>[0];
  const rows = rowsOf(raw);
  const charts = await chartsOf(raw, rows);
  expect(textOf('docs/benchmarks/queues.md')).toBe(
    page(raw, rows, charts, await readClusters('docs/benchmarks')),
  );
  for (const { file, svg } of charts) expect(textOf(`docs/benchmarks/${file}`)).toBe(svg);
  const choosing = textOf('docs/choosing.md');
  expect(withMeasured(choosing, raw, rows)).toBe(choosing);
});
