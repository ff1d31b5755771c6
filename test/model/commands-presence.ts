import { expect } from 'vitest';
import { Heartbeat } from '../../src/queue/heartbeat.ts';
import { rescue as rescueDead, rescueUnknown } from '../../src/queue/rescue.ts';
import { Both, happened, type Model, OfWorker, pick, type Real } from './beside.ts';
import { replaced } from './table.ts';
import { bury, rescue } from './transitions.ts';

/** How workers come, fall silent and go, and who takes over. */
const LEASE_SECONDS = 3600;

export async function register(model: Model, real: Real): Promise<void> {
  real.workers.push(await Heartbeat.register(real.db, 'test', LEASE_SECONDS));
  model.table = { ...model.table, alive: [...model.table.alive, true] };
  model.silent = [...model.silent, false];
}

export class Register extends Both {
  async step(model: Model, real: Real): Promise<void> {
    await register(model, real);
  }
  toString = () => 'register';
}

const idOf = (real: Real, worker: number) => real.workers[worker]?.workerId as number;

/** The lease ends in the database's eyes. No worker has noticed yet. */
export class Silence extends OfWorker {
  async step(model: Model, real: Real): Promise<void> {
    const worker = this.which(model);
    // A lease shorter than the server has been up: before that no worker is marked dead.
    await real.db.pool.query(
      `update worker set lease = interval '1 millisecond', heartbeat_at = now() - interval '1 hour' where worker_id = $1`,
      [idOf(real, worker)],
    );
    model.silent = replaced(model.silent, worker, true) as boolean[];
  }
  toString = () => `${this.worker} falls silent`;
}

export class Beat extends OfWorker {
  async step(model: Model, real: Real): Promise<void> {
    const worker = this.which(model);
    const alive = model.table.alive[worker] === true;
    expect(await real.workers[worker]?.beat()).toBe(alive);
    happened(real, 'beat of a buried worker', !alive);
    happened(real, 'silent worker that beats after all', alive && model.silent[worker]);
    if (!alive) return;
    await real.db.pool.query('update worker set lease = make_interval(secs => $2) where worker_id = $1', [
      idOf(real, worker),
      LEASE_SECONDS,
    ]);
    model.silent = replaced(model.silent, worker, false) as boolean[];
  }
  toString = () => `${this.worker} beats`;
}

/** A rescue round: a silent worker is marked dead, and unowned claims are taken apart. */
export class Rescue extends OfWorker {
  readonly steady: boolean;
  constructor(worker: number, any: boolean, steady: boolean) {
    super(worker, any);
    this.steady = steady;
  }
  async step(model: Model, real: Real): Promise<void> {
    const by = this.which(model);
    const dead = [...model.table.alive.keys()].filter(
      (worker) => worker !== by && model.table.alive[worker] && model.silent[worker],
    );
    happened(real, 'silent worker, and a rescuer that cannot judge', !this.steady && dead.length > 0);
    happened(real, 'worker presumed dead', this.steady && dead.length > 0);
    await rescueDead(real.db, { workerId: idOf(real, by), steadySeconds: this.steady ? Infinity : 0 });
    if (this.steady) for (const worker of dead) model.table = bury(model.table, worker);
    for (const [number, { worker }] of model.table.claims.entries()) {
      if (model.table.alive[worker] !== true) takeApart(model, real, number);
    }
  }
  toString = () => `${this.worker} rescues, steady ${this.steady}`;
}

function takeApart(model: Model, real: Real, number: number): void {
  const { open, rows } = pick(model.table.claims, number);
  if (!open) return;
  const before = model.table;
  const { table, ambiguous, taken } = rescue(before, number);
  const ends =
    before.onUnconfirmed === 'resend' &&
    before.status !== 'cancelled' &&
    ambiguous.some((row) => (before.rows[row]?.maybeSent ?? 0) + 1 >= before.maxAttempts);
  const others = rows.some((row) => before.rows[row]?.state === 1 && before.rows[row]?.claim !== number);
  happened(real, 'rescue of rows in doubt', ambiguous.length > 0);
  happened(
    real,
    'rescue of rows some of which are in doubt',
    ambiguous.length > 0 && ambiguous.length < taken,
  );
  happened(real, 'rescue that ends what was in doubt too often', ends);
  happened(real, 'rescue of a cancelled campaign', taken > 0 && before.status === 'cancelled');
  happened(real, 'rescue of a claim whose rows others hold', others);
  model.table = table;
}

/** A worker looks for claims in its own name that it does not know. */
export class Unknown extends OfWorker {
  readonly known: number;
  constructor(worker: number, any: boolean, known: number) {
    super(worker, any);
    this.known = known;
  }
  async step(model: Model, real: Real): Promise<void> {
    const worker = this.which(model);
    const mine = [...model.table.claims.entries()].flatMap(([number, { worker: owner, open }]) =>
      open && owner === worker ? [number] : [],
    );
    const known = mine.length === 0 ? -1 : pick([...mine, -1], this.known);
    await rescueUnknown(real.db, idOf(real, worker), (_, id) => id === real.claims[known]?.claimId);
    for (const number of mine) {
      if (number === known) continue;
      happened(real, 'claim unknown to its worker');
      takeApart(model, real, number);
    }
  }
  toString = () => `${this.worker} knows only claim ${this.known}`;
}

export class Goodbye extends OfWorker {
  async step(model: Model, real: Real): Promise<void> {
    const worker = this.which(model);
    const holds = model.table.claims.some(({ worker: owner, open }) => open && owner === worker);
    happened(real, 'goodbye with a claim in hand', holds && model.table.alive[worker]);
    await real.workers[worker]?.stop();
    model.table = bury(model.table, worker);
  }
  toString = () => `${this.worker} says goodbye`;
}
