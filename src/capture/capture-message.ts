/** Room beyond the limit for added dots, which do not count as size. Bytes. */
const SLACK = 1_048_576;
const DOT = 46;
const STUFFED = Buffer.from('\r\n..');

/** A message as it comes in, in pieces; beyond `maxBytes` only its size is kept. */
export class CaptureMessage {
  /** Bytes so far, added dots included. */
  size = 0;
  readonly #maxBytes: number;
  #pieces: Buffer[] = [];

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  /** Keeps a piece without copying it. */
  add(piece: Buffer): void {
    this.size += piece.length;
    if (this.size <= this.#maxBytes + SLACK) this.#pieces.push(piece);
  }

  clear(): void {
    this.#pieces = [];
    this.size = 0;
  }

  /** The whole message, or null when it is too big. `stuffed`: it came by DATA. */
  take(stuffed: boolean): Buffer | null {
    const [first] = this.#pieces;
    const whole = first !== undefined && this.#pieces.length === 1 ? first : Buffer.concat(this.#pieces);
    const raw = stuffed ? unstuff(whole) : whole;
    return this.size > this.#maxBytes + SLACK || raw.length > this.#maxBytes ? null : raw;
  }
}

/** The address of `MAIL FROM:<…>` or `RCPT TO:<…>`, or null. */
export function pathOf(line: string, verb: string): string | null {
  if (line.slice(0, verb.length).toUpperCase() !== verb) return null;
  const open = line.indexOf('<', verb.length);
  const close = line.indexOf('>', open);
  return open < 0 || close < 0 ? null : line.slice(open + 1, close);
}

/** Removes the dots that RFC 5321 section 4.5.2 adds. */
function unstuff(body: Buffer): Buffer {
  const first = body[0] === DOT ? 1 : 0;
  let at = body.indexOf(STUFFED, first);
  if (at < 0) return first === 0 ? body : body.subarray(1);
  const parts: Buffer[] = [];
  let from = first;
  while (at >= 0) {
    parts.push(body.subarray(from, at + 3));
    from = at + 4;
    at = body.indexOf(STUFFED, from - 2);
  }
  parts.push(body.subarray(from));
  return Buffer.concat(parts);
}
