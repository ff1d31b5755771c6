import { type BodyEncoder, inOnePiece } from './body-encoder.ts';
import type { Chunks, Piece } from './rendering.ts';

/** Bytes on a line of 76 characters (RFC 2045 §6.8). */
const LINE_BYTES = 57;

/** Chunks below this many bytes go with the values around them: preparing them saves nothing and makes short lines. */
const SHORT = 2 * LINE_BYTES;

/** A chunk from one of its first three bytes on: whole groups of three, encoded, and what is left. */
interface Aligned {
  /** Lines with their CRLF, or ''. */
  readonly lines: string;
  /** The 0 to 2 bytes after the last whole group. */
  readonly rest: Buffer;
}

interface Prepared {
  readonly bytes: Buffer;
  /** For each number of bytes that the text before it takes to complete its last group. */
  readonly from: readonly [Aligned, Aligned, Aligned];
}

/**
 * Base64 in lines. Lines may be shorter than 76, so a chunk is encoded once for each of its three alignments; only values,
 * with at most two bytes of static text on either side, are encoded for each mail.
 */
export function base64Body(chunks: Chunks): BodyEncoder {
  const prepared = chunks.texts.map(prepare);
  let pending: Buffer = Buffer.allocUnsafe(1024);
  const encode = (pieces: readonly Piece[]): string => {
    let body = '';
    let filled = 0;
    const add = (bytes: Buffer, from: number, to: number): void => {
      if (filled + to - from > pending.length) pending = grown(pending, filled, filled + to - from);
      filled += bytes.copy(pending, filled, from, to);
    };
    for (const piece of pieces) {
      if (typeof piece === 'string') {
        const value = withCrlf(piece);
        const most = filled + value.length * 3;
        if (most > pending.length) pending = grown(pending, filled, most);
        filled += pending.write(value, filled, 'utf8');
        continue;
      }
      const chunk = prepared[piece] as Prepared;
      const missing = (3 - (filled % 3)) % 3;
      if (chunk.bytes.length < SHORT) {
        add(chunk.bytes, 0, chunk.bytes.length);
        continue;
      }
      add(chunk.bytes, 0, missing);
      const aligned = chunk.from[missing as 0 | 1 | 2];
      body += inLines(pending, filled) + aligned.lines;
      filled = 0;
      add(aligned.rest, 0, aligned.rest.length);
    }
    body += inLines(pending, filled);
    return body.endsWith('\r\n') ? body.slice(0, -2) : body;
  };
  return { name: 'base64', encode };
}

function prepare(text: string): Prepared {
  const bytes = Buffer.from(withCrlf(text), 'utf8');
  return { bytes, from: [aligned(bytes, 0), aligned(bytes, 1), aligned(bytes, 2)] };
}

function aligned(bytes: Buffer, skip: number): Aligned {
  const from = bytes.subarray(skip);
  const whole = from.length - (from.length % 3);
  return { lines: inOnePiece(inLines(from, whole)), rest: from.subarray(whole) };
}

/** Bytes as base64 lines of 76 characters, each with its CRLF. */
export function base64Lines(bytes: Buffer): string {
  return inLines(bytes, bytes.length);
}

/** The first `length` bytes in lines, each with its CRLF. */
function inLines(bytes: Buffer, length: number): string {
  let lines = '';
  for (let from = 0; from < length; from += LINE_BYTES) {
    lines += `${bytes.toString('base64', from, Math.min(from + LINE_BYTES, length))}\r\n`;
  }
  return lines;
}

function withCrlf(text: string): string {
  return text.includes('\n') || text.includes('\r') ? text.replace(/\r\n|\r|\n/g, '\r\n') : text;
}

function grown(buffer: Buffer, filled: number, needed: number): Buffer {
  const larger = Buffer.allocUnsafe(Math.max(needed, buffer.length * 2));
  buffer.copy(larger, 0, 0, filled);
  return larger;
}
