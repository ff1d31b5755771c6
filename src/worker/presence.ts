import type { Database } from '../database/connect.ts';
import type { Rescue } from '../model/events.ts';
import { Heartbeat } from '../queue/heartbeat.ts';
import { anybodySilent, rescue, rescueUnknown } from '../queue/rescue.ts';

export interface PresenceOptions {
  /** For the worker's row. */
  readonly version: string;
  /** How long this worker may be silent, seconds. */
  readonly leaseSeconds: number;
}

export interface PresenceEvents {
  registered(workerId: number): void;
  /** Others took this worker's claims. Resolves when no run works on them any more; then it registers anew. */
  presumedDead(): Promise<void>;
  rescued(rescue: Rescue): void;
  /** Whether a claim in this worker's name is known to it. */
  knows(campaignId: number, claimId: number): boolean;
}

/** A worker among workers: it beats, learns that it was presumed dead, and takes over from those who do not beat. */
export class Presence {
  readonly #db: Database;
  readonly #options: PresenceOptions;
  readonly #events: PresenceEvents;
  #heartbeat: Heartbeat;
  #reviving: Promise<void> | null = null;
  #rescuing: Promise<void> | null = null;
  #over = false;

  private constructor(db: Database, options: PresenceOptions, events: PresenceEvents, heartbeat: Heartbeat) {
    this.#db = db;
    this.#options = options;
    this.#events = events;
    this.#heartbeat = heartbeat;
    events.registered(heartbeat.workerId);
  }

  static async begin(db: Database, options: PresenceOptions, events: PresenceEvents): Promise<Presence> {
    const heartbeat = await Heartbeat.register(db, options.version, options.leaseSeconds);
    return new Presence(db, options, events, heartbeat);
  }

  /** The present life: who keeps it sees its lease end when the life does. */
  get heartbeat(): Heartbeat {
    return this.#heartbeat;
  }

  /** Once an interval: beats, and after a beat that was heard looks after those who are silent. Throws the database's errors. */
  async pulse(): Promise<void> {
    if (this.#reviving !== null) return;
    if (await this.#heartbeat.beat()) await this.rescue();
    else if (!this.#over && this.#reviving === null) {
      this.#reviving = this.#revive();
      try {
        await this.#reviving;
      } finally {
        this.#reviving = null;
      }
    }
  }

  /** Takes over the claims of dead workers, and unowned ones; one round at a time. */
  async rescue(): Promise<void> {
    if (this.#rescuing !== null || this.#over) return;
    this.#rescuing = this.#round();
    try {
      await this.#rescuing;
    } finally {
      this.#rescuing = null;
    }
  }

  /** Whether a silent worker is still being watched: what it holds is rescued within its lease. */
  async watching(): Promise<boolean> {
    return await anybodySilent(this.#db, this.#heartbeat.workerId);
  }

  /** Stops the worker. A pulse that is under way does not bring it back, and a round of rescues stops after the claim it is at. */
  async end(): Promise<void> {
    this.#over = true;
    await this.#reviving;
    await this.#heartbeat.stop();
    // Its errors are told to the caller that began it.
    await Promise.allSettled([this.#rescuing]);
  }

  async #round(): Promise<void> {
    const { workerId, steadySeconds } = this.#heartbeat;
    const rescued = await rescue(this.#db, { workerId, steadySeconds, over: () => this.#over });
    const unknown = await rescueUnknown(this.#db, workerId, this.#events.knows);
    if (rescued.workers + rescued.recipients + unknown > 0) {
      this.#events.rescued({ ...rescued, recipients: rescued.recipients + unknown });
    }
  }

  async #revive(): Promise<void> {
    await this.#events.presumedDead();
    const { version, leaseSeconds } = this.#options;
    this.#heartbeat = await Heartbeat.register(this.#db, version, leaseSeconds);
    this.#events.registered(this.#heartbeat.workerId);
  }
}
