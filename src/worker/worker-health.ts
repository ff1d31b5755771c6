import type { Relays } from '../relays/router.ts';
import type { GateReading, Health, Reading } from './meter.ts';
import type { Presence } from './presence.ts';

/** A poller as metrics and health see it. */
export class WorkerHealth implements Reading {
  readonly #relays: Relays;
  readonly #presence: Presence;
  readonly #stopping: () => boolean;

  constructor(relays: Relays, presence: Presence, stopping: () => boolean) {
    this.#relays = relays;
    this.#presence = presence;
    this.#stopping = stopping;
  }

  get gates(): readonly GateReading[] {
    return this.#relays.gates;
  }

  /** The lease is counted from the last heartbeat that the database answered: one look tells both. */
  get health(): Health {
    if (this.#stopping()) return { ready: false, why: 'stopping' };
    if (!this.#presence.heartbeat.valid)
      return { ready: false, why: 'the database has not answered a heartbeat within the lease' };
    if (this.#relays.misconfigured !== null) return { ready: false, why: 'every relay refuses the sender' };
    return { ready: true };
  }
}
