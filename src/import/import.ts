import type pg from 'pg';
import { type ImportBounds, importBounds } from './bounds.ts';
import { Chunk } from './chunk.ts';
import { type CsvFile, openCsvFile } from './csv-file.ts';
import { explainFailure } from './import-errors.ts';
import { beginImport, commitImport, withConnection } from './import-transaction.ts';
import { createStaging, takeChunk } from './insert.ts';
import { RejectsFile } from './rejects.ts';
import type { ImportSource } from './source.ts';

export type { ImportSource } from './source.ts';

/** What was understood of the file, before the first row is taken. */
export interface ImportPreview {
  readonly fileName: string;
  readonly encoding: string;
  readonly delimiter: string;
  /** The column that holds the address, by its name. */
  readonly addressColumn: string;
  /** The other columns: the variables of the templates. */
  readonly variables: readonly string[];
}

export interface ImportProgress {
  readonly bytesRead: number;
  /** null: a stream, unknown. */
  readonly bytesTotal: number | null;
  /** Rows so far, below the header. */
  readonly read: number;
  readonly imported: number;
  readonly rejected: number;
}

export interface ImportReport extends ImportPreview {
  readonly dryRun: boolean;
  /** Rows below the header: imported + duplicatesInFile + duplicatesInTable + invalid. */
  readonly read: number;
  readonly imported: number;
  readonly duplicatesInFile: number;
  readonly duplicatesInTable: number;
  readonly invalid: number;
  /** Where the rows are that were not taken; null when all were, or when no file was wanted. */
  readonly rejectsFile: string | null;
  /** The campaign had finished and is now paused, with these people waiting. */
  readonly reopened: boolean;
  readonly seconds: number;
}

export interface ImportOptions {
  readonly campaignId: number;
  /** For messages. */
  readonly campaignName: string;
  /** A path, or bytes such as standard input's. */
  readonly source: ImportSource;
  /** For messages. */
  readonly fileName: string;
  /** Where rows go that are not taken (see `rejectsPathFor`); null: they are only counted. */
  readonly rejects: string | null;
  /** Default: strict UTF-8, else CP949; a byte order mark is believed. */
  readonly encoding?: string | undefined;
  /** Default: found from the first rows. */
  readonly delimiter?: string | undefined;
  /** Name to column: `{ email: 'Kontakt' }` says where the address is, any other name renames a column. */
  readonly map?: Readonly<Record<string, string>> | undefined;
  /** Do everything and take it back at the end; the rejects go to a file of the dry run's own, beside the real one. */
  readonly dryRun?: boolean | undefined;
  readonly bounds?: Partial<ImportBounds> | undefined;
  readonly onPreview?: ((preview: ImportPreview) => void) | undefined;
  readonly onProgress?: ((progress: ImportProgress) => void) | undefined;
  /** Called once when another import into this campaign is running and has to end first. */
  readonly onWaiting?: (() => void) | undefined;
  /** Stops the import; nothing is imported then. */
  readonly signal?: AbortSignal | undefined;
}

/**
 * Imports a CSV of people into a campaign: all of it, or, after any error, stop or kill, nothing.
 *
 * One transaction holds the whole file, so no mail is sent from half a list and the next run starts clean. Rows go
 * through in chunks: while the database takes one, the next is read. Memory does not depend on the size of the file.
 *
 * @throws SendstateError `import-…`, `encoding-…`, `csv-…`, `rejects-file`, `campaign-cancelled`, `campaign-missing`
 */
export async function importRecipients(pool: pg.Pool, options: ImportOptions): Promise<ImportReport> {
  const started = performance.now();
  const { source, dryRun } = options;
  const rejects =
    options.rejects === null
      ? null
      : new RejectsFile(options.rejects, {
          source: typeof source === 'string' ? source : null,
          dryRun: dryRun === true,
        });
  const counts: ImportCounts = {
    read: 0,
    imported: 0,
    duplicatesInFile: 0,
    duplicatesInTable: 0,
    invalid: 0,
  };
  let committed = false;
  try {
    await rejects?.check();
    const done = await importTable(pool, counts, rejects, options);
    committed = options.dryRun !== true;
    const rejectsFile = (await rejects?.publish()) ?? null;
    const seconds = (performance.now() - started) / 1000;
    return { ...done, dryRun: options.dryRun === true, ...counts, rejectsFile, seconds };
  } catch (error) {
    if (!committed) await rejects?.discard();
    const imported = committed ? counts.imported : null;
    const stopped = options.signal?.aborted === true;
    throw explainFailure(error, { fileName: options.fileName, stopped, imported });
  }
}

/** Everything up to the commit. */
async function importTable(
  pool: pg.Pool,
  counts: ImportCounts,
  rejects: RejectsFile | null,
  options: ImportOptions,
): Promise<ImportPreview & { reopened: boolean }> {
  const bounds = { ...importBounds, ...options.bounds };
  const lost = new AbortController();
  const signal = options.signal === undefined ? lost.signal : AbortSignal.any([options.signal, lost.signal]);
  const table = await openCsvFile(options.source, { ...options, bounds, signal });
  try {
    options.onPreview?.(previewOf(table, options.fileName));
    const reopened = await withConnection(
      pool,
      (error) => lost.abort(error),
      async (client) => {
        await beginImport(client, { ...options, pollMs: bounds.lockPollMs, signal });
        await createStaging(client);
        await takeTable(client, table, counts, { ...options, bounds, signal, rejects });
        await rejects?.finish();
        return await commitImport(client, { ...options, imported: counts.imported });
      },
    );
    // Once more: of a stream the encoding may have shown late.
    return { ...previewOf(table, options.fileName), reopened };
  } finally {
    await table.close();
  }
}

interface ImportCounts {
  read: number;
  imported: number;
  duplicatesInFile: number;
  duplicatesInTable: number;
  invalid: number;
}

interface Taking extends Pick<ImportOptions, 'campaignId' | 'onProgress'> {
  readonly bounds: ImportBounds;
  readonly signal: AbortSignal;
  readonly rejects: RejectsFile | null;
}

/** Reads all rows and hands them over, a chunk in the database's hands while the next one is being filled. */
async function takeTable(
  client: pg.ClientBase,
  table: CsvFile,
  counts: ImportCounts,
  options: Taking,
): Promise<void> {
  const { bounds, signal } = options;
  let chunk = new Chunk(table.columns, bounds);
  let other = new Chunk(table.columns, bounds);
  let taking: Promise<void> = Promise.resolve();
  const handOver = async (full: Chunk) => {
    await takeChunk(client, options.campaignId, full);
    await settle(full, counts, options.rejects);
    const { bytesRead, bytesTotal } = table;
    const rejected = counts.read - counts.imported;
    options.onProgress?.({ bytesRead, bytesTotal, read: counts.read, imported: counts.imported, rejected });
  };
  try {
    for await (const batch of table.batches) {
      for (const record of batch) {
        chunk.add(record);
        if (!chunk.full) continue;
        await taking;
        signal.throwIfAborted();
        taking = handOver(chunk);
        // It is awaited before the next one; until then a failure is no unhandled rejection.
        taking.catch(() => undefined);
        [chunk, other] = [other, chunk];
        chunk.empty();
      }
    }
  } finally {
    await taking;
  }
  signal.throwIfAborted();
  await handOver(chunk);
}

/** Counts a chunk that the database has answered for, and writes down what was not taken. */
async function settle(chunk: Chunk, counts: ImportCounts, rejects: RejectsFile | null): Promise<void> {
  counts.read += chunk.read;
  counts.imported += chunk.offered;
  const { duplicatesInFile, duplicatesInTable, invalid } = chunk.count();
  counts.duplicatesInFile += duplicatesInFile;
  counts.duplicatesInTable += duplicatesInTable;
  counts.invalid += invalid;
  await rejects?.write(chunk.rejects());
}

function previewOf(table: CsvFile, fileName: string): ImportPreview {
  const { names, addressIndex } = table.columns;
  return {
    fileName,
    encoding: table.encoding,
    delimiter: table.delimiter,
    addressColumn: names[addressIndex] ?? '',
    variables: names.filter((_, index) => index !== addressIndex),
  };
}
