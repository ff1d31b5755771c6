import { randomBytes } from 'node:crypto';
import type pg from 'pg';
import { inject } from 'vitest';
import { type Database, openDatabase } from '../../src/database/connect.ts';
import { withDatabase } from './server.ts';

/** A migrated, empty database of a test's own. */
export interface FreshDatabase {
  readonly url: string;
  readonly database: Database;
  readonly pool: pg.Pool;
  /** Closes the pool and drops the database, even while others are still connected to it. */
  drop(): Promise<void>;
}

export interface FreshOptions {
  /** Connections of the pool at most; default 4. */
  readonly max?: number;
  /** False: a database without any tables, for the tests of migrate(). */
  readonly migrated?: boolean;
}

/** One clone at a time: each copies the template's files, and ten at once only fight for the disk. */
const CLONE_LOCK = 0x636c6f6e65;

/** Clones the migrated template; call it in beforeAll (or per test) and `drop()` it afterwards. */
export async function freshDatabase(options: FreshOptions = {}): Promise<FreshDatabase> {
  const { adminUrl, template, poolerPort } = inject('testServer');
  const name = `sendstate_test_${randomBytes(6).toString('hex')}`;
  const from = options.migrated === false ? 'template1' : template;
  await asAdmin(adminUrl, async (client) => {
    await client.query('select pg_advisory_lock($1)', [CLONE_LOCK]);
    await client.query(`create database ${name} template ${from}`);
  });
  const direct = withDatabase(adminUrl, name);
  const url = poolerPort === undefined ? direct : onPort(direct, poolerPort);
  const database = await openDatabase(url, { max: options.max ?? 4, applicationName: 'sendstate-test' });
  const drop = async () => {
    await database.close();
    await asAdmin(adminUrl, (client) => client.query(`drop database if exists ${name} with (force)`));
  };
  return { url, database, pool: database.pool, drop };
}

/** The same database behind another port of this machine. */
function onPort(url: string, port: number): string {
  const changed = new URL(url);
  [changed.hostname, changed.port] = ['127.0.0.1', String(port)];
  return changed.href;
}

async function asAdmin(url: string, work: (client: pg.PoolClient) => Promise<unknown>): Promise<void> {
  const admin = await openDatabase(url, { max: 1, applicationName: 'sendstate-test' });
  try {
    const client = await admin.pool.connect();
    try {
      await work(client);
    } finally {
      // Closing the connection is what gives the lock back.
      client.release(true);
    }
  } finally {
    await admin.close();
  }
}
