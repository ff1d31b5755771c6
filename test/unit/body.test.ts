import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { chunkForm, dataForm } from '../../src/smtp/body.ts';

const data = (text: string): string => dataForm(Buffer.from(text, 'latin1')).toString('latin1');

/** What a relay makes of it: dots removed at the start of lines (RFC 5321 section 4.5.2). */
const unstuff = (text: string): string => text.replace(/^\./, '').replaceAll('\r\n.', '\r\n');

/** The same without cleverness. */
const reference = (text: string): string => {
  const lines = text.replace(/\r\n|\r|\n/g, '\r\n');
  return lines === '' || lines.endsWith('\r\n') ? lines : `${lines}\r\n`;
};

describe('safety rule 9: line ends and dots', () => {
  test.each([
    ['', ''],
    ['a\r\n', 'a\r\n'],
    ['a', 'a\r\n'],
    ['a\r', 'a\r\n'],
    ['a\n', 'a\r\n'],
    ['a\nb\rc\r\n', 'a\r\nb\r\nc\r\n'],
    ['.\r\n', '..\r\n'],
    ['.', '..\r\n'],
    ['a\r\n.\r\nb\r\n', 'a\r\n..\r\nb\r\n'],
    ['a\n.\nMAIL FROM:<evil>\n', 'a\r\n..\r\nMAIL FROM:<evil>\r\n'],
    ['a\r.\rMAIL FROM:<evil>\r', 'a\r\n..\r\nMAIL FROM:<evil>\r\n'],
    ['a\n\r.\r\nb', 'a\r\n\r\n..\r\nb\r\n'],
    ['a\r\r\n.\r\n', 'a\r\n\r\n..\r\n'],
    ['..\r\n...\r\n', '...\r\n....\r\n'],
  ])('%j becomes %j', (text, expected) => {
    expect(data(text)).toBe(expected);
  });

  test('what needs nothing is not copied', () => {
    const message = Buffer.from('Subject: x\r\n\r\na.b\r\n .c\r\n');
    expect(dataForm(message)).toBe(message);
    expect(chunkForm(message)).toBe(message);
  });

  const text = fc
    .array(fc.constantFrom('.', '\r', '\n', '\r\n', '\r\n.', '\n.', '\r.', 'a', 'é', 'MAIL FROM:<x>'), {
      maxLength: 40,
    })
    .map((parts) => parts.join(''));

  test('property: no lone dot, no bare CR or LF ever leaves, and the relay reads what was meant', () => {
    fc.assert(
      fc.property(text, (message) => {
        const sent = data(message);
        expect(sent).not.toMatch(/(^|\r\n)\.\r\n/);
        expect(sent).not.toMatch(/\r(?!\n)|(?<!\r)\n/);
        expect(unstuff(sent)).toBe(reference(message));
        expect(chunkForm(Buffer.from(message, 'latin1')).toString('latin1')).toBe(reference(message));
      }),
      { numRuns: 2000 },
    );
  });

  test('property: large messages are looked at in pieces, and nothing hides in a cut', () => {
    const around = fc.integer({ min: -3, max: 3 });
    fc.assert(
      fc.property(fc.constantFrom(65_536, 131_072), around, text, (cut, offset, inside) => {
        const message = `${'x'.repeat(cut + offset)}${inside}${'y'.repeat(70_000)}\r\n`;
        expect(unstuff(data(message))).toBe(reference(message));
      }),
      { numRuns: 200 },
    );
  });
});
