import { type Database, inTransaction } from '../database/connect.ts';
import { OUTCOMES, type Outcome } from '../model/states.ts';
import { type Failure, type Progress, type Readable, readFailures, readProgress } from './progress.ts';

/** Points of the curve at most: more than this no chart of a page's width can show. */
export const CURVE_POINTS = 120;
/** Reasons and domains in a report at most, the most frequent first; the others are added up. */
export const MOST_REASONS = 50;
export const MOST_DOMAINS = 30;

/** What was done in one span of the campaign. */
export interface CurvePoint {
  readonly at: Date;
  readonly sent: number;
  readonly failed: number;
  readonly retried: number;
}

/** How the recipients of one domain ended. */
export interface DomainSummary {
  readonly domain: string;
  readonly recipients: number;
  readonly sent: number;
  readonly failed: number;
  /** Not done yet. */
  readonly open: number;
}

/** Everything that people ask about a campaign afterwards. Times are the database's. */
export interface Report {
  readonly progress: Progress;
  /** When this was read. */
  readonly readAt: Date;
  /** From the first mail to the last, or to now, seconds; null: nothing was sent yet. */
  readonly seconds: number | null;
  /** Mails that the relay took, per second over that time. */
  readonly perSecond: number | null;
  /** Spans of `curveSeconds` each; empty when nothing was done. */
  readonly curve: readonly CurvePoint[];
  readonly curveSeconds: number;
  readonly failures: readonly Failure[];
  /** Failed recipients whose reasons are beyond MOST_REASONS. */
  readonly otherFailures: number;
  /** Domains with failures first, the most failures first. */
  readonly domains: readonly DomainSummary[];
  readonly otherDomains: number;
  /** Recipients who needed more than one attempt. */
  readonly retriedRecipients: number;
  /** Recipients who may have got more than one mail, or who may have got one although they do not count as sent. */
  readonly maybeSent: number;
}

/*
 * One walk through the campaign: by domain, and the two sums that no counter keeps. A report is asked for once, when the work
 * is done; a million rows take about a second.
 */
const BY_DOMAIN = `
with domains as (
  select split_part(address, '@', 2) as domain, count(*) as recipients,
    count(*) filter (where outcome = 'sent') as sent,
    count(*) filter (where send_state = 2 and outcome <> 'sent') as failed,
    count(*) filter (where send_state <> 2) as open,
    count(*) filter (where attempts > 1) as retried,
    count(*) filter (where maybe_sent > 0) as doubtful
  from recipient where campaign_id = $1 group by 1
)
select domain, recipients, sent, failed, open,
  (count(*) over ())::int as domains, (sum(retried) over ())::bigint as retried, (sum(doubtful) over ())::bigint as doubtful
from domains order by failed desc, recipients desc, domain limit ${MOST_DOMAINS}`;

/* The timeline in spans that are wide enough for CURVE_POINTS; a span begins where a bucket begins. */
const CURVE = `
with span as (
  select min(at) as first, max(at) as last,
    greatest(ceil(extract(epoch from max(at) - min(at)) / 5 / ${CURVE_POINTS}), 1) * 5 as seconds
  from timeline where campaign_id = $1
)
select s.first + make_interval(secs => floor(extract(epoch from t.at - s.first) / s.seconds) * s.seconds) as at,
  sum(t.sent)::int as sent, sum(t.failed)::int as failed, sum(t.retried)::int as retried, s.seconds::float8 as seconds
from timeline t cross join span s where t.campaign_id = $1
group by 1, s.seconds order by 1`;

const TIMES = `
select now() as now, min(done_at) as first, max(done_at) as last from recipient where campaign_id = $1 and send_state = 2`;

type DomainRow = DomainSummary & {
  readonly domains: number;
  readonly retried: number;
  readonly doubtful: number;
};

/** Reads a report; null: there is no such campaign. One snapshot, so that its sums agree while workers go on. */
export async function readReport(db: Database, name: string): Promise<Report | null> {
  return await inTransaction(db, async ({ client }) => {
    await client.query('set transaction isolation level repeatable read, read only');
    const [progress] = await readProgress({ pool: client }, name);
    return progress === undefined ? null : await readAll({ pool: client }, progress);
  });
}

async function readAll(db: Readable, progress: Progress): Promise<Report> {
  const { campaignId } = progress;
  const { rows: times } = await db.pool.query<{ now: Date; first: Date | null; last: Date | null }>(TIMES, [
    campaignId,
  ]);
  const { rows: domainRows } = await db.pool.query<DomainRow>(BY_DOMAIN, [campaignId]);
  const { rows: curve } = await db.pool.query<CurvePoint & { seconds: number }>(CURVE, [campaignId]);
  const failures = await readFailures(db, campaignId, MOST_REASONS);
  const { now, first, last } = times[0] ?? { now: new Date(), first: null, last: null };
  const begin = progress.startedAt ?? first;
  const end = progress.finishedAt ?? last;
  const seconds =
    begin === null || end === null ? null : Math.max((end.getTime() - begin.getTime()) / 1000, 0);
  const shown = failures.reduce((sum, { recipients }) => sum + recipients, 0);
  return {
    progress,
    readAt: now,
    seconds,
    perSecond: seconds === null || seconds === 0 ? null : progress.outcomes.sent / seconds,
    curve: curve.map(({ at, sent, failed, retried }) => ({ at, sent, failed, retried })),
    curveSeconds: curve[0]?.seconds ?? 0,
    failures,
    otherFailures: Math.max(reasoned(progress.outcomes) - shown, 0),
    domains: domainRows.map(({ domain, recipients, sent, failed, open }) => ({
      domain,
      recipients,
      sent,
      failed,
      open,
    })),
    otherDomains: Math.max((domainRows[0]?.domains ?? 0) - domainRows.length, 0),
    retriedRecipients: domainRows[0]?.retried ?? 0,
    maybeSent: domainRows[0]?.doubtful ?? 0,
  };
}

/** Recipients who ended for a reason: an operator's decision (suppressed, cancelled) needs none. */
function reasoned(outcomes: Readonly<Record<Outcome, number>>): number {
  return OUTCOMES.reduce(
    (sum, outcome) => (['sent', 'suppressed', 'cancelled'].includes(outcome) ? sum : sum + outcomes[outcome]),
    0,
  );
}
