import pg from 'pg';

/** Object identifiers of built-in types (pg_type.dat); they never change. */
const INT8 = 20;
const INT8_ARRAY = 1016;
const INTERVAL = 1186;

/**
 * int8 as a number. Ids and counts here stay far below 2^53; one that does not is an error rather than a neighbour's id.
 * @throws RangeError when the value has no exact number
 */
export function parseInt8(text: string): number {
  const value = Number(text);
  if (!Number.isSafeInteger(value))
    throw new RangeError(`The database returned ${text}, which is beyond 2^53`);
  return value;
}

/** int8[] in Postgres' text form, `{1,2}`, as numbers. Our arrays hold no nulls and have one dimension. */
export function parseInt8Array(text: string): number[] {
  if (!/^\{(-?\d+(,-?\d+)*)?\}$/.test(text))
    throw new RangeError('The database returned an int8[] that is not flat');
  const inner = text.slice(1, -1);
  return inner === '' ? [] : inner.split(',').map(parseInt8);
}

const parsers = new Map<number, (text: string) => unknown>([
  [INT8, parseInt8],
  [INT8_ARRAY, parseInt8Array],
  [INTERVAL, (text) => text],
]);

/** For pg's `types` option: how column values become JavaScript's, per pool and not for the whole process. */
export const columnTypes: pg.CustomTypesConfig = {
  getTypeParser: (oid, format) => {
    const own = format === 'binary' ? undefined : parsers.get(oid);
    return own ?? pg.types.getTypeParser(oid, format);
  },
};
