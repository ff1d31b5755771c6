import fc from 'fast-check';
import iconv from 'iconv-lite';
import { describe, expect, test } from 'vitest';
import { SendstateError } from '../../src/errors.ts';
import {
  byteOrderMark,
  encodingName,
  InvalidBytes,
  StrictDecoder,
  Utf8Check,
} from '../../src/import/decode.ts';

function decode(pieces: readonly Uint8Array[], encoding: string | null): string {
  const decoder = new StrictDecoder(encoding);
  return pieces.map((piece) => decoder.decode(piece)).join('') + decoder.end();
}

function failure(bytes: Uint8Array, encoding: string | null, cut = bytes.length): InvalidBytes {
  try {
    decode([bytes.subarray(0, cut), bytes.subarray(cut)], encoding);
  } catch (error) {
    if (error instanceof InvalidBytes) return error;
    throw error;
  }
  throw new Error('the bytes were decoded');
}

/** Text with everything that Korean files hold, CP949-only letters (outside KS X 1001) among it. */
const korean = fc.string({
  unit: fc.constantFrom('a', 'Z', '1', ',', '\n', ' ', '"', '가', '힣', '똠', '펲', '뷁', '㈜', '漢'),
});
const anything = fc.string({ unit: 'grapheme' }).filter((text) => text.isWellFormed());

const encodings: readonly (readonly [string, fc.Arbitrary<string>])[] = [
  ['utf-8', anything],
  ['utf-16le', anything],
  ['utf-16be', anything],
  ['cp949', korean],
  ['gb18030', korean],
];

describe('every encoding', () => {
  test.each(encodings)('%s is read back, cut at any byte', (encoding, text) => {
    fc.assert(
      fc.property(text, (written) => {
        const bytes = iconv.encode(written, encoding);
        for (let at = 0; at <= bytes.length; at += 1) {
          expect(decode([bytes.subarray(0, at), bytes.subarray(at)], encoding)).toBe(written);
        }
        expect(
          decode(
            [...bytes].map((byte) => Uint8Array.of(byte)),
            encoding,
          ),
        ).toBe(written);
      }),
    );
  });

  /** How often the bytes themselves hold U+FFFD: its two bytes in UTF-16; CP949 has no bytes for it. */
  function unitsOfFffd(input: Uint8Array, encoding: 'cp949' | 'utf-16le' | 'utf-16be'): number {
    if (encoding === 'cp949') return 0;
    const [first, second] = encoding === 'utf-16be' ? [0xff, 0xfd] : [0xfd, 0xff];
    let count = 0;
    for (let i = 0; i + 1 < input.length; i += 2)
      if (input[i] === first && input[i + 1] === second) count += 1;
    return count;
  }

  test.each([
    ['utf-16be', [0xff, 0xfd]],
    ['utf-16le', [0xfd, 0xff]],
  ] as const)('a U+FFFD that is written in %s is read', (encoding, input) => {
    expect(decode([Uint8Array.from(input)], encoding)).toBe('\ufffd');
  });

  test('never makes up U+FFFD: any bytes are decoded losslessly or refused where they go wrong', () => {
    const bytes = fc.uint8Array({ maxLength: 30 });
    fc.assert(
      fc.property(
        bytes,
        fc.constantFrom('utf-8', 'cp949', 'utf-16le', 'utf-16be'),
        fc.nat(30),
        (input, encoding, cut) => {
          const pieces = [input.subarray(0, cut), input.subarray(cut)];
          try {
            const text = decode(pieces, encoding);
            if (encoding === 'utf-8') expect(Buffer.from(text)).toEqual(Buffer.from(input));
            else expect(text.split('\ufffd').length - 1).toBe(unitsOfFffd(input, encoding));
          } catch (error) {
            if (!(error instanceof InvalidBytes)) throw error;
            // What stands before the offset is sound, and with one more letter it is not.
            expect(decode([input.subarray(0, error.byteOffset)], encoding)).toContain(error.before);
            expect(() => decode([input.subarray(0, error.byteOffset + 4)], encoding)).toThrow(InvalidBytes);
          }
        },
      ),
      { numRuns: 3000 },
    );
  });
});

describe('the encoding is found out', () => {
  const decided = (bytes: Uint8Array) => {
    const decoder = new StrictDecoder(null);
    const text = decoder.decode(bytes) + decoder.end();
    return [decoder.encoding, text];
  };

  test('UTF-8 if it is, else CP949 with all its letters', () => {
    expect(decided(Buffer.from('이름,똠방각하\n'))).toEqual(['utf-8', '이름,똠방각하\n']);
    expect(decided(iconv.encode('이름,똠방각하\n', 'cp949'))).toEqual(['cp949', '이름,똠방각하\n']);
  });

  test('nothing is decided before the first byte that is not ASCII', () => {
    const decoder = new StrictDecoder(null);
    expect(decoder.decode(Buffer.from('email,name\n'.repeat(1000)))).toHaveLength(11_000);
    expect(decoder.encoding).toBeNull();
    expect(decoder.decode(iconv.encode('a,똠\n', 'cp949'))).toBe('a,똠\n');
    expect(decoder.encoding).toBe('cp949');
  });

  test('U+FFFD that stands in a UTF-8 file is a letter like any other', () => {
    expect(decided(Buffer.from('a,\ufffd\n'))).toEqual(['utf-8', 'a,\ufffd\n']);
    const bytes = Buffer.concat([Buffer.from('\ufffd,\ufffd한'), Buffer.from([0xff]), Buffer.from('\n')]);
    expect(failure(bytes, 'utf-8').byteOffset).toBe(10);
  });
});

describe('invalid bytes', () => {
  test('are named by their offset, however the bytes were cut', () => {
    const start = iconv.encode('이름,김\n똠,', 'cp949');
    const bytes = Buffer.concat([start, Buffer.from([0xff]), Buffer.from('x\n')]);
    for (let cut = 0; cut <= bytes.length; cut += 1) {
      expect(failure(bytes, 'cp949', cut).byteOffset).toBe(start.length);
    }
  });

  test('half a letter at the end is invalid', () => {
    const whole = Buffer.from('a,한');
    expect(failure(whole.subarray(0, -1), 'utf-8').byteOffset).toBe(2);
    expect(failure(iconv.encode('a,한', 'cp949').subarray(0, -1), 'cp949').byteOffset).toBe(2);
    expect(failure(Buffer.from('ab', 'utf16le').subarray(0, 3), 'utf-16le').byteOffset).toBe(2);
    expect(failure(Buffer.from('a\ud83d', 'utf16le'), 'utf-16le').byteOffset).toBe(2);
  });

  test('a check for UTF-8 in pieces says the same as one of the whole', () => {
    const input = fc.oneof(
      fc.uint8Array({ maxLength: 12 }),
      anything.map((text) => new Uint8Array(Buffer.from(text))),
    );
    fc.assert(
      fc.property(input, fc.nat(12), (bytes, cut) => {
        const check = new Utf8Check();
        const ok = check.push(bytes.subarray(0, cut)) && check.push(bytes.subarray(cut)) && check.end();
        const decoded = Buffer.from(Buffer.from(bytes).toString('utf8'));
        expect(ok).toBe(decoded.equals(bytes));
      }),
      { numRuns: 2000 },
    );
  });
});

describe('names', () => {
  test.each([
    ['UTF8', 'utf-8'],
    ['utf-8', 'utf-8'],
    ['EUC-KR', 'cp949'],
    ['ks_c_5601-1987', 'cp949'],
    ['MS949', 'cp949'],
    ['UTF-16', 'utf-16le'],
    ['Shift_JIS', 'shiftjis'],
    ['windows-1252', 'windows1252'],
  ])('%s is %s', (name, known) => {
    expect(encodingName(name)).toBe(known);
  });

  test.each(['base64', 'hex', 'utf-7', 'constructor', '__proto__', ''])('%j is none', (name) => {
    expect(() => encodingName(name)).toThrow(SendstateError);
  });

  test('byte order marks are known', () => {
    expect(byteOrderMark(Buffer.from('\ufeffa'))).toEqual({ encoding: 'utf-8', bytes: 3 });
    expect(byteOrderMark(Buffer.from('\ufeffa', 'utf16le'))).toEqual({ encoding: 'utf-16le', bytes: 2 });
    expect(byteOrderMark(Uint8Array.of(0xfe, 0xff, 0, 97))).toEqual({ encoding: 'utf-16be', bytes: 2 });
    expect(byteOrderMark(Buffer.from('email'))).toBeNull();
  });
});
