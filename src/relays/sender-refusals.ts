import type { Verdict } from '../smtp/classify.ts';
import { BREAKER_FAILURES } from './breaker.ts';

/** Refusals of a campaign's sender in a row, by one relay, after which it is not asked again. As many as open a breaker. */
export const SENDER_REFUSALS = BREAKER_FAILURES;

/** Which relays refuse the senders of which campaigns. Each campaign is counted for itself: the relay may like the others. */
export class SenderRefusals<Campaign, Relay> {
  readonly #counts = new Map<Campaign, Map<Relay, number>>();

  /** A relay answered a mail of the campaign. */
  count(campaign: Campaign, relay: Relay, { kind }: Verdict): void {
    const counts = this.#counts.get(campaign);
    if (kind === 'sender') {
      if (counts === undefined) this.#counts.set(campaign, new Map([[relay, 1]]));
      else counts.set(relay, (counts.get(relay) ?? 0) + 1);
    } else if (kind === 'sent' || kind === 'rejected' || kind === 'retry') {
      // A relay that judges a recipient has taken the sender.
      counts?.delete(relay);
      if (counts?.size === 0) this.#counts.delete(campaign);
    }
  }

  /** Some relay has refused it lately. */
  any(campaign: Campaign): boolean {
    return this.#counts.has(campaign);
  }

  /** The relay has refused it so often that it is not asked again. */
  refuses(campaign: Campaign, relay: Relay): boolean {
    return (this.#counts.get(campaign)?.get(relay) ?? 0) >= SENDER_REFUSALS;
  }

  forget(campaign: Campaign): void {
    this.#counts.delete(campaign);
  }
}
