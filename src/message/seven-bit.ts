import { type BodyEncoder, inOnePiece } from './body-encoder.ts';
import type { Chunks, Piece } from './rendering.ts';

/**
 * Characters on a line. RFC 5322 §2.1.1 allows 998; the rest is room for relays that prefix or re-fold.
 */
const LINE = 900;

/** Printable ASCII and tabs, in lines. */
const PRINTABLE = /^[\t\x20-\x7e]*$/;
const PRINTABLE_LINES = /^[\t\r\n\x20-\x7e]*$/;

/** What every boundary holds and neither quoted-printable nor base64 can produce. */
export const BOUNDARY_MARK = '=_';

interface Plain {
  readonly text: string;
  /** Characters before the first and after the last line break. */
  readonly first: number;
  readonly last: number;
  readonly breaks: boolean;
  readonly endsInEquals: boolean;
}

/**
 * 7bit: the text as it is. Null when the static text itself is not ASCII or has lines that are too long.
 *
 * Only here could a value close its part and open another, so a body that holds "=_", which every boundary of ours does,
 * is refused, and goes as quoted-printable.
 */
export function sevenBitBody(chunks: Chunks): BodyEncoder | null {
  const prepared: Plain[] = [];
  for (const text of chunks.texts) {
    const plain = plainLines(text);
    if (plain === null) return null;
    prepared.push({ ...plain, text: inOnePiece(plain.text) });
  }
  const encode = (pieces: readonly Piece[]): string | null => {
    let body = '';
    let column = 0;
    let afterEquals = false;
    for (const piece of pieces) {
      if (typeof piece === 'string' && PRINTABLE.test(piece)) {
        if (piece === '') continue;
        if (piece.includes(BOUNDARY_MARK) || (afterEquals && piece.startsWith('_'))) return null;
        body += piece;
        column += piece.length;
        afterEquals = piece.endsWith('=');
        continue;
      }
      const plain = typeof piece === 'string' ? plainLines(piece) : prepared[piece];
      if (plain === null || plain === undefined || column + plain.first > LINE) return null;
      if (plain.text === '') continue;
      if (afterEquals && plain.text.startsWith('_')) return null;
      body += plain.text;
      column = plain.breaks ? plain.last : column + plain.first;
      afterEquals = plain.endsInEquals;
    }
    return column > LINE ? null : body;
  };
  return { name: '7bit', encode };
}

function plainLines(text: string): Plain | null {
  if (!PRINTABLE_LINES.test(text) || text.includes(BOUNDARY_MARK)) return null;
  const lines = text.split(/\r\n|\r|\n/);
  if (lines.some((line) => line.length > LINE)) return null;
  return {
    text: lines.join('\r\n'),
    first: lines[0]?.length ?? 0,
    last: lines.at(-1)?.length ?? 0,
    breaks: lines.length > 1,
    endsInEquals: text.endsWith('='),
  };
}
