import { readdir, readFile } from 'node:fs/promises';
import path from 'node:path';
import { setTimeout } from 'node:timers/promises';
import {
  type DialectAdapter,
  Kysely,
  PostgresAdapter,
  PostgresDialect,
  type QueryExecutorProvider,
  sql,
} from 'kysely';
import { type Migration, Migrator } from 'kysely/migration';
import { messageOf, SendstateError } from '../errors.ts';
import type { Database } from './connect.ts';
import { codeOf } from './problems.ts';

const MIGRATION_TABLE = 'sendstate_migration';
const MIGRATION_LOCK_TABLE = 'sendstate_migration_lock';

/** The number of the advisory lock, 'sendstat' in ASCII: any number will do that no other program uses. */
const MIGRATION_LOCK = 0x73656e6473746174n;

/**
 * How long a migration waits for a table, milliseconds. A session that waits for an exclusive lock blocks every session that comes
 * after: behind a backup that reads the table, every claim would stand in line. So it gives up soon and tries again.
 */
const LOCK_TIMEOUT_MS = 2_000;
/** … after this pause, milliseconds, in which the others go on, … */
const LOCK_PAUSE_MS = 3_000;
/** … at most so many times: five minutes, and longer than most transactions. */
const LOCK_TRIES = 60;
/** lock_not_available: what a lock_timeout says. */
const LOCK_NOT_AVAILABLE = '55P03';

export interface MigrateResult {
  /** Names of the migrations that this call applied, in order; empty when there was nothing to do. */
  readonly applied: string[];
  /** The version that the database has now: the name of its last migration, such as '0001_tables'. */
  readonly version: string;
}

export interface MigrateOptions {
  /** Where the *.sql files are. Default: the package's own migrations/. */
  readonly directory?: string;
  /** How often to try while others hold the tables. Default 60, five minutes. */
  readonly tries?: number;
}

/**
 * Brings the database to this version: all missing migrations in one transaction, so that all of them happen or none.
 * Any number of processes may call it at once. The lock belongs to the transaction, where kysely's own belongs to the
 * session: it cannot be left behind, and it works through a pooler in transaction mode.
 *
 * @throws SendstateError `schema-newer` (the database knows migrations that this program does not), `migration-failed`
 */
export async function migrate(database: Database, options: MigrateOptions = {}): Promise<MigrateResult> {
  const files = await migrationFiles(options.directory);
  for (let left = options.tries ?? LOCK_TRIES; ; ) {
    try {
      return await migrateOnce(database, files);
    } catch (error) {
      left--;
      const locked = error instanceof SendstateError && codeOf(error.cause) === LOCK_NOT_AVAILABLE;
      if (!locked || left <= 0) throw error;
    }
    await setTimeout(LOCK_PAUSE_MS);
  }
}

async function migrateOnce(database: Database, files: ReadonlyMap<string, string>): Promise<MigrateResult> {
  const kysely = new Kysely<unknown>({ dialect: new MigrationDialect({ pool: database.pool }) });
  return kysely.transaction().execute(async (transaction) => {
    await sql`select pg_advisory_xact_lock(${sql.lit(MIGRATION_LOCK)})`.execute(transaction);
    refuseNewer(database, await appliedMigrations(transaction), files);
    // Not before: a wait for another migration lasts as long as that takes, and blocks no other session.
    await sql`set local lock_timeout = ${sql.lit(LOCK_TIMEOUT_MS)}`.execute(transaction);
    const { error, results = [] } = await new Migrator({
      db: transaction,
      provider: { getMigrations: async () => Object.fromEntries([...files].map(asMigration)) },
      migrationTableName: MIGRATION_TABLE,
      migrationLockTableName: MIGRATION_LOCK_TABLE,
      migrationTableSchema: await currentSchema(transaction),
      nameComparator: (a, b) => (a < b ? -1 : 1),
    }).migrateToLatest();
    if (error !== undefined) {
      const failed = results.find((result) => result.status === 'Error')?.migrationName;
      throw migrationFailed(database, failed, error);
    }
    return { applied: results.map((result) => result.migrationName), version: newest(files) };
  });
}

/** The name of the database's last migration; null when it holds no sendstate tables at all. */
export async function schemaVersion(database: Database): Promise<string | null> {
  return (await appliedMigrations(database.kysely)).at(-1) ?? null;
}

/**
 * Passes when the database is exactly at this program's version.
 * @throws SendstateError `schema-empty`, `schema-older`, `schema-newer`
 */
export async function checkSchema(database: Database, options: MigrateOptions = {}): Promise<void> {
  const files = await migrationFiles(options.directory);
  const applied = await appliedMigrations(database.kysely);
  refuseNewer(database, applied, files);
  if (applied.length === 0) {
    throw new SendstateError('schema-empty', `The database at ${database.url} has no sendstate tables yet`, {
      hint: 'Run: sendstate migrate',
    });
  }
  if ([...files.keys()].some((name) => !applied.includes(name))) {
    throw new SendstateError(
      'schema-older',
      `The database at ${database.url} is at version ${applied.at(-1)}; this program needs ${newest(files)}`,
      { hint: 'Run: sendstate migrate' },
    );
  }
}

/** The package's migrations/, seen from src/database/ and from dist/database/ alike. */
export function migrationsDirectory(): string {
  return path.join(import.meta.dirname, '..', '..', 'migrations');
}

/** Names (without .sql) to texts, in the order in which they are applied. */
async function migrationFiles(directory = migrationsDirectory()): Promise<Map<string, string>> {
  const names = (await readdir(directory)).filter((name) => /^\d{4}_\w+\.sql$/.test(name)).sort();
  if (names.length === 0) {
    throw new SendstateError('migration-missing', `There are no migrations in ${directory}`, {
      hint: 'Install sendstate again: its files are incomplete.',
    });
  }
  const texts = names.map(async (name): Promise<[string, string]> => {
    return [name.replace(/\.sql$/, ''), await readFile(path.join(directory, name), 'utf8')];
  });
  return new Map(await Promise.all(texts));
}

function asMigration([name, text]: [string, string]): [string, Migration] {
  return [name, { up: async (transaction) => void (await sql.raw(text).execute(transaction)) }];
}

const newest = (files: ReadonlyMap<string, string>) => [...files.keys()].at(-1) ?? '';

/** What is recorded as applied, in order; empty when there is no record. */
async function appliedMigrations(executor: QueryExecutorProvider): Promise<string[]> {
  const found = await sql<{ found: boolean }>`
    select to_regclass(${MIGRATION_TABLE}) is not null as found`.execute(executor);
  if (found.rows[0]?.found !== true) return [];
  // The collation of the database must not decide about the order; these names are digits and ASCII words.
  const names = await sql<{ name: string }>`
    select name from ${sql.table(MIGRATION_TABLE)} order by name collate "C"`.execute(executor);
  return names.rows.map((row) => row.name);
}

/** Where unqualified names are created. kysely would otherwise take the tables of any other schema for these. */
async function currentSchema(executor: QueryExecutorProvider): Promise<string> {
  const { rows } = await sql<{ name: string | null }>`select current_schema() as name`.execute(executor);
  return rows[0]?.name ?? 'public';
}

function refuseNewer(
  database: Database,
  applied: readonly string[],
  files: ReadonlyMap<string, string>,
): void {
  const unknown = applied.filter((name) => !files.has(name)).at(-1);
  if (unknown === undefined) return;
  throw new SendstateError(
    'schema-newer',
    `The database at ${database.url} is at version ${unknown}; this program knows only ${newest(files)}`,
    { hint: 'Upgrade sendstate to the version that made these tables.' },
  );
}

function migrationFailed(database: Database, name: string | undefined, cause: unknown): SendstateError {
  const which = name === undefined ? 'The migration' : `Migration ${name}`;
  const hint =
    codeOf(cause) === LOCK_NOT_AVAILABLE
      ? 'Nothing was changed. Another session holds a table: a backup, or a transaction that was left open. When it has ended run: sendstate migrate'
      : 'Nothing was changed. Correct the cause and run: sendstate migrate';
  return new SendstateError('migration-failed', `${which} of ${database.url} failed: ${messageOf(cause)}`, {
    hint,
    cause,
  });
}

/** kysely's Postgres without its session lock: migrate() holds one that ends with the transaction. */
class MigrationDialect extends PostgresDialect {
  override createAdapter(): DialectAdapter {
    return new UnlockedAdapter();
  }
}

class UnlockedAdapter extends PostgresAdapter {
  override async acquireMigrationLock(): Promise<void> {}
  override async releaseMigrationLock(): Promise<void> {}
}
