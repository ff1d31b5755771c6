import type { Database } from '../database/connect.ts';
import { prepare } from '../database/prepare.ts';
import type { Gate } from './gate.ts';

/** Shortest time between two writes, milliseconds: a relay that comes and goes is not worth more. */
const WRITE_MS = 1_000;

const WRITE = prepare(`
insert into relay as r (worker_id, label, state, words, slowed_to, weight, rate, in_flight, accepted)
select $1, * from unnest($2::text[], $3::text[], $4::text[], $5::float8[], $6::int[], $7::float8[], $8::int[], $9::bigint[])
on conflict (worker_id, label) do update set state = excluded.state, words = excluded.words,
  slowed_to = excluded.slowed_to, weight = excluded.weight, rate = excluded.rate, in_flight = excluded.in_flight,
  accepted = excluded.accepted, changed_at = case when r.state = excluded.state then r.changed_at else now() end`);

const REMOVE = prepare('delete from relay where worker_id = $1');

/** Rows of workers that died are not shown; the next worker deletes them. */
const SWEEP = prepare(
  'delete from relay r where not exists (select from worker w where w.worker_id = r.worker_id and w.stopped_at is null)',
);

/** One worker's relays as the table has them. */
export class RelayReport {
  readonly #db: Database;
  readonly #gates: readonly Gate[];
  #workerId = 0;
  #written = '';
  #states = '';
  #writtenAt = -Infinity;
  #writing: Promise<void> | null = null;

  constructor(db: Database, gates: readonly Gate[]) {
    this.#db = db;
    this.#gates = gates;
  }

  /** A state has changed, and the last write was not just now. */
  get due(): boolean {
    if (this.#workerId === 0 || this.#writing !== null) return false;
    return performance.now() - this.#writtenAt >= WRITE_MS && this.#statesNow() !== this.#states;
  }

  /** Writes what has changed; under a new number everything. Throws the database's errors. */
  async write(workerId = this.#workerId): Promise<void> {
    if (this.#writing !== null) return await this.#writing;
    if (workerId !== this.#workerId) {
      [this.#workerId, this.#written] = [workerId, ''];
      await SWEEP(this.#db, []);
    }
    const [written, states] = [this.#figuresNow(), this.#statesNow()];
    if (written === this.#written) return;
    this.#writtenAt = performance.now();
    this.#writing = this.#send(workerId);
    try {
      await this.#writing;
      [this.#written, this.#states] = [written, states];
    } finally {
      this.#writing = null;
    }
  }

  /** The worker stops. Throws the database's errors. */
  async end(): Promise<void> {
    // Whether the last write arrived matters no more.
    await this.#writing?.catch(() => undefined);
    await REMOVE(this.#db, [this.#workerId]);
  }

  async #send(workerId: number): Promise<void> {
    const column = <T>(of: (gate: Gate) => T): T[] => this.#gates.map(of);
    await WRITE(this.#db, [
      workerId,
      column(({ label }) => label),
      column(({ state }) => state),
      column(({ words }) => words),
      column(({ slowedTo }) => slowedTo),
      column(({ weight }) => weight),
      column(({ rate }) => rate),
      column(({ inFlight }) => inFlight),
      column(({ accepted }) => accepted),
    ]);
  }

  #statesNow(): string {
    return this.#gates.map(({ state }) => state).join();
  }

  #figuresNow(): string {
    return JSON.stringify(
      this.#gates.map(({ state, words, slowedTo, inFlight, accepted }) => [
        state,
        words,
        slowedTo,
        inFlight,
        accepted,
      ]),
    );
  }
}
