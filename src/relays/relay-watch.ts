import type { Database } from '../database/connect.ts';
import type { Outage } from '../database/outage.ts';
import type { SendEvent } from '../model/events.ts';
import { Gate, type GateEvents, type NamedRelay } from './gate.ts';
import { RelayPace } from './relay-pace.ts';
import { RelayReport } from './relay-report.ts';
import { Relays } from './router.ts';

/** How often what changes by the passing of time alone is looked at, milliseconds. */
const TICK_MS = 100;

/** The relays of one process from beginning to end: their gates, their tokens, and what the table says about them. */
export class RelayWatch {
  readonly relays: Relays;
  readonly #report: RelayReport;
  readonly #outage: Outage;
  readonly #paces: RelayPace[] = [];
  #timer: NodeJS.Timeout | null = null;

  constructor(db: Database, relays: readonly NamedRelay[], emit: (event: SendEvent) => void, outage: Outage) {
    this.#outage = outage;
    const events = eventsFor(emit, relays.length > 1);
    const gates = relays.map((relay) => {
      if (relay.rate === null) return new Gate(relay, null, events);
      const pace = new RelayPace(
        db,
        relay.label,
        relay.rate,
        (work) => outage.guard(work),
        () => this.relays.wake(),
      );
      this.#paces.push(pace);
      return new Gate(relay, pace, events);
    });
    this.relays = new Relays(gates);
    this.#report = new RelayReport(db, gates);
  }

  begin(): void {
    this.#timer = setInterval(() => this.#tick(), TICK_MS);
  }

  /** With the heartbeat of a worker, which may have a new number since the last one. Throws the database's errors. */
  async beat(workerId: number): Promise<void> {
    await this.#report.write(workerId);
  }

  /** Gives back what will not be used; the rows go with the worker. */
  async end(): Promise<void> {
    if (this.#timer !== null) clearInterval(this.#timer);
    for (const pace of this.#paces) await pace.close();
    await this.#outage.guard(() => this.#report.end());
  }

  #tick(): void {
    for (const gate of this.relays.gates) gate.tick();
    for (const pace of this.#paces) void pace.tick();
    if (this.#report.due) void this.#outage.guard(() => this.#report.write());
  }
}

function eventsFor(emit: (event: SendEvent) => void, several: boolean): GateEvents {
  return {
    changed: ({ label, breaker, misconfigured }) =>
      emit({ kind: 'relay', label, several, breaker, misconfigured }),
    paced: ({ label, slowedTo, words }) =>
      emit({ kind: 'relay-slowed', label, several, perSecond: slowedTo, words }),
  };
}
