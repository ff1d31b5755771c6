import type { CampaignRun } from './campaign-run.ts';
import type { Tier } from './contract.ts';
import type { Raw } from './raw.ts';
import { median } from './server.ts';

/** A line's figures in the last line of `--json`. */
export interface Summary {
  /** All people in and all people out, per second. */
  readonly mailsPerSecond: number | null;
  /** Without mail: out and settled per second; for the table 0→1→2. */
  readonly queueRowsPerSecond: number | null;
  readonly publishPerSecond: number | null;
  readonly bytesPerMail: number | null;
  /** Over all verified runs in which no process was killed. */
  readonly lost: number;
  readonly duplicated: number;
  readonly tier: Tier;
}

const orNull = (values: readonly number[], digits = 0): number | null =>
  values.length === 0 ? null : Number(median(values).toFixed(digits));

/** What one mail caused to be written to the device below the broker's data; null where there is no such device. */
export function bytesPerMail({ deviceBytes, people }: CampaignRun): number | null {
  return deviceBytes === null ? null : deviceBytes / people;
}

export function summarise(raw: Raw): Readonly<Record<string, Summary>> {
  return Object.fromEntries(
    raw.lines.map(({ key, tier }) => {
      const of = <T extends { readonly line: string }>(runs: readonly T[]) =>
        runs.filter(({ line }) => line === key);
      const verified = [...of(raw.campaign), ...of(raw.latency), ...of(raw.failures), ...of(raw.growth)];
      const sum = (name: 'lost' | 'duplicated') =>
        verified.reduce((total, { seen }) => total + seen[name], 0);
      const summary: Summary = {
        mailsPerSecond: orNull(of(raw.campaign).map((run) => run.mailsPerSecond)),
        queueRowsPerSecond: orNull(of(raw.queue).map((run) => run.consumePerSecond)),
        publishPerSecond: orNull(of(raw.queue).map((run) => run.publishPerSecond)),
        bytesPerMail: orNull(of(raw.campaign).flatMap((run) => bytesPerMail(run) ?? [])),
        lost: sum('lost'),
        duplicated: sum('duplicated'),
        tier,
      };
      return [key, summary];
    }),
  );
}
