const tab = 9;

/**
 * The addresses of a chunk, to find those that come twice. They are not kept as strings: they stand in the chunk's COPY
 * text already, each followed by a tab, and what is kept is where. (A Set of strings holds thousands of objects for as
 * long as a chunk lives, which is just long enough for the garbage collector to take them for permanent.)
 *
 * Two addresses are the same mailbox exactly when the unique index says so: `lower(address)` in the C collation, which
 * knows the letters A to Z only.
 */
export class MailboxSet {
  /** Open addressing; 0 is free, anything else where an address begins, plus 1. Never more than half full. */
  readonly #places: Int32Array;
  readonly #mask: number;
  /** So that no list can be written whose addresses all meet in one place. */
  readonly #seed = Math.floor(Math.random() * 0x7fffffff);

  /** @param capacity  how many addresses it will hold at most */
  constructor(capacity: number) {
    const size = 2 ** Math.ceil(Math.log2(Math.max(2, capacity * 2)));
    this.#places = new Int32Array(size);
    this.#mask = size - 1;
  }

  /** Remembers the address that begins there; false when it is in the set already. */
  add(text: Uint8Array, start: number): boolean {
    let place = this.#hash(text, start) & this.#mask;
    for (;;) {
      const other = this.#places[place] ?? 0;
      if (other === 0) break;
      if (same(text, other - 1, start)) return false;
      place = (place + 1) & this.#mask;
    }
    this.#places[place] = start + 1;
    return true;
  }

  clear(): void {
    this.#places.fill(0);
  }

  /** FNV-1a. */
  #hash(text: Uint8Array, start: number): number {
    let hash = this.#seed;
    for (let at = start; ; at += 1) {
      const byte = text[at] ?? tab;
      if (byte === tab) return hash ^ (hash >>> 15);
      hash = Math.imul(hash ^ lower(byte), 0x01000193);
    }
  }
}

function same(text: Uint8Array, one: number, other: number): boolean {
  for (let at = 0; ; at += 1) {
    const byte = lower(text[one + at] ?? tab);
    if (byte !== lower(text[other + at] ?? tab)) return false;
    if (byte === tab) return true;
  }
}

function lower(byte: number): number {
  return byte >= 65 && byte <= 90 ? byte + 32 : byte;
}
