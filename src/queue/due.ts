import type { Database } from '../database/connect.ts';
import { prepare } from '../database/prepare.ts';
import type { CampaignStatus } from '../model/states.ts';

/** A campaign that a poller has to know about. */
export interface DueCampaign {
  readonly campaignId: number;
  readonly name: string;
  readonly status: CampaignStatus;
  /** send_state 0 and never came back. */
  readonly waiting: number;
  /** send_state 0, came back. */
  readonly retrying: number;
  /** send_state 1, in any worker's hands. */
  readonly claimed: number;
  /** When the next row that came back is due; null: there is none. */
  readonly nextRetryAt: Date | null;
  /** Rows can be claimed now. */
  readonly due: boolean;
  /** Seconds since it started, by the database's clock; 0 before. */
  readonly ageSeconds: number;
}

/** Scheduled campaigns whose time has come begin, by the database's clock. */
const PROMOTE = prepare(`
update campaign set status = 'running', started_at = coalesce(started_at, now()), status_reason = null
where status = 'scheduled' and start_at <= now()`);

/*
 * What runs, and what was cancelled lately and may still have people waiting. From counters and one probe of the
 * partial index a campaign; the states stand in the probe as the index's own predicate, so it reads one entry.
 */
const LOOK = prepare(`
select c.campaign_id, c.name, c.status, n.waiting, n.retrying, n.claimed, r.next, n.waiting > 0 or coalesce(r.next <= now(), false),
  coalesce(extract(epoch from now() - c.started_at), 0)::float8
from campaign c
cross join lateral (
  select coalesce(sum(waiting), 0)::bigint as waiting, coalesce(sum(retrying), 0)::bigint as retrying,
    coalesce(sum(claimed), 0)::bigint as claimed
  from counter where counter.campaign_id = c.campaign_id
) n
left join lateral (
  select retry_at as next from recipient
  where recipient.campaign_id = c.campaign_id and retry_at is not null and send_state = 0
  order by retry_at limit 1
) r on true
where c.status = 'running' or (c.status = 'cancelled' and c.finished_at > now() - interval '1 day') or c.campaign_id = any ($1)
order by c.campaign_id`);

/** Promotes scheduled campaigns and lists those that run. `also`: ids to list in any state. */
export async function lookForDue(db: Database, also: readonly number[]): Promise<DueCampaign[]> {
  await PROMOTE(db, []);
  type Row = [number, string, CampaignStatus, number, number, number, Date | null, boolean, number];
  const rows = await LOOK<Row>(db, [also]);
  return rows.map(([campaignId, name, status, waiting, retrying, claimed, nextRetryAt, due, ageSeconds]) => ({
    campaignId,
    name,
    status,
    waiting,
    retrying,
    claimed,
    nextRetryAt,
    due,
    ageSeconds,
  }));
}
