import { type BodyEncoder, inOnePiece } from './body-encoder.ts';
import type { Chunks, Piece } from './rendering.ts';

/** RFC 2045 §6.7 (5): 76 characters with the "=" of a soft line break. */
const LINE = 75;

const HEX = Array.from({ length: 256 }, (_, byte) => `=${byte.toString(16).toUpperCase().padStart(2, '0')}`);
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
  const prepared = chunks.texts.map((text) => {
    const encoded = encodeText(text);
    return { ...encoded, text: inOnePiece(encoded.text) };
  });
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
  let encoded = '';
  let column = 0;
  let first = -1;
  const endLine = (end: string): void => {
    if (first < 0) first = column;
    encoded += end;
    column = 0;
  };
  for (let at = 0; at < bytes.length; at++) {
    const byte = bytes[at] as number;
    if (byte === LF || byte === CR) {
      if (byte === CR && bytes[at + 1] === LF) at++;
      endLine('\r\n');
      continue;
    }
    const token = tokenOf(byte, bytes[at + 1]);
    if (column + token.length > LINE) endLine('=\r\n');
    encoded += token;
    column += token.length;
  }
  return { text: encoded, first: first < 0 ? column : first, last: column, breaks: first >= 0 };
}

function tokenOf(byte: number, next: number | undefined): string {
  if (byte === SPACE || byte === TAB) {
    const endsLine = next === undefined || next === LF || next === CR;
    return endsLine ? (HEX[byte] as string) : String.fromCharCode(byte);
  }
  return byte > SPACE && byte < 0x7f && byte !== EQUALS ? String.fromCharCode(byte) : (HEX[byte] as string);
}
