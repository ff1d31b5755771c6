import type { Database } from '../database/connect.ts';
import { claimDue, claimFresh } from './claim.ts';
import { drawTokens, returnTokens } from './pace.ts';
import type { Claim } from './states.ts';

/** How often rows that came back are looked for while fresh ones are plenty, milliseconds. */
const LOOK_FOR_DUE_EVERY_MS = 1_000;

/** Finds the next recipients of one campaign for one worker: those that came back and are due, then fresh ones, within its rate. */
export class Claimer {
  readonly #db: Database;
  readonly #workerId: number;
  readonly #campaignId: number;
  readonly #rate: number | null;
  #cursor = 0;
  #lookForDueAt = 0;
  #made = 0;
  #busy = false;

  constructor(
    db: Database,
    workerId: number,
    campaign: { readonly campaignId: number; readonly rate: number | null },
  ) {
    this.#db = db;
    this.#workerId = workerId;
    this.#campaignId = campaign.campaignId;
    this.#rate = campaign.rate;
  }

  /** Claims made so far. */
  get made(): number {
    return this.#made;
  }

  /** A claim is being made at this moment: the database may know of it already. */
  get busy(): boolean {
    return this.#busy;
  }

  /**
   * Claims at most `limit` recipients and gives them to `take`. `paced`: the rate allows none at this moment.
   * @throws the database's errors; then nobody knows whether a claim was made
   */
  async next(limit: number, take: (claim: Claim) => void): Promise<'claimed' | 'nothing' | 'paced'> {
    this.#busy = true;
    try {
      const granted = this.#rate === null ? limit : await drawTokens(this.#db, this.#campaignId, limit);
      if (granted === 0) return 'paced';
      const claim = await this.#find(granted);
      if (claim !== null) {
        this.#made++;
        take(claim);
      }
      const left = granted - (claim?.recipients.length ?? 0);
      if (this.#rate !== null) await returnTokens(this.#db, this.#campaignId, left);
      return claim === null ? 'nothing' : 'claimed';
    } finally {
      this.#busy = false;
    }
  }

  async #find(limit: number): Promise<Claim | null> {
    const request = { campaignId: this.#campaignId, workerId: this.#workerId, limit };
    if (performance.now() >= this.#lookForDueAt) {
      const due = await claimDue(this.#db, request);
      if (due !== null) return due;
      this.#lookForDueAt = performance.now() + LOOK_FOR_DUE_EVERY_MS;
    }
    const fresh = await claimFresh(this.#db, { ...request, after: this.#cursor });
    if (fresh !== null) {
      this.#cursor = fresh.recipients.at(-1)?.recipientId ?? this.#cursor;
      return fresh;
    }
    if (this.#cursor === 0) return null;
    // The cursor is a hint: an import that committed late, or a claim that rolled back, left rows behind it.
    this.#cursor = 0;
    return await claimFresh(this.#db, { ...request, after: 0 });
  }
}
