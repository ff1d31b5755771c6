import type { Claim, ClaimedRecipient, Result } from '../model/states.ts';
import type { Mark, Recorded } from '../queue/record.ts';
import type { SharedWindow, Sharer } from './window.ts';

/** One claim in a worker's hands. Indexes count recipients in ascending order of id. */
interface Held {
  readonly claim: Claim;
  /** The next recipient to hand over. */
  next: number;
  /** Recipients before this index stand within the durable handed-over mark. */
  marked: number;
  /** The same for the furthest mark that may be durable: its statement is in flight, or its result is unknown. */
  reached: number;
  /** Results that are durable. */
  recorded: number;
  /** Of those, the ones within `reached`: only they make room in the window (a released row may stand beyond it). */
  settled: number;
}

/** Results of one statement about one claim. */
interface Resolved {
  all: number;
  settled: number;
}

/** What one record statement says: results in the order they came, and marks. */
export interface Batch {
  readonly results: readonly Result[];
  readonly marks: readonly Mark[];
}

export interface Next {
  readonly claimId: number;
  readonly recipient: ClaimedRecipient;
}

/**
 * The claims that a worker holds in one campaign: what may be handed over next, which results wait to be written, and
 * how far each handed-over mark may be moved. Pure bookkeeping; the promise it keeps is
 *
 *     recipients inside a durable mark without a durable result ≤ window, over all claims of the process together,
 *
 * which bounds what a crash can leave in doubt. Statements come one at a time: `takeBatch`, then `confirm` or `putBack`.
 */
export class ClaimLedger implements Sharer {
  readonly #window: SharedWindow;
  readonly #held = new Map<number, Held>();
  #results: Result[] = [];
  #inStatement: Batch | null = null;

  /** @param freed called when other campaigns have given places back for which this one waits */
  constructor(window: SharedWindow, freed: () => void = () => undefined) {
    this.#window = window;
    window.join(this, freed);
  }

  /** Takes no more part in the window: nothing is held any more, or the process gives up. */
  leave(): void {
    this.#window.leave(this);
  }

  add(claim: Claim): void {
    this.#held.set(claim.claimId, { claim, next: 0, marked: 0, reached: 0, recorded: 0, settled: 0 });
  }

  has(claimId: number): boolean {
    return this.#held.has(claimId);
  }

  /** Recipients that were claimed and not handed over yet. */
  get unhanded(): number {
    let count = 0;
    for (const held of this.#held.values()) count += held.claim.recipients.length - held.next;
    return count;
  }

  /** True when nothing is held and nothing waits to be written. */
  get empty(): boolean {
    return this.#held.size === 0 && this.#results.length === 0 && this.#inStatement === null;
  }

  get active(): boolean {
    return this.#held.size > 0;
  }

  get inDoubt(): number {
    let count = 0;
    for (const held of this.#held.values()) count += held.reached - held.settled;
    return count;
  }

  get starved(): boolean {
    return this.#held.size > 0 && this.inDoubt === 0 && this.unhanded > 0;
  }

  /** The next recipient that may be handed over, or null until a mark has moved or a claim has come. */
  takeNext(): Next | null {
    for (const held of this.#held.values()) {
      if (held.next < held.marked) {
        const recipient = held.claim.recipients[held.next++] as ClaimedRecipient;
        return { claimId: held.claim.claimId, recipient };
      }
      // Claims are used up in order: the window belongs to the oldest first.
      if (held.next < held.claim.recipients.length) return null;
    }
    return null;
  }

  /** Keeps a result until it is durable. Results of claims that were taken away are dropped: false. */
  addResult(result: Result): boolean {
    if (!this.#held.has(result.claimId)) return false;
    this.#results.push(result);
    return true;
  }

  /** Takes everything that was not handed over out of the worker's hands; the caller turns it into results. */
  takeUnhanded(): Next[] {
    const rest: Next[] = [];
    for (const held of this.#held.values()) {
      const { recipients, claimId } = held.claim;
      while (held.next < recipients.length) {
        rest.push({ claimId, recipient: recipients[held.next++] as ClaimedRecipient });
      }
    }
    return rest;
  }

  /** Results that wait for a statement. */
  get pending(): number {
    return this.#results.length;
  }

  /** Whether a recipient stands within a mark and was not handed over yet. */
  get mayHandOver(): boolean {
    for (const held of this.#held.values()) if (held.next < held.marked) return true;
    return false;
  }

  /** Whether a statement is worth its round trip: results wait, or nothing can be handed over before a mark moves. */
  get wantsStatement(): boolean {
    if (this.#inStatement !== null) return false;
    if (this.#results.length > 0) return true;
    if (this.mayHandOver || this.unhanded === 0) return false;
    for (const held of this.#held.values())
      if (held.reached > held.marked && held.next < held.claim.recipients.length) return true;
    return this.#spare(new Map()) > 0;
  }

  #resolve(results: readonly Result[]): Map<number, Resolved> {
    const resolved = new Map<number, Resolved>();
    for (const { claimId, recipientId } of results) {
      const held = this.#held.get(claimId);
      if (held === undefined) continue;
      const entry = resolved.get(claimId) ?? { all: 0, settled: 0 };
      resolved.set(claimId, entry);
      entry.all++;
      if (recipientId <= markOf(held, held.reached)) entry.settled++;
    }
    return resolved;
  }

  /** Window that is left when `resolved` becomes durable with this statement. */
  #spare(resolved: ReadonlyMap<number, Resolved>): number {
    let own = this.inDoubt;
    for (const { settled } of resolved.values()) own -= settled;
    return this.#window.spare(this, own);
  }

  /** The next statement's content: at most `limit` results, and every mark moved as far as the window allows. */
  takeBatch(limit: number): Batch {
    if (this.#inStatement !== null) throw new Error('a record statement is still in flight');
    const results = this.#results.slice(0, limit);
    this.#results = this.#results.slice(limit);
    const resolved = this.#resolve(results);
    let spare = this.#spare(resolved);
    const marks: Mark[] = [];
    for (const held of this.#held.values()) {
      const { recipients, claimId } = held.claim;
      const wanted = held.next < recipients.length ? recipients.length - held.reached : 0;
      const room = Math.max(Math.min(spare, wanted), 0);
      spare -= room;
      held.reached += room;
      const close = held.recorded + (resolved.get(claimId)?.all ?? 0) >= recipients.length;
      if (held.reached > held.marked || resolved.has(claimId))
        marks.push({ claimId, handedThrough: markOf(held, held.reached), close });
    }
    this.#inStatement = { results, marks };
    return this.#inStatement;
  }

  /** The statement has committed. Claims that are not held any more are forgotten; their ids come back. */
  confirm(recorded: Recorded): number[] {
    const batch = this.#inStatement;
    if (batch === null) throw new Error('no record statement is in flight');
    this.#inStatement = null;
    for (const [claimId, { all, settled }] of this.#resolve(batch.results)) {
      const held = this.#held.get(claimId) as Held;
      held.recorded += all;
      held.settled += settled;
    }
    const lost: number[] = [];
    for (const mark of batch.marks) {
      const held = this.#held.get(mark.claimId);
      if (held === undefined) continue;
      if (!recorded.held.has(mark.claimId) && !mark.close) {
        lost.push(mark.claimId);
        this.#forget(mark.claimId);
      } else if (mark.close) {
        this.#held.delete(mark.claimId);
      } else {
        held.marked = indexThrough(held, mark.handedThrough);
      }
    }
    this.#window.freedBy(this);
    return lost;
  }

  /** The statement failed, or its result is unknown: its results come first in the next one. */
  putBack(): void {
    const batch = this.#inStatement;
    if (batch === null) throw new Error('no record statement is in flight');
    this.#inStatement = null;
    this.#results = [...batch.results, ...this.#results];
  }

  /** Forgets everything: the worker was presumed dead, its claims belong to others. Returns how many results are void. */
  forgetAll(): number {
    const void_ = this.#results.length;
    this.#held.clear();
    this.#results = [];
    return void_;
  }

  #forget(claimId: number): void {
    this.#held.delete(claimId);
    this.#results = this.#results.filter((result) => result.claimId !== claimId);
  }
}

/** The id that a mark of `count` recipients has; 0: none. */
function markOf(held: Held, count: number): number {
  return held.claim.recipients[count - 1]?.recipientId ?? 0;
}

/** How many recipients stand within a mark. The mark moves by at most a window, so the walk is short. */
function indexThrough(held: Held, handedThrough: number): number {
  let index = held.marked;
  const { recipients } = held.claim;
  while (index < recipients.length && (recipients[index] as ClaimedRecipient).recipientId <= handedThrough)
    index++;
  return index;
}
