/** Bytes that may wait for a place to cut at. 16 MiB: more than the longest record that the CSV reader takes. */
const maxWaitingBytes = 16 * 1024 * 1024;

/** Gives bytes on in pieces that end between two letters; the rest waits, copied, for the next piece. */
export class WholeLetters {
  #waiting: Buffer[] = [];
  #waitingBytes = 0;

  /**
   * For encodings of which ASCII is a part: up to the last byte below 0x30, which is never the second byte of a letter in
   * UTF-8, CP949, Shift_JIS, Big5, GBK or GB18030. Commas, quotation marks, spaces and line ends are such bytes.
   */
  narrow(piece: Uint8Array): Buffer {
    let end = piece.length;
    while (end > 0 && (piece[end - 1] ?? 0) >= 0x30) end -= 1;
    // What goes on for so long without one is refused as a record. Cut between two letters of UTF-8 all the same, or it would be
    // refused for its encoding.
    if (end === 0 && this.#waitingBytes + piece.length > maxWaitingBytes) end = endOfLetters(piece);
    return this.#take(piece, end);
  }

  /** For UTF-16: up to the last whole letter. */
  wide(piece: Uint8Array, encoding: string | null): Buffer {
    const bytes = this.#take(piece, piece.length);
    const even = bytes.length & ~1;
    const high = bytes[encoding === 'utf-16le' ? even - 1 : even - 2] ?? 0;
    const end = high >= 0xd8 && high <= 0xdb ? even - 2 : even;
    this.#wait(bytes.subarray(end));
    return bytes.subarray(0, end);
  }

  rest(): Buffer {
    return this.#take(new Uint8Array(0), 0);
  }

  #take(piece: Uint8Array, end: number): Buffer {
    if (end === 0 && piece.length > 0) {
      this.#wait(piece);
      return Buffer.alloc(0);
    }
    const head = Buffer.from(piece.buffer, piece.byteOffset, end);
    const whole = this.#waitingBytes === 0 ? head : Buffer.concat([...this.#waiting, head]);
    this.#waiting = [];
    this.#waitingBytes = 0;
    this.#wait(piece.subarray(end));
    return whole;
  }

  #wait(bytes: Uint8Array): void {
    if (bytes.length === 0) return;
    // A copy: the reader may use the piece again for the next read.
    this.#waiting.push(Buffer.from(bytes));
    this.#waitingBytes += bytes.length;
  }
}

/** Where the last letter of UTF-8 ends that is whole. */
function endOfLetters(piece: Uint8Array): number {
  let start = piece.length - 1;
  while (start > 0 && start > piece.length - 4 && ((piece[start] ?? 0) & 0xc0) === 0x80) start -= 1;
  const first = piece[start] ?? 0;
  const length = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : first >= 0xc0 ? 2 : 1;
  return start > 0 && start + length > piece.length ? start : piece.length;
}
