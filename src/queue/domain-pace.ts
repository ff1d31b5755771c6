import type { Database } from '../database/connect.ts';
import { prepare } from '../database/prepare.ts';
import type { Claim, ClaimedRecipient } from '../model/states.ts';
import type { DomainLimits } from './domain-limit.ts';
import { BURST_SECONDS, REFILLED } from './pace.ts';

/**
 * How much a bucket may hold while people wait for their turns, seconds' worth. Their turns come whether or not a worker
 * looks at that moment, and tokens that overflow meanwhile are a part of the rate that is lost. Two: a worker looks several
 * times a second, and a poller that begins to work looks once a second.
 */
export const CATCH_UP_SECONDS = 2;

/** A fraction of a token that is missing only because timestamps are whole microseconds. */
const ROUNDING = 'excluded.rate * 1e-6 + 1e-6';
/** What the bucket holds now. */
const FILLED = `least(
      greatest(excluded.rate * case
        when p.queued_until > now() - interval '${CATCH_UP_SECONDS} seconds' then ${CATCH_UP_SECONDS} else ${BURST_SECONDS} end, 1),
      p.tokens + excluded.rate * greatest(extract(epoch from now() - p.refilled_at)::float8, 0))`;
/** What it gives. While people wait for their turns, no recipient that has not waited is before them. */
const GIVEN = `case when $7 and p.queued_until > now() then 0
      else least(floor(${FILLED} + ${ROUNDING}), excluded.wanted)::int end`;

/*
 * Draws the tokens of all limited domains of a claim, and puts back the recipients that found none, due when their turn comes.
 *
 * - One statement and one commit, after the claim's own. A worker that dies in between leaves a claim without a mark,
 *   whose rows are certainly unsent; what it drew is lost, never doubled.
 * - The buckets are written in the order of their names, so that two claims with the same domains wait for each other and
 *   never in a circle. `on conflict` works on the newest version of a bucket, whichever session changed it since the snapshot.
 * - One clock, the database's. A statement that waited for a bucket counts with the time at which it began, and what has
 *   passed since stays for the next one.
 * - A new bucket holds one token: a provider that limits does not like to be surprised.
 * - Turns follow one another at the rate, behind those that were given before: while nothing else draws, each row finds
 *   the token that has come into being for it, and is put back once. When the rows of a queue come late (no worker ran),
 *   the tokens still hold the rate, and the surplus is put back again.
 * - No attempt, no reply, no timeline: nothing has happened to these recipients. In the counters they come back, as
 *   every recipient with a retry_at does.
 * - A limit that was removed a moment ago gives no bucket, and every recipient stays claimed.
 */
export const DRAW = prepare(`
with mine as materialized (
  select m.recipient_id, m.domain, x.tid, x.retry_at
  from unnest((select $4::bigint[]), (select $5::text[])) as m(recipient_id, domain) cross join lateral (
    select ctid as tid, retry_at from recipient where campaign_id = $1 and recipient_id = m.recipient_id offset 0
  ) x
), asked as (
  select w.domain, w.wanted, coalesce(own.rate, other.rate) as rate
  from (select domain, count(*)::int as wanted from mine group by domain) w
  left join domain_limit own on own.domain = w.domain
  left join domain_limit other on other.domain = '*'
  where coalesce(own.rate, other.rate) is not null
), drawn as (
  insert into domain_pace as p (domain, rate, tokens, wanted, granted, turns_from, refilled_at, queued_until)
  select domain, rate, 0, wanted, 1, now(), now(), now() + make_interval(secs => (wanted - 1) / rate)
  from asked order by domain
  on conflict (domain) do update set
    rate = excluded.rate,
    wanted = excluded.wanted,
    granted = ${GIVEN},
    tokens = ${FILLED} - ${GIVEN},
    turns_from = greatest(p.queued_until, now()),
    queued_until = case when excluded.wanted > ${GIVEN}
      then greatest(p.queued_until, now()) + make_interval(secs => (excluded.wanted - ${GIVEN}) / excluded.rate)
      else p.queued_until end,
    refilled_at = ${REFILLED}
  returning domain, rate, granted, turns_from, queued_until
), turned as (
  select m.recipient_id, m.tid, d.turns_from + make_interval(secs => (m.place - d.granted) / d.rate) as turn
  from (select *, row_number() over (partition by domain order by retry_at nulls first, recipient_id) as place from mine) m
  join drawn d using (domain) where m.place > d.granted
), put as (
  update recipient r set send_state = 0, retry_at = t.turn
  from turned t where r.ctid = t.tid and r.campaign_id is not distinct from $1
    and r.recipient_id = t.recipient_id and r.claim_id = $3 and r.send_state = 1
  returning r.recipient_id
), counted as (
  insert into counter as c (campaign_id, worker_id, lane, retrying, claimed)
  select $1, $2, 0, count(*), -count(*) from put having count(*) > 0
  on conflict (campaign_id, worker_id, lane) do update
  set retrying = c.retrying + excluded.retrying, claimed = c.claimed + excluded.claimed
), closed as (
  update claim set closed_at = now()
  where campaign_id = $1 and claim_id = $3 and closed_at is null and (select count(*) from put) = $6::int
)
select array(select recipient_id from put),
  coalesce((select max(extract(epoch from queued_until - now())) from drawn), 0)::float8`);

export interface Turn {
  /** The recipients who may be sent to now. */
  readonly recipients: readonly ClaimedRecipient[];
  /** Seconds until the longest queue of the claim's domains ends; 0: none waits for a turn. */
  readonly queuedSeconds: number;
}

/**
 * Takes those out of a claim whose domain is at its limit; they are back in the table, due when their turn comes. The
 * claim must not have been handed to any caller yet. Asks the database only when a domain in it is limited.
 *
 * @param fresh the claim is of recipients who never came back: they do not go before those who wait for a turn
 */
export async function drawTurns(
  db: Database,
  workerId: number,
  claim: Claim,
  limits: DomainLimits,
  fresh: boolean,
): Promise<Turn> {
  const ids: number[] = [];
  const domains: string[] = [];
  if (!limits.none) {
    for (const { recipientId, address } of claim.recipients) {
      const domain = limits.limitedDomain(address);
      if (domain === null) continue;
      ids.push(recipientId);
      domains.push(domain);
    }
  }
  if (ids.length === 0) return { recipients: claim.recipients, queuedSeconds: 0 };
  const { campaignId, claimId, recipients } = claim;
  const [row] = await DRAW<[put: number[], queuedSeconds: number]>(db, [
    campaignId,
    workerId,
    claimId,
    ids,
    domains,
    recipients.length,
    fresh,
  ]);
  const [put, queuedSeconds] = row ?? [[], 0];
  const gone = new Set(put);
  return { queuedSeconds, recipients: recipients.filter(({ recipientId }) => !gone.has(recipientId)) };
}
