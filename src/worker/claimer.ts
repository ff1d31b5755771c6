import type { Database } from '../database/connect.ts';
import type { Claim } from '../model/states.ts';
import { anybodyWaiting, claimDue, claimFresh, secondsUntilDue } from '../queue/claim.ts';
import { DomainLimits } from '../queue/domain-limit.ts';
import { drawTurns } from '../queue/domain-pace.ts';
import { drawTokens, paceWaitMs, returnTokens } from '../queue/pace.ts';

/** How often rows that came back are looked for while fresh ones are plenty, milliseconds. */
const LOOK_FOR_DUE_EVERY_MS = 1_000;
/** The same while people wait for the turns of their domains, milliseconds: a small part of what the buckets can hold. */
const LOOK_FOR_TURNS_EVERY_MS = 200;
/** A turn that comes within this time is waited for, seconds; for a later one the campaign is taken up again. */
const WAIT_FOR_TURN_SECONDS = 1;
/** Claims this far apart, milliseconds, while people wait for turns: a claim of 500 at a slow relay would look at the turns every ten seconds. */
const CLAIM_EVERY_MS = 300;
/** And never smaller than this, recipients: below, the claims cost more than the mails. */
const SMALLEST_CLAIM = 20;

interface Found {
  readonly claim: Claim;
  /** Of recipients who never came back. */
  readonly fresh: boolean;
}

/**
 * Finds the next recipients of one campaign for one worker: those that came back and are due, then fresh ones, within
 * the campaign's rate and the limits of their domains.
 */
export class Claimer {
  readonly #db: Database;
  readonly #workerId: number;
  readonly #campaignId: number;
  readonly #rate: number | null;
  readonly #limits: DomainLimits;
  #cursor = 0;
  #lookForDueAt = 0;
  #made = 0;
  #busy = false;
  #waitMs = 0;
  /** Until then people wait for turns, milliseconds of performance.now(). */
  #queuedUntil = 0;
  #size = Number.MAX_SAFE_INTEGER;
  /** When the last look ended, milliseconds of performance.now(). */
  #lookedAt = 0;

  constructor(
    db: Database,
    workerId: number,
    campaign: { readonly campaignId: number; readonly rate: number | null },
  ) {
    this.#db = db;
    this.#workerId = workerId;
    this.#campaignId = campaign.campaignId;
    this.#rate = campaign.rate;
    this.#limits = new DomainLimits(db);
  }

  /** Claims made so far. */
  get made(): number {
    return this.#made;
  }

  /** A claim is being made at this moment: the database may know of it already. */
  get busy(): boolean {
    return this.#busy;
  }

  /** A recipient was just requeued: the next claim is of those that are due, although fresh ones are plenty. */
  lookForDue(): void {
    this.#lookForDueAt = 0;
  }

  /** After `paced`: milliseconds until asking again is worth it. */
  get waitMs(): number {
    return this.#waitMs;
  }

  /**
   * Claims at most `limit` recipients and gives them to `take`. `paced`: the rate allows none at this moment, or the next
   * turn of a domain is about to come. `claimed` without `take`: every claimed recipient has to wait for a turn.
   * @throws the database's errors; then it is unknown whether a claim was made
   */
  async next(limit: number, take: (claim: Claim) => void): Promise<'claimed' | 'nothing' | 'paced'> {
    this.#busy = true;
    try {
      await this.#limits.refresh();
      const wanted = this.#sizeOf(limit);
      const granted = this.#rate === null ? wanted : await drawTokens(this.#db, this.#campaignId, wanted);
      if (granted === 0) {
        this.#waitMs = paceWaitMs(this.#rate ?? 1);
        return 'paced';
      }
      const found = await this.#find(granted);
      const kept = found === null ? 0 : await this.#take(found, take);
      if (this.#rate !== null) await returnTokens(this.#db, this.#campaignId, granted - kept);
      return found !== null ? 'claimed' : (await this.#turnIsNear()) ? 'paced' : 'nothing';
    } finally {
      this.#busy = false;
      this.#lookedAt = performance.now();
    }
  }

  /** Hands on the recipients that may be sent to now. @returns how many */
  async #take({ claim, fresh }: Found, take: (claim: Claim) => void): Promise<number> {
    const { recipients, queuedSeconds } = await drawTurns(
      this.#db,
      this.#workerId,
      claim,
      this.#limits,
      fresh,
    );
    this.#queuedUntil = Math.max(this.#queuedUntil, performance.now() + queuedSeconds * 1000);
    this.#made++;
    if (recipients.length > 0) take(recipients === claim.recipients ? claim : { ...claim, recipients });
    return recipients.length;
  }

  get #queueing(): boolean {
    return performance.now() < this.#queuedUntil;
  }

  /** While people wait for turns, claims are as large as what is worked off between two looks. */
  #sizeOf(limit: number): number {
    // Only the time between two looks counts: a database that answers late is no reason to ask for less.
    const since = Math.max(performance.now() - this.#lookedAt, CLAIM_EVERY_MS / 2);
    const next = this.#queueing ? Math.round((this.#size * CLAIM_EVERY_MS) / since) : limit;
    this.#size = Math.min(Math.max(next, SMALLEST_CLAIM), limit);
    return this.#size;
  }

  async #turnIsNear(): Promise<boolean> {
    if (!this.#queueing) return false;
    const seconds = await secondsUntilDue(this.#db, this.#campaignId);
    if (seconds === null || seconds > WAIT_FOR_TURN_SECONDS) return false;
    this.#waitMs = Math.max(seconds * 1000, LOOK_FOR_TURNS_EVERY_MS);
    return true;
  }

  async #find(limit: number): Promise<Found | null> {
    const request = { campaignId: this.#campaignId, workerId: this.#workerId, limit };
    if (performance.now() >= this.#lookForDueAt) {
      const claim = await claimDue(this.#db, request);
      if (claim !== null) return { claim, fresh: false };
      const pause = this.#queueing ? LOOK_FOR_TURNS_EVERY_MS : LOOK_FOR_DUE_EVERY_MS;
      // A little less, so that who comes back after exactly this pause looks.
      this.#lookForDueAt = performance.now() + pause * 0.9;
    }
    const claim = await this.#findFresh(limit);
    if (claim === null) return null;
    this.#cursor = claim.recipients.at(-1)?.recipientId ?? this.#cursor;
    return { claim, fresh: true };
  }

  async #findFresh(limit: number): Promise<Claim | null> {
    const request = { campaignId: this.#campaignId, workerId: this.#workerId, limit };
    if (this.#cursor > 0) {
      const claim = await claimFresh(this.#db, { ...request, after: this.#cursor });
      if (claim !== null) return claim;
    }
    // The cursor is a hint: an import that committed late, or a claim that rolled back, left rows behind it. The counters
    // know whether there are any, and walking a campaign of millions for nothing is what they spare.
    this.#cursor = 0;
    if (!(await anybodyWaiting(this.#db, this.#campaignId))) return null;
    return await claimFresh(this.#db, { ...request, after: 0 });
  }
}
