import type { Database } from '../database/connect.ts';
import { isTransient } from '../database/prepare.ts';
import { record } from '../queue/record.ts';
import type { ClaimLedger } from './ledger.ts';

/** Results in one statement at most: beyond a thousand the rows, not the round trip, are what costs. */
export const MAX_RESULTS_PER_STATEMENT = 1000;
/**
 * A statement costs the database about 0.4 ms however few its rows, and 7 microseconds a row. So while mails can go on
 * being handed over, a statement follows the last one only when so many results wait, …
 */
const ENOUGH_RESULTS = 100;
/** … or when this much time has passed, milliseconds: no viewer looks at a table more often. The first one after a rest goes at once. */
const LINGER_MS = 5;
/** First wait after a failed statement, milliseconds; doubles. */
const FIRST_WAIT_MS = 100;
/** Longest wait, milliseconds: results are written within two seconds of the database's return. */
const LONGEST_WAIT_MS = 2_000;

export interface RecorderEvents {
  /** After each statement that committed: marks have moved, room is there. */
  recorded(): void;
  /** Claims that were taken away by a rescue. */
  lostClaims(claimIds: readonly number[]): void;
  /** The database did not take the results; they are kept and written later. Called once per outage. */
  troubled(error: unknown): void;
  recovered(): void;
  /** The statement itself is wrong: nothing will make it work. The worker must stop. */
  broken(error: unknown): void;
  /** A statement that committed took so long, milliseconds. */
  wrote(ms: number): void;
}

/**
 * Writes results as they come: one statement in flight, the next one takes everything that arrived meanwhile. Small
 * batches when idle, large ones under load. What could not be written stays in memory until it can.
 */
export class Recorder {
  readonly #db: Database;
  readonly #campaignId: number;
  readonly #workerId: number;
  readonly #ledger: ClaimLedger;
  readonly #events: RecorderEvents;
  #running = false;
  #failures = 0;
  #aborted = false;
  #lastStatement = -Infinity;
  #timer: NodeJS.Timeout | null = null;

  constructor(
    db: Database,
    campaignId: number,
    workerId: number,
    holding: ClaimLedger,
    events: RecorderEvents,
  ) {
    this.#db = db;
    this.#campaignId = campaignId;
    this.#workerId = workerId;
    this.#ledger = holding;
    this.#events = events;
  }

  /** True while the database refuses the results: claim nothing new. */
  get troubled(): boolean {
    return this.#failures > 0;
  }

  /** Starts a statement if one is worth it and none is in flight. */
  nudge(): void {
    if (this.#running || this.#aborted || !this.#ledger.wantsStatement) return;
    if (this.#mayLinger()) {
      this.#timer ??= setTimeout(() => {
        this.#timer = null;
        this.nudge();
      }, LINGER_MS);
      return;
    }
    this.#running = true;
    void this.#loop();
  }

  /** Whether waiting for more results delays nothing. */
  #mayLinger(): boolean {
    return (
      this.#ledger.mayHandOver &&
      this.#ledger.pending < ENOUGH_RESULTS &&
      performance.now() - this.#lastStatement < LINGER_MS
    );
  }

  /** Gives up what is not written: for a second signal. */
  abort(): void {
    this.#aborted = true;
  }

  async #loop(): Promise<void> {
    do await this.#write();
    while (this.#ledger.wantsStatement && !this.#aborted && !this.#mayLinger());
    this.#running = false;
    this.#events.recorded();
    this.nudge();
  }

  async #write(): Promise<void> {
    const { results, marks } = this.#ledger.takeBatch(MAX_RESULTS_PER_STATEMENT);
    const asked = performance.now();
    try {
      const recorded = await record(this.#db, this.#campaignId, this.#workerId, results, marks);
      const lost = this.#ledger.confirm(recorded);
      this.#lastStatement = performance.now();
      this.#events.wrote(this.#lastStatement - asked);
      if (this.#failures > 0) {
        this.#failures = 0;
        this.#events.recovered();
      }
      if (lost.length > 0) this.#events.lostClaims(lost);
      this.#events.recorded();
    } catch (error) {
      this.#ledger.putBack();
      if (!isTransient(error)) {
        this.#aborted = true;
        this.#events.broken(error);
        return;
      }
      if (this.#failures++ === 0) this.#events.troubled(error);
      const wait = Math.min(FIRST_WAIT_MS * 2 ** Math.min(this.#failures - 1, 10), LONGEST_WAIT_MS);
      await new Promise((resolve) => setTimeout(resolve, wait));
    }
  }
}
