import { type Database, openDatabase } from '../database/connect.ts';
import { checkSchema, migrate as migrateDatabase } from '../database/migrate.ts';
import { ensureEmbedded } from '../embedded/embedded.ts';

export interface OpenOptions {
  /** postgres://… Default: the embedded PostgreSQL, which is made and started if need be. */
  readonly databaseUrl?: string | undefined;
  /** Where the embedded PostgreSQL lives. Default `.sendstate`. */
  readonly directory?: string | undefined;
  /** False: an embedded PostgreSQL must be there already; none is made. Default true. */
  readonly make?: boolean | undefined;
  /** Whom root lets the embedded server run as. */
  readonly user?: string | undefined;
  /** Where root keeps an embedded server that this user could not reach in the directory itself. Default /var/lib/sendstate. */
  readonly outside?: string | undefined;
  /** Connections at most. Default 4. */
  readonly max?: number | undefined;
  /** Milliseconds until a statement of a worker that gets no answer is given up and done again. Default 60,000. */
  readonly answerWithinMs?: number | undefined;
  /** Milliseconds until an attempt to connect, or to get a free connection, is given up. Default 10,000. */
  readonly connectTimeoutMs?: number | undefined;
  /** Milliseconds until a statement without an answer fails. Default: never. */
  readonly queryTimeoutMs?: number | undefined;
  /** False: do not look whether the schema is this version's (for `migrate` and `doctor`). Default true. */
  readonly check?: boolean | undefined;
  /** Told in a few words what takes a moment. */
  readonly say?: ((line: string) => void) | undefined;
}

/** An open database with sendstate's tables: what every function of this folder takes first. */
export interface Opened {
  readonly database: Database;
  /** It is the embedded PostgreSQL. */
  readonly embedded: boolean;
  close(): Promise<void>;
}

/**
 * Opens the database. An embedded one is brought to this version on the way; any other must have been (`migrate`).
 *
 * @throws SendstateError `database-…`, `embedded-…`, `schema-…`: what is wrong and what to do next
 */
export async function openTables(options: OpenOptions = {}): Promise<Opened> {
  const embedded = options.databaseUrl === undefined;
  const url = options.databaseUrl ?? (await embeddedUrl(options));
  const { max = 4, connectTimeoutMs, queryTimeoutMs, answerWithinMs } = options;
  const database = await openDatabase(url, { max, connectTimeoutMs, queryTimeoutMs, answerWithinMs });
  try {
    if (embedded) await migrateDatabase(database);
    else if (options.check !== false) await checkSchema(database);
  } catch (error) {
    await database.close();
    throw error;
  }
  return { database, embedded, close: () => database.close() };
}

async function embeddedUrl({ directory, make = true, user, outside, say }: OpenOptions): Promise<string> {
  const { url } = await ensureEmbedded({
    directory: directory ?? '.sendstate',
    make,
    ...(user === undefined ? {} : { user }),
    ...(outside === undefined ? {} : { outside }),
    ...(say === undefined ? {} : { say }),
  });
  return url;
}

/**
 * Brings the database to this version. Any number of processes may do so at once; done twice it does nothing.
 * @returns the names of the migrations that were applied now
 */
export async function migrate({ database }: Opened): Promise<readonly string[]> {
  return (await migrateDatabase(database)).applied;
}
