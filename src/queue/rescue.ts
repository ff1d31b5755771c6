import type { Database } from '../database/connect.ts';
import { prepare } from '../database/prepare.ts';
import type { Rescue } from '../model/events.ts';
import { COUNTED } from '../model/states.ts';

/*
 * Workers whose heartbeat is older than the lease they promised, by the database's clock alone: no other clock is
 * asked. `skip locked`, so that ten rescuers share the dead instead of queueing for them.
 *
 * While the database could not be reached no heartbeat was possible: after its start, after the rescuer's own silence, and after the
 * rescuer itself has come ($2: seconds since), every worker has a whole lease again. Otherwise the first to come, after a
 * failover that left no trace in the start time, would mark the others dead, and results that they have kept in memory would be
 * in doubt for nothing.
 *
 * A moment that lies ahead by more than a lease was told by a clock that has been set back since, and says nothing: then the
 * rescuer's own span decides, which begins anew when that happens.
 */
const MARK_DEAD = prepare(`
with dead as (
  select worker_id from worker
  where stopped_at is null and worker_id <> $1
    and greatest(
      case when heartbeat_at <= now() + lease then heartbeat_at end,
      case when pg_postmaster_start_time() <= now() + lease then pg_postmaster_start_time() end,
      now() - make_interval(secs => $2)) < now() - lease
  for no key update skip locked
)
update worker w set stopped_at = now(), presumed_dead = true
from dead where w.worker_id = dead.worker_id
returning w.worker_id`);

/*
 * Claims without an owner: open, and their worker is gone. Also those of workers that were marked dead earlier: a rescuer
 * may itself have died in the middle.
 */
const ORPHANS = prepare(`
select c.campaign_id, c.claim_id, c.worker_id
from worker w join claim c on c.worker_id = w.worker_id
where w.stopped_at is not null and c.closed_at is null
limit 1000`);

/** Whether a worker's lease has expired while it holds something: it is marked dead soon, or returns. */
const SILENT = prepare(`
select exists (
  select from worker w join claim c on c.worker_id = w.worker_id
  where w.stopped_at is null and w.worker_id <> $1 and w.heartbeat_at not between now() - w.lease and now() + w.lease
    and c.closed_at is null
)`);

/** What is open in a worker's name. */
const OPEN = prepare('select campaign_id, claim_id from claim where worker_id = $1 and closed_at is null');

/** On the row and among the failures; which worker it was stands in the row's claim. */
export const DIED = 'a worker died after handing over, or just before; the reply of the relay was not seen';

/** Of a row r that a dead worker held: within the handed-over mark, so its outcome is unknown. */
const AMBIGUOUS = 'r.recipient_id <= (select handed_through from orphan)';
/** How such a row ends; null: it goes back. */
const FATE = `case
      when not ${AMBIGUOUS} then case when (select cancelled from policy) then 'cancelled'::outcome end
      when (select cancelled or hold from policy) or r.maybe_sent + 1 >= (select max_attempts from policy) then 'unconfirmed'::outcome
    end`;

/*
 * Takes one claim apart. The claim row is locked first: that decides between two rescuers. It is closed when every row has
 * been taken, and from then on the former owner's marks are refused; a row that another session changed between look and lock is
 * not seen under its new ctid, and the claim stays open for the next round.
 *
 * Rows beyond the handed-over mark are certainly unsent and go back. Rows up to the mark without a result are ambiguous:
 * they alone are subject to the campaign's policy, and each is named by maybe_sent. Three times ambiguous in a row
 * smells of a mail that kills its worker, so max_attempts bounds that as well.
 * The rows are found by the claim's id range, or by its list of ids, and never by scanning the campaign.
 */
export const RESCUE = prepare(`
with orphan as materialized (
  select worker_id, first_id, last_id, recipient_ids, handed_through from claim
  where campaign_id = $1 and claim_id = $2 and closed_at is null
  for no key update
), policy as (
  select status = 'cancelled' as cancelled, on_unconfirmed = 'hold' as hold, max_attempts from campaign where campaign_id = $1
), held as (
  -- By range or by ids; the fence of offset 0 makes both a walk of the primary key, whatever the statistics say.
  select x.tid from orphan c cross join lateral (
    select ctid as tid from recipient
    where campaign_id = $1 and recipient_id between c.first_id and c.last_id and claim_id = $2 and send_state = 1
    offset 0
  ) x where c.recipient_ids is null
  union all
  select x.tid from orphan c cross join unnest(c.recipient_ids) as u(id) cross join lateral (
    select ctid as tid from recipient
    where campaign_id = $1 and recipient_id = u.id and claim_id = $2 and send_state = 1
    offset 0
  ) x
), taken as (
  update recipient r set
    send_state = case when ${FATE} is null then 0 else 2 end,
    outcome = ${FATE},
    done_at = case when ${FATE} is not null then now() end,
    retry_at = case when ${FATE} is null then now() end,
    maybe_sent = r.maybe_sent + (${AMBIGUOUS})::int,
    reply_code = case when not ${AMBIGUOUS} then r.reply_code end,
    reply = case when ${AMBIGUOUS} then '${DIED}' else r.reply end
  where r.ctid = any (array(select tid from held)) and r.campaign_id is not distinct from $1
    and r.claim_id = $2 and r.send_state = 1
  returning r.recipient_id, r.outcome, ${AMBIGUOUS} as ambiguous
), logged as (
  insert into attempt (campaign_id, recipient_id, claim_id, worker_id, event, reply)
  select $1, recipient_id, $2, (select worker_id from orphan),
    coalesce(outcome::text, case when ambiguous then 'ambiguous' else 'returned' end), case when ambiguous then '${DIED}' end
  from taken where outcome is distinct from 'cancelled'
), tally as (
  select count(*) as n, count(*) filter (where outcome is null) as retrying,
    count(*) filter (where outcome = 'unconfirmed') as unconfirmed, count(*) filter (where outcome = 'cancelled') as cancelled,
    count(*) filter (where ambiguous) as ambiguous, min(recipient_id) filter (where outcome = 'unconfirmed') as example
  from taken
), counted as (
  insert into counter as c (campaign_id, worker_id, lane, claimed, retrying, unconfirmed, cancelled)
  select $1, 0, 0, -n, retrying, unconfirmed, cancelled from tally where n > 0
  on conflict (campaign_id, worker_id, lane) do update set claimed = c.claimed + excluded.claimed,
    retrying = c.retrying + excluded.retrying, unconfirmed = c.unconfirmed + excluded.unconfirmed, cancelled = c.cancelled + excluded.cancelled
), failed as (
  insert into failure as f (campaign_id, outcome, reason, worker_id, recipients, example_id)
  select $1, 'unconfirmed', '${DIED}', 0, unconfirmed, example from tally where unconfirmed > 0
  on conflict (campaign_id, outcome, reason, worker_id) do update set
    recipients = f.recipients + excluded.recipients, example_id = excluded.example_id, last_at = excluded.last_at
), closed as (
  update claim c set closed_at = now(), rescued = true
  where c.campaign_id = $1 and c.claim_id = $2 and exists (select from orphan)
    and (select count(*) from held) = (select n from tally)
)
select n, ambiguous from tally`);

/** Who rescues. */
export interface Rescuer {
  /** It never marks itself dead. */
  readonly workerId: number;
  /** Seconds since it came or was last silent for about a lease; Infinity: it has always been there. */
  readonly steadySeconds: number;
  /** It ends: what it has not reached stays without an owner, for the next one. */
  readonly over?: () => boolean;
}

/** Thirty years, in seconds: what make_interval() can hold of "never". */
const FOR_EVER = 1e9;

/**
 * Declares workers dead whose heartbeat is older than their lease, and puts back what they held.
 * Any worker may call it at any time; several at once share the work. It touches only claims without an owner.
 */
export async function rescue(
  db: Database,
  by: Rescuer = { workerId: 0, steadySeconds: Infinity },
): Promise<Rescue> {
  const dead = await MARK_DEAD<[number]>(db, [by.workerId, Math.min(by.steadySeconds, FOR_EVER)]);
  let recipients = 0;
  let ambiguous = 0;
  const folds = new Map<string, [campaignId: number, workerId: number]>();
  const over = by.over ?? (() => false);
  while (!over()) {
    const orphans = await ORPHANS<[campaignId: number, claimId: number, workerId: number]>(db, []);
    for (const [campaignId, claimId, workerId] of orphans) {
      if (over()) break;
      const [row] = await RESCUE<[n: number, ambiguous: number]>(db, [campaignId, claimId]);
      recipients += row?.[0] ?? 0;
      ambiguous += row?.[1] ?? 0;
      folds.set(`${campaignId}/${workerId}`, [campaignId, workerId]);
    }
    if (orphans.length === 0) break;
  }
  for (const [campaignId, workerId] of folds.values()) await foldCounters(db, campaignId, workerId);
  return { workers: dead.length, recipients, ambiguous };
}

/** Whether a claim is held by a silent worker that is not yet marked dead. */
export async function anybodySilent(db: Database, workerId: number): Promise<boolean> {
  const [row] = await SILENT<[boolean]>(db, [workerId]);
  return row?.[0] === true;
}

/**
 * Puts back claims in a worker's own name that it does not know: the database made them, and its answer was lost with
 * the connection. As long as the worker lives no other worker would. Returns how many recipients.
 *
 * @param knows whether a claim is in the worker's hands, or a claim of that campaign is being made at this moment
 */
export async function rescueUnknown(
  db: Database,
  workerId: number,
  knows: (campaignId: number, claimId: number) => boolean,
): Promise<number> {
  let recipients = 0;
  const open = await OPEN<[campaignId: number, claimId: number]>(db, [workerId]);
  for (const [campaignId, claimId] of open.filter((claim) => !knows(...claim))) {
    const [row] = await RESCUE<[n: number, ambiguous: number]>(db, [campaignId, claimId]);
    recipients += row?.[0] ?? 0;
  }
  return recipients;
}

/*
 * Adds what is left of a worker's own rows to worker 0, so that ten years of cron leave a handful of rows to sum, not a
 * million. Deleting and adding is one statement: the sum never moves. Should the worker not be dead after all, its next
 * statement makes new rows, and the sum is still right.
 */
const FOLD_COUNTERS = prepare(`
with gone as (
  delete from counter where campaign_id = $1 and worker_id = $2 and worker_id <> 0 returning *
)
insert into counter as c (campaign_id, worker_id, lane, ${COUNTED.join(', ')})
select campaign_id, 0, 0, ${COUNTED.map((name) => `sum(${name})`).join(', ')} from gone group by campaign_id
on conflict (campaign_id, worker_id, lane) do update set ${COUNTED.map((name) => `${name} = c.${name} + excluded.${name}`).join(', ')}`);

const FOLD_FAILURES = prepare(`
with gone as (
  delete from failure where campaign_id = $1 and worker_id = $2 and worker_id <> 0 returning *
)
insert into failure as f (campaign_id, outcome, reason, worker_id, recipients, example_id, last_at)
select campaign_id, outcome, reason, 0, sum(recipients), (array_agg(example_id order by last_at desc))[1], max(last_at)
from gone group by campaign_id, outcome, reason order by outcome, reason
on conflict (campaign_id, outcome, reason, worker_id) do update set
  recipients = f.recipients + excluded.recipients, last_at = greatest(f.last_at, excluded.last_at),
  example_id = case when excluded.last_at > f.last_at then excluded.example_id else f.example_id end`);

/** Folds the counters and failures of a worker that is gone into those of worker 0. The sums stay as they are. */
export async function foldCounters(db: Database, campaignId: number, workerId: number): Promise<void> {
  await FOLD_COUNTERS(db, [campaignId, workerId]);
  await FOLD_FAILURES(db, [campaignId, workerId]);
}
