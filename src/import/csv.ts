import type { SendstateError } from '../errors.ts';
import { importBounds } from './bounds.ts';
import { neverClosed, tooLong, wrongDelimiter } from './csv-errors.ts';

/** One row of the file as it stands there. */
export interface CsvRecord {
  /** The physical line on which it begins, from 1; line breaks inside quotation marks count. */
  readonly line: number;
  /** The cells, unquoted. Incomplete when there is a problem. */
  readonly cells: readonly string[];
  /** The text as it stood in the file, without its line end. */
  readonly original: string;
  /** Why the cells cannot be trusted; null for a sound record. */
  readonly problem: string | null;
}

export interface CsvOptions {
  /** One character; not a quotation mark, CR or LF. */
  readonly delimiter: string;
  /** For messages. Default 'the file'. */
  readonly fileName?: string;
  readonly maxCellChars?: number;
  readonly maxRecordChars?: number;
  readonly maxColumns?: number;
}

const atCell = 0;
const inPlain = 1;
const inQuotes = 2;
const afterQuote = 3;

const cr = 13;
const lf = 10;
const quote = 34;

/**
 * Reads CSV that arrives in pieces: RFC 4180, with any one-character delimiter and with CRLF, LF and CR as line ends,
 * mixed if need be. Blank lines are skipped. A quotation mark inside an unquoted cell is an ordinary letter (`5" disk`).
 *
 * A record that breaks the rules is handed on with a problem and ends at the next line end, so that one bad row costs
 * one row; a quotation mark that is never closed is an error, because its intended content is unknown.
 * Every character is looked at a bounded number of times, whatever the input.
 */
export class CsvReader {
  readonly #delimiter: string;
  readonly #delimiterCode: number;
  readonly #fileName: string;
  readonly #maxCell: number;
  readonly #maxRecord: number;
  readonly #maxColumns: number;

  #state = atCell;
  /** The physical line of the next character. */
  #line = 1;
  /** The last character was a CR: a LF that follows belongs to the same line end. */
  #lastWasCr = false;
  // The record that is being read, as far as it has come.
  #open = false;
  #recordLine = 1;
  #quoteLine = 0;
  #original = '';
  #cells: string[] = [];
  #cell = '';
  #problem: string | null = null;

  constructor(options: CsvOptions) {
    const { delimiter } = options;
    if (delimiter.length !== 1 || /["\r\n]/.test(delimiter)) {
      throw wrongDelimiter(delimiter);
    }
    this.#delimiter = delimiter;
    this.#delimiterCode = delimiter.charCodeAt(0);
    this.#fileName = options.fileName ?? 'the file';
    this.#maxCell = options.maxCellChars ?? importBounds.maxCellChars;
    this.#maxRecord = options.maxRecordChars ?? importBounds.maxRecordChars;
    this.#maxColumns = options.maxColumns ?? importBounds.maxColumns;
  }

  /** The physical line of the next character, from 1. */
  get line(): number {
    return this.#line;
  }

  /**
   * Takes the next piece of text, of any length, and returns the records that end in it.
   * @throws SendstateError `csv-quote`, `csv-record`
   */
  push(text: string): CsvRecord[] {
    const records: CsvRecord[] = [];
    let at = 0;
    if (text.length > 0 && this.#lastWasCr && this.#state !== inQuotes) {
      this.#lastWasCr = false;
      if (text.charCodeAt(0) === lf) at = 1;
    }
    // Where the next ones are; found again only when passed, so that a letter that is rare is searched for once.
    let nextQuote = -1;
    let nextLf = -1;
    let nextCr = -1;
    while (at < text.length) {
      if (!this.#open) {
        if (nextQuote < at) nextQuote = indexFrom(text, '"', at);
        if (nextLf < at) nextLf = indexFrom(text, '\n', at);
        if (nextCr < at) nextCr = indexFrom(text, '\r', at);
        const end = Math.min(nextLf, nextCr);
        if (end < nextQuote && end < text.length) {
          this.#plainRecord(text.slice(at, end), records);
          at = this.#pastLineEnd(text, end);
          continue;
        }
      }
      at = this.#scan(text, at, records);
    }
    return records;
  }

  /**
   * Says that the text is over, and returns the record that it ended with, if any.
   * @throws SendstateError `csv-quote`, `csv-record`
   */
  end(): CsvRecord[] {
    if (this.#state === inQuotes) throw neverClosed(this.#fileName, this.#quoteLine, 'never closed');
    const records: CsvRecord[] = [];
    if (this.#open) this.#finish(records);
    return records;
  }

  /** A record without quotation marks that stands in the piece as a whole: nearly all of them. */
  #plainRecord(original: string, records: CsvRecord[]): void {
    this.#recordLine = this.#line;
    // Before blank lines are left out: where the text is cut, a blank line is a row that has not ended yet.
    if (original.length > this.#maxRecord) throw this.#tooLong();
    if (isBlank(original, this.#delimiter)) return;
    this.#emit(original, original.split(this.#delimiter, this.#maxColumns + 1), records);
  }

  /** Reads on from any state until a record ends or the piece does; returns where it stopped. */
  #scan(text: string, from: number, records: CsvRecord[]): number {
    if (!this.#open) {
      this.#open = true;
      this.#recordLine = this.#line;
    }
    let at = from;
    while (at < text.length) {
      const code = text.charCodeAt(at);
      if (this.#state === inQuotes) {
        at = this.#readQuoted(text, at);
      } else if (this.#state === atCell && code === quote) {
        this.#state = inQuotes;
        this.#quoteLine = this.#line;
        at += 1;
      } else if (this.#state === afterQuote && code === quote) {
        this.#cell += '"';
        this.#state = inQuotes;
        at += 1;
      } else if (code === this.#delimiterCode) {
        this.#endCell();
        at += 1;
      } else if (code === lf || code === cr) {
        this.#original += text.slice(from, at);
        this.#finish(records);
        return this.#pastLineEnd(text, at);
      } else {
        if (this.#state === afterQuote) this.#problem ??= this.#textAfterQuote();
        this.#state = inPlain;
        const start = at;
        at = this.#endOfPlain(text, at);
        this.#cell += text.slice(start, at);
      }
    }
    this.#original += text.slice(from);
    if (this.#original.length > this.#maxRecord) throw this.#tooLong();
    return at;
  }

  #readQuoted(text: string, from: number): number {
    const end = indexFrom(text, '"', from);
    for (let at = from; at < end; at += 1) {
      const code = text.charCodeAt(at);
      if (code === cr || (code === lf && !this.#lastWasCr)) this.#line += 1;
      this.#lastWasCr = code === cr;
    }
    this.#cell += text.slice(from, end);
    if (end === text.length) return end;
    this.#lastWasCr = false;
    this.#state = afterQuote;
    return end + 1;
  }

  #endOfPlain(text: string, from: number): number {
    for (let at = from; at < text.length; at += 1) {
      const code = text.charCodeAt(at);
      if (code === this.#delimiterCode || code === lf || code === cr) return at;
    }
    return text.length;
  }

  #endCell(): void {
    if (this.#cells.length <= this.#maxColumns) this.#cells.push(this.#cell);
    this.#cell = '';
    this.#state = atCell;
  }

  #finish(records: CsvRecord[]): void {
    const original = this.#original;
    const quoted = this.#quoteLine > 0;
    if (original.length > this.#maxRecord) throw this.#tooLong();
    this.#endCell();
    if (quoted || !isBlank(original, this.#delimiter)) this.#emit(original, this.#cells, records);
    this.#open = false;
    this.#quoteLine = 0;
    this.#original = '';
    this.#cells = [];
    this.#problem = null;
  }

  #emit(original: string, cells: string[], records: CsvRecord[]): void {
    let problem = this.#problem;
    if (problem === null && cells.length > this.#maxColumns) {
      problem = `more than ${this.#maxColumns} columns`;
    }
    if (
      problem === null &&
      original.length > this.#maxCell &&
      cells.some((cell) => cell.length > this.#maxCell)
    ) {
      problem = `a cell is longer than ${this.#maxCell} characters`;
    }
    records.push({ line: this.#recordLine, cells, original, problem });
  }

  #pastLineEnd(text: string, at: number): number {
    this.#line += 1;
    if (text.charCodeAt(at) === lf) return at + 1;
    if (at + 1 === text.length) this.#lastWasCr = true;
    return text.charCodeAt(at + 1) === lf ? at + 2 : at + 1;
  }

  #tooLong(): SendstateError {
    const limit = `${this.#maxRecord} characters`;
    if (this.#quoteLine === 0) return tooLong(this.#fileName, this.#recordLine, limit);
    return neverClosed(this.#fileName, this.#quoteLine, `not closed within ${limit}`);
  }

  #textAfterQuote(): string {
    const lines = this.#line === this.#quoteLine ? '' : ` (it opened in line ${this.#quoteLine})`;
    return `text follows the closing quotation mark in line ${this.#line}${lines}`;
  }
}

function indexFrom(text: string, letter: string, from: number): number {
  const at = text.indexOf(letter, from);
  return at === -1 ? text.length : at;
}

/** Nothing but white space, and no delimiter: `,,,` is a row of empty cells, not a blank line. */
function isBlank(original: string, delimiter: string): boolean {
  return original === '' || (original.trim() === '' && !original.includes(delimiter));
}
