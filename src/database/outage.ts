import { messageOf } from '../errors.ts';
import type { SendEvent } from '../model/events.ts';
import { isTransient } from './prepare.ts';

/** Asks the database for a caller that goes on without an answer; says once that it is away and once that it is back. */
export class Outage {
  readonly #emit: (event: SendEvent) => void;
  readonly #failed: (error: unknown) => void;
  #lost = false;

  /** @param failed told of what waiting does not mend */
  constructor(emit: (event: SendEvent) => void, failed: (error: unknown) => void) {
    this.#emit = emit;
    this.#failed = failed;
  }

  /** The value of `work`, or undefined when the database did not answer or the work has failed for good. */
  async guard<T>(work: () => Promise<T>): Promise<T | undefined> {
    try {
      const value = await work();
      this.back();
      return value;
    } catch (error) {
      if (isTransient(error)) this.lost(error);
      else this.#failed(error);
      return undefined;
    }
  }

  lost(error: unknown): void {
    if (this.#lost) return;
    this.#lost = true;
    this.#emit({ kind: 'database-lost', why: messageOf(error) });
  }

  back(): void {
    if (!this.#lost) return;
    this.#lost = false;
    this.#emit({ kind: 'database-back' });
  }
}
