import { SendstateError } from '../errors.ts';
import type { ImportBounds } from './bounds.ts';
import { type Columns, hasAddressColumn, readColumns } from './columns.ts';
import { findDelimiter, isExcelHint } from './delimiter.ts';
import { byteOrderMark, encodingName, InvalidBytes, StrictDecoder } from './encoding.ts';
import { CsvReader, type CsvRecord } from './read-csv.ts';
import { type ImportSource, openSource } from './source.ts';

/** What was understood of a file, and its rows. */
export interface Table {
  /** utf-8, cp949, utf-16le, … Of a stream that was ASCII to its end: utf-8. */
  readonly encoding: string;
  readonly delimiter: string;
  readonly columns: Columns;
  /** The rows below the header, in batches as they are read. Can be walked through once. */
  readonly batches: AsyncIterable<readonly CsvRecord[]>;
  /** Bytes read so far; and of how many, null when that cannot be known. */
  readonly bytesRead: number;
  readonly bytesTotal: number | null;
  close(): Promise<void>;
}

export interface TableOptions {
  /** For messages. */
  readonly fileName: string;
  readonly bounds: ImportBounds;
  readonly encoding?: string | undefined;
  readonly delimiter?: string | undefined;
  readonly map?: Readonly<Record<string, string>> | undefined;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Opens a CSV and reads as far as its header.
 * @throws SendstateError `import-file`, `encoding-…`, `csv-…`
 */
export async function openTable(source: ImportSource, options: TableOptions): Promise<Table> {
  const said = options.encoding === undefined ? null : encodingName(options.encoding);
  const opened = await openSource(source, {
    fileName: options.fileName,
    readBytes: options.bounds.readBytes,
    detect: said === null,
    signal: options.signal,
  });
  const text = new TextSource(opened.bytes, said, opened.looksLike, options.fileName);
  const close = async () => {
    await text.close();
    await opened.close();
  };
  try {
    const head = await text.head(options.bounds.headChars);
    const delimiter =
      options.delimiter ??
      findDelimiter(head.text, head.whole, (names) => hasAddressColumn(names, options.map));
    const reader = new CsvReader({ delimiter, ...options.bounds, fileName: options.fileName });
    const batches = text.records(reader);
    const { header, rest } = await readHeader(batches, options.fileName);
    const columns = readColumns(header.cells, { map: options.map ?? {}, fileName: options.fileName });
    return {
      get encoding() {
        return text.encoding;
      },
      delimiter,
      columns,
      batches: startingWith(rest, batches),
      get bytesRead() {
        return text.bytesRead;
      },
      bytesTotal: opened.bytesTotal,
      close,
    };
  } catch (error) {
    await close();
    throw error;
  }
}

/** Bytes to text to records. */
class TextSource {
  readonly #bytes: AsyncIterator<Buffer>;
  readonly #said: string | null;
  readonly #looksLike: string | null;
  readonly #fileName: string;
  #decoder: StrictDecoder | null = null;
  #markBytes = 0;
  #ahead: string[] = [];
  bytesRead = 0;

  constructor(bytes: AsyncIterable<Buffer>, said: string | null, looksLike: string | null, fileName: string) {
    this.#bytes = bytes[Symbol.asyncIterator]();
    this.#said = said;
    this.#looksLike = looksLike;
    this.#fileName = fileName;
  }

  get encoding(): string {
    return this.#decoder?.encoding ?? 'utf-8';
  }

  /** The first characters, which `records` will give again. */
  async head(chars: number): Promise<{ text: string; whole: boolean }> {
    let text = '';
    const lineOf = (before: string) => 1 + lineBreaks(text + before);
    while (text.length < chars) {
      const piece = await this.#next(lineOf);
      if (piece === null) return { text, whole: true };
      this.#ahead.push(piece);
      text += piece;
    }
    return { text: text.slice(0, chars), whole: false };
  }

  async *records(reader: CsvReader): AsyncGenerator<CsvRecord[]> {
    for (const piece of this.#ahead) yield reader.push(piece);
    this.#ahead = [];
    const lineOf = (before: string) => reader.line + lineBreaks(before);
    for (;;) {
      const piece = await this.#next(lineOf);
      if (piece === null) break;
      yield reader.push(piece);
    }
    yield reader.end();
  }

  async close(): Promise<void> {
    await this.#bytes.return?.();
  }

  /** The next text; null at the end. */
  async #next(lineOf: (before: string) => number): Promise<string | null> {
    try {
      const next = await this.#bytes.next();
      if (next.done !== true) {
        const decoder = this.#decoder ?? this.#start(next.value);
        const skip = this.bytesRead === 0 ? this.#markBytes : 0;
        this.bytesRead += next.value.length;
        return decoder.decode(next.value.subarray(skip));
      }
      const last = this.#decoder?.end() ?? '';
      return last === '' ? null : last;
    } catch (error) {
      if (error instanceof InvalidBytes) throw this.#notDecodable(error, lineOf(error.before));
      throw error;
    }
  }

  #start(first: Buffer): StrictDecoder {
    refuseBinary(first, this.#fileName);
    const mark = byteOrderMark(first);
    if (mark !== null && this.#said !== null && mark.encoding !== this.#said) {
      throw new SendstateError(
        'encoding-mark',
        `${this.#fileName} begins with the byte order mark of ${mark.encoding}, but the encoding was said to be ${this.#said}.`,
        { hint: `Leave --encoding out, or say --encoding ${mark.encoding}.` },
      );
    }
    this.#markBytes = mark?.bytes ?? 0;
    this.#decoder = new StrictDecoder(this.#said ?? mark?.encoding ?? this.#looksLike);
    return this.#decoder;
  }

  #notDecodable(error: InvalidBytes, line: number): SendstateError {
    const offset = this.#markBytes + error.byteOffset;
    const guessed = this.#said === null && this.#markBytes === 0;
    const neither = guessed && error.encoding === 'cp949' ? ' (and the file is not UTF-8 either)' : '';
    return new SendstateError(
      'encoding-bytes',
      `${this.#fileName}, line ${line}, byte ${offset}: not ${error.encoding}${neither}.`,
      {
        hint: guessed
          ? 'Say the encoding (--encoding utf-8, cp949, windows-1252, …), or save the file as UTF-8.'
          : 'Say another --encoding, or save the file as UTF-8.',
        cause: error,
      },
    );
  }
}

async function readHeader(
  batches: AsyncIterator<CsvRecord[]>,
  fileName: string,
): Promise<{ header: CsvRecord; rest: CsvRecord[] }> {
  for (let next = await batches.next(); next.done !== true; next = await batches.next()) {
    const records = next.value;
    const [first] = records;
    if (first !== undefined && isExcelHint(first)) records.shift();
    const [header, ...rest] = records;
    if (header === undefined) continue;
    if (header.problem === null) return { header, rest };
    throw new SendstateError('csv-columns', `${fileName}, line ${header.line}: ${header.problem}.`, {
      hint: 'The first row names the columns. Correct it and import again.',
    });
  }
  throw new SendstateError('csv-empty', `${fileName} is empty.`, {
    hint: 'The first row names the columns, one of them email; each further row is a person.',
  });
}

async function* startingWith(
  first: CsvRecord[],
  rest: AsyncIterable<CsvRecord[]>,
): AsyncGenerator<CsvRecord[]> {
  yield first;
  yield* rest;
}

/** Files that people mean when they say "the Excel file". */
function refuseBinary(head: Uint8Array, fileName: string): void {
  const start = Buffer.from(head.subarray(0, 4)).toString('hex');
  const what = start === '504b0304' || start === 'd0cf11e0' ? 'an Excel workbook or an archive' : null;
  const kind = start.startsWith('1f8b') ? 'compressed (gzip)' : what;
  if (kind === null) return;
  throw new SendstateError('csv-binary', `${fileName} is ${kind}, not a CSV.`, {
    hint:
      kind === what
        ? 'In Excel: File, Save As, "CSV UTF-8 (comma delimited)".'
        : `Unpack it on the way: gunzip -c FILE | sendstate import NAME -`,
  });
}

/** Line ends of any kind in a text. */
function lineBreaks(text: string): number {
  return text.match(/\r\n|\r|\n/g)?.length ?? 0;
}
