import { SendstateError } from '../errors.ts';
import type { ImportBounds } from './bounds.ts';
import { type Columns, hasAddressColumn, readColumns } from './columns.ts';
import { CsvReader, type CsvRecord } from './csv.ts';
import { encodingName } from './decode.ts';
import { findDelimiter, isExcelHint } from './delimiter.ts';
import { type ImportSource, openSource } from './source.ts';
import { TextSource } from './text-source.ts';

/** What was understood of a file, and its rows. */
export interface CsvFile {
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

export interface CsvFileOptions {
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
export async function openCsvFile(source: ImportSource, options: CsvFileOptions): Promise<CsvFile> {
  const said = options.encoding === undefined ? null : encodingName(options.encoding);
  const opened = await openSource(source, {
    fileName: options.fileName,
    readBytes: options.bounds.readBytes,
    detect: said === null,
    signal: options.signal,
  });
  const text = new TextSource(opened.bytes, {
    fileName: options.fileName,
    said,
    looksLike: opened.looksLike,
  });
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
