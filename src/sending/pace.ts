import type { Database } from '../database/connect.ts';
import { prepare } from '../database/prepare.ts';

/**
 * How much of a second's worth the bucket may hold, seconds. A quarter: after an idle minute nobody bursts, and four
 * draws a second are cheap.
 */
export const BURST_SECONDS = 0.25;

/*
 * Draws from the campaign's token bucket: refill by the time that passed, hand out at most $2 whole tokens, keep the
 * fraction. The bucket is one row on the database's clock, so the rate holds over every worker on every machine and no
 * other clock is asked. The row is locked for this statement alone; a worker draws before a claim, not before a mail.
 * `granted` is a column because an upsert can return only what it wrote. The first draw ever fills the bucket and gets 0.
 */
const FILLED = `least(greatest(c.rate * ${BURST_SECONDS}, 1),
    p.tokens + c.rate * greatest(extract(epoch from now() - p.refilled_at), 0))`;
const DRAW = prepare(`
with opened as (
  insert into pace (campaign_id, tokens, granted, refilled_at) values ($1, 0, 0, now())
  on conflict (campaign_id) do nothing
)
update pace p set
  tokens = ${FILLED} - least(floor(${FILLED}), $2::float8),
  granted = least(floor(${FILLED}), $2::float8),
  refilled_at = greatest(p.refilled_at, now())
from campaign c
where p.campaign_id = $1 and c.campaign_id = $1
returning p.granted`);

const GIVE_BACK = prepare(`update pace set tokens = tokens + $2 where campaign_id = $1`);

/** Draws up to `wanted` tokens, one a mail. 0 means: come back in a moment, see `paceWaitMs`. */
export async function drawTokens(db: Database, campaignId: number, wanted: number): Promise<number> {
  const [row] = await DRAW<[granted: number]>(db, [campaignId, wanted]);
  return row?.[0] ?? 0;
}

/** Puts back `tokens` that a claim did not use. */
export async function returnTokens(db: Database, campaignId: number, tokens: number): Promise<void> {
  if (tokens > 0) await GIVE_BACK(db, [campaignId, tokens]);
}

/** Milliseconds until asking again is worth it: the time of one mail, between 10 ms and a second. */
export function paceWaitMs(rate: number): number {
  return Math.min(Math.max(1000 / rate, 10), 1000);
}
