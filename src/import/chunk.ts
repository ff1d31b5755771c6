import { parseAddress } from './address.ts';
import { ByteText } from './byte-text.ts';
import type { Columns } from './columns.ts';
import type { CsvRecord } from './csv.ts';
import { MailboxSet } from './mailbox-set.ts';

/** A row that is not taken, and why. */
export interface Reject {
  readonly line: number;
  readonly reason: string;
  readonly original: string;
}

export interface ChunkLimits {
  readonly chunkRows: number;
  readonly chunkChars: number;
}

/** Why a row is not taken although there is nothing wrong with it. */
export const duplicateInFile = 'duplicate: the address stands further up in this file';
export const duplicateInTable = 'duplicate: the campaign has this address already';

const firstBytes = 256 * 1024;

/**
 * Rows on their way into the database: checked, without duplicates among themselves, written as COPY text. It is filled,
 * handed over, emptied and used again.
 *
 * The original text of every row is kept until the database has answered, because it may turn out to be a duplicate. It is kept
 * as bytes, as is everything else: objects that live as long as a chunk are what makes the memory of a Node process grow.
 */
export class Chunk {
  readonly #columns: Columns;
  readonly #limits: ChunkLimits;
  /** `"name":` for each column, null for the address column; escaped for COPY. */
  readonly #keys: readonly (string | null)[];
  readonly #mailboxes: MailboxSet;
  readonly #copy = new ByteText(firstBytes);
  readonly #originals = new ByteText(firstBytes);
  // Of each row, by its number in the chunk: its line, where its original ends, and why it is not taken.
  readonly #lines: Float64Array;
  readonly #ends: Float64Array;
  readonly #reasons: (string | null)[] = [];
  #chars = 0;
  #offered = 0;

  constructor(columns: Columns, limits: ChunkLimits) {
    this.#columns = columns;
    this.#limits = limits;
    this.#keys = columns.names.map((name, index) =>
      index === columns.addressIndex ? null : `${jsonForCopy(name)}:`,
    );
    this.#mailboxes = new MailboxSet(limits.chunkRows);
    this.#lines = new Float64Array(limits.chunkRows);
    this.#ends = new Float64Array(limits.chunkRows);
  }

  /** Rows that were put in, taken or not. */
  get read(): number {
    return this.#reasons.length;
  }

  /** Rows that are offered to the database and were not refused by it. */
  get offered(): number {
    return this.#offered;
  }

  /** It has to be handed over before another row is put in. */
  get full(): boolean {
    return this.read >= this.#limits.chunkRows || this.#chars >= this.#limits.chunkChars;
  }

  /** The offered rows as COPY text: number in the chunk, address, vars. Valid until a row is put in. */
  get copyText(): Buffer {
    return this.#copy.bytes;
  }

  /** Checks one row and takes it or puts it aside with a reason. */
  add(record: CsvRecord): void {
    const row = this.read;
    this.#originals.write(record.original);
    this.#lines[row] = record.line;
    this.#ends[row] = this.#originals.length;
    this.#chars += record.original.length;
    this.#reasons.push(this.#offer(row, record));
  }

  /** Puts an offered row aside after all. */
  refuse(row: number, reason: string): void {
    if (this.#reasons[row] !== null) throw new Error(`row ${row} of the chunk was never offered`);
    this.#reasons[row] = reason;
    this.#offered -= 1;
  }

  /** How many rows are not taken, by reason: the two kinds of duplicates, and everything else. */
  count(): { duplicatesInFile: number; duplicatesInTable: number; invalid: number } {
    const counts = { duplicatesInFile: 0, duplicatesInTable: 0, invalid: 0 };
    for (const reason of this.#reasons) {
      if (reason === null) continue;
      if (reason === duplicateInFile) counts.duplicatesInFile += 1;
      else if (reason === duplicateInTable) counts.duplicatesInTable += 1;
      else counts.invalid += 1;
    }
    return counts;
  }

  /** The rows that are not taken, in file order. */
  *rejects(): Generator<Reject> {
    const originals = this.#originals.bytes;
    for (const [row, reason] of this.#reasons.entries()) {
      if (reason === null) continue;
      const start = row === 0 ? 0 : this.#ends[row - 1];
      yield {
        line: this.#lines[row] ?? 0,
        reason,
        original: originals.toString('utf8', start, this.#ends[row]),
      };
    }
  }

  empty(): void {
    this.#mailboxes.clear();
    this.#copy.cut(0);
    this.#originals.cut(0);
    this.#reasons.length = 0;
    this.#chars = 0;
    this.#offered = 0;
  }

  /** Writes the row for COPY, or says why not. */
  #offer(row: number, record: CsvRecord): string | null {
    const { addressIndex, names } = this.#columns;
    const { cells, problem } = record;
    if (problem !== null) return problem;
    if (cells.length !== names.length) {
      return `${numbered(cells.length, 'column')}, but the first row has ${names.length}`;
    }
    const parsed = parseAddress(cells[addressIndex] ?? '');
    if (!parsed.ok) return parsed.reason;
    if (record.original.includes('\0')) return 'a NUL character, which a database cannot hold';
    const before = this.#copy.length;
    const number = `${row}\t`;
    const text = `${number}${parsed.address}\t${this.#json(cells)}\n`;
    this.#copy.write(text);
    if (!this.#mailboxes.add(this.#copy.bytes, before + number.length)) {
      this.#copy.cut(before);
      return duplicateInFile;
    }
    this.#chars += text.length;
    this.#offered += 1;
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
}

/** What JSON or COPY text would read as something else. */
const special = /["\\\p{Cc}]/u;

/** A string as JSON inside a COPY text column: JSON leaves no control characters, and COPY takes doubled backslashes. */
function jsonForCopy(value: string): string {
  return special.test(value) ? JSON.stringify(value).replaceAll('\\', '\\\\') : `"${value}"`;
}

function numbered(number: number, noun: string): string {
  return `${number} ${noun}${number === 1 ? '' : 's'}`;
}
