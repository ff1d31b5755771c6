import type { Database } from '../database/connect.ts';
import type { CampaignStatus, Outcome } from '../model/states.ts';

/** How a campaign stands, as the page is told: counts are recipients, times milliseconds since the epoch. */
export interface LiveCampaign {
  readonly id: number;
  readonly name: string;
  readonly status: CampaignStatus;
  readonly reason: string | null;
  readonly total: number;
  readonly waiting: number;
  readonly retrying: number;
  readonly claimed: number;
  readonly done: number;
  readonly outcomes: Readonly<Record<Outcome, number>>;
  readonly perSecond: number | null;
  readonly secondsLeft: number | null;
  readonly startAt: number | null;
  readonly startedAt: number | null;
  readonly finishedAt: number | null;
}

interface OfCampaign {
  readonly campaign: number;
}

export interface LiveFailure extends OfCampaign {
  readonly outcome: Outcome;
  readonly reason: string;
  readonly recipients: number;
  readonly example: string | null;
}

export interface LiveWorker {
  readonly worker: number;
  readonly host: string;
  readonly pid: number;
  readonly state: string;
  /** The name of the campaign that it holds people of. */
  readonly of: string | null;
  readonly holds: number;
  readonly doneLastMinute: number;
}

/** A relay as one worker sees it. */
export interface LiveRelay {
  readonly name: string;
  readonly worker: number;
  readonly state: string;
  /** Its last words, or the network's; null while it works. */
  readonly words: string | null;
  /** Mails a second at most, because it asked for less. */
  readonly slowedTo: number | null;
}

/** What was done in the five seconds that begin at `at`. */
export interface LiveSpan extends OfCampaign {
  readonly at: number;
  readonly sent: number;
  readonly failed: number;
}

/** Everything that all viewers together look at, as it was at one moment: one statement, so the numbers fit together. */
export interface Snapshot {
  readonly campaigns: readonly LiveCampaign[];
  readonly failures: readonly LiveFailure[];
  readonly workers: readonly LiveWorker[];
  readonly relays: readonly LiveRelay[];
  readonly spans: readonly LiveSpan[];
}

/** Campaigns in the list besides those that are not over: a page of thousands is of no use, and each is read twice a second. */
export const LISTED = 100;
/** Reasons of failure of a campaign on the page. */
const FAILURES = 20;
/** Workers on the page: more are a fleet, and `select * from worker_activity` is the place to look at it. */
const WORKERS = 200;
/** Spans that may still grow: the one that runs and the ones before it, for workers that write late. */
const SPANS = `interval '20 seconds'`;
/** Milliseconds until the database counts as lost: the statement takes about five. */
export const ANSWER_WITHIN_MS = 3_000;

const OUTCOMES = 'sent, rejected, expired, invalid, unconfirmed, suppressed, cancelled';
const epoch = (column: string) => `round(extract(epoch from ${column}) * 1000)::float8`;

/*
 * One statement a look, for all viewers: the campaigns of the list, and of those that a viewer has opened ($1) also the
 * reasons and the last spans. Reads counters, never recipients but for one example a reason. The set of campaigns comes
 * first, so that the sums are made for these and not for every campaign there ever was.
 */
const LOOK = `
with shown as materialized (
  select campaign_id from campaign where status in ('running', 'paused', 'scheduled') or campaign_id = any ($1::bigint[])
  union
  (select campaign_id from campaign order by campaign_id desc limit ${LISTED})
)
select
  (select coalesce(json_agg(c order by c.id desc), '[]') from (
     select p.campaign_id as id, name, status, status_reason as reason, total, waiting, retrying, claimed, done,
       json_build_object(${OUTCOMES.split(', ')
         .map((outcome) => `'${outcome}', ${outcome}`)
         .join(', ')}) as outcomes,
       per_second::float8 as "perSecond", extract(epoch from time_left)::float8 as "secondsLeft",
       ${epoch('start_at')} as "startAt", ${epoch('started_at')} as "startedAt", ${epoch('finished_at')} as "finishedAt"
     from shown s join campaign_progress p on p.campaign_id = s.campaign_id) c) as campaigns,
  (select coalesce(json_agg(f), '[]') from (
     select f.campaign_id as campaign, f.outcome, f.reason, f.recipients, f.example
     from unnest($1::bigint[]) as w(id)
     cross join lateral (select * from campaign_failures where campaign_id = w.id order by recipients desc, reason limit ${FAILURES}) f
     order by f.recipients desc, f.reason) f) as failures,
  (select coalesce(json_agg(w), '[]') from (
     select worker_id as worker, host, pid, state, campaign as of, coalesce(holds, 0) as holds,
       coalesce(done_last_minute, 0) as "doneLastMinute"
     from worker_activity where state <> 'stopped' and cardinality($1::bigint[]) > 0
     order by worker_id desc limit ${WORKERS}) w) as workers,
  (select coalesce(json_agg(r), '[]') from (
     select label as name, worker_id as worker, state, words, slowed_to as "slowedTo"
     from relay_activity where cardinality($1::bigint[]) > 0 order by label, worker_id limit ${WORKERS}) r) as relays,
  (select coalesce(json_agg(t order by t.at), '[]') from (
     select campaign_id as campaign, ${epoch('at')} as at, sum(sent) as sent, sum(failed) as failed
     from timeline where campaign_id = any ($1::bigint[]) and at > now() - ${SPANS}
     group by campaign_id, at) t) as spans`;

/** How all campaigns of the list stand, and more of those that are `watched`: it costs by distinct campaigns, not by how many look. */
export async function look({ pool }: Database, watched: readonly number[]): Promise<Snapshot> {
  const query = { text: LOOK, values: [watched], query_timeout: ANSWER_WITHIN_MS };
  const { rows } = await pool.query<Snapshot>(query);
  const [snapshot] = rows;
  if (snapshot === undefined) throw new Error('the database gave no row');
  return snapshot;
}

export interface Timeline {
  /** Seconds a point, a multiple of five. */
  readonly step: number;
  /** When each point begins, how many were sent in it, how many failed. Where nothing was done there is no point. */
  readonly points: readonly (readonly [at: number, sent: number, failed: number])[];
}

/** Points of a chart at most: more than a screen has page for. */
const POINTS = 400;

const TIMELINE = `
with span as (
  select greatest(5, 5 * ceil(extract(epoch from max(at) - min(at)) / ${POINTS * 5}))::float8 as step from timeline where campaign_id = $1
)
select step, coalesce(json_agg(json_build_array(t.at, t.sent, t.failed) order by t.at) filter (where t.at is not null), '[]') as points
from span left join lateral (
  select floor(extract(epoch from at) / step) * step * 1000 as at, sum(sent) as sent, sum(failed) as failed
  from timeline where campaign_id = $1 group by 1
) t on true group by step`;

/** What was done over a campaign's whole time, in at most 400 points. */
export async function timeline({ pool }: Database, campaignId: number): Promise<Timeline> {
  const query = { text: TIMELINE, values: [campaignId], query_timeout: ANSWER_WITHIN_MS };
  const { rows } = await pool.query<Timeline>(query);
  return rows[0] ?? { step: 5, points: [] };
}
