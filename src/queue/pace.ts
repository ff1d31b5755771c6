import type { Database } from '../database/connect.ts';
import { prepare } from '../database/prepare.ts';

/**
 * How much of a second's worth the bucket may hold, seconds. A quarter: after an idle minute there is no burst, and a worker
 * that was busy for a moment loses nothing.
 */
export const BURST_SECONDS = 0.25;
/** The least that is worth a claim, seconds' worth: 20 claims a second, however many workers share the rate. */
const LEAST_SECONDS = 0.05;
/** Shortest wait before asking again, milliseconds. Asking for what is not there writes nothing. */
const SHORTEST_WAIT_MS = 25;
/** Longest, for rates below one mail a second. */
const LONGEST_WAIT_MS = 1_000;

/*
 * Draws from the campaign's token bucket: refill by the time that passed, hand out at most $2 whole tokens, keep the
 * fraction. The bucket is one row on the database's clock, so the rate holds over every worker on every machine and no
 * other clock is asked. The row is locked for this statement alone; a worker draws before a claim, not before a mail.
 * `granted` is a column because what an update returns is what it wrote. A new bucket holds enough for one draw, which
 * sees it only in the next statement: null. One token more than the burst fits in: below 10/s what comes into being while
 * a worker is on its way to the next draw would overflow, up to a third of the rate.
 */
/**
 * Never back by the moments for which a statement waited for the row; but a time that lies ahead by more was told by a clock
 * that has been set back since, and the bucket would stay empty until then.
 */
const AHEAD = `p.refilled_at > now() + interval '5 seconds'`;
export const REFILLED = `case when ${AHEAD} then now() else greatest(p.refilled_at, now()) end`;
const LEAST = `greatest(floor(c.rate * ${LEAST_SECONDS}), 1)`;
const FILLED = `least(greatest(c.rate * ${BURST_SECONDS}, 1) + 1, p.tokens + c.rate * greatest(extract(epoch from now() - p.refilled_at)::float8, 0))`;
const DRAW = prepare(`
with opened as (
  insert into pace (campaign_id, tokens, granted, refilled_at)
  select c.campaign_id, ${LEAST}, 0, now() from campaign c where c.campaign_id = $1 and c.rate is not null
  on conflict (campaign_id) do nothing
  returning 1
), drawn as (
  update pace p set
    tokens = ${FILLED} - least(floor(${FILLED}), $2::float8),
    granted = least(floor(${FILLED}), $2::float8),
    refilled_at = ${REFILLED}
  from campaign c
  where p.campaign_id = $1 and c.campaign_id = $1
    and (floor(${FILLED}) >= least($2::float8, ${LEAST}) or ${AHEAD})
  returning p.granted
)
select coalesce((select granted from drawn), case when not exists (select from opened) then 0 end)`);

const GIVE_BACK = prepare(`update pace set tokens = tokens + $2 where campaign_id = $1`);

/** Draws up to `wanted` tokens, one a mail. 0 means: come back in a moment, see `paceWaitMs`. */
export async function drawTokens(db: Database, campaignId: number, wanted: number): Promise<number> {
  const [first] = await DRAW<[granted: number | null]>(db, [campaignId, wanted]);
  if (first?.[0] !== null) return first?.[0] ?? 0;
  const [second] = await DRAW<[granted: number | null]>(db, [campaignId, wanted]);
  return second?.[0] ?? 0;
}

/** Puts back `tokens` that a claim did not use. */
export async function returnTokens(db: Database, campaignId: number, tokens: number): Promise<void> {
  if (tokens > 0) await GIVE_BACK(db, [campaignId, tokens]);
}

/** Milliseconds until asking again is worth it: the time of one mail, within bounds. */
export function paceWaitMs(rate: number): number {
  return Math.min(Math.max(1000 / rate, SHORTEST_WAIT_MS), LONGEST_WAIT_MS);
}
