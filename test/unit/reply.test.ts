import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { parseReply, ReplyError, ReplyParser } from '../../src/smtp/reply.ts';
import { cleanText, makeReply } from '../../src/smtp/reply-text.ts';

/** Feeds `bytes` in the given pieces; every reply found, then the error if there was one. */
function parse(pieces: readonly Buffer[], limits?: { maxLineBytes: number; maxLines: number }): unknown[] {
  const parser = new ReplyParser(limits);
  const found: unknown[] = [];
  try {
    for (const piece of pieces) {
      parser.push(piece);
      while (parser.next()) found.push(parser.reply());
    }
  } catch (error) {
    if (!(error instanceof ReplyError)) throw error;
    found.push(error.message);
  }
  return found;
}

function bytewise(bytes: Buffer): Buffer[] {
  return Array.from(bytes, (_, i) => bytes.subarray(i, i + 1));
}

const whole = (text: string): unknown[] => parse([Buffer.from(text)]);

describe('ReplyParser', () => {
  test('reads single lines, several replies in one chunk, and codes without text', () => {
    expect(whole('250 2.1.0 Ok\r\n354 go ahead\r\n250\r\n250 \r\n')).toEqual([
      { code: 250, enhanced: '2.1.0', text: '2.1.0 Ok' },
      { code: 354, enhanced: null, text: 'go ahead' },
      { code: 250, enhanced: null, text: '' },
      { code: 250, enhanced: null, text: '' },
    ]);
  });

  test('joins the lines of one reply and says the enhanced code once', () => {
    expect(
      whole('550-5.7.1 Our system has detected\r\n550-5.7.1 that this is\r\n550 5.7.1 unsolicited\r\n'),
    ).toEqual([
      { code: 550, enhanced: '5.7.1', text: '5.7.1 Our system has detected that this is unsolicited' },
    ]);
  });

  test('a bare LF ends a line too', () => {
    expect(whole('250-one\n250 two\n')).toEqual([{ code: 250, enhanced: null, text: 'one two' }]);
  });

  test('gives the lines of an EHLO answer apart', () => {
    const parser = new ReplyParser();
    parser.push(Buffer.from('250-mx.example\r\n250-PIPELINING\r\n250 SIZE 1000\r\n'));
    expect(parser.next()).toBe(true);
    expect(parser.lines()).toEqual(['mx.example', 'PIPELINING', 'SIZE 1000']);
    expect(parser.next()).toBe(false);
    expect(parser.pending).toBe(0);
  });

  test.each([
    ['25 Ok\r\n', 'not an SMTP reply'],
    ['hello\r\n', 'not an SMTP reply'],
    ['\r\n', 'not an SMTP reply'],
    ['150 x\r\n', 'not an SMTP reply'],
    ['650 x\r\n', 'not an SMTP reply'],
    ['2500 Ok\r\n', 'not an SMTP reply'],
    ['250_Ok\r\n', 'not an SMTP reply'],
    ['250-one\r\n550 two\r\n', 'disagree'],
    ['250 a\0b\r\n', 'NUL'],
    ['\x150 a\r\n', 'not an SMTP reply'],
  ])('refuses %j', (text, message) => {
    const found = parse([Buffer.from(text)]);
    expect(found).toHaveLength(1);
    expect(found[0]).toContain(message);
    expect(parse(bytewise(Buffer.from(text)))).toEqual(found);
  });

  test('a NUL is found wherever its reply stands, and not blamed on earlier replies', () => {
    expect(whole('250 first\r\n250 sec\0ond\r\n')).toEqual([
      { code: 250, enhanced: null, text: 'first' },
      'a NUL byte in a reply',
    ]);
  });

  test('cuts off endless lines and endless replies, with and without line ends', () => {
    const limits = { maxLineBytes: 100, maxLines: 5 };
    expect(parse([Buffer.from('250 '.padEnd(101, 'x'))], limits)).toEqual([
      'a reply line longer than 100 bytes',
    ]);
    expect(parse([Buffer.from(`${'250 '.padEnd(100, 'x')}\r\n`)], limits)).toEqual([
      'a reply line longer than 100 bytes',
    ]);
    expect(parse([Buffer.from('250-x\r\n'.repeat(5))], limits)).toEqual(['a reply of more than 5 lines']);
    expect(parse([Buffer.from(`${'250-x\r\n'.repeat(4)}250 x\r\n`)], limits)).toHaveLength(1);
  });

  const piece = fc.oneof(
    fc.constantFrom(
      '250 ',
      '250-',
      '550 5.1.1 ',
      '\r\n',
      '\n',
      '\r',
      '421 bye\r\n',
      '354 go\r\n',
      '\0',
      '안녕',
      '250-a\r\n250 b\r\n',
    ),
    fc.string({ maxLength: 20 }),
  );

  test('property: how the bytes are cut into chunks makes no difference', () => {
    fc.assert(
      fc.property(
        fc.array(piece, { maxLength: 30 }),
        fc.array(fc.nat(200), { maxLength: 20 }),
        (pieces, cuts) => {
          const bytes = Buffer.from(pieces.join(''));
          const ends = [...new Set(cuts.filter((cut) => cut < bytes.length)), bytes.length].sort(
            (a, b) => a - b,
          );
          const chunks = ends.map((end, i) => bytes.subarray(ends[i - 1] ?? 0, end));
          const limits = { maxLineBytes: 60, maxLines: 4 };
          const expected = parse([bytes], limits);
          expect(parse(bytewise(bytes), limits)).toEqual(expected);
          expect(parse(chunks, limits)).toEqual(expected);
        },
      ),
      { numRuns: 1000 },
    );
  });

  test('property: replies that were written are read back', () => {
    const reply = fc.record({
      code: fc.integer({ min: 200, max: 599 }),
      lines: fc.array(fc.stringMatching(/^[!-~]([ -~]{0,30}[!-~])?$/), { minLength: 1, maxLength: 5 }),
    });
    fc.assert(
      fc.property(fc.array(reply, { maxLength: 8 }), (replies) => {
        const wire = replies
          .map(({ code, lines }) =>
            lines.map((line, i) => `${code}${i < lines.length - 1 ? '-' : ' '}${line}\r\n`).join(''),
          )
          .join('');
        expect(parse(bytewise(Buffer.from(wire)))).toEqual(
          replies.map(({ code, lines }) => makeReply(code, lines)),
        );
      }),
    );
  });
});

describe('enhanced status codes (RFC 2034, RFC 3463)', () => {
  test.each([
    [550, '5.1.1 no such user', '5.1.1'],
    [550, '5.1.1', '5.1.1'],
    [550, '5.01.001 padded', '5.1.1'],
    [450, '4.7.1 try later', '4.7.1'],
    [550, '4.1.1 the classes disagree', null],
    [354, '3.0.0 no such class', null],
    [550, '5.1.1234 too long', null],
    [550, '5.1.1: colon', null],
    [550, 'see 5.1.1', null],
    [550, '5.1 incomplete', null],
  ])('%i %s', (code, text, enhanced) => {
    expect(makeReply(code, [text]).enhanced).toBe(enhanced);
  });
});

describe('text for people', () => {
  test('controls, line separators and direction marks become one space', () => {
    expect(cleanText(' a\u0007\u001b[31m\tb\u2028c\u202ed\u200be ')).toBe('a [31m b c d e');
  });

  test('is cut to its limit, never inside a character', () => {
    expect(cleanText('x'.repeat(501))).toBe(`${'x'.repeat(499)}…`);
    expect(cleanText(`${'x'.repeat(498)}😀😀`)).toBe(`${'x'.repeat(498)}…`);
    expect(cleanText('x'.repeat(500))).toBe('x'.repeat(500));
  });

  test('UTF-8 is read as such, other bytes as Latin-1', () => {
    expect(whole('550 사용자가 없습니다\r\n')).toEqual([
      { code: 550, enhanced: null, text: '사용자가 없습니다' },
    ]);
    expect(parse([Buffer.from('550 caf\xe9\r\n', 'latin1')])).toEqual([
      { code: 550, enhanced: null, text: 'café' },
    ]);
  });

  test('property: the text is always one printable line of at most 500', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 1200 }), (text) => {
        const cleaned = cleanText(text);
        expect(cleaned.length).toBeLessThanOrEqual(500);
        expect(cleaned).not.toMatch(/[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/u);
        expect(cleaned).toBe(cleaned.trim());
      }),
    );
  });
});

describe('parseReply', () => {
  test('reads a reply whose lines are joined by LF', () => {
    expect(parseReply('250-2.0.0 a\n250 2.0.0 b')).toEqual({
      code: 250,
      enhanced: '2.0.0',
      text: '2.0.0 a b',
    });
  });

  test.each(['', 'Ok', '250-unfinished', '250 one\n250 two'])('refuses %j', (text) => {
    expect(() => parseReply(text)).toThrow(ReplyError);
  });
});
