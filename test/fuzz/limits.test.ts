import { expect, test } from 'vitest';
import { SendstateError } from '../../src/errors.ts';
import { importBounds } from '../../src/import/bounds.ts';
import { openCsvFile } from '../../src/import/csv-file.ts';

const MB = 1024 * 1024;

interface Met {
  readonly error: SendstateError | null;
  readonly problems: readonly (string | null)[];
  /** Bytes that the process grew by, at most, while it read. */
  readonly grew: number;
}

/** Reads a file of pieces that are made as they are asked for. */
async function read(pieces: Iterable<string>, encoding?: string): Promise<Met> {
  const before = process.memoryUsage().rss;
  let grew = 0;
  async function* source(): AsyncGenerator<Buffer> {
    for (const piece of pieces) {
      yield Buffer.from(piece);
      grew = Math.max(grew, process.memoryUsage().rss - before);
    }
  }
  const problems: (string | null)[] = [];
  try {
    const table = await openCsvFile(source(), { fileName: 'people.csv', bounds: importBounds, encoding });
    for await (const batch of table.batches) for (const { problem } of batch) problems.push(problem);
    return { error: null, problems, grew };
  } catch (error) {
    if (error instanceof SendstateError) return { error, problems, grew };
    throw error;
  }
}

function* times(text: string, count: number, first = '', last = ''): Generator<string> {
  yield first;
  for (let i = 0; i < count; i++) yield text;
  yield last;
}

const KB = 'x'.repeat(1024);
const BOUNDED = 150 * MB;

test.each([
  [
    'a cell of 10 MB',
    () => times(KB, 10_240, 'email,name\na@b.kr,', '\n'),
    /line 2: the row is longer than 4194304/,
  ],
  [
    'a cell of 10 MB in quotation marks',
    () => times(`${KB}\n`, 10_240, 'email,name\na@b.kr,"', '"\n'),
    /line 2: a quotation mark .* not closed within 4194304/,
  ],
  [
    'a header of 10 MB',
    () => times(KB, 10_240, 'email,', '\na@b.kr,x\n'),
    /line 1: the row is longer than 4194304/,
  ],
  [
    'a header of Hangul without end',
    () => times('한'.repeat(1024), 10_240, 'email,'),
    /line 1: the row is longer than 4194304/,
  ],
  ['a million columns', () => times(','.repeat(1000), 1000, 'email', '\n'), /line 1: more than 1000 columns/],
  [
    'a name of a column that is a book',
    () => times(KB, 100, 'email,', '\na@b.kr,x\n'),
    /column 2 has a name of 102400 characters, more than 200/,
  ],
])('%s: the line, the limit, and little memory', { timeout: 60_000 }, async (_, pieces, words) => {
  const { error, grew } = await read(pieces());
  expect(error?.message).toMatch(words);
  expect(error?.hint).toBeTruthy();
  expect(grew).toBeLessThan(BOUNDED);
});

test('a row that is too wide or holds too long a cell costs itself alone', async () => {
  const rows = [
    'email,name\n',
    `a@b.kr,${'y'.repeat(2 * MB)}\n`,
    `c@d.kr${','.repeat(1_000_000)}\n`,
    'e@f.kr,fine\n',
  ];
  const { error, problems } = await read(rows);
  expect(error).toBeNull();
  expect(problems).toEqual(['a cell is longer than 1048576 characters', 'more than 1000 columns', null]);
});

test('what cannot be UTF-8 is said of the byte, after megabytes of letters too', async () => {
  const { error } = await read(times('한'.repeat(1024), 10_240, 'email,name\na@b.kr,'), 'utf-8');
  expect(error?.message).toMatch(/line 2: the row is longer than 4194304/);
});
