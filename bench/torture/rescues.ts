import { median } from '../server.ts';
import type { Death } from './faults.ts';
import type { SinkLog } from './log.ts';
import type { ClaimRow } from './rows.ts';

/** Seconds from a worker's SIGKILL, the lease included; null: no killed worker held anything that was sent again. */
export interface Rescues {
  /** To a dead worker's rows being sent again: the median over the deaths of the median over the rows. */
  readonly secondsToRescue: number | null;
  /** To the first and to the last of its rows: medians over the deaths. */
  readonly secondsToFirst: number | null;
  readonly secondsToLast: number | null;
  /** To its claims having been taken apart: the median over the deaths. What is left until the mail is the relay's pace as well. */
  readonly secondsToReturn: number | null;
}

/**
 * How long it took until the sink took from others what the killed ones had held. A row that a second death hit before it was
 * sent counts with that one, from which it was rescued last.
 */
export function rescuesOf(deaths: readonly Death[], log: SinkLog, claims: readonly ClaimRow[]): Rescues {
  const byAddress = Map.groupBy(log.mails, ({ address }) => address);
  const hitAgain = (address: string, after: number, before: number) =>
    deaths.some(({ at, held }) => at > after && at < before && held.includes(address));
  const perDeath = deaths.flatMap(({ life, at, held }) => {
    const seconds = held.flatMap((address) => {
      const others = (byAddress.get(address) ?? []).filter(({ client }) => client !== life.name);
      const again = others.flatMap(({ accepted }) => (accepted !== null && accepted >= at ? [accepted] : []));
      const sent = Math.min(...again);
      return again.length === 0 || hitAgain(address, at, sent) ? [] : [(sent - at) / 1000];
    });
    return seconds.length === 0 ? [] : [seconds];
  });
  const returned = deaths.flatMap(({ life, at }) => {
    const closed = claims.flatMap((claim) =>
      claim.pid === life.pid && claim.rescued && claim.closed !== null && claim.closed >= at
        ? [claim.closed]
        : [],
    );
    return closed.length === 0 ? [] : [(Math.max(...closed) - at) / 1000];
  });
  return {
    secondsToRescue: middle(perDeath.map(median)),
    secondsToFirst: middle(perDeath.map((seconds) => Math.min(...seconds))),
    secondsToLast: middle(perDeath.map((seconds) => Math.max(...seconds))),
    secondsToReturn: middle(returned),
  };
}

const middle = (seconds: readonly number[]) =>
  seconds.length === 0 ? null : Math.round(median(seconds) * 100) / 100;
