import { hostname } from 'node:os';
import type { Database } from '../database/connect.ts';
import { prepare } from '../database/prepare.ts';
import { foldCounters } from './rescue.ts';

/**
 * How long a worker may be silent before others take its claims, seconds. Fifteen: longer than any pause of a healthy
 * process (a full disk flush, a failover of the database is handled by keeping results), short enough that no recipient waits.
 */
export const DEFAULT_LEASE_SECONDS = 15;
/** Heartbeats in a lease: five may be lost before the lease expires. */
export const BEATS_PER_LEASE = 5;
/** A worker stops handing over when this share of its lease has passed since its last heartbeat went out. */
export const LEASE_MARGIN = 0.8;

const REGISTER = prepare(`
insert into worker (host, pid, version, lease) values ($1, $2, $3, make_interval(secs => $4))
returning worker_id, extract(epoch from now())::float8`);

/*
 * Only a worker that is not marked dead can beat: a late heartbeat must not bring back what others have taken apart. Says how
 * long it was silent, by the database's clock, and what time that has: a machine that slept has a clock that slept with it.
 */
const BEAT = prepare(`
update worker w set heartbeat_at = now()
from (select heartbeat_at from worker where worker_id = $1) before
where w.worker_id = $1 and w.stopped_at is null
returning extract(epoch from now() - before.heartbeat_at)::float8, extract(epoch from now())::float8`);

const STOP = prepare(`update worker set stopped_at = now() where worker_id = $1 and stopped_at is null`);

const COUNTED_FOR = prepare(`
select distinct campaign_id from counter where worker_id = $1 union select distinct campaign_id from failure where worker_id = $1`);

/** Two clocks of this machine, milliseconds. */
export interface Clocks {
  /** Goes on while the process is stopped, cannot be set, and on Linux stands still while the machine is suspended. */
  readonly steady: () => number;
  /** Goes on while the machine is suspended, and may be set. */
  readonly wall: () => number;
}

const OWN_CLOCKS: Clocks = { steady: () => performance.now(), wall: () => Date.now() };

/** A moment that the database told, and between which moments of this machine that was; milliseconds. */
interface Told {
  readonly asked: number;
  readonly heard: number;
  readonly database: number;
}

/** How far the database's clock was set forward between two moments, at least, milliseconds; also what this machine slept. */
function jumpedBy(before: Told, after: Told): number {
  return after.database - before.database - (after.heard - before.asked);
}

/** The same, backward. */
function fellBackBy(before: Told, after: Told): number {
  return after.asked - before.heard - (after.database - before.database);
}

/** A worker's row, and the worker's own idea of how long it is still believed to be alive. */
export class Heartbeat {
  readonly workerId: number;
  readonly #db: Database;
  readonly #leaseMs: number;
  readonly #clocks: Clocks;
  #lastBeat: number;
  #lastWall: number;
  #told: Told;
  #steadySince: number;

  private constructor(db: Database, workerId: number, leaseMs: number, told: Told, clocks: Clocks) {
    this.#db = db;
    this.workerId = workerId;
    this.#leaseMs = leaseMs;
    this.#told = told;
    this.#lastBeat = told.asked;
    this.#lastWall = clocks.wall();
    // A worker that has just started has seen no other's silence: all may have been cut off with the database until now.
    this.#steadySince = told.asked;
    this.#clocks = clocks;
  }

  /** Writes the worker's row. */
  static async register(
    db: Database,
    version: string,
    leaseSeconds: number,
    clocks = OWN_CLOCKS,
  ): Promise<Heartbeat> {
    const asked = clocks.steady();
    const [row] = await REGISTER<[number, number]>(db, [hostname(), process.pid, version, leaseSeconds]);
    if (row === undefined) throw new Error('the database returned no worker_id');
    const told = { asked, heard: clocks.steady(), database: row[1] * 1000 };
    return new Heartbeat(db, row[0], leaseSeconds * 1000, told, clocks);
  }

  /** Milliseconds between heartbeats. */
  get intervalMs(): number {
    return this.#leaseMs / BEATS_PER_LEASE;
  }

  /**
   * Whether mails may be handed over. Counted from when the last successful heartbeat was *sent*, so that this is over
   * before any other worker may take the claims, also when the process was stopped, or its machine suspended, and has just been
   * woken: whichever of the two clocks says that it is over. One that was set forward costs the time until the next beat.
   */
  get valid(): boolean {
    const most = this.#leaseMs * LEASE_MARGIN;
    return this.#clocks.steady() - this.#lastBeat < most && this.#clocks.wall() - this.#lastWall < most;
  }

  /**
   * Seconds since it came, since a gap of about a lease, or since the database's clock was set. Who was not there, or has no
   * clock to go by, cannot judge the silence of others.
   */
  get steadySeconds(): number {
    return (this.#clocks.steady() - this.#steadySince) / 1000;
  }

  /** True: alive. False: this worker was presumed dead; its claims belong to others. Throws when the database does not answer. */
  async beat(): Promise<boolean> {
    const asked = this.#clocks.steady();
    const wall = this.#clocks.wall();
    const [row] = await BEAT<[silentSeconds: number, now: number]>(this.#db, [this.workerId]);
    if (row === undefined) return false;
    const told = { asked, heard: this.#clocks.steady(), database: row[1] * 1000 };
    const tolerance = this.#leaseMs * (1 - LEASE_MARGIN);
    if (
      row[0] * 1000 > this.#leaseMs * LEASE_MARGIN ||
      jumpedBy(this.#told, told) > tolerance ||
      fellBackBy(this.#told, told) > tolerance
    )
      this.#steadySince = told.heard;
    this.#told = told;
    this.#lastBeat = asked;
    this.#lastWall = wall;
    return true;
  }

  /** Stops: leaves its counters to worker 0. */
  async stop(): Promise<void> {
    await STOP(this.#db, [this.workerId]);
    for (const [campaignId] of await COUNTED_FOR<[number]>(this.#db, [this.workerId])) {
      await foldCounters(this.#db, campaignId, this.workerId);
    }
  }
}
