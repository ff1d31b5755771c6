import type { Database, Transaction } from '../database/connect.ts';
import { inTransaction } from '../database/connect.ts';
import { type Outcome, RETRYABLE, type Retryable } from '../model/states.ts';

/**
 * Rows in one statement; a literal in it, so that the planner knows. Ten thousand take about a fifth of a second: short enough that nothing waits behind it, long
 * enough that a million rows are a hundred round trips.
 */
const ROWS_PER_STATEMENT = 10_000;

async function rows<Row extends unknown[]>(
  { client }: Transaction,
  text: string,
  values: unknown[],
): Promise<Row[]> {
  return (await client.query<Row>({ text, values, rowMode: 'array' })).rows;
}

/** Walks a campaign by primary key, a short transaction at a time. */
async function walk(
  db: Database,
  step: (transaction: Transaction, after: number) => Promise<{ count: number; last: number }>,
): Promise<number> {
  let total = 0;
  for (let after = 0; ; ) {
    const { count, last } = await inTransaction(db, (transaction) => step(transaction, after));
    if (count === 0) return total;
    total += count;
    after = last;
  }
}

/*
 * A ctid names a row only together with its table or partition, so both statements name the campaign of the rows as well (see
 * CLAIM_FRESH for its form).
 *
 * Waiting rows of a cancelled campaign become done. Rows in a worker's hands are left to it: it releases them as
 * cancelled, because it sees the campaign's state.
 */
const CANCEL = `
with picked as materialized (
  select recipient_id, ctid as tid, retry_at is not null as retrying from recipient
  where campaign_id = $1 and recipient_id > $2 and send_state = 0
    and (select status = 'cancelled' from campaign where campaign_id = $1)
  order by recipient_id limit ${ROWS_PER_STATEMENT} for no key update skip locked
), put as (
  update recipient r set send_state = 2, outcome = 'cancelled', done_at = now(), retry_at = null
  from picked p where r.ctid = p.tid and r.campaign_id is not distinct from $1 and r.send_state = 0
  returning r.recipient_id, p.retrying
), counted as (
  insert into counter as c (campaign_id, worker_id, lane, waiting, retrying, cancelled)
  select $1, 0, 0, -count(*) filter (where not retrying), -count(*) filter (where retrying), count(*) from put having count(*) > 0
  on conflict (campaign_id, worker_id, lane) do update set
    waiting = c.waiting + excluded.waiting, retrying = c.retrying + excluded.retrying, cancelled = c.cancelled + excluded.cancelled
)
select count(*), coalesce(max(recipient_id), 0) from put`;

/** Turns every waiting recipient of a cancelled campaign into `cancelled`. Returns how many. */
export async function sweepCancelled(db: Database, campaignId: number): Promise<number> {
  return await walk(db, async (transaction, after) => {
    const [row] = await rows<[number, number]>(transaction, CANCEL, [campaignId, after]);
    return { count: row?.[0] ?? 0, last: row?.[1] ?? 0 };
  });
}

/*
 * Failed rows go back to 0, on purpose, with their attempts at zero. The failures by reason are taken back by the
 * caller, in the same transaction, because only it knows how a reason is made of a reply.
 */
const RETRY = `
with picked as materialized (
  select recipient_id, ctid as tid from recipient
  where campaign_id = $1 and recipient_id > $2 and send_state = 2 and outcome = $3::outcome
  order by recipient_id limit ${ROWS_PER_STATEMENT} for no key update
), put as (
  update recipient r set send_state = 0, outcome = null, done_at = null, attempts = 0, retry_at = now()
  from picked p where r.ctid = p.tid and r.campaign_id is not distinct from $1 and r.send_state = 2
  returning r.recipient_id, r.reply_code, r.reply
), logged as (
  insert into attempt (campaign_id, recipient_id, event, reply) select $1, recipient_id, 'retried', $3::text from put
), counted as (
  insert into counter as c (campaign_id, worker_id, lane, retrying, rejected, expired, invalid, unconfirmed, suppressed, cancelled)
  select $1, 0, 0, count(*), ${RETRYABLE.map(
    (name) => `case when $3 = '${name}' then -count(*) else 0 end`,
  ).join(', ')}
  from put having count(*) > 0
  on conflict (campaign_id, worker_id, lane) do update set retrying = c.retrying + excluded.retrying, rejected = c.rejected + excluded.rejected,
    expired = c.expired + excluded.expired, invalid = c.invalid + excluded.invalid, unconfirmed = c.unconfirmed + excluded.unconfirmed,
    suppressed = c.suppressed + excluded.suppressed, cancelled = c.cancelled + excluded.cancelled
)
select recipient_id, reply_code, reply from put`;

const TAKE_BACK = `
insert into failure as f (campaign_id, outcome, reason, worker_id, recipients, example_id, last_at)
select $1, $2::outcome, reason, 0, -recipients, 0, '-infinity' from unnest($3::text[], $4::bigint[]) as t(reason, recipients)
on conflict (campaign_id, outcome, reason, worker_id) do update set recipients = f.recipients + excluded.recipients`;

/**
 * Puts every recipient with this outcome back to waiting. Returns how many.
 *
 * @param reasonOf how a failure's reason is made of the row's reply, as the recording did it
 */
export async function retryOutcome(
  db: Database,
  campaignId: number,
  outcome: Retryable,
  reasonOf: (code: number | null, reply: string) => string,
): Promise<number> {
  return await walk(db, async (transaction, after) => {
    type Put = [id: number, code: number | null, reply: string | null];
    const put = await rows<Put>(transaction, RETRY, [campaignId, after, outcome]);
    if (countsFailures(outcome)) {
      const reasons = new Map<string, number>();
      for (const [, code, reply] of put) {
        const reason = reasonOf(outcome === 'invalid' ? null : code, reply ?? '');
        reasons.set(reason, (reasons.get(reason) ?? 0) + 1);
      }
      const counts = [campaignId, outcome, [...reasons.keys()], [...reasons.values()]];
      if (reasons.size > 0) await transaction.client.query(TAKE_BACK, counts);
    }
    return { count: put.length, last: put.reduce((last, [id]) => Math.max(last, id), after) };
  });
}

/** A decision of the operator is no failure and stands in no list of reasons. */
function countsFailures(outcome: Outcome): boolean {
  return outcome !== 'suppressed' && outcome !== 'cancelled' && outcome !== 'sent';
}
