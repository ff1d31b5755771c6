import type { Database } from '../database/connect.ts';
import { inIndexOrder, prepare } from '../database/prepare.ts';
import type { Claim, ClaimedRecipient } from '../model/states.ts';

/**
 * What a claim statement needs. `limit` is at most how many recipients come back (rows, 1…10,000).
 */
export interface ClaimRequest {
  readonly campaignId: number;
  readonly workerId: number;
  readonly limit: number;
}

/** Checked inside the statement, so that a pause or a rescue that has committed cannot be overtaken by a claim. */
const ALLOWED = `
    and (select status = 'running' from campaign where campaign_id = $1)
    and (select stopped_at is null from worker where worker_id = $2)`;

/** The second half of both claims: open the claim row, write state 1, move the counter; one statement, one commit. */
const takePicked = (counter: 'waiting' | 'retrying', ids: string) => `
opened as (
  insert into claim (campaign_id, worker_id, first_id, last_id, recipient_ids, size)
  select $1, $2, min(recipient_id), max(recipient_id), ${ids}, count(*) from picked having count(*) > 0
  returning claim_id
), taken as (
  update recipient r set send_state = 1, claim_id = (select claim_id from opened)
  where r.ctid = any (array(select tid from picked)) and r.campaign_id is not distinct from $1 and r.send_state = 0
  returning r.claim_id, r.recipient_id, r.address, r.vars, r.attempts, r.maybe_sent
), counted as (
  insert into counter as c (campaign_id, worker_id, lane, ${counter}, claimed)
  select $1, $2, 0, -count(*), count(*) from taken having count(*) > 0
  on conflict (campaign_id, worker_id, lane) do update
  set ${counter} = c.${counter} + excluded.${counter}, claimed = c.claimed + excluded.claimed
)
select claim_id, recipient_id, address, vars, attempts, maybe_sent from taken`;

/*
 * Fresh rows, by walking forward along the primary key from the worker's cursor.
 *
 * Why this form (200,000 rows, claims and records of 500, two clients, two cores):
 *   primary key + cursor, no index on the state, fillfactor 30     about 100,000 rows/s, 285 bytes of WAL a row
 *   the same, fillfactor 40 / 50                                      84,000 / 80,000, 400 / 560
 *   index on (campaign_id, send_state, id), lowest id first               9,900, 1,246
 * It is planned for walking the index (`inIndexOrder`). The states are literals and the limit stands in a materialized CTE: a parameter can lose an index, and without
 * `materialized` the planner may run the limit twice. FOR NO KEY UPDATE is enough: the key never changes.
 * A ctid names a row only within one table: in a partitioned recipient table each partition has a row of that ctid, so the
 * update names the campaign as well. It says `is not distinct from`, which no index serves: with `=` and old statistics the
 * planner walks the campaign instead (50 to 107 ms a claim).
 * The update finds its rows by ctid, so that its plan depends on no statistics: right after an import the planner believes
 * that the campaign has one row, and by primary key it then compares every row of the campaign with every row picked (10,000
 * people: 0.6 s a claim instead of 5 ms). A row that another session changed between snapshot and lock has a new ctid that
 * the snapshot does not see; it stays waiting and is found by the next look from the start.
 */
export const CLAIM_FRESH = inIndexOrder(`
with picked as materialized (
  select recipient_id, ctid as tid from recipient
  where campaign_id = $1 and recipient_id > $4 and send_state = 0 and retry_at is null${ALLOWED}
  order by recipient_id limit $3
  for no key update skip locked
), ${takePicked('waiting', 'null::bigint[]')}`);

/*
 * Rows that came back and are due, oldest first, through the partial index on retry_at. They lie scattered, so the
 * claim row keeps their ids: a rescue finds them by key and never scans the campaign.
 */
export const CLAIM_DUE = inIndexOrder(`
with picked as materialized (
  select recipient_id, ctid as tid from recipient
  where campaign_id = $1 and retry_at is not null and retry_at <= now() and send_state = 0${ALLOWED}
  order by retry_at limit $3
  for no key update skip locked
), ${takePicked('retrying', 'array_agg(recipient_id order by recipient_id)')}`);

/** Whether fresh rows are left, by the counters, which move with the rows. */
const WAITING = prepare('select coalesce(sum(waiting), 0) > 0 from counter where campaign_id = $1');

/** The first row that came back and is not claimed, through the same index as a claim of due ones. */
const NEXT_DUE = inIndexOrder(`
select greatest(extract(epoch from retry_at - now()), 0)::float8 from recipient
where campaign_id = $1 and retry_at is not null and send_state = 0
order by retry_at limit 1`);

type Row = [
  claimId: number,
  recipientId: number,
  address: string,
  vars: Record<string, string>,
  attempts: number,
  maybeSent: number,
];

function toClaim(campaignId: number, rows: readonly Row[]): Claim | null {
  const first = rows[0];
  if (first === undefined) return null;
  const recipients: ClaimedRecipient[] = rows.map((row) => ({
    recipientId: row[1],
    address: row[2],
    vars: row[3],
    attempts: row[4],
    maybeSent: row[5],
  }));
  // The handed-over mark is an id: it means something only when recipients are handed over in ascending order.
  recipients.sort((a, b) => a.recipientId - b.recipientId);
  return { campaignId, claimId: first[0], recipients };
}

/**
 * Claims up to `limit` recipients that never came back, with ids above `after`.
 * Null when there is none beyond the cursor, when the campaign is not running, or when the worker was presumed dead.
 */
export async function claimFresh(
  db: Database,
  request: ClaimRequest & { readonly after: number },
): Promise<Claim | null> {
  const { campaignId, workerId, limit, after } = request;
  return toClaim(campaignId, await CLAIM_FRESH<Row>(db, [campaignId, workerId, limit, after]));
}

/** Claims up to `limit` recipients that came back (temporary failure, release, rescue, operator) and are due. */
export async function claimDue(db: Database, request: ClaimRequest): Promise<Claim | null> {
  const { campaignId, workerId, limit } = request;
  return toClaim(campaignId, await CLAIM_DUE<Row>(db, [campaignId, workerId, limit]));
}

/** Whether any recipient waits who never came back. */
export async function anybodyWaiting(db: Database, campaignId: number): Promise<boolean> {
  const [row] = await WAITING<[boolean]>(db, [campaignId]);
  return row?.[0] === true;
}

/** Seconds until the next recipient that was deferred or requeued is due, 0: now; null: no retry is scheduled. */
export async function secondsUntilDue(db: Database, campaignId: number): Promise<number | null> {
  const [row] = await NEXT_DUE<[number]>(db, [campaignId]);
  return row?.[0] ?? null;
}
