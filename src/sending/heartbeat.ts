import { hostname } from 'node:os';
import type { Database } from '../database/connect.ts';
import { prepare } from '../database/prepare.ts';
import { foldCounters } from './rescue.ts';

/**
 * How long a worker may be silent before others take its claims, seconds. Fifteen: longer than any pause of a healthy
 * process (a full disk flush, a failover of the database is handled by keeping results), short enough that nobody waits.
 */
export const DEFAULT_LEASE_SECONDS = 15;
/** Heartbeats in a lease: five may be lost before anybody worries. */
export const BEATS_PER_LEASE = 5;
/** A worker stops handing over when this share of its lease has passed since its last heartbeat went out. */
export const LEASE_MARGIN = 0.8;

const REGISTER = prepare(`
insert into worker (host, pid, version, lease) values ($1, $2, $3, make_interval(secs => $4)) returning worker_id`);

/*
 * Only a worker that is not buried can beat: a late heartbeat must not bring back what others have taken apart. Says how
 * long it was silent, by the database's clock: a machine that slept has a clock that slept with it.
 */
const BEAT = prepare(`
update worker w set heartbeat_at = now()
from (select heartbeat_at from worker where worker_id = $1) before
where w.worker_id = $1 and w.stopped_at is null
returning extract(epoch from now() - before.heartbeat_at)::float8`);

const STOP = prepare(`update worker set stopped_at = now() where worker_id = $1 and stopped_at is null`);

const COUNTED_FOR = prepare(`
select distinct campaign_id from counter where worker_id = $1 union select distinct campaign_id from failure where worker_id = $1`);

/** A worker's row, and the worker's own idea of how long it is still believed to be alive. */
export class Heartbeat {
  readonly workerId: number;
  readonly #db: Database;
  readonly #leaseMs: number;
  readonly #now: () => number;
  #lastBeat: number;
  #steadySince: number;

  private constructor(db: Database, workerId: number, leaseMs: number, sentAt: number, now: () => number) {
    this.#db = db;
    this.workerId = workerId;
    this.#leaseMs = leaseMs;
    this.#lastBeat = sentAt;
    // Who has just come has seen nobody's silence: everybody may have been cut off with the database until now.
    this.#steadySince = sentAt;
    this.#now = now;
  }

  /** Writes the worker's row. `now`: a clock in milliseconds that goes on while the process is stopped. */
  static async register(
    db: Database,
    version: string,
    leaseSeconds: number,
    now = () => performance.now(),
  ): Promise<Heartbeat> {
    const sentAt = now();
    const [row] = await REGISTER<[number]>(db, [hostname(), process.pid, version, leaseSeconds]);
    if (row === undefined) throw new Error('the database returned no worker_id');
    return new Heartbeat(db, row[0], leaseSeconds * 1000, sentAt, now);
  }

  /** Milliseconds between heartbeats. */
  get intervalMs(): number {
    return this.#leaseMs / BEATS_PER_LEASE;
  }

  /**
   * Whether mails may be handed over. Counted from when the last successful heartbeat was *sent*, so that this is over
   * before anybody else may take the claims, also when the process was stopped and has just been woken.
   */
  get valid(): boolean {
    return this.#now() - this.#lastBeat < this.#leaseMs * LEASE_MARGIN;
  }

  /** Seconds since it came, or since a gap of about a lease. Who was not there cannot judge the silence of others. */
  get steadySeconds(): number {
    return (this.#now() - this.#steadySince) / 1000;
  }

  /** True: alive. False: this worker was presumed dead; its claims belong to others. Throws when nobody answers. */
  async beat(): Promise<boolean> {
    const sentAt = this.#now();
    const [row] = await BEAT<[silentSeconds: number]>(this.#db, [this.workerId]);
    if (row === undefined) return false;
    if (row[0] * 1000 > this.#leaseMs * LEASE_MARGIN) this.#steadySince = this.#now();
    this.#lastBeat = sentAt;
    return true;
  }

  /** Says goodbye and leaves its counters to worker 0. */
  async stop(): Promise<void> {
    await STOP(this.#db, [this.workerId]);
    for (const [campaignId] of await COUNTED_FOR<[number]>(this.#db, [this.workerId])) {
      await foldCounters(this.#db, campaignId, this.workerId);
    }
  }
}
