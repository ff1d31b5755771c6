import pg from 'pg';
import type { Place } from '../contract.ts';

/** The database of one run: its own, so that nothing of an earlier run is met. */
export function databaseUrl({ url, run }: Place): string {
  const own = new URL(url);
  own.pathname = `/bench_${run}`;
  return own.href;
}

async function onServer(place: Place, statement: string): Promise<void> {
  const client = new pg.Client({ connectionString: place.url });
  await client.connect();
  try {
    await client.query(statement);
  } finally {
    await client.end();
  }
}

export async function createDatabase(place: Place): Promise<void> {
  await onServer(place, `create database bench_${place.run}`);
}

export async function dropDatabase(place: Place): Promise<void> {
  await onServer(place, `drop database if exists bench_${place.run} with (force)`);
}

/** One connection to the run's database, for as long as `work` takes. */
export async function withClient<T>(place: Place, work: (client: pg.Client) => Promise<T>): Promise<T> {
  const client = new pg.Client({ connectionString: databaseUrl(place) });
  // The server may be killed in the middle; the statement that waits says so too.
  client.on('error', () => undefined);
  await client.connect();
  try {
    return await work(client);
  } finally {
    await client.end();
  }
}

/** A pool on the run's database. */
export function poolOf(place: Place, max: number): pg.Pool {
  const pool = new pg.Pool({ connectionString: databaseUrl(place), max });
  pool.on('error', () => undefined);
  return pool;
}
