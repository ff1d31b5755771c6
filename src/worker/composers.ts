import type { DueCampaign } from '../queue/due.ts';

/** The compiled messages of the campaigns that run; with attachments they are large. */
export class Composers<Campaign extends { readonly campaignId: number }, Composer> {
  readonly #compile: (campaign: Campaign) => Promise<Composer>;
  readonly #compiled = new Map<number, Composer>();

  constructor(compile: (campaign: Campaign) => Promise<Composer>) {
    this.#compile = compile;
  }

  /** Compiled once while the campaign runs. Throws what the compiler throws. */
  async of(campaign: Campaign): Promise<Composer> {
    const known = this.#compiled.get(campaign.campaignId);
    if (known !== undefined) return known;
    const composer = await this.#compile(campaign);
    this.#compiled.set(campaign.campaignId, composer);
    return composer;
  }

  /** Forgets those that do not run any more. */
  keep(campaigns: readonly DueCampaign[]): void {
    const running = new Set<number>();
    for (const { campaignId, status } of campaigns) if (status === 'running') running.add(campaignId);
    for (const campaignId of this.#compiled.keys())
      if (!running.has(campaignId)) this.#compiled.delete(campaignId);
  }
}
