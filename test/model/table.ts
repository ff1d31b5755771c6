/**
 * The tables as a value, and the statements as functions on it: one statement, one commit, one step. What the search in
 * explore.ts walks through and what statements.test.ts holds against the real statements is this same file.
 *
 * Rows are numbered from 0 in the order of their ids. A mark is a number of rows: those before it are within.
 */

/** The guards that make it correct. A model without one of them must break a promise; see explore.test.ts. */
export interface Guards {
  /** A record writes only rows that carry its claim's number. */
  readonly claimNumber: boolean;
  /** A record writes only rows in state 1, so that one that is sent twice writes once. */
  readonly stateOne: boolean;
  /** Counters move by the rows that changed, not by the rows that were meant. */
  readonly countChanged: boolean;
  /** A worker may only be buried when its own lease is over. */
  readonly buryAfterLease: boolean;
  /** A worker hands nothing over when its lease is over. */
  readonly ownLease: boolean;
  /** Nothing is handed over beyond the mark that is known to be durable. */
  readonly durableMark: boolean;
  /** A mark moves only as far as the window allows. */
  readonly window: boolean;
  /** Nothing is handed over of a claim whose commit was not heard. */
  readonly claimFirst: boolean;
  /** A cursor that finds nothing looks once more from the start. */
  readonly cursorIsAHint: boolean;
  /** Finished means nobody waiting and nobody claimed. */
  readonly finishCountsClaimed: boolean;
  /** Claims in a living worker's name that it does not know are taken apart. */
  readonly rescueUnknown: boolean;
  /** Rows of a dead worker within the mark are in doubt; only those beyond it are certainly unsent. */
  readonly doubtWithinMark: boolean;
}

export const ALL_GUARDS: Guards = {
  claimNumber: true,
  stateOne: true,
  countChanged: true,
  buryAfterLease: true,
  ownLease: true,
  durableMark: true,
  window: true,
  claimFirst: true,
  cursorIsAHint: true,
  finishCountsClaimed: true,
  rescueUnknown: true,
  doubtWithinMark: true,
};

export interface Row {
  /** Its import has committed. */
  readonly there: boolean;
  readonly state: 0 | 1 | 2;
  /** The claim that holds it or held it last; -1: none yet. */
  readonly claim: number;
  /** It came back: retry_at is not null. */
  readonly back: boolean;
  readonly maybeSent: number;
  readonly outcome: 'sent' | 'unconfirmed' | null;
}

export interface Claim {
  readonly worker: number;
  readonly rows: readonly number[];
  readonly mark: number;
  readonly open: boolean;
}

export interface Counters {
  readonly waiting: number;
  readonly retrying: number;
  readonly claimed: number;
  readonly sent: number;
  readonly unconfirmed: number;
}

export interface Table {
  readonly rows: readonly Row[];
  readonly claims: readonly Claim[];
  /** By worker: registered and neither stopped nor buried. */
  readonly alive: readonly boolean[];
  readonly counters: Counters;
  readonly finished: boolean;
  readonly onUnconfirmed: 'resend' | 'hold';
}

/** What a worker says about one row: the relay took it, deferred it, nobody knows, or it was never handed over. */
export interface Result {
  readonly row: number;
  readonly claim: number;
  readonly kind: 'sent' | 'deferred' | 'doubt' | 'released';
}

/** Where a row counts. */
function placeOf(row: Row): keyof Counters {
  if (row.state === 1) return 'claimed';
  if (row.state === 2) return row.outcome ?? 'sent';
  return row.back ? 'retrying' : 'waiting';
}

/** What counting the rows gives: the truth that the counters must be. */
export function counted(rows: readonly Row[]): Counters {
  const counters = { waiting: 0, retrying: 0, claimed: 0, sent: 0, unconfirmed: 0 };
  for (const row of rows) if (row.there) counters[placeOf(row)]++;
  return counters;
}

/** Writes rows and moves the counters by what changed. */
function write(table: Table, changes: ReadonlyMap<number, Partial<Row>>): Table {
  const counters: Record<keyof Counters, number> = { ...table.counters };
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

/** Everybody of these rows in, in one commit. */
export function importRows(table: Table, indexes: readonly number[]): Table {
  return write(table, new Map(indexes.map((index) => [index, { there: true }])));
}

/** Rows that a claim of rows that came back / of fresh rows beyond the cursor may take. */
export function claimable(table: Table, kind: 'due' | 'fresh', after: number): number[] {
  return table.rows.flatMap((row, index) =>
    row.there && row.state === 0 && (kind === 'due' ? row.back : !row.back && index >= after) ? [index] : [],
  );
}

/** Opens a claim on rows; its number is its place in the list. Nothing changes when the worker was buried or the campaign has ended. */
export function claim(table: Table, worker: number, rows: readonly number[]): Table {
  if (rows.length === 0 || table.alive[worker] !== true || table.finished) return table;
  const number = table.claims.length;
  const taken = write(table, new Map(rows.map((row) => [row, { state: 1, claim: number }])));
  return { ...taken, claims: [...table.claims, { worker, rows, mark: 0, open: true }] };
}

export interface Recorded {
  readonly table: Table;
  readonly written: number;
  /** The claim is still the worker's. */
  readonly held: boolean;
}

/** Results, the claim's mark, and whether it is over: one statement. */
export function record(
  table: Table,
  number: number,
  results: readonly Result[],
  mark: number,
  close: boolean,
  guards: Guards = ALL_GUARDS,
): Recorded {
  const changes = new Map<number, Partial<Row>>();
  for (const { row: index, claim: of, kind } of results) {
    const row = table.rows[index] as Row;
    if (guards.stateOne && row.state !== 1) continue;
    if (guards.claimNumber && row.claim !== of) continue;
    changes.set(index, recorded(row, kind, table.onUnconfirmed));
  }
  const written = write(table, changes);
  // As the statement does it: what it writes was claimed. Whether that is true is for the guards to see to.
  const moving = guards.countChanged ? results.filter(({ row }) => changes.has(row)) : results;
  const counters = moved(table.counters, moving, table.onUnconfirmed);
  const before = table.claims[number] as Claim;
  const held = before.open;
  const after = {
    ...before,
    mark: Math.max(before.mark, mark),
    open: !close,
  };
  const claims = held ? table.claims.map((one, index) => (index === number ? after : one)) : table.claims;
  return { table: { ...written, counters, claims }, written: changes.size, held };
}

function recorded(row: Row, kind: Result['kind'], onUnconfirmed: Table['onUnconfirmed']): Partial<Row> {
  if (kind === 'sent') return { state: 2, outcome: 'sent', back: false };
  const maybeSent = row.maybeSent + (kind === 'doubt' ? 1 : 0);
  if (kind === 'doubt' && onUnconfirmed === 'hold') {
    return { state: 2, outcome: 'unconfirmed', back: false, maybeSent };
  }
  return { state: 0, back: true, outcome: null, maybeSent };
}

function moved(
  counters: Counters,
  results: readonly Result[],
  onUnconfirmed: Table['onUnconfirmed'],
): Counters {
  const after: Record<keyof Counters, number> = { ...counters };
  for (const { kind } of results) {
    after.claimed--;
    if (kind === 'sent') after.sent++;
    else if (kind === 'doubt' && onUnconfirmed === 'hold') after.unconfirmed++;
    else after.retrying++;
  }
  return after;
}

/** A worker is presumed dead, or says goodbye. */
export function bury(table: Table, worker: number): Table {
  return { ...table, alive: table.alive.map((alive, index) => alive && index !== worker) };
}

export interface Rescued {
  readonly table: Table;
  /** Rows that nobody can tell about. */
  readonly ambiguous: readonly number[];
  readonly taken: number;
}

/** Takes one open claim apart. */
export function rescue(table: Table, number: number, guards: Guards = ALL_GUARDS): Rescued {
  const orphan = table.claims[number] as Claim;
  if (!orphan.open) return { table, ambiguous: [], taken: 0 };
  const changes = new Map<number, Partial<Row>>();
  const ambiguous: number[] = [];
  for (const index of orphan.rows) {
    const row = table.rows[index] as Row;
    if (row.state !== 1 || row.claim !== number) continue;
    const inDoubt = guards.doubtWithinMark && index < orphan.mark;
    if (inDoubt) ambiguous.push(index);
    changes.set(
      index,
      inDoubt ? recorded(row, 'doubt', table.onUnconfirmed) : { state: 0, back: true, outcome: null },
    );
  }
  const claims = table.claims.map((one, index) => (index === number ? { ...one, open: false } : one));
  return { table: { ...write(table, changes), claims }, ambiguous, taken: changes.size };
}

/** Ends the campaign when the counters say that nobody is left. */
export function finish(table: Table, guards: Guards = ALL_GUARDS): Table {
  const { waiting, retrying, claimed } = table.counters;
  const left = waiting + retrying + (guards.finishCountsClaimed ? claimed : 0);
  return left === 0 ? { ...table, finished: true } : table;
}
