/** Campaigns that cannot go on, and why, until that is written: no run in this process may take them up before. */
export class PendingPauses<Campaign extends { readonly campaignId: number }> {
  readonly #write: (campaign: Campaign, reason: string) => Promise<void>;
  readonly #waiting = new Map<number, { readonly campaign: Campaign; readonly reason: string }>();

  /** @param write pauses one, or throws the database's error */
  constructor(write: (campaign: Campaign, reason: string) => Promise<void>) {
    this.#write = write;
  }

  add(campaign: Campaign, reason: string): void {
    this.#waiting.set(campaign.campaignId, { campaign, reason });
  }

  has(campaignId: number): boolean {
    return this.#waiting.has(campaignId);
  }

  /** Pauses them. Throws the database's errors; campaigns not paused yet are kept for the next time. */
  async pause(): Promise<void> {
    for (const [campaignId, { campaign, reason }] of this.#waiting) {
      await this.#write(campaign, reason);
      this.#waiting.delete(campaignId);
    }
  }
}
