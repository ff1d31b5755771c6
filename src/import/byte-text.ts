/** Text that is written piece by piece into one buffer, which grows and is used again. */
export class ByteText {
  #bytes: Buffer;
  #length = 0;

  /** @param firstBytes  room to begin with; it doubles when it is used up */
  constructor(firstBytes: number) {
    this.#bytes = Buffer.allocUnsafe(firstBytes);
  }

  get length(): number {
    return this.#length;
  }

  /** What was written so far. Valid until the next write. */
  get bytes(): Buffer {
    return this.#bytes.subarray(0, this.#length);
  }

  /** Appends as UTF-8. */
  write(text: string): void {
    // A UTF-16 unit takes three bytes at most.
    const needed = this.#length + text.length * 3;
    if (needed > this.#bytes.length) {
      const larger = Buffer.allocUnsafe(Math.max(needed, this.#bytes.length * 2));
      this.#bytes.copy(larger, 0, 0, this.#length);
      this.#bytes = larger;
    }
    this.#length += this.#bytes.write(text, this.#length);
  }

  /** Takes back what was written after so many bytes. */
  cut(length: number): void {
    this.#length = length;
  }
}
