import type { Verdict } from '../smtp/classify.ts';
import type { Gate } from './gate.ts';
import { SenderRefusals } from './sender-refusals.ts';

/** Recipients in a claim while relays are being probed: one is sent, the rest would only be released again. */
const PROBE_BATCH = 2;

/** A campaign that uses the relays, by what wakes it: mails may go. */
export type Campaign = () => void;

/**
 * The relays of a worker, for all of its campaigns: which one takes the next mail, and how many a campaign may have in
 * flight.
 *
 * Mails are spread by smooth weighted round robin. A relay whose connections are all busy is waited for: with every
 * relay busy all the time, taking the next mail elsewhere would spread by speed, not by weight. A relay in trouble,
 * without a token or slowed is left out, and the others take its share.
 */
export class Relays {
  readonly gates: readonly Gate[];
  /** The one relay, where there is only one: nothing is chosen then. */
  readonly #only: Gate | null;
  readonly #campaigns = new Set<Campaign>();
  /** Campaigns that wait where there is not enough for all (a rate, a slowed relay, few connections), who waits longest first. */
  readonly #waiting = new Set<Campaign>();
  readonly #refusals = new SenderRefusals<Campaign, Gate>();
  /** Whose turn it is while another lets it go first: one mail. */
  #turn: { readonly of: Campaign; mails: number } | null = null;
  #chosen: Gate | null = null;

  constructor(gates: readonly Gate[]) {
    const [first, second] = gates;
    if (first === undefined) throw new Error('a worker needs a relay');
    this.gates = gates;
    this.#only = second === undefined ? first : null;
  }

  /** A campaign begins to use the relays; it is woken when room was made that is not its own mails'. */
  join(campaign: Campaign): void {
    this.#campaigns.add(campaign);
  }
  leave(campaign: Campaign): void {
    this.#campaigns.delete(campaign);
    this.#waiting.delete(campaign);
    this.#refusals.forget(campaign);
  }

  /** Tells every campaign that mails may go. */
  wake(): void {
    for (const wake of this.#campaigns) wake();
  }

  /** The relay for the next mail of a campaign with `own` mails in flight, or null: none has room. */
  next(campaign: Campaign, own: number): Gate | null {
    const free = this.#free(campaign, own);
    if (free === null || this.#waiting.size === 0) return free;
    // Who has waited longer goes first, and may take the place.
    return this.#mayGo(campaign) ? this.#free(campaign, own) : null;
  }

  /** The relay that has room for one more mail of a campaign with `own` in flight. */
  #free(campaign: Campaign, own: number): Gate | null {
    // A sender that some relays refuse chooses among the others, and leaves all turns as they are.
    const gate = this.#only ?? (this.#refusals.any(campaign) ? this.#choose(campaign) : this.#choice());
    if (gate?.room !== 'yes' || own >= this.#share(gate)) return null;
    return gate;
  }

  /** A mail of a campaign with `own` in flight waits, and `next` had no relay for it: those that lack tokens ask for some. */
  wanted(campaign: Campaign, own: number): void {
    let limited = false;
    for (const gate of this.gates) {
      gate.wanted();
      if (gate.perSecond !== Number.POSITIVE_INFINITY) limited = true;
    }
    const { size } = this.#campaigns;
    if (size === 1) return;
    // With fewer places than campaigns the one whose mail came back would have its place for ever.
    if ((limited || size > this.#allowed(null)) && own < this.#share(null)) this.#waiting.add(campaign);
  }

  /** The mail that `next` was asked for goes through the gate. */
  handedOver(campaign: Campaign, gate: Gate): void {
    if (this.#waiting.size > 0) this.#waiting.delete(campaign);
    if (this.#turn !== null) this.#turn.mails--;
    if (this.#only === null) {
      this.#count(gate);
      if (this.#chosen === gate) this.#chosen = null;
    }
    gate.handedOver();
  }

  /** A mail of a campaign came back. True: no relay takes the campaign's sender, which just became clear. */
  cameBack(campaign: Campaign, gate: Gate, verdict: Verdict, words: string, replied: boolean): boolean {
    gate.cameBack(verdict, words, replied);
    this.#refusals.count(campaign, gate, verdict);
    // The one whose mail it was looks by itself; the relay that others wait for may be this one.
    if (this.#only === null && this.#campaigns.size > 1) this.wake();
    if (verdict.kind !== 'sender' || !this.gates.every((other) => this.#refusals.refuses(campaign, other)))
      return false;
    // From the beginning: the operator that resumes the campaign may have put it right.
    this.#refusals.forget(campaign);
    return true;
  }

  /** Milliseconds until any relay may be tried; 0: mails may go now. */
  get waitMs(): number {
    return Math.min(...this.gates.map(({ waitMs }) => waitMs));
  }

  /** The words of a relay that refuses the sender, when all of them do: nothing will get better by itself. */
  get misconfigured(): string | null {
    const words = this.gates.map(({ misconfigured }) => misconfigured);
    return words.includes(null) ? null : (words[0] ?? null);
  }

  /** Recipients in a claim: no more than what the relays may take in a second, so that no recipient is claimed for long. */
  claimLimit(batch: number): number {
    const working = this.gates.filter(({ breaker }) => breaker.state === 'closed');
    const primary = working.filter(({ weight }) => weight > 0);
    const used = primary.length > 0 ? primary : working;
    if (used.length === 0) return Math.min(PROBE_BATCH, batch);
    const perSecond = used.reduce((sum, gate) => sum + gate.perSecond, 0);
    return Math.min(batch, Math.max(1, Math.ceil(perSecond)));
  }

  /** Where mails are rationed campaigns take turns, or the first to ask would always be the same one. */
  #mayGo(campaign: Campaign): boolean {
    if (this.#turn !== null) return this.#turn.of === campaign && this.#turn.mails > 0;
    for (const first of [...this.#waiting]) {
      // Without a place it would lose its turn for nothing.
      if (first === campaign || this.#free(first, 0) === null) break;
      this.#waiting.delete(first);
      this.#turn = { of: first, mails: 1 };
      first();
      this.#turn = null;
    }
    return true;
  }

  /** Whose turn it is stays so until it had it; a stand-by has none when another relay takes mails again. */
  #choice(): Gate | null {
    const chosen = this.#chosen;
    if (chosen === null || chosen.weight === 0 || chosen.room === 'no') this.#chosen = this.#choose(null);
    return this.#chosen;
  }

  /** Who is being probed comes first: it is one mail, and its weight may be small. */
  #choose(campaign: Campaign | null): Gate | null {
    const refuses = (gate: Gate) => campaign !== null && this.#refusals.refuses(campaign, gate);
    let best: Gate | null = null;
    let standBy = true;
    for (const gate of this.gates) {
      if (gate.weight === 0 || refuses(gate)) continue;
      if (!gate.inTrouble) standBy = false;
      const { room } = gate;
      if (room === 'no') continue;
      if (gate.breaker.state === 'half-open') return gate;
      if (best === null || gate.credit + gate.weight > best.credit + best.weight) best = gate;
    }
    if (best !== null || !standBy) return best;
    for (const gate of this.gates) {
      if (gate.weight > 0 || gate.room === 'no' || refuses(gate)) continue;
      if (gate.breaker.state === 'half-open') return gate;
      if (best === null || gate.credit > best.credit) best = gate;
    }
    return best;
  }

  /** One step of the round robin: every relay that takes part earns its weight, and the one that gets the mail pays for all. */
  #count(chosen: Gate): void {
    let total = 0;
    for (const gate of this.gates) {
      if ((gate.weight === 0) !== (chosen.weight === 0)) continue;
      if (gate !== chosen && gate.room === 'no') continue;
      const weight = Math.max(gate.weight, 1);
      gate.credit += weight;
      total += weight;
    }
    chosen.credit -= total;
  }

  /** Mails that a campaign may have in flight: its share of what all relays allow, stand-bys only while they are used. */
  #share(gate: Gate | null): number {
    return Math.max(1, Math.floor(this.#allowed(gate) / Math.max(1, this.#campaigns.size)));
  }

  #allowed(gate: Gate | null): number {
    let allowed = 0;
    for (const other of this.gates)
      if (other.weight > 0 || other === gate || other.inFlight > 0) allowed += other.allowance;
    return allowed;
  }
}
