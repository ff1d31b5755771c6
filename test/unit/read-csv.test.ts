import { CsvError } from 'csv-parse';
import { parse } from 'csv-parse/sync';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { SendstateError } from '../../src/errors.ts';
import { type CsvOptions, CsvReader, type CsvRecord } from '../../src/import/csv.ts';

function read(pieces: readonly string[], options: Partial<CsvOptions> = {}): CsvRecord[] {
  const reader = new CsvReader({ delimiter: ',', ...options });
  const records = pieces.flatMap((piece) => reader.push(piece));
  return [...records, ...reader.end()];
}

/** The records, or the code of the error. */
function outcome(pieces: readonly string[], options: Partial<CsvOptions> = {}): unknown {
  try {
    return read(pieces, options);
  } catch (error) {
    if (error instanceof SendstateError) return error.code;
    throw error;
  }
}

function cellsOf(text: string, options: Partial<CsvOptions> = {}): (readonly string[])[] {
  return read([text], options).map((record) => record.cells);
}

function failure(text: string, options: Partial<CsvOptions> = {}): SendstateError {
  try {
    read([text], { fileName: 'people.csv', ...options });
  } catch (error) {
    if (error instanceof SendstateError) return error;
    throw error;
  }
  throw new Error('it was read');
}

const letters = fc.string({
  unit: fc.constantFrom('a', '한', ',', ';', '\t', '|', '"', '\n', '\r', ' ', '🙂'),
});
const delimiter = fc.constantFrom(',', ';', '\t', '|');
const lineEnd = fc.constantFrom('\n', '\r\n', '\r');

interface Dialect {
  readonly delimiter: string;
  readonly lineEnd: string;
  readonly quoteAll: boolean;
  readonly lastLineEnd: boolean;
}

const dialect: fc.Arbitrary<Dialect> = fc.record({
  delimiter,
  lineEnd,
  quoteAll: fc.boolean(),
  lastLineEnd: fc.boolean(),
});

function write(table: readonly (readonly string[])[], how: Dialect): string {
  const cell = (text: string) =>
    how.quoteAll || /["\r\n\s]/.test(text) || text === '' || text.includes(how.delimiter)
      ? `"${text.replaceAll('"', '""')}"`
      : text;
  const rows = table.map((row) => row.map(cell).join(how.delimiter));
  return rows.join(how.lineEnd) + (how.lastLineEnd ? how.lineEnd : '');
}

const table = fc
  .integer({ min: 1, max: 4 })
  .chain((width) =>
    fc.array(fc.array(letters, { minLength: width, maxLength: width }), { minLength: 1, maxLength: 5 }),
  );

/** Line ends in a text, counted in the plainest way. */
function lineEnds(text: string): number {
  return text.replaceAll('\r\n', '\n').replaceAll('\r', '\n').split('\n').length - 1;
}

describe('a table in any dialect', () => {
  test('is read back as it was, cut at any place', () => {
    fc.assert(
      fc.property(table, dialect, (rows, how) => {
        const text = write(rows, how);
        const whole = read([text], how);
        expect(whole.map((record) => record.cells)).toEqual(rows);
        expect(whole.every((record) => record.problem === null)).toBe(true);
        for (let at = 0; at <= text.length; at += 1) {
          expect(read([text.slice(0, at), text.slice(at)], how)).toEqual(whole);
        }
        expect(read(text.split(''), how)).toEqual(whole);
      }),
    );
  });

  test('knows the line on which each row begins, and its original text', () => {
    fc.assert(
      fc.property(table, dialect, (rows, how) => {
        let line = 1;
        const expected = rows.map((row) => {
          const original = write([row], { ...how, lastLineEnd: false });
          const record = { line, original };
          line += 1 + lineEnds(original);
          return record;
        });
        const records = read([write(rows, how)], how);
        expect(records.map(({ line, original }) => ({ line, original }))).toEqual(expected);
      }),
    );
  });
});

describe('any text', () => {
  const text = fc.string({ unit: fc.constantFrom('a', 'b', ',', '"', '\n', '\r', ' '), maxLength: 40 });

  test('reads the same however it is cut', () => {
    fc.assert(
      fc.property(text, fc.array(fc.nat(40), { maxLength: 6 }), (whole, cuts) => {
        const at = [0, ...cuts.sort((left, right) => left - right), whole.length];
        const pieces = at.slice(1).map((end, index) => whole.slice(at[index], end));
        expect(outcome(pieces)).toEqual(outcome([whole]));
      }),
      { numRuns: 2000 },
    );
  });

  test('reads as csv-parse does, wherever csv-parse finds no fault', () => {
    let compared = 0;
    fc.assert(
      fc.property(text, (whole) => {
        let reference: string[][];
        try {
          reference = parse(whole, {
            record_delimiter: ['\r\n', '\n', '\r'],
            relax_column_count: true,
            skip_empty_lines: true,
          });
        } catch (error) {
          if (error instanceof CsvError) return;
          throw error;
        }
        // Lines of white space are rows to csv-parse and blank lines here.
        const isBlank = (row: readonly string[]) => row.length === 1 && row[0]?.trim() === '';
        const ours = read([whole]);
        expect(ours.every((record) => record.problem === null)).toBe(true);
        expect(ours.map((record) => record.cells).filter((row) => !isBlank(row))).toEqual(
          reference.filter((row) => !isBlank(row)),
        );
        compared += 1;
      }),
      { numRuns: 3000 },
    );
    expect(compared).toBeGreaterThan(500);
  });

  test('loses nothing: the originals and the line ends are the text', () => {
    fc.assert(
      fc.property(text, (whole) => {
        const records = outcome([whole]);
        if (!Array.isArray(records)) return;
        const visible = (part: string) => part.replace(/\s+/g, '');
        expect(visible(records.map((record: CsvRecord) => record.original).join(''))).toBe(visible(whole));
      }),
    );
  });
});

describe('lines', () => {
  test('blank ones are skipped and counted, rows of empty cells are rows', () => {
    const records = read(['\n\r\na,b\n  \n,\n\n"",""\n']);
    expect(records.map(({ line, cells }) => [line, cells])).toEqual([
      [3, ['a', 'b']],
      [5, ['', '']],
      [7, ['', '']],
    ]);
  });

  test('a CRLF inside quotation marks is one line, also when cut in the middle', () => {
    for (const pieces of [['"x\r\ny",1\r\nz,2'], ['"x\r', '\ny",1\r', '\nz,2']]) {
      expect(read(pieces).map((record) => record.line)).toEqual([1, 3]);
    }
  });
});

describe('quotation marks', () => {
  test('inside an unquoted cell they are letters', () => {
    expect(cellsOf('5" disk,a"b"\n')).toEqual([['5" disk', 'a"b"']]);
  });

  test('text after a closing one spoils its own row only', () => {
    const records = read(['ok,1\n"x"y,2\nz,3\n']);
    expect(records.map((record) => record.problem)).toEqual([
      null,
      'text follows the closing quotation mark in line 2',
      null,
    ]);
    expect(records[1]?.original).toBe('"x"y,2');
  });

  test('one that is not closed does not lend its text to another row', () => {
    const records = read(['name,email\n"Kim,kim@x.kr\nPark,park@x.kr\n"Lee",lee@x.kr\nlast,last@x.kr\n']);
    expect(records.map(({ line, problem }) => [line, problem])).toEqual([
      [1, null],
      [2, 'text follows the closing quotation mark in line 4 (it opened in line 2)'],
      [5, null],
    ]);
    expect(records[1]?.original).toBe('"Kim,kim@x.kr\nPark,park@x.kr\n"Lee",lee@x.kr');
  });

  test('one that is never closed is an error that names its line', () => {
    const error = failure('a,b\n1,2\n3,"4\n5,6\n');
    expect(error.code).toBe('csv-quote');
    expect(error.message).toContain('people.csv, line 3');
    expect(error.hint).toContain('""');
  });

  test('one that is never closed swallows no more than a record may hold', () => {
    const reader = new CsvReader({ delimiter: ',', fileName: 'people.csv', maxRecordChars: 1000 });
    let pushed = 0;
    const feed = () => {
      for (reader.push('a,b\n1,"2\n'); pushed < 1_000_000; pushed += 100)
        reader.push('y'.repeat(99).concat('\n'));
    };
    expect(feed).toThrow(/people\.csv, line 2: .* not closed within 1000 characters/);
    expect(pushed).toBeLessThanOrEqual(1000);
  });
});

describe('limits', () => {
  test('a row that is too long ends the import, a cell that is too long only its row', () => {
    expect(failure(`a,b\n${'x'.repeat(101)}\n`, { maxRecordChars: 100 }).code).toBe('csv-record');
    expect(failure(`a,b\n"${'x'.repeat(101)}"\n`, { maxRecordChars: 100 }).code).toBe('csv-quote');
    const records = read([`${'x'.repeat(51)},b\n1,2\n`], { maxCellChars: 50 });
    expect(records.map((record) => record.problem)).toEqual(['a cell is longer than 50 characters', null]);
  });

  test('a million columns are counted no further than the limit', () => {
    for (const row of [','.repeat(1_000_000), `"",${','.repeat(1_000_000)}`]) {
      const [record] = read([row]);
      expect(record?.problem).toBe('more than 1000 columns');
      expect(record?.cells.length).toBeLessThanOrEqual(1001);
    }
  });

  test('a large cell in very small pieces takes no quadratic time', () => {
    const piece = 'ab""cd\r\n'.repeat(2);
    const pieces = ['"', ...new Array<string>(60_000).fill(piece), '"\n'];
    const [record] = read(pieces);
    expect(record?.cells[0]).toHaveLength(60_000 * (piece.length - 2));
  });

  test('a delimiter is one character and none of the others', () => {
    for (const wrong of ['', ',,', '"', '\n', '\r']) {
      expect(() => new CsvReader({ delimiter: wrong })).toThrow(SendstateError);
    }
  });
});

test('a blank line that is too long is one wherever the text is cut', () => {
  const text = `a,b\n${' '.repeat(30)}\nc,d\n`;
  expect(outcome([text], { maxRecordChars: 20 })).toBe('csv-record');
  for (let at = 0; at <= text.length; at += 1)
    expect(outcome([text.slice(0, at), text.slice(at)], { maxRecordChars: 20 })).toBe('csv-record');
});
