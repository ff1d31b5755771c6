import { COUNTED, type Outcome } from '../../src/model/states.ts';

/**
 * The tables as a value; the statements on it stand in transitions.ts.
 *
 * Rows are numbered from 0 in the order of their ids. A mark is a number of rows: those before it are within.
 */
export interface Row {
  /** Its import has committed. */
  readonly there: boolean;
  readonly state: 0 | 1 | 2;
  /** The claim that holds it or held it last; -1: none yet. */
  readonly claim: number;
  /** It came back: retry_at is not null. */
  readonly back: boolean;
  readonly maybeSent: number;
  readonly outcome: Outcome | null;
}

export interface Claim {
  readonly worker: number;
  readonly rows: readonly number[];
  readonly mark: number;
  readonly open: boolean;
}

export type Place = (typeof COUNTED)[number];
export type Counters = Readonly<Record<Place, number>>;

export interface Table {
  readonly rows: readonly Row[];
  readonly claims: readonly Claim[];
  /** By worker: registered and neither stopped nor buried. */
  readonly alive: readonly boolean[];
  readonly counters: Counters;
  readonly status: 'running' | 'paused' | 'finished' | 'cancelled';
  readonly onUnconfirmed: 'resend' | 'hold';
  /** So often may a row be in doubt by a death before it ends. */
  readonly maxAttempts: number;
}

const ALL_ZERO = Object.fromEntries(COUNTED.map((place) => [place, 0])) as Counters;

export const ABSENT: Row = { there: false, state: 0, claim: -1, back: false, maybeSent: 0, outcome: null };

export function emptyTable(policy: Pick<Table, 'onUnconfirmed' | 'maxAttempts'>): Table {
  return { rows: [], claims: [], alive: [], counters: ALL_ZERO, status: 'running', ...policy };
}

/** Where a row counts. */
function placeOf(row: Row): Place {
  if (row.state === 1) return 'claimed';
  if (row.outcome !== null) return row.outcome;
  return row.back ? 'retrying' : 'waiting';
}

/** What counting the rows gives: the truth that the counters must be. */
export function counted(rows: readonly Row[]): Counters {
  const counters = { ...ALL_ZERO };
  for (const row of rows) if (row.there) counters[placeOf(row)]++;
  return counters;
}

/** Writes rows, and moves the counters by what changed. */
export function write(table: Table, changes: ReadonlyMap<number, Partial<Row>>): Table {
  if (changes.size === 0) return table;
  const counters: Record<Place, number> = { ...table.counters };
  const rows = table.rows.map((row, index) => {
    const change = changes.get(index);
    if (change === undefined) return row;
    const after = { ...row, ...change };
    if (row.there) counters[placeOf(row)]--;
    counters[placeOf(after)]++;
    return after;
  });
  return { ...table, rows, counters };
}

/** The rows that are there and of which something holds. */
export function rowsWhere(table: Table, holds: (row: Row) => boolean): number[] {
  return table.rows.flatMap((row, index) => (row.there && holds(row) ? [index] : []));
}

export const replaced = <T>(list: readonly T[], index: number, value: T): readonly T[] =>
  list.map((one, at) => (at === index ? value : one));
