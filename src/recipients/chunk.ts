import { parseAddress } from './addresses.ts';
import type { Columns } from './columns.ts';
import type { CsvRecord } from './read-csv.ts';

/** A row that is not taken, and why. */
export interface Reject {
  readonly line: number;
  readonly reason: string;
  readonly original: string;
}

export const duplicateInFile = 'duplicate: the address stands further up in this file';
export const duplicateInTable = 'duplicate: the campaign has this address already';

/** Bytes that a chunk's COPY text has room for at first; it grows with the rows and is used again. */
const firstCopyBytes = 1024 * 1024;

/**
 * Rows on their way into the database: checked, without duplicates among themselves, written as COPY text. It is filled,
 * handed over, emptied and used again. Of each row only the line and the original text are kept, for what the database
 * refuses: whatever a chunk holds on to survives several garbage collections, and that is what the memory of an import
 * is made of.
 */
export class Chunk {
  readonly #columns: Columns;
  /** `"name":` for each column, null for the address column; escaped for COPY. */
  readonly #keys: readonly (string | null)[];
  readonly #seen = new Set<string>();
  readonly #lines: number[] = [];
  readonly #originals: string[] = [];
  #copy = Buffer.allocUnsafe(firstCopyBytes);
  #copyBytes = 0;
  #chars = 0;
  #read = 0;
  /** Rows that were put aside, and how many of them because the address stands further up in this chunk. */
  readonly rejects: Reject[] = [];
  #duplicates = 0;

  constructor(columns: Columns) {
    this.#columns = columns;
    this.#keys = columns.names.map((name, index) =>
      index === columns.addressIndex ? null : `${jsonForCopy(name)}:`,
    );
  }

  /** Rows that were put in, taken or not. */
  get read(): number {
    return this.#read;
  }

  /** Rows that are offered to the database. */
  get offered(): number {
    return this.#lines.length;
  }

  get duplicates(): number {
    return this.#duplicates;
  }

  /** Characters that it holds. */
  get chars(): number {
    return this.#chars;
  }

  /** The offered rows as COPY text: n (from 0), address, vars. Valid until the chunk is emptied. */
  get copyText(): Buffer {
    return this.#copy.subarray(0, this.#copyBytes);
  }

  /** The offered row n as a reject. */
  reject(n: number, reason: string): Reject {
    const line = this.#lines[n];
    const original = this.#originals[n];
    if (line === undefined || original === undefined) throw new Error(`row ${n} was never offered`);
    return { line, original, reason };
  }

  /** Checks one row and takes it or puts it aside with a reason. */
  add(record: CsvRecord): void {
    const { line, original } = record;
    this.#read += 1;
    this.#chars += original.length;
    const address = this.#check(record);
    if (address === null) return;
    const key = mailboxKey(address);
    if (this.#seen.has(key)) {
      this.rejects.push({ line, original, reason: duplicateInFile });
      this.#duplicates += 1;
      return;
    }
    this.#seen.add(key);
    this.#write(`${this.#lines.length}\t${address}\t${this.#json(record.cells)}\n`);
    this.#lines.push(line);
    this.#originals.push(original);
  }

  empty(): void {
    this.#seen.clear();
    this.#lines.length = 0;
    this.#originals.length = 0;
    this.rejects.length = 0;
    this.#copyBytes = 0;
    this.#chars = 0;
    this.#read = 0;
    this.#duplicates = 0;
  }

  /** The address, or null for a row that has been put aside. */
  #check(record: CsvRecord): string | null {
    const { addressIndex, names } = this.#columns;
    const { cells, line, original } = record;
    let reason = record.problem;
    if (reason === null && cells.length !== names.length) {
      reason = `${count(cells.length, 'column')}, but the first row has ${names.length}`;
    }
    if (reason === null) {
      const parsed = parseAddress(cells[addressIndex] ?? '');
      if (!parsed.ok) reason = parsed.reason;
      else if (original.includes('\0')) reason = 'a NUL character, which a database cannot hold';
      else return parsed.address;
    }
    this.rejects.push({ line, original, reason });
    return null;
  }

  #json(cells: readonly string[]): string {
    const keys = this.#keys;
    let json = '';
    for (let index = 0; index < keys.length; index += 1) {
      const key = keys[index];
      if (key === null) continue;
      json += `${json === '' ? '{' : ','}${key}${jsonForCopy(cells[index] ?? '')}`;
    }
    return json === '' ? '{}' : `${json}}`;
  }

  #write(row: string): void {
    // A UTF-16 unit takes three bytes of UTF-8 at most.
    const needed = this.#copyBytes + row.length * 3;
    if (needed > this.#copy.length) {
      const larger = Buffer.allocUnsafe(Math.max(needed, this.#copy.length * 2));
      this.#copy.copy(larger, 0, 0, this.#copyBytes);
      this.#copy = larger;
    }
    this.#copyBytes += this.#copy.write(row, this.#copyBytes);
    this.#chars += row.length;
  }
}

/**
 * What makes two addresses the same person, exactly as the unique index does: `lower(address)` in the C collation, which
 * knows the letters A to Z only.
 */
export function mailboxKey(address: string): string {
  return address.replace(/[A-Z]+/g, (letters) => letters.toLowerCase());
}

/** What JSON or COPY text would read as something else. */
const special = /["\\\p{Cc}]/u;

/** A string as JSON inside a COPY text column: JSON leaves no control characters, and COPY takes doubled backslashes. */
function jsonForCopy(value: string): string {
  return special.test(value) ? JSON.stringify(value).replaceAll('\\', '\\\\') : `"${value}"`;
}

function count(number: number, noun: string): string {
  return `${number} ${noun}${number === 1 ? '' : 's'}`;
}
