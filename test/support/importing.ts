import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { parse } from 'csv-parse/sync';
import type pg from 'pg';
import { type ImportOptions, type ImportReport, importRecipients } from '../../src/import/import.ts';
import { rejectsPathFor } from '../../src/import/rejects-place.ts';

/** A folder of a test's own, for the lists that it imports. */
export interface Folder {
  readonly path: string;
  /** Writes a file and returns its path. */
  write(name: string, content: string | Uint8Array): Promise<string>;
  /** Names of the files in it, sorted. */
  names(): Promise<string[]>;
  remove(): Promise<void>;
}

export async function temporaryFolder(): Promise<Folder> {
  const folder = await mkdtemp(path.join(tmpdir(), 'sendstate-import-'));
  return {
    path: folder,
    write: async (name, content) => {
      const file = path.join(folder, name);
      await writeFile(file, content);
      return file;
    },
    names: async () => (await readdir(folder)).sort(),
    remove: () => rm(folder, { recursive: true, force: true }),
  };
}

/** An empty campaign; returns its id. */
export async function insertCampaign(pool: pg.Pool, name: string, status = 'draft'): Promise<number> {
  const { rows } = await pool.query<{ campaign_id: number }>(
    `insert into campaign (name, status, sender, subject, text) values ($1, $2::campaign_status, 'a@x.kr', 's', 't')
     returning campaign_id`,
    [name, status],
  );
  return Number(rows[0]?.campaign_id);
}

/** Imports a file with the options that nearly every test wants. */
export function importFile(
  pool: pg.Pool,
  campaignId: number,
  file: string,
  options: Partial<ImportOptions> = {},
): Promise<ImportReport> {
  const fileName = path.basename(file);
  const campaignName = `campaign ${campaignId}`;
  return importRecipients(pool, {
    campaignId,
    campaignName,
    source: file,
    fileName,
    rejects: rejectsPathFor(file),
    ...options,
  });
}

export interface StoredRecipient {
  readonly address: string;
  readonly vars: Record<string, string>;
  readonly send_state: number;
}

/** The people of a campaign in the order of their ids. */
export async function recipientsOf(pool: pg.Pool, campaignId: number): Promise<StoredRecipient[]> {
  const { rows } = await pool.query<StoredRecipient>(
    'select address, vars, send_state from recipient where campaign_id = $1 order by recipient_id',
    [campaignId],
  );
  return rows;
}

/** What the counters say is waiting, and what there is. */
export async function waitingOf(
  pool: pg.Pool,
  campaignId: number,
): Promise<{ counted: number; real: number }> {
  const { rows } = await pool.query<{ counted: number; real: number }>(
    `select (select coalesce(sum(waiting), 0) from counter where campaign_id = $1)::int as counted,
       (select count(*) from recipient where campaign_id = $1 and send_state = 0)::int as real`,
    [campaignId],
  );
  return rows[0] ?? { counted: -1, real: -1 };
}

/** The rows of a rejects file: line, reason, original. */
export async function rejectsIn(file: string): Promise<{ line: number; reason: string; original: string }[]> {
  const text = await readFile(file, 'utf8');
  if (!text.startsWith('\ufeffline,reason,original\r\n'))
    throw new Error(`no rejects file: ${text.slice(0, 40)}`);
  const rows = parse(text, { bom: true, columns: true, record_delimiter: ['\r\n'] }) as Record<
    string,
    string
  >[];
  return rows.map((row) => ({
    line: Number(row.line),
    reason: row.reason ?? '',
    original: row.original ?? '',
  }));
}

/** A list of so many people, the numbers counting from `from`. */
export function people(count: number, from = 0): string {
  const rows = Array.from(
    { length: count },
    (_, index) => `person${from + index}@example.com,이름 ${from + index}\n`,
  );
  return `email,이름\n${rows.join('')}`;
}
