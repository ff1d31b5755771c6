import { importRows } from './decisions.ts';
import { ABSENT, emptyTable, replaced, type Table } from './table.ts';
import type { Result } from './transitions.ts';

/**
 * Workers, their statements on the way to the database and back, the relay, and everything that may happen between any
 * two of their steps. A worker that is frozen is one that takes no step; so there is no event for it.
 *
 * A statement is issued, then done by the database or lost on the way, then its answer is heard or lost. All three may lie
 * far apart: a statement can be done after its worker has died, after its rows were given to another worker.
 */

/** What a worker holds: one claim. Real workers hold two, one ahead; the window over both is kept by holding.ts. */
export interface Held {
  readonly claim: number;
  readonly rows: readonly number[];
  /** How many rows of the claim were handed over or released. */
  readonly next: number;
  /** The mark as far as the worker knows that it is durable. */
  readonly mark: number;
  /** Results that it knows to be durable. */
  readonly recorded: number;
}

/** A statement of a worker that is on its way. */
export interface Statement {
  readonly worker: number;
  readonly cursor: number;
  readonly kind: 'claim' | 'record';
  readonly done: boolean;
  readonly results: readonly Result[];
  readonly claim: number;
  readonly mark: number;
  readonly close: boolean;
  readonly held: boolean;
  /** For a claim that was done: its rows. */
  readonly rows: readonly number[];
}

export interface Process {
  readonly life: 'unborn' | 'up' | 'gone';
  /** As the process itself sees it. */
  readonly lease: boolean;
  readonly cursor: number;
  readonly held: Held | null;
  readonly results: readonly Result[];
  readonly statement: Statement | null;
  /** Rows on the wire: 1 bytes are out, 2 the relay has taken it and its reply is on the way. */
  readonly wire: Readonly<Record<number, 1 | 2>>;
}

/** How often each thing may happen in one history. Each must be bounded or the search has no end. */
export interface Budget {
  /** Deaths of processes, and leases that run out while a process lives. */
  readonly deaths: number;
  /** Connections to the database that break while a statement is on its way. */
  readonly lostAnswers: number;
  readonly brokenConnections: number;
  readonly deferrals: number;
  readonly releases: number;
}

export interface World {
  readonly table: Table;
  readonly processes: readonly Process[];
  /** Copies that the relay took, by row. */
  readonly mails: readonly number[];
  /** Bytes of a mail without an owner, which the relay may still take: by row. */
  readonly adrift: readonly number[];
  /** Statements whose caller has gone and that the database may still do. */
  readonly astray: readonly Statement[];
  readonly left: Budget;
}

export interface Scope {
  readonly workers: number;
  readonly rows: number;
  /** Rows whose import commits later, although their ids are smaller than others'. */
  readonly late: readonly number[];
  readonly batch: number;
  readonly window: number;
  readonly onUnconfirmed: Table['onUnconfirmed'];
  readonly budget: Budget;
}

/** A step: what happened, what the world is now, and the promise that was broken by it, if any. */
export interface Step {
  readonly what: string;
  readonly world: World;
  readonly broken?: string;
}

export const NO_RECORD = {
  done: false,
  results: [],
  claim: -1,
  mark: 0,
  close: false,
  held: false,
  rows: [],
} as const;
export const NOTHING_HELD = { cursor: 0, held: null, results: [], statement: null, wire: {} } as const;

export function begin(scope: Scope): World {
  const rows = Array.from({ length: scope.rows }, () => ABSENT);
  const empty: Table = {
    // More deaths than any scope has: the bound on doubts is statements.test.ts's.
    ...emptyTable({ onUnconfirmed: scope.onUnconfirmed, maxAttempts: 100 }),
    rows,
    alive: Array.from({ length: scope.workers }, () => false),
  };
  const early = rows.map((_, index) => index).filter((index) => !scope.late.includes(index));
  return {
    table: importRows(empty, early),
    processes: Array.from({ length: scope.workers }, () => ({
      life: 'unborn' as const,
      lease: false,
      ...NOTHING_HELD,
    })),
    mails: rows.map(() => 0),
    astray: [],
    adrift: rows.map(() => 0),
    left: scope.budget,
  };
}

export function withProcess(world: World, worker: number, change: Partial<Process>): World {
  const process = { ...(world.processes[worker] as Process), ...change };
  return { ...world, processes: replaced(world.processes, worker, process) };
}

export function spend(world: World, what: keyof Budget): World {
  return { ...world, left: { ...world.left, [what]: world.left[what] - 1 } };
}

/** A process loses everything that it knew: what is on the wire and not taken yet goes adrift, its statement astray. */
export function forget(world: World, worker: number, change: Pick<Process, 'life' | 'lease'>): World {
  const { wire } = world.processes[worker] as Process;
  const adrift = world.adrift.map((count, row) => count + (wire[row] === 1 ? 1 : 0));
  return withProcess({ ...strayed(world, worker), adrift }, worker, { ...NOTHING_HELD, ...change });
}

export function strayed(world: World, worker: number): World {
  const { statement } = world.processes[worker] as Process;
  return statement === null || statement.done ? world : { ...world, astray: [...world.astray, statement] };
}

/** The results of a statement that may or may not have been done come first in the next one. */
export function putBack(world: World, worker: number): World {
  const { statement, results } = world.processes[worker] as Process;
  return withProcess(world, worker, { results: [...(statement?.results ?? []), ...results] });
}
