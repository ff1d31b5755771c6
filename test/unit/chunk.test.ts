import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { Chunk, duplicateInFile, duplicateInTable } from '../../src/import/chunk.ts';
import type { CsvRecord } from '../../src/import/csv.ts';
import { MailboxSet } from '../../src/import/mailbox-set.ts';

const limits = { chunkRows: 100, chunkChars: 5_000_000 };

function record(cells: readonly string[], line = 2): CsvRecord {
  return { line, cells, original: cells.join(','), problem: null };
}

/** COPY text as the PostgreSQL manual defines it (COPY, "Text Format"). */
function readCopy(text: string): string[][] {
  const escapes: Readonly<Record<string, string>> = { n: '\n', r: '\r', t: '\t', b: '\b', f: '\f', v: '\v' };
  const rows = text.split('\n').slice(0, -1);
  return rows.map((row) =>
    row
      .split('\t')
      .map((column) => column.replace(/\\(.)/gs, (_, letter: string) => escapes[letter] ?? letter)),
  );
}

describe('rows as COPY text', () => {
  test('carry any names and values to JSON and back', () => {
    const value = fc.string({ unit: 'binary' }).filter((text) => text.isWellFormed() && !text.includes('\0'));
    const name = fc.oneof(value, fc.constantFrom('__proto__', 'constructor', 'email', '이름', '\\N', '\\.'));
    const named = fc.uniqueArray(fc.tuple(name, value), {
      minLength: 1,
      maxLength: 5,
      selector: ([key]) => key,
    });
    fc.assert(
      fc.property(named, (columns) => {
        const chunk = new Chunk({ names: ['@', ...columns.map(([key]) => key)], addressIndex: 0 }, limits);
        chunk.add(record(['kim@x.kr', ...columns.map(([, text]) => text)]));
        const [row, ...others] = readCopy(chunk.copyText.toString());
        expect(others).toEqual([]);
        expect(row?.slice(0, 2)).toEqual(['0', 'kim@x.kr']);
        const vars: unknown = JSON.parse(row?.[2] ?? '');
        expect(Object.entries(vars ?? {}).sort()).toEqual([...columns].sort());
      }),
      { numRuns: 200 },
    );
  });

  test('grow with the rows and start over when emptied', () => {
    const chunk = new Chunk({ names: ['email', 'text'], addressIndex: 0 }, limits);
    const text = '한'.repeat(1_000_000);
    for (const address of ['a@x.kr', 'b@x.kr']) chunk.add(record([address, text]));
    expect(readCopy(chunk.copyText.toString()).map((row) => row[1])).toEqual(['a@x.kr', 'b@x.kr']);
    expect(chunk).toMatchObject({ read: 2, offered: 2, full: false });
    chunk.add(record(['c@x.kr', text]));
    expect(chunk.full).toBe(true);
    chunk.empty();
    expect(chunk).toMatchObject({ read: 0, offered: 0, full: false });
    expect([...chunk.rejects()]).toEqual([]);
    expect(chunk.copyText).toHaveLength(0);
    chunk.add(record(['a@x.kr', '']));
    expect(readCopy(chunk.copyText.toString())).toEqual([['0', 'a@x.kr', '{"text":""}']]);
  });

  test('a file with nothing but addresses has no variables', () => {
    const chunk = new Chunk({ names: ['email'], addressIndex: 0 }, limits);
    chunk.add(record(['a@x.kr']));
    expect(chunk.copyText.toString()).toBe('0\ta@x.kr\t{}\n');
  });
});

describe('rows are put aside', () => {
  test('with line, reason and original text', () => {
    const chunk = new Chunk({ names: ['name', 'email'], addressIndex: 1 }, limits);
    chunk.add({ ...record(['Kim', 'kim@x.kr'], 2), problem: 'broken' });
    chunk.add(record(['Kim'], 3));
    chunk.add(record(['Kim', 'kim@x.kr', ''], 4));
    chunk.add(record(['Kim', 'kim'], 5));
    chunk.add(record(['K\0im', 'kim@x.kr'], 6));
    expect(chunk.offered).toBe(0);
    expect([...chunk.rejects()]).toEqual([
      { line: 2, original: 'Kim,kim@x.kr', reason: 'broken' },
      { line: 3, original: 'Kim', reason: '1 column, but the first row has 2' },
      { line: 4, original: 'Kim,kim@x.kr,', reason: '3 columns, but the first row has 2' },
      { line: 5, original: 'Kim,kim', reason: 'no @ in the address' },
      { line: 6, original: 'K\0im,kim@x.kr', reason: 'a NUL character, which a database cannot hold' },
    ]);
  });

  test('when the mailbox stands further up, or when the database says so, in file order', () => {
    const chunk = new Chunk({ names: ['email'], addressIndex: 0 }, { ...limits, chunkRows: 5 });
    for (const [index, address] of ['Kim@x.kr', '이@x.kr', 'KIM@X.KR', 'lee@x.kr', 'wrong'].entries()) {
      expect(chunk.full).toBe(false);
      chunk.add(record([address], index + 2));
    }
    expect(chunk).toMatchObject({ read: 5, offered: 3, full: true });
    expect(readCopy(chunk.copyText.toString()).map((row) => row[0])).toEqual(['0', '1', '3']);
    chunk.refuse(1, duplicateInTable);
    expect(chunk.offered).toBe(2);
    expect([...chunk.rejects()]).toEqual([
      { line: 3, original: '이@x.kr', reason: duplicateInTable },
      { line: 4, original: 'KIM@X.KR', reason: duplicateInFile },
      { line: 6, original: 'wrong', reason: 'no @ in the address' },
    ]);
    expect(chunk.count()).toEqual({ duplicatesInFile: 1, duplicatesInTable: 1, invalid: 1 });
    expect(() => chunk.refuse(2, duplicateInTable)).toThrow('never offered');
  });
});

describe('the mailboxes of a chunk', () => {
  /** What `lower()` does in the C collation, in the plainest way. */
  const lower = (address: string) => address.replace(/[A-Z]/g, (letter) => letter.toLowerCase());

  test('are told apart as the unique index does', () => {
    const address = fc.string({
      unit: fc.constantFrom('a', 'A', 'b', 'Ä', 'ä', 'İ', '@', '[', '{'),
      maxLength: 4,
    });
    fc.assert(
      fc.property(fc.array(address, { maxLength: 60 }), (addresses) => {
        const set = new MailboxSet(addresses.length);
        const reference = new Set<string>();
        const text = Buffer.from(`${addresses.join('\t')}\t`);
        let start = 0;
        for (const each of addresses) {
          expect(set.add(text, start)).toBe(!reference.has(lower(each)));
          reference.add(lower(each));
          start += Buffer.byteLength(each) + 1;
        }
        set.clear();
        expect(set.add(text, 0)).toBe(true);
      }),
      { numRuns: 500 },
    );
  });
});
