import { parse } from 'csv-parse/sync';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { rejectRow } from '../../src/import/rejects.ts';
import { rejectsPathFor } from '../../src/import/rejects-place.ts';

describe('a row of the rejects file', () => {
  test('is CSV, whatever the original was', () => {
    fc.assert(
      fc.property(fc.nat(), fc.string(), fc.string({ unit: 'binary' }), (line, reason, original) => {
        const [row, ...others] = parse(rejectRow({ line, reason, original }), { record_delimiter: ['\r\n'] });
        expect(others).toEqual([]);
        expect(row?.slice(0, 2)).toEqual([String(line), reason]);
        // The apostrophe in front is the only thing that may be added.
        expect([original, `'${original}`]).toContain(row?.[2]);
      }),
    );
  });

  test.each(['=1+1', '+1', '-1', '@SUM(A1)', "=cmd|' /C calc'!A0", '＝1', '\t=1', "'=1"])(
    'is no formula when a spreadsheet opens it: %j',
    (original) => {
      expect(rejectRow({ line: 2, reason: 'no', original })).toBe(`2,"no","'${original}"\r\n`);
    },
  );

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
