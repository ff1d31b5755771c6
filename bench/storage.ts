import { execFile } from 'node:child_process';
import { opendir, readFile, stat } from 'node:fs/promises';
import path from 'node:path';
import { promisify } from 'node:util';
import pg from 'pg';
import type { Broker } from './brokers/index.ts';
import type { BrokerName, Place } from './contract.ts';

/** Bytes on disk below a folder, as allocated; files that vanish meanwhile count nothing. */
export async function diskBytes(
  folder: string,
  leaveOut: (name: string) => boolean = () => false,
): Promise<number> {
  let bytes = 0;
  const directory = await opendir(folder).catch(gone);
  if (directory === null) return 0;
  for await (const entry of directory) {
    const file = path.join(folder, entry.name);
    if (leaveOut(entry.name)) continue;
    if (entry.isDirectory()) bytes += await diskBytes(file, leaveOut);
    else bytes += ((await stat(file).catch(gone))?.blocks ?? 0) * 512;
  }
  return bytes;
}

function gone(error: NodeJS.ErrnoException): null {
  if (error.code === 'ENOENT') return null;
  throw error;
}

/** Postgres keeps and reuses its WAL files whatever happens in the tables; they are no trace of one run. */
const isWal = (name: string) => name === 'pg_wal';

/** What is on the broker's disk. */
export async function dataBytes(name: BrokerName, broker: Broker): Promise<number> {
  return await diskBytes(broker.dataDirectory, name === 'postgres' ? isWal : undefined);
}

async function ask<T>(url: string, statement: string, read: (client: pg.Client) => Promise<T>): Promise<T> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    if (statement !== '') await client.query(statement);
    return await read(client);
  } finally {
    await client.end();
  }
}

/** Bytes of WAL since the server was made; only Postgres can tell. */
export async function walBytes(place: Place): Promise<number> {
  return await ask(place.url, '', async (client) => {
    const { rows } = await client.query<{ bytes: string }>(
      "select pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0') as bytes",
    );
    return Number(rows[0]?.bytes);
  });
}

/** What a Postgres still owes its tables is written now, so that it counts with the run that caused it. */
export async function checkpoint(place: Place): Promise<void> {
  await ask(place.url, 'checkpoint', async () => undefined);
}

/** What /proc/diskstats counts in, whatever the device's own sectors are. */
const SECTOR_BYTES = 512;

/**
 * Bytes that were written to the device below a folder since the machine started, everything that is still in memory included.
 * It counts the writes of all processes, so it means something only while no other process writes; null where there is no such device.
 */
export async function deviceBytes(folder: string): Promise<number | null> {
  if (process.platform !== 'linux') return null;
  await promisify(execFile)('sync', ['-f', folder]);
  const { dev } = await stat(folder);
  // makedev(3) of glibc, for the devices that there are.
  const [major, minor] = [(dev >> 8) & 0xfff, (dev & 0xff) | ((dev >> 12) & 0xfff00)];
  const line = (await readFile('/proc/diskstats', 'utf8'))
    .split('\n')
    .map((one) => one.trim().split(/\s+/))
    .find(([a, b]) => Number(a) === major && Number(b) === minor);
  return line === undefined ? null : Number(line[9]) * SECTOR_BYTES;
}
