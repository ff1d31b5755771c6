import { messageOf, SendstateError } from '../errors.ts';

/** Where a connection was to lead; nothing secret. */
export interface Target {
  readonly host: string;
  readonly port: number;
  readonly database: string;
  readonly user: string;
}

/**
 * The code of a database or network error: an SQLSTATE ('40001') or an errno ('ECONNREFUSED'); '' when there is none.
 * Looks through `cause` and through the several addresses of an AggregateError.
 */
export function codeOf(error: unknown): string {
  if (error instanceof AggregateError && error.errors.length > 0) return codeOf(error.errors[0]);
  if (!(error instanceof Error)) return '';
  if (error instanceof SendstateError) return codeOf(error.cause);
  if ('code' in error && typeof error.code === 'string') return error.code;
  return codeOf(error.cause);
}

const NETWORK =
  /^(ECONNREFUSED|ECONNRESET|ECONNABORTED|EPIPE|ETIMEDOUT|EHOSTUNREACH|EHOSTDOWN|ENETUNREACH|ENETDOWN|ENOENT|EACCES|ENOTFOUND|EAI_AGAIN)$/;

/** pg's own words for a connection that ended or stayed silent under a query, or could not be made; they carry no code. */
const ENDED =
  /^(Connection terminated|Query read timeout|timeout expired|timeout exceeded when trying to connect|Client has encountered a connection error)/;

/**
 * True when the database could not be asked or stopped answering, so that the same statement may well succeed later:
 * network errors, a server that is starting, stopping or full, a standby after a failover. The statement may or may not
 * have been executed. False for errors that would come again (syntax, constraint, permission, wrong password).
 */
export function isUnreachable(error: unknown): boolean {
  if (error instanceof SendstateError && error.code.startsWith('database-'))
    return PASSING.has(error.code) || (error.code === REFUSED && isUnreachable(error.cause));
  const code = codeOf(error);
  // 08 connection exceptions, 53 resources, 57P01..5 shutdown and start, 25006 read-only after a failover.
  if (/^(08|53)...$/.test(code) || /^(57P0[1-5]|25006)$/.test(code) || NETWORK.test(code)) return true;
  return error instanceof Error && (ENDED.test(error.message) || isUnreachable(error.cause));
}

/** Our own codes for failed connections that may succeed later. */
const PASSING = new Set(['database-unreachable', 'database-full', 'database-busy', 'database-disk-full']);
/** A connection that was not let in; what the server said decides whether that may pass (it was stopping, out of memory …). */
const REFUSED = 'database-refused';

/** True when the server undid the transaction only because of who else was there: run it again from its beginning. */
export function isConflict(error: unknown): boolean {
  return /^(40001|40P01|55P03)$/.test(codeOf(error));
}

/**
 * True when the same statement may well work later: there was no answer, the server undid it because of others, or it took
 * longer than the statement_timeout (57014).
 */
export function isTransient(error: unknown): boolean {
  return isUnreachable(error) || isConflict(error) || codeOf(error) === '57014';
}

const place = (target: Target) => `${target.host}:${target.port}/${target.database}`;

/** PgBouncer says everything with one code; its words tell which of Postgres' codes it means. */
function poolersMeaning(words: string): string {
  if (/^database ".*" does not exist$|^no such database/.test(words)) return '3D000';
  return /authentication failed|^no such user/.test(words) ? '28P01' : '08P01';
}

type Explanation = readonly [code: string, message: string, hint: string];

function bySqlState(code: string, words: string, target: Target): Explanation | undefined {
  const where = place(target);
  switch (code === '08P01' ? poolersMeaning(words) : code) {
    case '28P01':
      return [
        'database-password',
        `The database at ${where} refuses the password of user "${target.user}"`,
        'Correct the user and password in DATABASE_URL.',
      ];
    case '28000':
      return [
        'database-refused',
        `The database at ${where} does not let user "${target.user}" in`,
        'Check that the role exists, that pg_hba.conf has a line for this address, and whether it asks for ?sslmode=require.',
      ];
    case '3D000':
      return [
        'database-missing',
        `There is no database "${target.database}" at ${target.host}:${target.port}`,
        `Create it (createdb ${target.database}) or correct the name in DATABASE_URL.`,
      ];
    case '53100':
      return [
        'database-disk-full',
        `The disk of the database at ${where} is full`,
        'Make room for it; workers go on by themselves.',
      ];
    case '53300':
      return [
        'database-full',
        `The database at ${where} has no connection left`,
        'Stop other workers or raise max_connections; a pooler such as PgBouncer in transaction mode works too.',
      ];
    case '57P03':
      return [
        'database-unreachable',
        `The database at ${where} is starting or stopping`,
        'Try again in a moment.',
      ];
    default:
      return undefined;
  }
}

function byNetwork(code: string, words: string, target: Target): Explanation | undefined {
  const where = place(target);
  if (code === 'ENOTFOUND' || code === 'EAI_AGAIN') {
    return [
      'database-unreachable',
      `The name of the database server, ${target.host}, is not known`,
      'Correct the host in DATABASE_URL or check the network.',
    ];
  }
  if (words === 'timeout exceeded when trying to connect') {
    return [
      'database-busy',
      `All connections of this process to ${where} are in use, or the server did not answer in time`,
      'If it comes again, look for long statements in pg_stat_activity.',
    ];
  }
  if (NETWORK.test(code) || ENDED.test(words)) {
    return [
      'database-unreachable',
      `The database at ${where} does not answer (${code === '' ? words : code})`,
      'Start it, or correct host and port in DATABASE_URL; without DATABASE_URL an embedded PostgreSQL is used.',
    ];
  }
  if (/client password must be a/.test(words)) {
    return [
      'database-password',
      `The database at ${where} wants a password for user "${target.user}" and DATABASE_URL has none`,
      'Write it as postgres://USER:PASSWORD@HOST:PORT/DATABASE.',
    ];
  }
  if (/SSL|certificate|TLS/i.test(`${code} ${words}`)) {
    return [
      'database-tls',
      `No encrypted connection to the database at ${where}: ${words}`,
      'Set sslmode and sslrootcert in DATABASE_URL as the server needs them.',
    ];
  }
  return undefined;
}

/** What a failed attempt to connect means: what happened, at which host:port/database, what to do next; never the password. */
export function explainConnectError(error: unknown, target: Target): SendstateError {
  if (error instanceof SendstateError) return error;
  const code = codeOf(error);
  const words = messageOf(error);
  const [name, message, hint] = bySqlState(code, words, target) ??
    byNetwork(code, words, target) ?? [
      'database-refused',
      `Could not connect to the database at ${place(target)}: ${words}`,
      'Check DATABASE_URL.',
    ];
  return new SendstateError(name, message, { hint, cause: error });
}
