import type { Piece } from './rendering.ts';

/**
 * Content-transfer-encodings (RFC 2045 §6) for bodies whose static chunks are known: the chunks are encoded once, a mail
 * costs its values and one concatenation. Results are ASCII strings with CRLF line ends, lines of at most 76 characters
 * (7bit: 900), without a line break at the end.
 */
export interface BodyEncoder {
  readonly name: '7bit' | 'quoted-printable' | 'base64';
  /** The encoded body, or null when this encoding cannot hold these values. */
  encode(pieces: readonly Piece[]): string | null;
}

/**
 * The same ASCII text in one piece of memory. A string that was put together from many parts stays a tree of them inside the
 * engine, and every message that it goes into would walk that tree again: ten times the cost of a mail.
 */
export function inOnePiece(text: string): string {
  return Buffer.from(text, 'latin1').toString('latin1');
}
