import type { Database } from '../database/connect.ts';
import { prepare } from '../database/prepare.ts';
import type { Result } from '../model/states.ts';

/** Where a claim's handed-over mark shall stand, and whether the claim is over. */
export interface Mark {
  readonly claimId: number;
  /** Recipients with an id up to this one may be handed over once the statement has committed; 0 moves nothing. */
  readonly handedThrough: number;
  /** The last recipient has left the claim. */
  readonly close: boolean;
}

export interface Recorded {
  /** Rows that changed. Fewer than the results given: the others belong to a claim that was taken away meanwhile. */
  readonly written: number;
  /** Claims, of those in `marks`, that are still the worker's; from any other it must hand nothing over any more. */
  readonly held: ReadonlySet<number>;
}

/** Longest reply that the log keeps, characters; the row itself keeps all of it. */
export const LOGGED_REPLY = 500;
/**
 * Rows that the log has of one recipient before the relay's troubles are no longer added to it: those are charged to
 * no recipient and have no other bound. As many as max_attempts may be.
 */
export const MOST_LOGGED = 100;

/** What a result makes of its row. */
const FATE = `
    send_state = case when r.outcome is null then 0 else 2 end,
    outcome = r.outcome,
    done_at = case when r.outcome is not null then now() end,
    retry_at = case when r.outcome is null then now() + make_interval(secs => r.retry_seconds) end,
    attempts = t.attempts + r.charged,
    maybe_sent = t.maybe_sent + r.maybe_sent,
    reply_code = case when r.reply is null then t.reply_code else r.reply_code end,
    reply = coalesce(r.reply, t.reply)`;

/** A row changes only while the claim that the result names holds it. */
const FENCE = `from found r
  where t.ctid = r.tid and t.campaign_id is not distinct from $1
    and t.recipient_id = r.recipient_id and t.claim_id = r.claim_id and t.send_state = 1`;

/** The results, one row each; the ordinary ones have no relay to name. */
const WRITTEN = `
result as (
  select * from unnest(
    (select $3::bigint[]), (select $4::bigint[]), (select $5::outcome[]), (select $6::smallint[]), (select $7::text[]),
    (select $8::float8[]), (select $9::smallint[]), (select $10::smallint[]), (select $11::text[])
  ) as r(recipient_id, claim_id, outcome, reply_code, reply, retry_seconds, charged, maybe_sent, reason)
), found as (
  select r.*, x.tid
  from result r cross join lateral (
    select ctid as tid from recipient where campaign_id = $1 and recipient_id = r.recipient_id offset 0
  ) x
), written as (
  update recipient t set ${FATE}
  ${FENCE}
  returning t.recipient_id, t.outcome, r.reason
)`;

/** The same, with what the log tells: the relay, and whether the reply is the one that the row has already. */
const WRITTEN_TO_LOG = `
result as (
  select * from unnest(
    (select $3::bigint[]), (select $4::bigint[]), (select $5::outcome[]), (select $6::smallint[]), (select $7::text[]),
    (select $8::float8[]), (select $9::smallint[]), (select $10::smallint[]), (select $11::text[]), (select $15::text[])
  ) as r(recipient_id, claim_id, outcome, reply_code, reply, retry_seconds, charged, maybe_sent, reason, relay)
), found as (
  select r.*, x.tid, (x.old_code, x.old_reply) is not distinct from (r.reply_code, r.reply) as said_again
  from result r cross join lateral (
    select ctid as tid, reply_code as old_code, reply as old_reply
    from recipient where campaign_id = $1 and recipient_id = r.recipient_id offset 0
  ) x
), written as (
  update recipient t set ${FATE}
  ${FENCE}
  returning t.recipient_id, t.outcome, r.reason, r.claim_id, r.reply_code, r.reply as said, r.said_again, r.charged,
    r.maybe_sent as doubt, r.relay
)`;

/** The counters and the timeline move by what was written. */
const COUNTED = `
tally as (
  select count(*) as n,
         count(*) filter (where outcome is null) as retrying,
         count(*) filter (where outcome = 'sent') as sent,
         count(*) filter (where outcome = 'rejected') as rejected,
         count(*) filter (where outcome = 'expired') as expired,
         count(*) filter (where outcome = 'invalid') as invalid,
         count(*) filter (where outcome = 'unconfirmed') as unconfirmed,
         count(*) filter (where outcome = 'suppressed') as suppressed,
         count(*) filter (where outcome = 'cancelled') as cancelled
  from written
), counted as (
  insert into counter as c (
    campaign_id, worker_id, lane, claimed, retrying,
    sent, rejected, expired, invalid, unconfirmed, suppressed, cancelled)
  select $1, $2, 1, -n, retrying, sent, rejected, expired, invalid, unconfirmed, suppressed, cancelled
  from tally where n > 0
  on conflict (campaign_id, worker_id, lane) do update set
    claimed = c.claimed + excluded.claimed,
    retrying = c.retrying + excluded.retrying,
    sent = c.sent + excluded.sent,
    rejected = c.rejected + excluded.rejected,
    expired = c.expired + excluded.expired,
    invalid = c.invalid + excluded.invalid,
    unconfirmed = c.unconfirmed + excluded.unconfirmed,
    suppressed = c.suppressed + excluded.suppressed,
    cancelled = c.cancelled + excluded.cancelled
), timed as (
  insert into timeline as t (campaign_id, at, worker_id, sent, failed, retried)
  select $1, to_timestamp(floor(extract(epoch from now()) / 5) * 5), $2, sent, n - sent - retrying - cancelled, retrying
  from tally where n > 0
  on conflict (campaign_id, at, worker_id) do update set
    sent = t.sent + excluded.sent, failed = t.failed + excluded.failed, retried = t.retried + excluded.retried
)`;

/** What stands in the log and among the failures by reason. */
const LOGGED = `
logged as (
  insert into attempt (campaign_id, recipient_id, claim_id, worker_id, event, reply_code, reply, relay)
  select $1, recipient_id, claim_id, $2, event, reply_code, left(said, ${LOGGED_REPLY}), relay
  from (
    select *, case
      when outcome in ('rejected', 'expired', 'invalid', 'unconfirmed') then outcome::text
      when outcome is not null then null
      when charged > 0 then 'deferred'
      when doubt > 0 then 'ambiguous'
      -- A relay that says the same to the same recipient for hours is one trouble.
      when said is not null and said_again is not true and (select count(*) from (
          select from attempt a where a.campaign_id = $1 and a.recipient_id = written.recipient_id limit ${MOST_LOGGED}
        ) known) < ${MOST_LOGGED} then 'trouble'
    end as event
    from written
  ) w where event is not null
), failed as (
  insert into failure as f (campaign_id, outcome, reason, worker_id, recipients, example_id)
  select $1, outcome, reason, $2, count(*), min(recipient_id) from written where reason is not null
  group by outcome, reason
  on conflict (campaign_id, outcome, reason, worker_id) do update set
    recipients = f.recipients + excluded.recipients, example_id = excluded.example_id, last_at = excluded.last_at
)`;

/** The handed-over marks of claims that are still the worker's, and the answer. */
const MARKED = `
marked as (
  update claim c set
    handed_through = greatest(c.handed_through, m.handed_through),
    closed_at = case when m.close and (select n from tally) = cardinality($3::bigint[]) then now() end
  from unnest((select $12::bigint[]), (select $13::bigint[]), (select $14::bool[]))
    as m(claim_id, handed_through, close)
  where c.campaign_id = $1 and c.claim_id = m.claim_id and c.closed_at is null
    and exists (select from worker w where w.worker_id = c.worker_id and w.stopped_at is null)
  returning c.claim_id
)
select (select n from tally), array(select claim_id from marked)`;

/*
 * Everything that a worker has to say about one campaign, in one statement and so in one commit: results, the
 * handed-over marks, the counters, the timeline, the failures by reason and the log.
 *
 * - `t.claim_id = r.claim_id and t.send_state = 1` is the fence: a worker that was presumed dead changes nothing, and
 *   a statement that is sent twice, because the answer to the first was lost, counts nothing twice.
 * - Counters are computed from the rows that changed, never from the rows that were meant.
 * - retry_at is assigned only what it was before on the way to 2, so the update stays heap-only: what counts is
 *   whether an indexed value differs, not whether the column is named.
 * - `lateral … offset 0` and the join by ctid leave the planner no choice: one probe of the primary key a result.
 *   With a plain join and the statistics of before the import it walks the whole campaign for every result.
 * - No mark of a worker that is marked dead moves. Its claims are taken apart one after the other: what the first
 *   ones give back of its window must not be used for those that are still open.
 * - A claim is closed only when every result was written. A row that another session changed between our look and our
 *   lock (an operator with psql) has a new ctid that this snapshot does not see; `record` then says it again.
 * - The arrays come through sub-selects, which hide their length from the planner: otherwise the plan for three rows
 *   always looks cheaper than the general one, and it is made anew for each statement (0.5 ms of 1.1).
 * - Arrays and unnest, not a statement a row. CPU of the server: 0.4 ms for a statement of one row, 0.7 for 40, 1.6
 *   for 200.
 */
export const RECORD = prepare(`with ${WRITTEN}, ${COUNTED}, ${MARKED}`);

/**
 * The same when something other than a first success or a release is among the results. A statement of its own, because
 * a table that is not named is not opened: the ordinary one does without the log and the failures.
 */
export const RECORD_AND_LOG = prepare(`with ${WRITTEN_TO_LOG}, ${COUNTED}, ${LOGGED}, ${MARKED}`);

/** Whether a result belongs into the log or among the failures. */
function isNoteworthy({ outcome, reason, reply }: Result): boolean {
  return reason !== null || (outcome === null && reply !== null);
}

/** A Postgres array literal of numbers, booleans and nulls, which need no quoting. */
function plainArray<T>(items: readonly T[], value: (item: T) => number | boolean | string | null): string {
  let literal = '{';
  for (let i = 0; i < items.length; i++) {
    if (i > 0) literal += ',';
    literal += value(items[i] as T) ?? 'null';
  }
  return `${literal}}`;
}

const NEEDS_ESCAPE = /["\\]/g;

/**
 * A Postgres array literal of texts (https://www.postgresql.org/docs/18/arrays.html#ARRAYS-IO). NUL, which no text of
 * Postgres can hold, is left out: one hostile reply must not make a statement of 500 rows fail for ever.
 */
export function textArray<T>(items: readonly T[], value: (item: T) => string | null): string {
  let literal = '{';
  for (let i = 0; i < items.length; i++) {
    if (i > 0) literal += ',';
    const text = value(items[i] as T);
    literal += text === null ? 'null' : `"${text.replaceAll('\0', '').replace(NEEDS_ESCAPE, '\\$&')}"`;
  }
  return `${literal}}`;
}

/**
 * Writes results and marks of one worker in one campaign. Both lists may be empty.
 *
 * Safe to repeat after an error of which it is unknown whether it came before or after the commit.
 */
export async function record(
  db: Database,
  campaignId: number,
  workerId: number,
  results: readonly Result[],
  marks: readonly Mark[],
): Promise<Recorded> {
  const first = await execute(db, campaignId, workerId, results, marks);
  if (first.written === results.length) return first;
  // Either others have taken claims away, or another session changed rows at this very moment.
  // Until nothing more can be written:
  let { written } = first;
  const open = marks.map((mark) => ({ ...mark, close: false }));
  for (let more = 1; more > 0; written += more) {
    ({ written: more } = await execute(db, campaignId, workerId, results, open));
  }
  const { held } = await execute(db, campaignId, workerId, [], marks);
  return { written, held };
}

async function execute(
  db: Database,
  campaignId: number,
  workerId: number,
  results: readonly Result[],
  marks: readonly Mark[],
): Promise<Recorded> {
  const noteworthy = results.some(isNoteworthy);
  const rows = await (noteworthy ? RECORD_AND_LOG : RECORD)<[written: number, held: number[]]>(db, [
    campaignId,
    workerId,
    plainArray(results, (r) => r.recipientId),
    plainArray(results, (r) => r.claimId),
    plainArray(results, (r) => r.outcome),
    plainArray(results, (r) => r.replyCode),
    textArray(results, (r) => r.reply),
    plainArray(results, (r) => r.retrySeconds),
    plainArray(results, (r) => r.charged),
    plainArray(results, (r) => r.maybeSent),
    textArray(results, (r) => r.reason),
    plainArray(marks, (m) => m.claimId),
    plainArray(marks, (m) => m.handedThrough),
    plainArray(marks, (m) => m.close),
    ...(noteworthy ? [textArray(results, (r) => r.relay ?? null)] : []),
  ]);
  const [written, held] = rows[0] ?? [0, []];
  return { written, held: new Set(held) };
}
