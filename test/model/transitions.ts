import type { Outcome } from '../../src/model/states.ts';
import { ALL_GUARDS, type Guards } from './guards.ts';
import {
  type Claim,
  type Counters,
  type Place,
  type Row,
  replaced,
  rowsWhere,
  type Table,
  write,
} from './table.ts';

/**
 * The statements that workers issue, as functions on the table: one statement, one commit, one step. What the search in
 * explore.ts walks through and what statements.test.ts holds against the real statements is this same file.
 */

/**
 * What a worker says about one row: an outcome, or why it goes back: the relay deferred it, it is unknown whether it was
 * taken, it was never handed over.
 */
export type Kind = Exclude<Outcome, 'suppressed'> | 'deferred' | 'doubt' | 'released';

export interface Result {
  readonly row: number;
  readonly claim: number;
  readonly kind: Kind;
}

/** Where the mark of a claim shall stand, and whether the claim is over. */
export interface Mark {
  readonly claim: number;
  readonly mark: number;
  readonly close: boolean;
}

/** Rows that a claim of rows that came back / of fresh rows beyond the cursor may take. */
export function claimable(table: Table, kind: 'due' | 'fresh', after: number): number[] {
  const waiting = rowsWhere(table, ({ state, back }) => state === 0 && back === (kind === 'due'));
  return kind === 'due' ? waiting : waiting.filter((row) => row >= after);
}

/** Whether a worker is given anything: neither when it was buried nor when the campaign does not run. */
export function mayClaim(table: Table, worker: number, guards: Guards = ALL_GUARDS): boolean {
  return (table.alive[worker] === true || !guards.livingClaims) && table.status === 'running';
}

/** Opens a claim on rows; its number is its place in the list. */
export function claim(
  table: Table,
  worker: number,
  rows: readonly number[],
  guards: Guards = ALL_GUARDS,
): Table {
  if (rows.length === 0 || !mayClaim(table, worker, guards)) return table;
  const number = table.claims.length;
  const taken = write(table, new Map(rows.map((row) => [row, { state: 1, claim: number }])));
  return { ...taken, claims: [...table.claims, { worker, rows, mark: 0, open: true }] };
}

const goneBack = { state: 0, back: true, outcome: null } as const;
const ended = (outcome: Outcome) => ({ state: 2, back: false, outcome }) as const;

function recorded(row: Row, kind: Kind): Partial<Row> {
  const maybeSent = row.maybeSent + (kind === 'doubt' || kind === 'unconfirmed' ? 1 : 0);
  const outcome = outcomeOf(kind);
  return { ...(outcome === null ? goneBack : ended(outcome)), maybeSent };
}

export function outcomeOf(kind: Kind): Outcome | null {
  return kind === 'deferred' || kind === 'doubt' || kind === 'released' ? null : kind;
}

export interface Recorded {
  readonly table: Table;
  readonly written: number;
  /** Claims of the marks that are still the worker's. */
  readonly held: readonly number[];
}

/** Results, the marks of their claims, and which of these are over: one statement. */
export function record(
  table: Table,
  results: readonly Result[],
  marks: readonly Mark[],
  guards: Guards = ALL_GUARDS,
): Recorded {
  const changes = new Map<number, Partial<Row>>();
  for (const { row: index, claim: of, kind } of results) {
    const row = table.rows[index] as Row;
    if (guards.stateOne && row.state !== 1) continue;
    if (guards.claimNumber && row.claim !== of) continue;
    changes.set(index, recorded(row, kind));
  }
  // As the statement does it: what it writes was claimed. Whether that is true is for the guards to see to.
  const counting = guards.countChanged ? results.filter(({ row }) => changes.has(row)) : results;
  const written = { ...write(table, changes), counters: moved(table.counters, counting) };
  const held = marks.filter((one) => {
    const claim = table.claims[one.claim];
    return (claim?.open === true && table.alive[claim.worker] === true) || !guards.closedClaim;
  });
  const claims = held.reduce((list, { claim: number, mark, close }) => {
    const before = list[number] as Claim;
    const at = guards.markStays ? Math.max(before.mark, mark) : mark;
    return replaced(list, number, { ...before, mark: at, open: !close });
  }, table.claims);
  return { table: { ...written, claims }, written: changes.size, held: held.map((one) => one.claim) };
}

function moved(counters: Counters, results: readonly Result[]): Counters {
  const after: Record<Place, number> = { ...counters };
  for (const { kind } of results) {
    after.claimed--;
    after[outcomeOf(kind) ?? 'retrying']++;
  }
  return after;
}

/** Rows of a claim that wait for their domain's turn. When no other recipient is in it the claim is over. */
export function putBackForTurns(table: Table, number: number, rows: readonly number[]): Table {
  const owned = rows.filter((row) => {
    const { state, claim: of } = table.rows[row] as Row;
    return state === 1 && of === number;
  });
  const put = write(table, new Map(owned.map((row) => [row, goneBack])));
  const before = table.claims[number] as Claim;
  if (owned.length < before.rows.length) return put;
  return { ...put, claims: replaced(table.claims, number, { ...before, open: false }) };
}

/** A worker is presumed dead, or says goodbye. */
export function bury(table: Table, worker: number): Table {
  return table.alive[worker] === true ? { ...table, alive: replaced(table.alive, worker, false) } : table;
}

export interface Rescued {
  readonly table: Table;
  /** Rows in doubt. */
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
    if (row.state !== 1 || (guards.rescueNumber && row.claim !== number)) continue;
    const inDoubt = guards.doubtWithinMark && index < orphan.mark;
    if (inDoubt) ambiguous.push(index);
    const certain = table.status === 'cancelled' ? ended('cancelled') : goneBack;
    changes.set(index, inDoubt ? recorded(row, doubtOf(table, row)) : certain);
  }
  const claims = replaced(table.claims, number, { ...orphan, open: false });
  return { table: { ...write(table, changes), claims }, ambiguous, taken: changes.size };
}

/** What a rescue makes of a row in doubt: it goes back, or ends where no second mail may be sent. */
function doubtOf(table: Table, row: Row): Kind {
  const ends = table.onUnconfirmed === 'hold' || table.status === 'cancelled';
  return ends || row.maybeSent + 1 >= table.maxAttempts ? 'unconfirmed' : 'doubt';
}

/** Ends the campaign when the counters say that no recipient is left. */
export function finish(table: Table, guards: Guards = ALL_GUARDS): Table {
  const { waiting, retrying, claimed } = table.counters;
  const left = waiting + retrying + (guards.finishCountsClaimed ? claimed : 0);
  return left === 0 && table.status === 'running' ? { ...table, status: 'finished' } : table;
}
