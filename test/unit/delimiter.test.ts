import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { hasAddressColumn } from '../../src/import/columns.ts';
import { CsvReader } from '../../src/import/csv.ts';
import { findDelimiter, isExcelHint } from '../../src/import/delimiter.ts';

const find = (head: string, whole = true) => findDelimiter(head, whole, hasAddressColumn);

describe('the delimiter', () => {
  test.each([
    ['email,name\na@b.kr,Kim\n', ','],
    ['email;name\na@b.kr;Kim, Young\n', ';'],
    ['email\tname\na@b.kr\tKim; Young\n', '\t'],
    ['email|name\na@b.kr|Kim\n', '|'],
    ['email\na@b.kr\n', ','],
    ['email', ','],
    ['', ','],
    ['이메일;이름', ';'],
    // More columns, and every row fits, but no address column.
    ['email,tags|a|b\nx@y.kr,t|1|2\n', ','],
    ['"email;x",name\n"a;b",c\n', ','],
    ['name;email\n"Kim\n;;;\n,,,";k@x.kr\n', ';'],
    ['email,name;email,name;x\n', ','],
  ])('of %j is %j', (head, delimiter) => {
    expect(find(head)).toBe(delimiter);
  });

  test('is found although the head ends in the middle of a row or of a cell', () => {
    expect(find('email;name\na@b.kr;Kim\nb@b.kr;"Park, Lee, ', false)).toBe(';');
  });

  test('is found for any delimiter and any rows', () => {
    const word = fc.string({ unit: fc.constantFrom('a', 'b', '한', ' '), maxLength: 5 });
    const rows = fc.array(fc.tuple(word, word), { maxLength: 8 });
    fc.assert(
      fc.property(fc.constantFrom(',', ';', '\t', '|'), rows, (delimiter, cells) => {
        const lines = [['email', 'name'], ...cells].map((row) => row.join(delimiter));
        expect(find(lines.join('\n'))).toBe(delimiter);
      }),
    );
  });

  test('is what Excel says in a line of its own', () => {
    expect(find('sep=;\r\nemail;name\r\n')).toBe(';');
    expect(find('"sep=#"\nemail#name\n')).toBe('#');
    const [hint, header] = new CsvReader({ delimiter: ';' }).push('sep=;\r\nemail;name\r\n');
    expect(hint !== undefined && isExcelHint(hint)).toBe(true);
    expect(header !== undefined && isExcelHint(header)).toBe(false);
  });
});
