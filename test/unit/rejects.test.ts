import { parse } from 'csv-parse/sync';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { safeCell } from '../../src/import/formula.ts';
import { rejectRow } from '../../src/import/rejects.ts';
import { rejectsPathFor } from '../../src/import/rejects-place.ts';

/** What safeCell() does to formulas, undone. */
function unmarked(cell: string): string {
  const inner = cell.replace(/([;,\t|][ "]*)'(?=[=+\-@'＝＋－＠])/gu, '$1');
  return /^'(?:[\t\r\n]|[ \u00a0]*[=+\-@'＝＋－＠])/u.test(inner) ? inner.slice(1) : inner;
}

describe('a row of the rejects file', () => {
  test('is CSV, whatever the original was', () => {
    fc.assert(
      fc.property(fc.nat(), fc.string(), fc.string({ unit: 'binary' }), (line, reason, original) => {
        const [row, ...others] = parse(rejectRow({ line, reason, original }), { record_delimiter: ['\r\n'] });
        expect(others).toEqual([]);
        expect(row?.slice(0, 2)).toEqual([String(line), reason]);
        const hidden = /[\p{Cc}--[\t\n\r]]/v;
        if (!hidden.test(original)) expect(unmarked(row?.[2] ?? '')).toBe(original);
        expect(row?.[2]).not.toMatch(hidden);
      }),
    );
  });

  test.each(['=1+1', '+1', '-1', '@SUM(A1)', '＝1', "'=1", '\n+1', ' =1', '\u00a0@a'])(
    'is no formula when a spreadsheet opens it: %j',
    (original) => {
      expect(rejectRow({ line: 2, reason: 'no', original })).toBe(`2,"no","'${original}"\r\n`);
    },
  );

  test.each([
    ["=cmd|' /C calc'!A0", "'=cmd|'' /C calc'!A0"],
    ['kim;=1+1', "kim;'=1+1"],
    ['kim,  +82', "kim,  '+82"],
    ['a|"@b', 'a|"\'@b'],
    ['\t=1', "'\t'=1"],
    [';-1', ";'-1"],
  ])('begins no formula behind a list separator of another place: %j', (original, marked) => {
    expect(safeCell(original)).toBe(marked);
  });

  test('shows control characters by their pictures, so that a terminal obeys none', () => {
    expect(safeCell('\u001b[31mred\u0007\u009b2J')).toBe('␛[31mred␇\ufffd2J');
  });

  test('is the original itself when that is harmless', () => {
    expect(rejectRow({ line: 2, reason: 'no @', original: 'a "b",c' })).toBe('2,"no @","a ""b"",c"\r\n');
  });
});

test.each([
  ['people.csv', 'people.rejects.csv'],
  ['/tmp/a.b/people.TSV', '/tmp/a.b/people.rejects.csv'],
  ['lists/people', 'lists/people.rejects.csv'],
  ['people.2026', 'people.2026.rejects.csv'],
  ['-', 'stdin.rejects.csv'],
  ['/dev/fd/63', 'stdin.rejects.csv'],
  ['/proc/self/fd/12', 'stdin.rejects.csv'],
])('the rejects of %s go to %s', (file, rejects) => {
  expect(rejectsPathFor(file)).toBe(rejects);
});
