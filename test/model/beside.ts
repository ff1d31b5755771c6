import type fc from 'fast-check';
import { expect } from 'vitest';
import type { Database } from '../../src/database/connect.ts';
import { type Claim, COUNTED } from '../../src/model/states.ts';
import type { Heartbeat } from '../../src/queue/heartbeat.ts';
import { counted, type Table } from './table.ts';
import { mayClaim } from './transitions.ts';

/** What a history must come by, or it shows little. Each is counted once a time that it happened. */
export const EVENTS = [
  'claim of fresh rows',
  'claim of rows that came back',
  'claim refused to a buried worker',
  'claim refused while the campaign does not run',
  'rows recorded',
  'row fenced by the number of another claim',
  'row fenced by its state',
  'record said twice',
  'mark that would have gone back',
  'record on a closed claim',
  'rows put back for their turn',
  'claim of whom all wait for their turn',
  'late draw of turns',
  'worker presumed dead',
  'silent worker, and a rescuer that cannot judge',
  'beat of a buried worker',
  'silent worker that beats after all',
  'goodbye with a claim in hand',
  'claim unknown to its worker',
  'rescue of rows in doubt',
  'rescue of rows some of which are in doubt',
  'rescue that ends what was in doubt too often',
  'rescue of a cancelled campaign',
  'rescue of a claim whose rows others hold',
  'import into a finished campaign',
  'finished with people',
  'not finished, because of a row in a worker’s hands',
  'suppressed',
  'not suppressed, because claimed or done',
  'cancelled',
  'retried',
  'retried after a cancel',
] as const;
export type Event = (typeof EVENTS)[number];

/** The tables under test: which row, claim and worker of the model is which of Postgres. */
export interface Real {
  readonly db: Database;
  readonly campaignId: number;
  readonly name: string;
  readonly ids: number[];
  readonly claims: Claim[];
  readonly workers: Heartbeat[];
  readonly seen: Map<Event, number>;
}

export interface Model {
  table: Table;
  /** By worker: silent for longer than its lease. */
  silent: boolean[];
}

export function happened(real: Real, event: Event, whether = true): void {
  if (whether) real.seen.set(event, (real.seen.get(event) ?? 0) + 1);
}

/** Which of a list is meant by a number that knows nothing of it. */
export function pick<T>(list: readonly T[], number: number): T {
  if (list.length === 0) throw new Error('nothing to pick from');
  return list[number % list.length] as T;
}

/** A step of both. */
export abstract class Both implements fc.AsyncCommand<Model, Real> {
  check(_: Readonly<Model>): boolean {
    return true;
  }
  async run(model: Model, real: Real): Promise<void> {
    await this.step(model, real);
    await compare(model, real);
  }
  abstract step(model: Model, real: Real): Promise<void>;
  abstract toString(): string;
}

/** A step of a worker: one that lives, if there is any, or with `any` one of all that there ever were. */
export abstract class OfWorker extends Both {
  readonly worker: number;
  readonly any: boolean;
  constructor(worker: number, any: boolean) {
    super();
    this.worker = worker;
    this.any = any;
  }
  which({ table }: Readonly<Model>): number {
    const all = [...table.alive.keys()];
    const living = all.filter((worker) => table.alive[worker]);
    return pick(this.any || living.length === 0 ? all : living, this.worker);
  }
  refused(model: Model, real: Real, worker: number): boolean {
    const { table } = model;
    happened(
      real,
      'claim refused to a buried worker',
      table.alive[worker] !== true && table.status === 'running',
    );
    happened(real, 'claim refused while the campaign does not run', table.status !== 'running');
    return !mayClaim(table, worker);
  }
}

interface Tables extends Pick<Table, 'status' | 'alive' | 'counters'> {
  readonly rows: readonly Omit<Table['rows'][number], 'there'>[] | null;
  readonly claims: readonly { worker: number; mark: number; open: boolean }[] | null;
}

/** One round trip, because it is asked after every step. */
const TABLES = `
select c.status,
  (select json_agg(json_build_object('state', send_state, 'claim', claim_id, 'back', retry_at is not null,
      'maybeSent', maybe_sent, 'outcome', outcome) order by recipient_id)
    from recipient where campaign_id = $1) as rows,
  (select json_agg(json_build_object('worker', worker_id, 'mark', handed_through, 'open', closed_at is null) order by claim_id)
    from claim where campaign_id = $1) as claims,
  (select json_agg(stopped_at is null order by worker_id) from worker where worker_id = any ($2)) as alive,
  (select row_to_json(sums) from (
    select ${COUNTED.map((place) => `sum(${place}) as ${place}`).join(', ')} from counter where campaign_id = $1
  ) sums) as counters
from campaign c where c.campaign_id = $1`;

/** The tables must be what the model says. */
async function compare({ table }: Model, real: Real): Promise<void> {
  const workers = real.workers.map(({ workerId }) => workerId);
  const { rows: found } = await real.db.pool.query<Tables>(TABLES, [real.campaignId, workers]);
  const { status, alive, counters, rows, claims } = found[0] as Tables;
  const claimNumber = (id: number | null) => real.claims.findIndex(({ claimId }) => claimId === id);
  expect((rows ?? []).map((row) => ({ ...row, there: true, claim: claimNumber(row.claim) }))).toEqual(
    table.rows,
  );
  expect(
    (claims ?? []).map(({ worker, mark, open }) => ({
      worker: workers.indexOf(worker),
      mark: real.ids.filter((id) => id <= mark).length,
      open,
    })),
  ).toEqual(table.claims.map(({ worker, mark, open }) => ({ worker, mark, open })));
  expect({ status, alive }).toEqual({ status: table.status, alive: table.alive });
  // The rows are the model's; so the counters of both are true when the model's are.
  expect(counters).toEqual(table.counters);
  expect(table.counters).toEqual(counted(table.rows));
}

/** The id that a mark of so many rows has. */
export function idOfMark(real: Real, mark: number): number {
  return mark === 0 ? 0 : (real.ids[mark - 1] as number);
}
