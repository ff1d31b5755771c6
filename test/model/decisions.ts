import type { Retryable } from '../../src/model/states.ts';
import { rowsWhere, type Table, write } from './table.ts';

/** What people decide, as functions on the table: imports, suppressing, pausing, cancelling, retrying. */

/** All of these rows in, in one commit. A campaign that had finished is paused: no command has started more mail. */
export function importRows(table: Table, indexes: readonly number[]): Table {
  const taken = write(table, new Map(indexes.map((index) => [index, { there: true }])));
  return table.status === 'finished' ? { ...taken, status: 'paused' } : taken;
}

/** A waiting recipient gets no mail; a claimed or done one stays as it is. */
export function suppress(table: Table, row: number): Table {
  if (table.rows[row]?.state !== 0) return table;
  return write(table, new Map([[row, { state: 2, outcome: 'suppressed', back: false }]]));
}

export function pause(table: Table): Table {
  return { ...table, status: 'paused' };
}

export function resume(table: Table): Table {
  return { ...table, status: 'running' };
}

/** What is in a worker's hands stays there: see `sweep` for who waits. */
export function cancel(table: Table): Table {
  return { ...table, status: 'cancelled' };
}

/** Of a cancelled campaign no recipient waits any more. */
export function sweep(table: Table): Table {
  if (table.status !== 'cancelled') return table;
  const waiting = rowsWhere(table, ({ state }) => state === 0);
  return write(table, new Map(waiting.map((row) => [row, { state: 2, outcome: 'cancelled', back: false }])));
}

/**
 * Every recipient with this outcome waits again. A cancelled campaign is swept first; one that was cancelled or had finished is paused
 * when any recipient is requeued.
 */
export function retry(table: Table, outcome: Retryable): Table {
  const swept = sweep(table);
  const failed = rowsWhere(swept, (row) => row.outcome === outcome);
  const ended = table.status === 'cancelled' || table.status === 'finished';
  const status = ended && failed.length > 0 ? 'paused' : table.status;
  const again = write(swept, new Map(failed.map((row) => [row, { state: 0, outcome: null, back: true }])));
  return { ...again, status };
}
