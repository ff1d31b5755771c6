import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createWriteStream } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { Readable } from 'node:stream';
import { text } from 'node:stream/consumers';
import { pipeline } from 'node:stream/promises';
import { openDatabase } from '../src/database/connect.ts';
import { sendstateCommand } from './server.ts';

export interface ImportFigures {
  readonly importRowsPerSecond: number;
  /** Of the importing process, at its peak, in units of 10^6 bytes. */
  readonly importRssMb: number;
}

const reportPeak = new URL('./report-peak.mjs', import.meta.url).href;

/**
 * Imports so many rows into a new campaign of a migrated database, with the command that people use, in a process of its
 * own. The rate is the command's own figure: from opening the file to the commit, without the start of Node.
 */
export async function measureImport(databaseUrl: string, rows: number): Promise<ImportFigures> {
  const folder = await mkdtemp(path.join(tmpdir(), 'sendstate-bench-import-'));
  try {
    const file = path.join(folder, 'people.csv');
    await pipeline(Readable.from(list(rows)), createWriteStream(file));
    const name = `import-${rows}-${Date.now()}`;
    await createCampaign(databaseUrl, name);
    const { stdout, stderr } = await runImport(databaseUrl, name, file);
    const report = JSON.parse(stdout) as { imported: number; seconds: number };
    const peakKb = Number(/^peak-rss-kb (\d+)$/m.exec(stderr)?.[1]);
    if (report.imported !== rows || Number.isNaN(peakKb))
      throw new Error(`not what was asked for: ${stdout}${stderr}`);
    return { importRowsPerSecond: rows / report.seconds, importRssMb: (peakKb * 1024) / 1e6 };
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** A list as Excel writes it: an address, Hangul, a cell with a comma in quotation marks, a code. */
function* list(rows: number): Generator<string> {
  let piece = 'email,이름,회사,coupon\r\n';
  for (let row = 0; row < rows; row += 1) {
    const code = ((row * 2_654_435_761) % 4_294_967_296).toString(36);
    piece += `user${row}@example${row % 97}.com,김철수${row % 1000},"주식회사, 한글 ${row % 50}",C-${code}\r\n`;
    if (piece.length < 65_536) continue;
    yield piece;
    piece = '';
  }
  yield piece;
}

async function createCampaign(databaseUrl: string, name: string): Promise<void> {
  const database = await openDatabase(databaseUrl, { max: 1, applicationName: 'sendstate-bench' });
  try {
    await database.pool.query(
      `insert into campaign (name, sender, subject, text) values ($1, 'news@example.com', 'Hello', 'Hello')`,
      [name],
    );
  } finally {
    await database.close();
  }
}

async function runImport(
  databaseUrl: string,
  name: string,
  file: string,
): Promise<{ stdout: string; stderr: string }> {
  const child = spawn(
    process.execPath,
    ['--import', reportPeak, ...sendstateCommand(), 'import', name, file, '--json'],
    {
      env: { ...process.env, DATABASE_URL: databaseUrl },
      stdio: ['ignore', 'pipe', 'pipe'],
    },
  );
  const exited = once(child, 'exit');
  const [stdout, stderr] = await Promise.all([text(child.stdout), text(child.stderr)]);
  const [code] = await exited;
  if (code !== 0) throw new Error(`the import failed: ${stderr}`);
  return { stdout, stderr };
}
