import type pg from 'pg';
import type { Database } from '../../src/database/connect.ts';

/** A piece of a statement, and what stands there instead. */
export interface Edit {
  /** With the flag g. */
  readonly from: RegExp;
  readonly to: string;
}

/** The statements said without end: a record goes on until nothing more is written, and without its fences it always is. */
export class Endless extends Error {}

/** As many times in a row as no statement is said by itself. */
const MOST_REPEATS = 50;

export interface Edited {
  readonly db: Database;
  /** Statements that were changed on their way. */
  readonly changed: () => number;
}

/**
 * The same database, but some statements get there with one piece changed. The code that issues them is the real one, so what
 * the comparison with the model notices is the missing piece alone.
 */
export function edited(db: Database, { from, to }: Edit): Edited {
  let changed = 0;
  let last = '';
  let repeats = 0;
  const rewritten = (query: string | pg.QueryConfig): string | pg.QueryConfig => {
    const text = typeof query === 'string' ? query : query.text;
    const after = text.replaceAll(from, to);
    if (after === text) return query;
    changed++;
    const said = JSON.stringify(query);
    repeats = said === last ? repeats + 1 : 0;
    last = said;
    if (repeats > MOST_REPEATS) throw new Endless(`a statement is said ${MOST_REPEATS} times in a row`);
    if (typeof query === 'string') return after;
    // Without its name: under that one the server knows the statement as it was.
    const { name: _, ...unnamed } = query;
    return { ...unnamed, text: after };
  };
  return { db: { ...db, pool: over(db.pool, rewritten) }, changed: () => changed };
}

type Rewrite = (query: string | pg.QueryConfig) => string | pg.QueryConfig;

/** What has query() and connect(), with each query rewritten. */
function over<T extends pg.Pool | pg.PoolClient>(one: T, rewritten: Rewrite): T {
  return new Proxy(one, {
    get(target, property) {
      const value: unknown = Reflect.get(target, property, target);
      if (typeof value !== 'function') return value;
      const method = value.bind(target) as (...args: unknown[]) => unknown;
      if (property === 'query') {
        return (query: string | pg.QueryConfig, ...rest: unknown[]) =>
          isText(query) ? method(rewritten(query), ...rest) : method(query, ...rest);
      }
      if (property === 'connect') return async () => over((await method()) as pg.PoolClient, rewritten);
      return method;
    },
  });
}

/** COPY comes as a stream of its own. */
function isText(query: string | pg.QueryConfig): boolean {
  return (
    typeof query === 'string' ||
    (typeof query.text === 'string' && !('cursor' in query) && !('pipe' in query))
  );
}
