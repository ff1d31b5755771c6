import assert from 'node:assert/strict';
import { CsvError } from 'csv-parse';
import { parse } from 'csv-parse/sync';
import fc from 'fast-check';
import iconv from 'iconv-lite';
import { SendstateError } from '../../../src/errors.ts';
import { parseAddress } from '../../../src/import/address.ts';
import { type ImportBounds, importBounds } from '../../../src/import/bounds.ts';
import { Chunk } from '../../../src/import/chunk.ts';
import type { Columns } from '../../../src/import/columns.ts';
import { CsvReader, type CsvRecord } from '../../../src/import/csv.ts';
import { openCsvFile } from '../../../src/import/csv-file.ts';
import { byteOrderMark } from '../../../src/import/decode.ts';
import { isExcelHint } from '../../../src/import/delimiter.ts';
import { propertyOf, type Target } from '../target.ts';
import { cutAt, cuts, mutatedCsv } from './csv-bytes.ts';

interface Read {
  readonly encoding: string;
  readonly delimiter: string;
  readonly columns: Columns;
  readonly records: readonly CsvRecord[];
}
interface Refused {
  readonly code: string;
  readonly message: string;
}
type Outcome = Read | Refused;

interface How {
  readonly bounds: ImportBounds;
  readonly encoding: string | undefined;
}

const FILE = 'people.csv';

/** The whole way from bytes to rows; anything but a SendstateError is a crash. */
async function read(pieces: readonly Buffer[], { bounds, encoding }: How): Promise<Outcome> {
  async function* source(): AsyncGenerator<Buffer> {
    yield* pieces;
  }
  try {
    const table = await openCsvFile(source(), { fileName: FILE, bounds, encoding });
    const records: CsvRecord[] = [];
    try {
      for await (const batch of table.batches) records.push(...batch);
    } finally {
      await table.close();
    }
    return { encoding: table.encoding, delimiter: table.delimiter, columns: table.columns, records };
  } catch (error) {
    if (!(error instanceof SendstateError)) throw error;
    assert.ok(error.message.includes(FILE), `an error names its file: ${error.message}`);
    assert.ok(error.hint, `an error says what to do: ${error.message}`);
    assert.ok(error.message.length < 1_000, 'an error is short, whatever the file holds');
    return { code: error.code, message: error.message };
  }
}

/** The text as other decoders than ours read it; null: they cannot. */
function decode(bytes: Buffer, encoding: string): string | null {
  const mark = byteOrderMark(bytes);
  const rest = bytes.subarray(mark?.bytes ?? 0);
  if (/^utf-/.test(encoding)) {
    try {
      return new TextDecoder(encoding, { fatal: true, ignoreBOM: true }).decode(rest);
    } catch {
      return null;
    }
  }
  const text = iconv.decode(rest, encoding);
  return text.includes('\ufffd') ? null : text;
}

/** Every record stands in the text where it says, and between them there is nothing but line ends and blank lines. */
function checkPlaces(text: string, delimiter: string, records: readonly CsvRecord[]): void {
  const lineEnds = (part: string) => part.match(/\r\n|\r|\n/g)?.length ?? 0;
  let at = 0;
  let line = 1;
  for (const record of records) {
    for (;;) {
      const end = /\r\n|\r|\n|$/g;
      end.lastIndex = at;
      const found = end.exec(text);
      const until = found?.index ?? text.length;
      if (line === record.line) break;
      const blank = text.slice(at, until);
      assert.ok(blank.trim() === '' && !blank.includes(delimiter), `a row was lost in line ${line}`);
      assert.ok(until < text.length, `line ${record.line} is beyond the end`);
      at = until + (found?.[0].length ?? 0);
      line += 1;
    }
    assert.ok(text.startsWith(record.original, at), `line ${line} is not what stands there`);
    at += record.original.length;
    line += lineEnds(record.original);
    const next = /^(\r\n|\r|\n)/.exec(text.slice(at, at + 2));
    assert.ok(next !== null || at === text.length, `row of line ${record.line} ends where no line does`);
    if (next === null) continue;
    at += next[0].length;
    line += 1;
  }
  for (const rest of text.slice(at).split(/\r\n|\r|\n/)) {
    assert.ok(rest.trim() === '' && !rest.includes(delimiter), 'a row was lost at the end');
  }
}

/** As csv-parse reads it, wherever csv-parse finds no fault. */
function checkAgainstReference(text: string, delimiter: string, records: readonly CsvRecord[]): void {
  if (records.some(({ problem }) => problem !== null)) return;
  let rows: string[][];
  try {
    rows = parse(text, {
      delimiter,
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
  assert.deepEqual(
    records.map(({ cells }) => [...cells]).filter((row) => !isBlank(row)),
    rows.filter((row) => !isBlank(row)),
  );
}

/** COPY text back to what it says. */
function copied(text: string): { row: number; address: string; vars: Record<string, string> }[] {
  const lines = text.split('\n');
  assert.equal(lines.pop(), '');
  return lines.map((line) => {
    const cells = line.split('\t');
    assert.equal(cells.length, 3, 'COPY reads three columns');
    const [row = '', address = '', json = ''] = cells;
    assert.ok(
      !/\\/.test(row + address) && !/(^|[^\\])(\\\\)*\\([^\\]|$)/.test(json),
      'COPY would read an escape',
    );
    return { row: Number(row), address, vars: JSON.parse(json.replaceAll('\\\\', '\\')) };
  });
}

/** Each row is offered to the database as it stands in the file, or rejected with a reason: none is lost, none is both. */
function checkRows({ columns, records }: Read): void {
  const chunk = new Chunk(columns, { chunkRows: Math.max(1, records.length), chunkChars: 1e9 });
  for (const record of records) chunk.add(record);
  const rejects = [...chunk.rejects()];
  const { duplicatesInFile, duplicatesInTable, invalid } = chunk.count();
  assert.equal(chunk.offered + rejects.length, records.length);
  assert.equal(duplicatesInFile + invalid, rejects.length);
  assert.equal(duplicatesInTable, 0);
  const rows = copied(chunk.copyText.toString());
  assert.equal(rows.length, chunk.offered);
  const { names, addressIndex } = columns;
  for (const { row, address, vars } of rows) {
    const record = records[row];
    assert.ok(record !== undefined);
    assert.deepEqual(parseAddress(record.cells[addressIndex] ?? '').ok, true);
    assert.match(address, /^[^\s<>"\\@]+@[a-z0-9.-]+$/);
    const expected = names.map((name, index) => [name, record.cells[index]] as const);
    assert.deepEqual(
      Object.entries(vars).sort(),
      expected.filter((_, index) => index !== addressIndex).sort(),
    );
  }
  const taken = new Set(rows.map(({ row }) => row));
  const left = records.filter((_, index) => !taken.has(index));
  assert.deepEqual(
    rejects.map(({ line, original }) => [line, original]),
    left.map(({ line, original }) => [line, original.toWellFormed()]),
  );
}

/** Reads the text in one go, and compares; returns nothing that the bytes did not say. */
function checkText(bytes: Buffer, outcome: Outcome, { bounds }: How): void {
  if (!('records' in outcome)) {
    const at = /^people\.csv, line \d+, byte (\d+): not ([\w-]+)/.exec(outcome.message);
    if (at === null) return;
    const [, byte = '', encoding = ''] = at;
    assert.equal(decode(bytes, encoding), null, `it is ${encoding}, whatever was said`);
    assert.notEqual(decode(bytes.subarray(0, Number(byte)), encoding), null, 'the first wrong byte is named');
    return;
  }
  const text = decode(bytes, outcome.encoding);
  assert.ok(text !== null, `other decoders find no ${outcome.encoding} in it`);
  const { delimiter } = outcome;
  const reader = new CsvReader({ delimiter, ...bounds, fileName: FILE });
  const all = [...reader.push(text), ...reader.end()];
  checkPlaces(text, delimiter, all);
  checkAgainstReference(text, delimiter, all);
  const hinted = all[0] !== undefined && isExcelHint(all[0]);
  assert.deepEqual(outcome.records, all.slice(hinted ? 2 : 1));
  checkRows(outcome);
}

/** Limits that a small file can pass, and those of everyday. */
const tight: Partial<ImportBounds> = { maxCellChars: 60, maxRecordChars: 400, maxColumns: 8, headChars: 80 };

const how = fc.record({
  encoding: fc.option(fc.constantFrom('utf-8', 'cp949', 'utf-16le', 'windows1252', 'shiftjis'), {
    nil: undefined,
    freq: 3,
  }),
  bounds: fc.boolean().map((small) => ({ ...importBounds, ...(small ? tight : {}) })),
});

export const csv: Target = {
  name: 'csv',
  promise: 'every row of any file is imported or rejected, as it stands on its line',
  cases: 350,
  start: async () => ({
    property: propertyOf(
      fc.record({ bytes: mutatedCsv, at: cuts, how }),
      async ({ bytes, at, how: options }) => {
        const whole = await read([bytes], options);
        checkText(bytes, whole, options);
        assert.deepEqual(await read(cutAt(bytes, at), options), whole, 'it matters where the bytes were cut');
        // Without a name the encoding is decided on one piece; with it, pieces that hold a byte order mark and little more do.
        const encoding = options.encoding ?? ('records' in whole ? whole.encoding : undefined);
        if (encoding === undefined) return;
        const said = { ...options, encoding };
        const small = { ...said, bounds: { ...options.bounds, readBytes: 4 } };
        const [inDrops, atOnce] = [await read(cutAt(bytes, at), small), await read([bytes], said)];
        // Of two faults the one that is met first is named.
        if ('records' in atOnce || 'records' in inDrops) assert.deepEqual(inDrops, atOnce);
      },
    ),
  }),
};
