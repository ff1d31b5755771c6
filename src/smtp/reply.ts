import type { Reply } from './deliverer.ts';
import { decode, makeReply, quote } from './reply-text.ts';

/** Bounds of one reply. A relay that exceeds them is cut off (safety rule 11: bounded buffers). */
export interface ReplyLimits {
  /** Longest line in bytes, CRLF included. Default 4096: RFC 5321 section 4.5.3.1.5 says 512, real relays say more. */
  readonly maxLineBytes: number;
  /** Most lines in one reply. Default 128: an EHLO answer has 10 to 20. */
  readonly maxLines: number;
}

export const REPLY_LIMITS: ReplyLimits = { maxLineBytes: 4096, maxLines: 128 };

const LF = 10;
const CR = 13;
const NUL = 0;
const SPACE = 32;
const HYPHEN = 45;
const ZERO = 48;

/** What was read is not an SMTP reply. The reader must drop the connection: nothing after it can be matched. */
export class ReplyError extends Error {
  override readonly name = 'ReplyError';
}

/**
 * Splits a byte stream into SMTP replies (RFC 5321 section 4.2). No I/O: push bytes, then step through with `next()`.
 *
 *     parser.push(chunk);
 *     while (parser.next()) handle(parser.code, parser.reply());
 *
 * `code` and `reply()` speak of the reply that the last `next()` found, until the next `push`. Text is only decoded
 * when `reply()` is called, because three of a mail's four replies are never looked at. A line may end with a bare LF,
 * as every relay's client allows; NUL, a code that is no code, lines of one reply that disagree, and anything beyond
 * the limits throw ReplyError. It does not matter how the bytes were cut into chunks.
 */
export class ReplyParser {
  /** Three digits of the current reply. */
  code = 0;
  readonly #limits: ReplyLimits;
  #buffer: Buffer = Buffer.alloc(0);
  #end = 0;
  #owned = false;
  /** Where the current line begins, and how far it was searched for its end. */
  #line = 0;
  #searched = 0;
  /** Offset of the first NUL that no line has reached yet, or -1. */
  #nul = -1;
  /** Where the current reply's first line begins; end offsets of its earlier lines. */
  #start = 0;
  #lineEnds: number[] = [];
  #partialCode = 0;
  #foundStart = 0;
  #foundEnds: number[] = [];

  constructor(limits: ReplyLimits = REPLY_LIMITS) {
    this.#limits = limits;
  }

  /** Bytes of a reply that is not complete yet. */
  get pending(): number {
    return this.#end - this.#start;
  }

  /** Takes bytes. Call `next()` until it says false before pushing more. */
  push(chunk: Buffer): void {
    const rest = this.#end - this.#start;
    const nul = chunk.indexOf(NUL);
    if (rest === 0) {
      this.#nul = nul;
      this.#buffer = chunk;
      this.#end = chunk.length;
      this.#owned = false;
      this.#start = 0;
      this.#line = 0;
      this.#searched = 0;
      return;
    }
    if (this.#nul < 0 && nul >= 0) this.#nul = this.#end + nul;
    if (this.#owned && this.#end + chunk.length <= this.#buffer.length) {
      chunk.copy(this.#buffer, this.#end);
      this.#end += chunk.length;
      return;
    }
    // Doubling keeps a reply that trickles in byte by byte linear in its length.
    const grown = Buffer.allocUnsafe(Math.max(1024, 2 * (rest + chunk.length)));
    this.#buffer.copy(grown, 0, this.#start, this.#end);
    chunk.copy(grown, rest);
    this.#buffer = grown;
    this.#owned = true;
    this.#end = rest + chunk.length;
    const moved = this.#start;
    this.#start = 0;
    this.#line -= moved;
    this.#searched -= moved;
    if (this.#nul >= 0) this.#nul -= moved;
    this.#lineEnds = this.#lineEnds.map((end) => end - moved);
  }

  /** Forgets everything pushed: what was said before TLS does not count after it (safety rule 10). */
  clear(): void {
    this.#buffer = Buffer.alloc(0);
    this.#owned = false;
    this.#end = 0;
    this.#start = 0;
    this.#line = 0;
    this.#searched = 0;
    this.#nul = -1;
    this.#lineEnds = [];
    this.#partialCode = 0;
  }

  /** Moves to the next complete reply; false when the bytes so far hold no further one. Throws ReplyError. */
  next(): boolean {
    for (;;) {
      const lf = this.#findLineEnd();
      if (lf < 0) return false;
      const line = this.#line;
      const end = lf > line && this.#buffer[lf - 1] === CR ? lf - 1 : lf;
      const last = this.#readLine(line, end);
      this.#lineEnds.push(lf + 1);
      this.#line = lf + 1;
      this.#searched = lf + 1;
      if (!last) {
        if (this.#lineEnds.length >= this.#limits.maxLines) {
          throw new ReplyError(`a reply of more than ${this.#limits.maxLines} lines`);
        }
        continue;
      }
      this.code = this.#partialCode;
      this.#foundStart = this.#start;
      this.#foundEnds = this.#lineEnds;
      this.#start = this.#line;
      this.#lineEnds = [];
      this.#partialCode = 0;
      return true;
    }
  }

  /** The lines of the current reply without code and line end, decoded (UTF-8 where valid, else Latin-1), not cleaned. */
  lines(): string[] {
    let start = this.#foundStart;
    return this.#foundEnds.map((end) => {
      const text = decode(this.#buffer.subarray(Math.min(start + 4, end), end)).replace(/\r?\n$/, '');
      start = end;
      return text;
    });
  }

  /** The current reply with its text cleaned for people and for the table. */
  reply(): Reply {
    return makeReply(this.code, this.lines());
  }

  #findLineEnd(): number {
    const found = this.#buffer.indexOf(LF, this.#searched);
    const lf = found >= this.#end ? -1 : found;
    const length = (lf < 0 ? this.#end : lf + 1) - this.#line;
    if (length > this.#limits.maxLineBytes) {
      throw new ReplyError(`a reply line longer than ${this.#limits.maxLineBytes} bytes`);
    }
    if (lf < 0) this.#searched = this.#end;
    return lf;
  }

  /** Checks the line [start, end) and says whether it is the last of its reply. */
  #readLine(start: number, end: number): boolean {
    const buffer = this.#buffer;
    const a = (buffer[start] ?? 0) - ZERO;
    const b = (buffer[start + 1] ?? 0) - ZERO;
    const c = (buffer[start + 2] ?? 0) - ZERO;
    if (end - start < 3 || a < 2 || a > 5 || b < 0 || b > 9 || c < 0 || c > 9) {
      throw new ReplyError(`not an SMTP reply: ${quote(buffer.subarray(start, end))}`);
    }
    const separator = end - start === 3 ? SPACE : buffer[start + 3];
    if (separator !== SPACE && separator !== HYPHEN) {
      throw new ReplyError(`not an SMTP reply: ${quote(buffer.subarray(start, end))}`);
    }
    if (this.#nul >= 0 && this.#nul < end) throw new ReplyError('a NUL byte in a reply');
    const code = a * 100 + b * 10 + c;
    if (this.#partialCode !== 0 && this.#partialCode !== code) {
      throw new ReplyError(`the lines of one reply disagree: ${this.#partialCode} and ${code}`);
    }
    this.#partialCode = code;
    return separator === SPACE;
  }
}

/** Reads a reply that already is text, such as nodemailer's `info.response` (lines joined by LF). Throws ReplyError. */
export function parseReply(text: string): Reply {
  const parser = new ReplyParser({ maxLineBytes: 1_048_576, maxLines: 65_536 });
  let end = text.length;
  while (text[end - 1] === '\r' || text[end - 1] === '\n') end -= 1;
  parser.push(Buffer.from(`${text.slice(0, end)}\r\n`));
  if (!parser.next() || parser.pending > 0)
    throw new ReplyError(`not one SMTP reply: ${quote(Buffer.from(text))}`);
  return parser.reply();
}
