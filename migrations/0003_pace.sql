-- Pacing by recipient domain, the first wait after a temporary failure, and the log of what happened to whom.

-- A constant default: on a table with rows it is written nowhere, so this costs nothing at any size.
alter table campaign add column retry_after interval not null default interval '5 minutes'
  check (retry_after > interval '0');
comment on column campaign.retry_after is 'The first wait after a temporary failure; it doubles from there.';

-- These two belong to no campaign, because a domain counts what comes from all of them. They are tiny: on a database
-- that is distributed by campaign they are copied to every node (reference tables).
create table domain_limit (
  domain          text collate "C" primary key check (domain = lower(domain)),
  rate            double precision not null check (rate > 0),
  set_at          timestamptz not null default now()
);
comment on table domain_limit is 'How many mails a second a recipient domain gets at most, over all workers and campaigns. Set it with: sendstate limit DOMAIN RATE.';
comment on column domain_limit.domain is 'In A-labels and lower case, as in recipient.address; * is for every domain without a limit of its own, each by itself.';

create table domain_pace (
  domain          text collate "C" primary key,
  rate            double precision not null,
  tokens          double precision not null,
  wanted          int not null,
  granted         int not null,
  turns_from      timestamptz not null,
  refilled_at     timestamptz not null,
  queued_until    timestamptz not null
) with (fillfactor = 10);
comment on table domain_pace is 'The token bucket of each limited domain that was met, and the end of its queue. wanted, granted, turns_from say what the last draw asked and got.';
comment on column domain_pace.queued_until is 'Recipients who found no token wait one after the other until here; while it lies ahead, people who never waited get no tokens.';

-- What happened to a recipient besides being sent at the first try. An ordinary journey writes nothing here.
create table attempt (
  campaign_id     bigint not null,
  recipient_id    bigint not null,
  attempt_id      bigint generated always as identity,
  at              timestamptz not null default now(),
  claim_id        bigint,
  worker_id       bigint,
  event           text not null check (event in ('deferred', 'trouble', 'ambiguous', 'returned', 'retried',
                    'rejected', 'expired', 'invalid', 'unconfirmed', 'suppressed')),
  reply_code      smallint,
  reply           text,
  relay           text,
  primary key (campaign_id, recipient_id, attempt_id)
);
comment on table attempt is 'The log: one row for everything that happened to a recipient, but for being sent (the recipient''s own row says that) and being cancelled. Written in the statement that changes the recipient.';
comment on column attempt.event is 'deferred: a temporary failure, attempt charged. trouble: the relay''s, not charged. ambiguous: handed over, no reply seen, sent again. returned: its worker died before handing it over. retried: put back by an operator; reply says after which outcome. The others are the outcome it ended with.';
comment on column attempt.worker_id is 'Whose claim it was; null: nobody''s, an operator did it.';
comment on column attempt.relay is 'Which relay said so, where several are in use.';

-- As before, and it writes the log.
create or replace function suppress(campaign_name text, recipient_address text) returns boolean
language sql as $$
  with found as (
    select r.campaign_id, r.recipient_id, r.retry_at is not null as retrying
    from campaign c join recipient r on r.campaign_id = c.campaign_id
    where c.name = campaign_name and lower(r.address) = lower(recipient_address collate "C") and r.send_state = 0
    for no key update of r
  ), put as (
    update recipient r set send_state = 2, outcome = 'suppressed', done_at = now(), retry_at = null
    from found f where r.campaign_id = f.campaign_id and r.recipient_id = f.recipient_id
    returning r.campaign_id, r.recipient_id, f.retrying
  ), logged as (
    insert into attempt (campaign_id, recipient_id, event) select campaign_id, recipient_id, 'suppressed' from put
  ), counted as (
    insert into counter as c (campaign_id, worker_id, lane, waiting, retrying, suppressed)
    select campaign_id, 0, 0, -(not retrying)::int, -retrying::int, 1 from put
    on conflict (campaign_id, worker_id, lane) do update set waiting = c.waiting + excluded.waiting,
      retrying = c.retrying + excluded.retrying, suppressed = c.suppressed + excluded.suppressed
  )
  select exists (select 1 from put);
$$;

create function recipient_history(person text)
returns table (campaign text, at timestamptz, event text, reply_code smallint, reply text, claim_id bigint, worker_id bigint)
language sql stable as $$
  select c.name, h.at, h.event, h.reply_code, h.reply, h.claim_id, h.worker_id
  from recipient r
  join campaign c on c.campaign_id = r.campaign_id
  left join claim k on k.campaign_id = r.campaign_id and k.claim_id = r.claim_id
  cross join lateral (
    -- The outcome that stands is told by the recipient's own row, also for what ended before there was a log.
    select a.attempt_id, a.at, a.event, a.reply_code, a.reply, a.claim_id, a.worker_id
    from attempt a
    where a.campaign_id = r.campaign_id and a.recipient_id = r.recipient_id
      and not (r.outcome is not null and a.event = r.outcome::text and a.at = r.done_at)
    union all
    select null,
      case r.send_state when 0 then r.retry_at when 1 then k.claimed_at else r.done_at end,
      case r.send_state when 0 then 'waiting' when 1 then 'claimed' else r.outcome::text end,
      case when r.send_state = 2 then r.reply_code end,
      case when r.send_state = 2 then r.reply end,
      case when r.send_state <> 0 then r.claim_id end,
      case when r.send_state <> 0 then k.worker_id end
  ) h
  where lower(r.address) = lower(person collate "C")
  order by r.campaign_id, h.attempt_id nulls last;
$$;
comment on function recipient_history(text) is 'Everything that happened to one address, campaign by campaign, the latest last: select * from recipient_history(''kim@example.com''). The last line of a campaign is how it stands: waiting (at: until when), claimed, or the outcome.';
