import type { Machine } from './raw.ts';

/** How many mails came within the time, over how many the rate allows. */
export type Limit = 'campaign' | 'domain' | 'relay';
export type Shares = Readonly<Record<Limit, number>>;

/** docs/benchmarks/rates.json. */
export interface RateFigures {
  readonly kind: 'sendstate-rates';
  readonly format: 1;
  readonly measuredAt: string;
  readonly machine: Machine;
  readonly workers: number;
  readonly seconds: number;
  /** Mails a second that were asked for. */
  readonly rate: number;
  readonly shares: Shares;
}

/** Two in a hundred: what 30 s of a hundred mails a second leave to the moments at which the first and the last one come. */
export const TOLERANCE = 0.02;

/** What is not as it was promised, in words. */
export function judgeRates(shares: Shares): string[] {
  return Object.entries(shares).flatMap(([limit, share]) =>
    Math.abs(share - 1) <= TOLERANCE + Number.EPSILON
      ? []
      : [`the rate of the ${limit} was kept to ${share}, and not to 1 ± ${TOLERANCE}`],
  );
}

const NAMES: Readonly<Record<Limit, string>> = {
  campaign: '`create --rate`, one campaign',
  domain: '`limit`, one domain of a campaign',
  relay: '`rate=` of SMTP_URL, one relay',
};

/** What docs/benchmarks.md shows of them. */
export function tableOfRates({ measuredAt, machine, workers, seconds, rate, shares }: RateFigures): string {
  const about =
    `Measured on ${measuredAt.slice(0, 10)} on ${machine.cores} cores (${machine.cpu}), Node ${machine.node}: ` +
    `${workers} worker processes, ${seconds} s, ${rate} mails a second.`;
  const lines = (Object.keys(NAMES) as Limit[]).map((limit) => `| ${NAMES[limit]} | ${shares[limit]} |`);
  return [about, '', '| limit | measured / asked |', '| --- | --- |', ...lines].join('\n');
}
