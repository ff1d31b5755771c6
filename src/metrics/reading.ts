import type { Database } from '../database/connect.ts';
import { type CampaignStatus, COUNTED } from '../model/states.ts';

/** Campaigns by name: those that are not over first, then the latest. The rest together are `other`. */
export const NAMED = 100;
/** Relays by name. */
const RELAYS = 100;
/** Milliseconds until the database counts as lost. */
const ANSWER_WITHIN_MS = 3_000;

export type Counted = (typeof COUNTED)[number];

export interface CampaignNumbers {
  readonly name: string;
  readonly status: CampaignStatus;
  /** Recipients by where they are. */
  readonly counts: Readonly<Record<Counted, number>>;
  /** Seconds that the oldest recipient that could be sent to now has been waiting; 0: there is none. */
  readonly oldestSeconds: number;
}

/** What the database's counters say at one moment. */
export interface Numbers {
  readonly campaigns: readonly CampaignNumbers[];
  /** Of all campaigns without a name here. */
  readonly other: Readonly<Record<Counted, number>>;
  /** Waiting in campaigns that run, those included that wait until they are due. */
  readonly queued: number;
  readonly workers: Readonly<Record<'alive' | 'silent', number>>;
  readonly relays: readonly { readonly label: string; readonly state: string; readonly workers: number }[];
}

const sums = COUNTED.map((column) => `'${column}', coalesce(sum(${column}), 0)`).join(', ');

/*
 * One statement from counters and one probe of the partial index of what came back for each campaign that runs: the same cost at
 * ten recipients and at ten million. A recipient without an attempt has been waiting since the campaign started.
 */
const READ = `
with named as materialized (
  select campaign_id, name, status, started_at from campaign
  order by status in ('running', 'paused', 'scheduled') desc, campaign_id desc limit ${NAMED}
), counts as materialized (
  select campaign_id, json_build_object(${sums}) as counts, sum(waiting) as waiting from counter group by campaign_id
)
select
  (select coalesce(json_agg(c), '[]') from (
     select n.name, n.status, k.counts,
       case when n.status = 'running' then greatest(0, case when k.waiting > 0 then extract(epoch from now() - n.started_at) end,
         extract(epoch from now() - r.next)) else 0 end::float8 as "oldestSeconds"
     from named n
     left join counts k on k.campaign_id = n.campaign_id
     left join lateral (
       select retry_at as next from recipient
       where n.status = 'running' and recipient.campaign_id = n.campaign_id and retry_at is not null and send_state = 0
       order by retry_at limit 1
     ) r on true) c) as campaigns,
  (select json_build_object(${sums}) from counter where campaign_id not in (select campaign_id from named)) as other,
  (select coalesce(sum(waiting + retrying), 0)::float8 from counter join campaign using (campaign_id) where status = 'running') as queued,
  (select json_build_object('alive', count(*) filter (where heartbeat_at >= now() - lease),
     'silent', count(*) filter (where heartbeat_at < now() - lease)) from worker where stopped_at is null) as workers,
  (select coalesce(json_agg(r), '[]') from (
     select label, state, count(*)::int as workers from relay_activity
     where label in (select label from relay_activity group by label order by label limit ${RELAYS})
     group by label, state) r) as relays`;

const ALL_ZERO = Object.fromEntries(COUNTED.map((column) => [column, 0])) as Record<Counted, number>;

/** Reads the counters. Throws the database's errors. */
export async function readNumbers({
  pool,
}: {
  readonly pool: Pick<Database['pool'], 'query'>;
}): Promise<Numbers> {
  const query = { text: READ, query_timeout: ANSWER_WITHIN_MS };
  const { rows } = await pool.query<Numbers>(query);
  const [numbers] = rows;
  if (numbers === undefined) throw new Error('the database gave no row');
  const campaigns = numbers.campaigns.map((one) => ({ ...one, counts: one.counts ?? ALL_ZERO }));
  return { ...numbers, campaigns };
}
