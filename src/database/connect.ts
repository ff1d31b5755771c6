import { Kysely, PostgresDialect } from 'kysely';
import pg from 'pg';
import { messageOf, SendstateError, strayAt, withoutPassword } from '../errors.ts';
import { codeOf, explainConnectError, type Target } from './problems.ts';
import type { Tables } from './tables.ts';
import { columnTypes } from './types.ts';

/** A pool of connections to one database, and the same pool seen through kysely. */
export interface Database {
  readonly pool: pg.Pool;
  readonly kysely: Kysely<Tables>;
  /** Where it is, for messages: the password is not in it. */
  readonly url: string;
  /** Milliseconds after which a worker's statement is given up, its connection with it. */
  readonly answerWithinMs: number;
  /** Ends the pool once everything that is checked out has come back. Calling it again does nothing. */
  close(): Promise<void>;
}

/** One transaction: the connection that carries it, and the same connection seen through kysely. */
export interface Transaction {
  readonly client: pg.PoolClient;
  readonly kysely: Kysely<Tables>;
}

export interface OpenOptions {
  /**
   * Connections at most. Default 4: a worker needs one for claims, one for records, one for its heartbeat, and one
   * for what a person asks meanwhile; every further one costs the server a process.
   */
  readonly max?: number;
  /** What pg_stat_activity shows. Default 'sendstate'. */
  readonly applicationName?: string;
  /**
   * Milliseconds until an attempt to connect, or to get a free connection, is given up. Default 10,000: enough for
   * a failover behind a proxy, short enough for a person who waits.
   */
  readonly connectTimeoutMs?: number | undefined;
  /**
   * Milliseconds until a statement of a worker (`prepare`, `inIndexOrder`) is given up and done again on another connection.
   * Default `queryTimeoutMs`, else 60,000: a server that lost its power answers nothing, and TCP would wait for a quarter of an hour; longer than
   * any of these statements takes, and than others should hold a lock.
   */
  readonly answerWithinMs?: number | undefined;
  /**
   * Milliseconds until a statement without an answer fails, and its connection is given up with it: after a failover the old
   * one may never say anything again. Default: never, for an import may take long; where
   * a person waits and asks again there should be a limit.
   */
  readonly queryTimeoutMs?: number | undefined;
  /**
   * Told of every idle connection that died (server restart, pg_terminate_backend, network). The pool has dropped it
   * already and the next query opens another, so the default is to say nothing: if the trouble lasts, that query tells.
   */
  readonly onIdleError?: (error: Error) => void;
}

const ANSWER_WITHIN_MS = 60_000;
/** A connection that waits silently for so long is probed, milliseconds. */
const KEEP_ALIVE_MS = 30_000;

/**
 * Opens a database and proves that it answers.
 *
 * Values arrive as: int8 → number (an error beyond 2^53), int8[] → number[], timestamptz → Date, jsonb → parsed,
 * interval → Postgres' own text, bytea → Buffer.
 *
 * Nothing here depends on the session: no SET, no LISTEN, no session locks, so a pooler in transaction mode may stand between.
 *
 * @throws SendstateError `database-url`, `database-unreachable`, `database-password`, `database-missing`,
 *   `database-full`, `database-disk-full`, `database-tls`, `database-refused`
 */
export async function openDatabase(url: string, options: OpenOptions = {}): Promise<Database> {
  const database = lazyDatabase(url, options);
  try {
    const client = await database.pool.connect();
    client.release();
  } catch (error) {
    await database.close();
    throw error;
  }
  return database;
}

/** The same without the proof: the first query finds out. For programs that outlive their database, as a worker does. */
export function lazyDatabase(url: string, options: OpenOptions = {}): Database {
  checkDatabaseUrl(url);
  const pool = new ExplainingPool({
    connectionString: url,
    max: options.max ?? 4,
    application_name: options.applicationName ?? 'sendstate',
    connectionTimeoutMillis: options.connectTimeoutMs ?? 10_000,
    types: columnTypes,
    ...(options.queryTimeoutMs === undefined ? {} : { query_timeout: options.queryTimeoutMs }),
    // Workers hold connections for days through firewalls that forget silent ones, and to servers that vanish.
    keepAlive: true,
    keepAliveInitialDelayMillis: KEEP_ALIVE_MS,
  });
  pool.on('error', options.onIdleError ?? (() => undefined));
  // One that dies while a caller holds it, between two queries: the next query fails, and a listener keeps pg from ending
  // the process over it.
  pool.on('connect', (client) => client.on('error', () => undefined));
  let closing: Promise<void> | undefined;
  return {
    pool,
    kysely: new Kysely<Tables>({ dialect: new PostgresDialect({ pool }) }),
    url: withoutPassword(url),
    answerWithinMs: options.answerWithinMs ?? options.queryTimeoutMs ?? ANSWER_WITHIN_MS,
    close: () => {
      closing ??= pool.end();
      return closing;
    },
  };
}

/**
 * Runs `work` in one transaction and commits it; when `work` throws, everything is undone and the error passed on.
 * A connection that cannot even roll back is thrown away instead of going back to the pool.
 */
export async function inTransaction<T>(
  database: Database,
  work: (transaction: Transaction) => Promise<T>,
): Promise<T> {
  const client = await database.pool.connect();
  let broken: Error | undefined;
  try {
    await client.query('begin');
    const result = await work({ client, kysely: overOneConnection(client) });
    const { command } = await client.query('commit');
    // Postgres answers ROLLBACK to the commit of a transaction in which a statement failed and the caller caught the error.
    if (command !== 'COMMIT') {
      throw new SendstateError(
        'database-aborted',
        'The transaction was undone: one of its statements had failed',
      );
    }
    return result;
  } catch (error) {
    broken = await rollBack(client);
    throw error;
  } finally {
    client.release(broken);
  }
}

/** @returns the error of a connection that is not fit to be used again */
async function rollBack(client: pg.PoolClient): Promise<Error | undefined> {
  try {
    await client.query('rollback');
    return undefined;
  } catch (error) {
    return error instanceof Error ? error : new Error(String(error));
  }
}

/** kysely on the connection of an open transaction; it must not outlive it. */
function overOneConnection(client: pg.PoolClient): Kysely<Tables> {
  const borrowed: Pick<pg.PoolClient, 'query'> & { release(): void } = {
    query: client.query.bind(client),
    release: () => undefined,
  };
  const pool = { connect: () => Promise.resolve(borrowed), end: () => Promise.resolve(), options: {} };
  return new Kysely<Tables>({ dialect: new PostgresDialect({ pool }) });
}

/** @throws SendstateError `database-url` when a text cannot be the URL of a Postgres database */
export function checkDatabaseUrl(url: string): void {
  // libpq's list of hosts. The text is not shown: a password may hold a comma.
  if (/^postgres(ql)?:\/\/([^/?#]*@)?[^/?#@]*,[^/?#@]*([/?#]|$)/.test(url)) {
    throw new SendstateError('database-url', 'DATABASE_URL names several hosts, which is not understood', {
      hint: 'Name the one address that leads to the primary: a proxy, a virtual address or a DNS name.',
    });
  }
  if (/^postgres(ql)?:\/\//.test(url) && URL.canParse(url) && !strayAt(url)) return;
  // The text is not shown: where it is no URL, it cannot be told which part of it is the password.
  throw new SendstateError('database-url', 'DATABASE_URL is not the URL of a Postgres database', {
    hint: 'Write it as postgres://USER:PASSWORD@HOST:PORT/DATABASE with special characters percent-encoded (@ is %40), or unset it for the embedded PostgreSQL.',
  });
}

/** What the URL, PGHOST and pg's defaults add up to. @throws SendstateError `database-url` */
function targetOf(config: pg.PoolConfig): Target {
  try {
    // A client that is never connected is how pg tells.
    const { host, port, database, user } = new pg.Client(config);
    return { host, port, database: database ?? '', user: user ?? '' };
  } catch (error) {
    // Files are read here (sslrootcert and its like), and their names may be shown; other words may quote the URL.
    const why =
      codeOf(error).startsWith('E') && error instanceof Error && 'path' in error
        ? `: ${messageOf(error)}`
        : '';
    throw new SendstateError('database-url', `DATABASE_URL cannot be used${why}`, {
      hint: 'Special characters are percent-encoded (@ is %40, % is %25); sslrootcert, sslcert and sslkey name files.',
    });
  }
}

type ConnectCallback = Parameters<pg.Pool['connect']>[0];

/** pg-pool's words for a wait for a free connection, and for a connection, that took longer than the time limit. */
const WAITED = /^(timeout exceeded when trying to connect|Connection terminated due to connection timeout)$/;

/**
 * A pool whose failure to connect says what happened, where, and what to do next; queries behave as ever.
 *
 * The time limit is for a database that does not answer. A busy process whose connections change hands has a database that
 * answers: fifty pages that open at once wait longer for their turn, and none is told that the database is away.
 */
class ExplainingPool extends pg.Pool {
  readonly #target: Target;
  /** When a connection was last handed out or given back, by the clock of performance.now(). */
  #movedAt = Number.NEGATIVE_INFINITY;

  constructor(config: pg.PoolConfig) {
    super(config);
    // Printing a pool, or an error that holds one, would print the password.
    Object.defineProperty(this.options, 'connectionString', { enumerable: false });
    this.#target = targetOf(config);
    const moved = () => {
      this.#movedAt = performance.now();
    };
    this.on('acquire', moved);
    // A connection that is given back because it broke shows no database that answers.
    this.on('release', (error) => {
      if (!error) moved();
    });
  }

  override connect(): Promise<pg.PoolClient>;
  override connect(callback: ConnectCallback): void;
  override connect(callback?: ConnectCallback): Promise<pg.PoolClient> | undefined {
    if (callback !== undefined) {
      this.#connect(callback);
      return undefined;
    }
    return new Promise((resolve, reject) => {
      this.#connect((error, client) => {
        if (error || client === undefined) reject(error);
        else resolve(client);
      });
    });
  }

  #connect(callback: ConnectCallback): void {
    const since = performance.now();
    super.connect((error, client, done) => {
      if (error && WAITED.test(error.message) && this.#movedAt > since && !this.ending) {
        this.#connect(callback);
        return;
      }
      callback(error ? explainConnectError(error, this.#target) : undefined, client, done);
    });
  }
}
