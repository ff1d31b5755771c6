import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { base64Body, base64Lines } from '../../src/message/base64.ts';
import type { BodyEncoder } from '../../src/message/body-encoder.ts';
import { quotedPrintableBody } from '../../src/message/quoted-printable.ts';
import type { Chunks, Piece } from '../../src/message/rendering.ts';
import { sevenBitBody } from '../../src/message/seven-bit.ts';
import { BodyEncoders } from '../../src/message/transfer-encoding.ts';

/** RFC 2045 §6.7, strict: what is not allowed makes the test fail. */
function decodeQuotedPrintable(body: string): string {
  expect(body).toMatch(/^(?:[\t\r\n\x20-<>-~]|=[0-9A-F]{2}|=\r\n)*$/);
  expect(body).not.toMatch(/[\t ]\r\n|[\t ]$/);
  const bytes = body
    .replace(/=\r\n/g, '')
    .replace(/=([0-9A-F]{2})/g, (_hex, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)));
  return Buffer.from(bytes, 'latin1').toString('utf8');
}

const decoders: Record<BodyEncoder['name'], (body: string) => string> = {
  '7bit': (body) => body,
  'quoted-printable': decodeQuotedPrintable,
  base64: (body) => {
    expect(body).toMatch(/^(?:[A-Za-z0-9+/=]{1,76}\r\n)*[A-Za-z0-9+/=]{0,76}$/);
    return Buffer.from(body, 'base64').toString('utf8');
  },
};

function expected(pieces: readonly Piece[], chunks: Chunks): string {
  const crlf = (text: string | undefined): string =>
    (text ?? '').toWellFormed().replace(/\r\n|\r|\n/g, '\r\n');
  return pieces.map((piece) => crlf(typeof piece === 'string' ? piece : chunks.texts[piece])).join('');
}

const text = fc.oneof(
  fc.string({ unit: 'binary', maxLength: 30 }),
  fc.string({ unit: 'grapheme', maxLength: 100 }),
  fc.stringMatching(/^[ -~]{0,200}$/),
  fc.stringMatching(/^[가-힣 \n]{0,60}$/),
  fc.constantFrom(
    '',
    ' ',
    '\t',
    '\n',
    '\r',
    '\r\n',
    ' \n ',
    '=',
    '=_',
    '_',
    '.',
    '\n.\n',
    '\0',
    '\ud800',
    'x'.repeat(74),
    'x'.repeat(75),
    'x'.repeat(76),
    'x'.repeat(901),
    `${'x'.repeat(75)} \n`,
    'é'.repeat(26),
  ),
);
const body = fc
  .tuple(fc.array(text, { maxLength: 5 }), fc.array(fc.oneof(text, fc.nat(4)), { maxLength: 10 }))
  .map(([texts, pieces]) => {
    const filled = texts.length === 0 ? [''] : texts;
    return {
      chunks: { texts: filled },
      pieces: pieces.map((piece) => (typeof piece === 'number' ? piece % filled.length : piece)),
    };
  });

function longest(body: string): number {
  return Math.max(...body.split('\r\n').map((line) => line.length));
}

describe('content-transfer-encodings', () => {
  it.each([
    ['quoted-printable', quotedPrintableBody],
    ['base64', base64Body],
  ] as const)('%s decodes to the text, in lines of at most 76', (name, make) => {
    const property = fc.property(body, ({ chunks, pieces }) => {
      const encoder = make(chunks);
      const encoded = encoder.encode(pieces) ?? 'refused';
      expect(decoders[name](encoded)).toBe(expected(pieces, chunks));
      expect(longest(encoded)).toBeLessThanOrEqual(76);
      // A second mail from the same encoder: nothing is left over from the first.
      expect(encoder.encode(pieces)).toBe(encoded);
    });
    fc.assert(property, { numRuns: 1000 });
  });

  it('7bit is the text itself or a refusal', () => {
    const property = fc.property(body, ({ chunks, pieces }) => {
      const encoder = sevenBitBody(chunks);
      const text = expected(pieces, chunks);
      const encoded = encoder?.encode(pieces) ?? null;
      if (encoded !== null) {
        expect(encoded).toBe(text);
        expect(encoded).toMatch(/^[\t\r\n\x20-\x7e]*$/);
        expect(longest(encoded)).toBeLessThanOrEqual(900);
        expect(encoded).not.toContain('=_');
      } else {
        const all = [...chunks.texts, ...pieces].join('\n') + text;
        expect(/[^\t\r\n\x20-\x7e]|=_|[^\r\n]{901}/.test(all)).toBe(true);
      }
    });
    fc.assert(property, { numRuns: 1000 });
  });

  it('never lets a boundary into a body, in one value or put together from several', () => {
    const boundary = '=_-0123456789abcdef-Part_1';
    const property = fc.property(fc.array(fc.nat(boundary.length), { maxLength: 4 }), (cuts) => {
      const at = [0, ...cuts.sort((a, b) => a - b), boundary.length];
      const pieces = at.slice(1).map((end, index) => boundary.slice(at[index], end));
      const { encoding, body } = new BodyEncoders('text').encode(['\r\n--', ...pieces, '\r\n'], {
        texts: [],
      });
      expect(body).not.toContain('=_');
      expect(decoders[encoding](body)).toBe(`\r\n--${boundary}\r\n`);
    });
    fc.assert(property);
  });

  it('chooses 7bit for ASCII, quoted-printable for some accents, base64 for Hangul', () => {
    const encodingOf = (text: string, value: string): string =>
      new BodyEncoders(text).encode([0, value], { texts: [text] }).encoding;
    expect(encodingOf('Dear ', 'Kim')).toBe('7bit');
    expect(encodingOf('Dear ', '김철수')).toBe('quoted-printable');
    expect(encodingOf('Dear ', 'x'.repeat(1000))).toBe('quoted-printable');
    expect(encodingOf('Le café est chaud aujourd’hui. '.repeat(5), 'Kim')).toBe('quoted-printable');
    expect(encodingOf('안녕하세요 ', 'Kim')).toBe('base64');
  });

  it('base64 of a file is in full lines', () => {
    const property = fc.property(fc.uint8Array({ maxLength: 400 }), (bytes) => {
      const lines = base64Lines(Buffer.from(bytes)).split('\r\n');
      expect(lines.pop()).toBe('');
      expect(lines.slice(0, -1).every((line) => line.length === 76)).toBe(true);
      expect(Buffer.from(lines.join(''), 'base64')).toEqual(Buffer.from(bytes));
    });
    fc.assert(property);
  });
});
