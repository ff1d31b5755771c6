import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { chmod, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { openDatabase } from '../src/database/connect.ts';
import { migrate } from '../src/database/migrate.ts';
import { ensureEmbedded, stopEmbedded } from '../src/embedded/embedded.ts';

/** A Postgres for measuring: DATABASE_URL's server if it is set, else an embedded one of its own, with every setting that keeps data safe. */
export interface BenchServer {
  readonly source: 'DATABASE_URL' | 'embedded';
  /** A new database, migrated unless told otherwise. */
  database(options?: { readonly migrated?: boolean }): Promise<string>;
  /** Drops what was made and stops what was started. */
  stop(): Promise<void>;
}

export async function startBenchServer(): Promise<BenchServer> {
  const given = process.env.DATABASE_URL;
  if (given !== undefined && given !== '') return serverAt(given, 'DATABASE_URL', async () => undefined);
  const directory = await mkdtemp(path.join(tmpdir(), 'sendstate-bench-'));
  // The embedded server of root runs as another user, who must be able to walk through.
  await chmod(directory, 0o711);
  const embedded = { directory: path.join(directory, 'server') };
  const { url } = await ensureEmbedded(embedded);
  return serverAt(url, 'embedded', async () => {
    await stopEmbedded(embedded);
    await rm(directory, { recursive: true, force: true });
  });
}

function serverAt(url: string, source: BenchServer['source'], stop: () => Promise<void>): BenchServer {
  const made: string[] = [];
  const admin = async (statement: string) => {
    const database = await openDatabase(url, { max: 1, applicationName: 'sendstate-bench' });
    try {
      await database.pool.query(statement);
    } finally {
      await database.close();
    }
  };
  return {
    source,
    database: async ({ migrated = true } = {}) => {
      const name = `sendstate_bench_${randomBytes(4).toString('hex')}`;
      await admin(`create database ${name}`);
      made.push(name);
      const own = new URL(url);
      own.pathname = `/${name}`;
      if (migrated) {
        const database = await openDatabase(own.href, { max: 1 });
        await migrate(database).finally(() => database.close());
      }
      return own.href;
    },
    stop: async () => {
      for (const name of made) await admin(`drop database if exists ${name} with (force)`);
      await stop();
    },
  };
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  const high = sorted[middle] ?? Number.NaN;
  return sorted.length % 2 === 1 ? high : (high + (sorted[middle - 1] ?? Number.NaN)) / 2;
}

/** `--name value` and `--name` of the command line. */
export function flag(name: string, fallback: number): number {
  const at = process.argv.indexOf(`--${name}`);
  const value = at === -1 ? fallback : Number(process.argv[at + 1]);
  if (!Number.isFinite(value) || value <= 0) throw new Error(`--${name} must be a positive number`);
  return value;
}

/** Talk goes to stderr, so that stdout's last line is the result. */
export function say(line: string): void {
  process.stderr.write(`${line}\n`);
}

/** How the command is run: Node's options of its first line, and its file. */
export function sendstateCommand(): string[] {
  const file = fileURLToPath(new URL('../bin/sendstate.js', import.meta.url));
  const [first = ''] = readFileSync(file, 'utf8').split('\n', 1);
  return [...first.split(' ').filter((word) => word.startsWith('--')), file];
}
