import type { Fault } from './plan.ts';

/** What a campaign does with whom a dead worker left in doubt. */
export type Policy = 'resend' | 'hold';
/** `mixed`: the first campaign resends and the second one holds. */
export type Policies = Policy | 'mixed';

/** Sent at the same time by the same workers. */
export const CAMPAIGNS = ['torture-1', 'torture-2'] as const;
/** It is never started: for imports that must fail. */
export const DRAFT = 'torture-draft';

export type CampaignName = (typeof CAMPAIGNS)[number];

export function policyOf(name: CampaignName, policies: Policies): Policy {
  if (policies !== 'mixed') return policies;
  return name === CAMPAIGNS[0] ? 'resend' : 'hold';
}

/** People of one campaign, by number. */
export interface Share {
  readonly campaign: CampaignName;
  readonly from: number;
  readonly to: number;
}

export interface Shares {
  readonly first: readonly Share[];
  readonly slices: readonly Share[];
}

/**
 * Half of the people are there from the beginning, a half of these in each campaign; the others come with the importing
 * processes, a slice each, for one campaign and the other in turn. Without an import every person is there.
 */
export function sharesOf(recipients: number, faults: readonly Fault[]): Shares {
  const imports = faults.filter(({ kind }) => kind === 'kill-import').length;
  const begin = imports === 0 ? recipients : Math.ceil(recipients / 2);
  return {
    first: inTurn(0, begin, CAMPAIGNS.length),
    slices: inTurn(begin, recipients, imports),
  };
}

/** Those after `before` up to `last` in so many parts. */
function inTurn(before: number, last: number, parts: number): Share[] {
  const end = (n: number) => before + Math.floor(((last - before) * n) / parts);
  return Array.from({ length: parts }, (_, n) => ({
    campaign: CAMPAIGNS[n % CAMPAIGNS.length] ?? CAMPAIGNS[0],
    from: end(n) + 1,
    to: end(n + 1),
  }));
}

/** Which campaign each person belongs to, by number. */
export function campaignsOfPeople({ first, slices }: Shares): ReadonlyMap<number, CampaignName> {
  const all = new Map<number, CampaignName>();
  for (const { campaign, from, to } of [...first, ...slices])
    for (let number = from; number <= to; number++) all.set(number, campaign);
  return all;
}
