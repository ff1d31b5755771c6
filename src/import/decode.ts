import { isAscii, isUtf8 } from 'node:buffer';
import iconv from 'iconv-lite';
import { SendstateError } from '../errors.ts';
import { WholeLetters } from './whole-letters.ts';

/** How Korean Excel writes "CSV". iconv-lite decodes it: Node's TextDecoder knows no letters beyond KS X 1001 (똠, 펲, 뷁). */
export const fallbackEncoding = 'cp949';

/** Other names of the same thing. What people call EUC-KR is CP949 in nearly every file. */
const aliases: Readonly<Record<string, string>> = {
  utf8: 'utf-8',
  ascii: 'utf-8',
  usascii: 'utf-8',
  utf16: 'utf-16le',
  utf16le: 'utf-16le',
  utf16be: 'utf-16be',
  unicode: 'utf-16le',
  cp949: 'cp949',
  ms949: 'cp949',
  uhc: 'cp949',
  windows949: 'cp949',
  euckr: 'cp949',
  ksc5601: 'cp949',
  ksc56011987: 'cp949',
  ansi: 'cp949',
};

/** Families of iconv-lite that are character sets (it also "decodes" base64 and hex) and keep no state between letters. */
const families = /^(windows|cp|iso8859|latin|koi8|mac|shiftjis|sjis|eucjp|euccn|gb2312|gbk|gb18030|big5)/;

/**
 * The one name under which an encoding is known here: `UTF8` → `utf-8`, `euc-kr` → `cp949`.
 * @throws SendstateError `encoding-name`
 */
export function encodingName(name: string): string {
  const key = name.toLowerCase().replace(/[^a-z0-9]/g, '');
  const known = Object.hasOwn(aliases, key) ? aliases[key] : undefined;
  if (known !== undefined) return known;
  if (families.test(key) && iconv.encodingExists(key)) return key;
  throw new SendstateError(
    'encoding-name',
    `There is no encoding called ${JSON.stringify(name.slice(0, 40))}.`,
    {
      hint: 'Use utf-8, cp949 (Korean Excel), utf-16le, utf-16be, or a name such as windows-1252 or shift_jis.',
    },
  );
}

/** A byte order mark: which encoding it announces, and how many bytes it takes. */
export function byteOrderMark(head: Uint8Array): { encoding: string; bytes: number } | null {
  if (head[0] === 0xef && head[1] === 0xbb && head[2] === 0xbf) return { encoding: 'utf-8', bytes: 3 };
  if (head[0] === 0xff && head[1] === 0xfe) return { encoding: 'utf-16le', bytes: 2 };
  if (head[0] === 0xfe && head[1] === 0xff) return { encoding: 'utf-16be', bytes: 2 };
  return null;
}

/** Thrown for bytes that mean nothing in the encoding; they never become U+FFFD. */
export class InvalidBytes extends Error {
  readonly encoding: string;
  /** Of the first wrong byte, from 0, in all that was given to the decoder. */
  readonly byteOffset: number;
  /** What was decoded since the last call returned, up to the wrong byte. */
  readonly before: string;

  constructor(encoding: string, byteOffset: number, before: string) {
    super(`byte ${byteOffset} is not ${encoding}`);
    this.name = 'InvalidBytes';
    this.encoding = encoding;
    this.byteOffset = byteOffset;
    this.before = before;
  }
}

/**
 * Decodes a stream of bytes strictly. Pieces may be cut anywhere: what ends in the middle of a letter waits for the next.
 *
 * With the encoding `null` it decides by itself, at the first bytes that are not ASCII: UTF-8 if they are, else CP949.
 * The decision rests on one piece, so pieces should be large (tens of kilobytes); later bytes that contradict it throw.
 */
export class StrictDecoder {
  #encoding: string | null;
  readonly #letters = new WholeLetters();
  #consumed = 0;

  constructor(encoding: string | null) {
    this.#encoding = encoding;
  }

  /** What was said or decided; null while everything was ASCII. */
  get encoding(): string | null {
    return this.#encoding;
  }

  /** @throws InvalidBytes */
  decode(piece: Uint8Array): string {
    const bytes = this.#wide() ? this.#letters.wide(piece, this.#encoding) : this.#letters.narrow(piece);
    const text = this.#decodeWhole(bytes);
    this.#consumed += bytes.length;
    return text;
  }

  /** @throws InvalidBytes when the last letter is incomplete */
  end(): string {
    const bytes = this.#letters.rest();
    const text = this.#decodeWhole(bytes);
    this.#consumed += bytes.length;
    return text;
  }

  #wide(): boolean {
    return this.#encoding === 'utf-16le' || this.#encoding === 'utf-16be';
  }

  #decodeWhole(bytes: Buffer): string {
    if (this.#wide()) return this.#decodeWide(bytes);
    if (isAscii(bytes)) return bytes.toString('latin1');
    this.#encoding ??= isUtf8(bytes) ? 'utf-8' : fallbackEncoding;
    if (this.#encoding === 'utf-8') {
      if (!isUtf8(bytes)) {
        const at = firstNotUtf8(bytes);
        throw new InvalidBytes('utf-8', this.#consumed + at, bytes.toString('utf8', 0, at));
      }
      return bytes.toString('utf8');
    }
    const text = iconv.decode(bytes, this.#encoding);
    const wrong = text.indexOf('\ufffd');
    // GB18030 can spell U+FFFD itself; a file that does has been through a lossy conversion and is refused as well.
    if (wrong !== -1) {
      const at = this.#consumed + firstUndecodable(bytes, this.#encoding);
      throw new InvalidBytes(this.#encoding, at, text.slice(0, wrong));
    }
    return text;
  }

  #decodeWide(bytes: Buffer): string {
    const even = bytes.subarray(0, bytes.length & ~1);
    const text = (this.#encoding === 'utf-16le' ? even : Buffer.from(even).swap16()).toString('utf16le');
    if (text.isWellFormed() && even.length === bytes.length) return text;
    const wrong = text.isWellFormed() ? text.length : firstLoneSurrogate(text);
    throw new InvalidBytes(this.#encoding ?? '', this.#consumed + 2 * wrong, text.slice(0, wrong));
  }
}

/** Whether bytes that come in pieces are UTF-8, in constant memory. */
export class Utf8Check {
  readonly #letters = new WholeLetters();

  /** False: what came so far is not UTF-8, and nothing that follows can change that. */
  push(piece: Uint8Array): boolean {
    return isUtf8(this.#letters.narrow(piece));
  }

  end(): boolean {
    return isUtf8(this.#letters.rest());
  }
}

function firstNotUtf8(bytes: Buffer): number {
  const text = bytes.toString('utf8');
  let offset = 0;
  let counted = 0;
  for (let at = text.indexOf('\ufffd'); at !== -1; at = text.indexOf('\ufffd', at + 1)) {
    offset += Buffer.byteLength(text.slice(counted, at));
    counted = at;
    // U+FFFD that really stands there is a letter like any other.
    if (bytes[offset] !== 0xef || bytes[offset + 1] !== 0xbf || bytes[offset + 2] !== 0xbd) return offset;
  }
  return bytes.length;
}

/** Letter by letter: encoding what was read again may give other bytes, as several of Shift_JIS mean the same letter. */
function firstUndecodable(bytes: Buffer, encoding: string): number {
  const isLetter = (from: number, length: number) => {
    const text = iconv.decode(bytes.subarray(from, from + length), encoding);
    return text !== '' && !text.includes('\ufffd');
  };
  let at = 0;
  while (at < bytes.length) {
    const length = [1, 2, 3, 4].find((length) => at + length <= bytes.length && isLetter(at, length));
    if (length === undefined) return at;
    at += length;
  }
  return at;
}

function firstLoneSurrogate(text: string): number {
  const fixed = text.toWellFormed();
  let at = 0;
  while (text.charCodeAt(at) === fixed.charCodeAt(at)) at += 1;
  return at;
}
