import { createHash } from 'node:crypto';
import type pg from 'pg';
import { messageOf } from '../errors.ts';
import type { Database } from './connect.ts';
import { codeOf } from './problems.ts';

export { isTransient } from './problems.ts';

/** A hot statement: runs on any connection of the pool, rows come as arrays in the order of its columns. */
export interface Statement {
  <Row extends unknown[]>(db: Database, values: readonly unknown[]): Promise<Row[]>;
  /** The statement itself, for EXPLAIN. */
  readonly text: string;
}

/** Pools behind a pooler that hands each transaction to another server connection and does not know our names. */
const unnamed = new WeakSet<pg.Pool>();

/**
 * True when the server refused the name before it executed anything: 26000 there is no such prepared statement; 42P05
 * another statement has that name; 0A000 a migration changed a table under it ("cached plan must not change result type").
 */
function isNameTrouble(error: unknown): boolean {
  const code = codeOf(error);
  return code === '26000' || code === '42P05' || (code === '0A000' && /cached plan/.test(messageOf(error)));
}

/**
 * A statement that is parsed and planned once a connection: planning the claim and record statements costs more than
 * running them for twenty rows (records of 50 rows: 64,000 rows/s named, 42,000 unnamed).
 *
 * The name holds a hash of the text, so that two versions of sendstate behind one pooler never meet under one name.
 * Where names do not work (a pooler in transaction mode without support for them) the pool goes on without.
 */
export function prepare(text: string): Statement {
  const name = `sendstate-${createHash('sha256').update(text).digest('hex').slice(0, 16)}`;
  const run = async <Row extends unknown[]>(db: Database, values: readonly unknown[]): Promise<Row[]> => {
    const query = {
      text,
      values: values as unknown[],
      rowMode: 'array' as const,
      query_timeout: db.answerWithinMs,
    };
    if (!unnamed.has(db.pool)) {
      try {
        return (await db.pool.query<Row>({ ...query, name })).rows;
      } catch (error) {
        if (!isNameTrouble(error)) throw error;
        unnamed.add(db.pool);
      }
    }
    return (await db.pool.query<Row>(query)).rows;
  };
  return Object.assign(run, { text });
}

/** What keeps a planner without statistics from reading a whole campaign and sorting it; see `inIndexOrder`. */
export const INDEX_ORDER =
  'set local enable_sort = off; set local enable_bitmapscan = off; set local enable_seqscan = off;';

/**
 * A statement that walks an index in its order and stops at its limit, whatever the statistics say.
 *
 * A table that was never analyzed, or before the campaign was imported, looks as if fewer rows waited than the limit asks
 * for; reading them all and sorting them then seems the cheaper way, and each claim reads the whole campaign (150,000
 * people: 33 ms instead of 5). So the settings go with the statement, in one message and therefore in one transaction,
 * which holds behind a pooler in transaction mode as well. Such a message has no parameters: values are written into the
 * text, which is why they can only be whole numbers. It is planned each time, 0.6 ms, for up to 500 rows and more.
 */
export function inIndexOrder(text: string): Statement {
  const run = async <Row extends unknown[]>(db: Database, values: readonly unknown[]): Promise<Row[]> => {
    const literal = text.replace(/\$(\d+)/g, (_, index) => wholeNumber(values[Number(index) - 1]));
    const query = {
      text: `${INDEX_ORDER} ${literal}`,
      rowMode: 'array' as const,
      query_timeout: db.answerWithinMs,
    };
    const results: unknown = await db.pool.query(query);
    // pg gives one result a statement, which its types do not say.
    return (results as pg.QueryArrayResult<Row>[]).at(-1)?.rows ?? [];
  };
  return Object.assign(run, { text });
}

function wholeNumber(value: unknown): string {
  if (typeof value === 'number' && Number.isSafeInteger(value)) return String(value);
  throw new TypeError(`${String(value)} is not a whole number`);
}
