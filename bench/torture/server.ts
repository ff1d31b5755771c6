import { chmod, mkdtemp, readdir, readFile, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { type Database, lazyDatabase, openDatabase } from '../../src/database/connect.ts';
import { migrate } from '../../src/database/migrate.ts';
import {
  type EmbeddedOptions,
  embeddedStatus,
  ensureEmbedded,
  stopEmbedded,
} from '../../src/embedded/embedded.ts';
import { type TinyDisk, tinyDisk } from './disk.ts';

/** A Postgres that can be killed, stopped and filled up: always an embedded one of the bench's own. */
export interface TortureServer {
  /** The migrated database of the campaign. */
  readonly url: string;
  /** What the bench itself asks; not among the connections that are ended. */
  readonly database: Database;
  /** A folder for the bench's files. */
  readonly scratch: string;
  /** Null: it cannot be filled; `diskMissing` says why. */
  readonly disk: TinyDisk | null;
  readonly diskMissing: string;
  /** Stops as `pg_ctl stop -m immediate` does: no checkpoint, the next start recovers. */
  crash(): Promise<void>;
  /** Stops as `pg_ctl stop -m fast` does. */
  halt(): Promise<void>;
  start(): Promise<void>;
  /** Times that its log says that the disk is full. */
  fullDisks(): Promise<number>;
  remove(): Promise<void>;
}

/** Room for the catalogs (8 MB), and for each recipient's pages at fillfactor 30, indexes and claims, megabytes. */
const DISK_MEGABYTES = (recipients: number) => 48 + Math.ceil(recipients / 250);
const LOOK_EVERY_MS = 20;
const NAME = 'torture';

export async function startTortureServer(recipients: number, wantsDisk: boolean): Promise<TortureServer> {
  const scratch = await mkdtemp(path.join(tmpdir(), 'sendstate-torture-'));
  // The embedded server of root runs as another user, who must be able to walk through.
  await chmod(scratch, 0o711);
  const embedded: EmbeddedOptions = {
    directory: path.join(scratch, 'server'),
    outside: path.join(scratch, 'outside'),
  };
  // The server runs in a session of its own and would outlive us.
  let remove = async () => {
    await stopEmbedded(embedded);
    await rm(scratch, { recursive: true, force: true });
  };
  const leave = () => void remove().finally(() => process.exit(1));
  process.once('SIGINT', leave);
  process.once('SIGTERM', leave);
  const { url: adminUrl } = await ensureEmbedded(embedded);
  const base = (await embeddedStatus(embedded.directory)).base ?? embedded.directory;
  const disk = wantsDisk ? await diskOf(scratch, base, recipients) : 'not asked for';
  const url = await makeDatabase(adminUrl, typeof disk === 'string' ? null : disk);
  const database = lazyDatabase(url, {
    max: 3,
    applicationName: 'sendstate-torture',
    connectTimeoutMs: 2_000,
  });
  const stop = async (signal: 'SIGQUIT' | 'SIGINT') => {
    const { pid } = await embeddedStatus(embedded.directory);
    if (pid === undefined) return;
    process.kill(pid, signal);
    while ((await embeddedStatus(embedded.directory)).pid !== undefined) await wait(LOOK_EVERY_MS);
  };
  remove = async () => {
    process.off('SIGINT', leave);
    process.off('SIGTERM', leave);
    await database.close();
    await stopEmbedded(embedded);
    if (typeof disk !== 'string') disk.remove();
    await rm(scratch, { recursive: true, force: true });
  };
  return {
    url,
    database,
    scratch,
    disk: typeof disk === 'string' ? null : disk,
    diskMissing: typeof disk === 'string' ? disk : '',
    crash: () => stop('SIGQUIT'),
    halt: () => stop('SIGINT'),
    start: async () => {
      const again = await ensureEmbedded(embedded);
      if (new URL(again.url).port !== new URL(url).port)
        throw new Error(`another process took the port of the stopped database: it is at ${again.port} now`);
    },
    fullDisks: () => countFullDisks(path.join(base, 'log')),
    remove,
  };
}

async function diskOf(scratch: string, base: string, recipients: number): Promise<TinyDisk | string> {
  const { uid, gid } = await stat(base);
  const owner = process.getuid?.() === 0 ? { uid, gid } : null;
  return tinyDisk(path.join(scratch, 'disk'), DISK_MEGABYTES(recipients), owner);
}

/** The database lies on the tiny disk as a whole; the write-ahead log does not, or the server would stop instead of refusing. */
async function makeDatabase(adminUrl: string, disk: TinyDisk | null): Promise<string> {
  const admin = await openDatabase(adminUrl, { max: 1, applicationName: 'sendstate-torture' });
  try {
    if (disk !== null) await admin.pool.query(`create tablespace ${NAME} location '${disk.directory}'`);
    await admin.pool.query(`create database ${NAME}${disk === null ? '' : ` tablespace ${NAME}`}`);
  } finally {
    await admin.close();
  }
  const url = new URL(adminUrl);
  url.pathname = `/${NAME}`;
  const database = await openDatabase(url.href, { max: 1 });
  await migrate(database).finally(() => database.close());
  return url.href;
}

async function countFullDisks(logs: string): Promise<number> {
  let found = 0;
  for (const name of await readdir(logs)) {
    const text = await readFile(path.join(logs, name), 'utf8');
    found += text.split('No space left on device').length - 1;
  }
  return found;
}
