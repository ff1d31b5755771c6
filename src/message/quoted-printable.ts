import type { BodyEncoder } from './body-encoder.ts';
import type { Chunks, Piece } from './rendering.ts';

/** RFC 2045 §6.7 (5): 76 characters with the "=" of a soft line break. */
const LINE = 75;

const HEX = '0123456789ABCDEF';
const TAB = 0x09;
const LF = 0x0a;
const CR = 0x0d;
const SPACE = 0x20;
const EQUALS = 0x3d;

/** What stands for itself anywhere but, for the space, at the end of a line. */
const LITERAL = /^[\x20-\x3c\x3e-\x7e]*$/;

const LINE_BREAK = /[\r\n]/;

/** Encoded text that began at column 0. */
interface Encoded {
  readonly text: string;
  /** Characters before the first line break. */
  readonly first: number;
  /** Characters after the last line break; with no break, the same as `first`. */
  readonly last: number;
  readonly breaks: boolean;
}

/**
 * Quoted-printable. Soft line breaks may stand anywhere, so a chunk that was encoded from column 0 fits behind any value
 * after at most one more soft break. A space at the end of a chunk or value is always encoded: a line break may follow.
 */
export function quotedPrintableBody(chunks: Chunks): BodyEncoder {
  const prepared = chunks.texts.map(encodeText);
  const encode = (pieces: readonly Piece[]): string => {
    let body = '';
    let column = 0;
    for (const piece of pieces) {
      if (typeof piece === 'string') {
        const fits = column + piece.length <= LINE && LITERAL.test(piece) && !piece.endsWith(' ');
        if (fits) {
          body += piece;
          column += piece.length;
          continue;
        }
        const short = shortValue(piece);
        if (short !== null) {
          if (column + short.length > LINE) {
            body += '=\r\n';
            column = 0;
          }
          body += short;
          column += short.length;
          continue;
        }
      }
      const encoded = typeof piece === 'string' ? encodeText(piece) : (prepared[piece] as Encoded);
      if (column + encoded.first > LINE) {
        body += '=\r\n';
        column = 0;
      }
      body += encoded.text;
      column = encoded.breaks ? encoded.last : column + encoded.first;
    }
    return body;
  };
  return { name: 'quoted-printable', encode };
}

/**
 * A short value that is not plain ASCII, in one unbroken run, or null. The engine's own percent-encoding is ten times faster
 * than a loop over bytes; it encodes more than it must, which costs a few bytes.
 */
function shortValue(value: string): string | null {
  if (value.length > 25 || !value.isWellFormed()) return null;
  if (value === lastShort.value) return lastShort.encoded;
  const encoded = encodeURIComponent(value);
  if (encoded.length > LINE || LINE_BREAK.test(value)) return null;
  lastShort = { value, encoded: encoded.replaceAll('%', '=') };
  return lastShort.encoded;
}

/** The same name stands in text and html. */
let lastShort = { value: '', encoded: '' };

function encodeText(text: string): Encoded {
  const bytes = Buffer.from(text, 'utf8');
  // At worst three characters a byte and a soft break of three for every 25 of them.
  const encoded = Buffer.allocUnsafe(bytes.length * 3 + Math.ceil(bytes.length / 25) * 3);
  let length = 0;
  let column = 0;
  let first = -1;
  for (let at = 0; at < bytes.length; at++) {
    const byte = bytes[at] as number;
    if (byte === LF || byte === CR) {
      if (byte === CR && bytes[at + 1] === LF) at++;
      if (first < 0) first = column;
      column = 0;
      encoded[length++] = CR;
      encoded[length++] = LF;
      continue;
    }
    const literal = standsForItself(byte, bytes[at + 1]);
    if (column + (literal ? 1 : 3) > LINE) {
      if (first < 0) first = column;
      column = 0;
      encoded[length++] = EQUALS;
      encoded[length++] = CR;
      encoded[length++] = LF;
    }
    column += literal ? 1 : 3;
    encoded[length++] = literal ? byte : EQUALS;
    if (literal) continue;
    encoded[length++] = HEX.charCodeAt(byte >> 4);
    encoded[length++] = HEX.charCodeAt(byte & 15);
  }
  return {
    text: encoded.toString('latin1', 0, length),
    first: first < 0 ? column : first,
    last: column,
    breaks: first >= 0,
  };
}

/** RFC 2045 §6.7 (2) and (3): printable ASCII does, white space only where no line ends behind it. */
function standsForItself(byte: number, next: number | undefined): boolean {
  if (byte === SPACE || byte === TAB) return next !== undefined && next !== LF && next !== CR;
  return byte > SPACE && byte < 0x7f && byte !== EQUALS;
}
