-- What anyone with psql may ask. None of these views reads the recipient table except by primary key, so they cost the
-- same at 10 recipients and at 10 million.

create view campaign_progress as
select
  c.campaign_id,
  c.name,
  c.status,
  c.status_reason,
  n.total,
  n.waiting + n.retrying as waiting,
  n.retrying,
  n.claimed,
  n.sent + n.rejected + n.expired + n.invalid + n.unconfirmed + n.suppressed + n.cancelled as done,
  n.sent,
  n.rejected,
  n.expired,
  n.invalid,
  n.unconfirmed,
  n.suppressed,
  n.cancelled,
  case when c.status = 'running' then round(coalesce(t.done / t.seconds, 0)::numeric, 1) end as per_second,
  case when c.status = 'running' and t.done > 0
    then make_interval(secs => ceil((n.waiting + n.retrying + n.claimed) / (t.done / t.seconds))) end as time_left,
  c.start_at,
  c.started_at,
  c.finished_at
from campaign c
cross join lateral (
  select
    coalesce(sum(waiting + retrying + claimed + sent + rejected + expired + invalid + unconfirmed + suppressed + cancelled), 0)::bigint as total,
    coalesce(sum(waiting), 0)::bigint as waiting,
    coalesce(sum(retrying), 0)::bigint as retrying,
    coalesce(sum(claimed), 0)::bigint as claimed,
    coalesce(sum(sent), 0)::bigint as sent,
    coalesce(sum(rejected), 0)::bigint as rejected,
    coalesce(sum(expired), 0)::bigint as expired,
    coalesce(sum(invalid), 0)::bigint as invalid,
    coalesce(sum(unconfirmed), 0)::bigint as unconfirmed,
    coalesce(sum(suppressed), 0)::bigint as suppressed,
    coalesce(sum(cancelled), 0)::bigint as cancelled
  from counter where counter.campaign_id = c.campaign_id
) n
cross join lateral (
  -- The first bucket in sight says since when anything was done: a campaign that began ten seconds ago has done so much
  -- in ten seconds, not in sixty.
  select sum(sent + failed)::float8 as done,
         greatest(extract(epoch from now() - greatest(min(at), c.started_at)), 1)::float8 as seconds
  from timeline where timeline.campaign_id = c.campaign_id and at > now() - interval '1 minute'
) t;
comment on view campaign_progress is 'Where each campaign stands. Sums the counters, never the recipients.';
comment on column campaign_progress.waiting is 'send_state 0; of these, retrying came back (temporary failure, release, rescue) and wait until they are due.';
comment on column campaign_progress.claimed is 'send_state 1: in a worker''s hands.';
comment on column campaign_progress.done is 'send_state 2: the sum of the seven outcomes that follow.';
comment on column campaign_progress.per_second is 'Recipients done per second over the last minute; null unless running.';
comment on column campaign_progress.time_left is 'What is not done, at the rate of the last minute.';

create view campaign_failures as
select c.campaign_id, c.name, f.outcome, f.reason, f.recipients, r.address as example, f.last_at
from (
  select campaign_id, outcome, reason, sum(recipients)::bigint as recipients, (array_agg(example_id order by last_at desc))[1] as example_id, max(last_at) as last_at
  from failure group by campaign_id, outcome, reason having sum(recipients) > 0
) f
join campaign c on c.campaign_id = f.campaign_id
left join recipient r on r.campaign_id = f.campaign_id and r.recipient_id = f.example_id;
comment on view campaign_failures is 'Why recipients ended as something else than sent, by reason, with one example each. For all of them: sendstate recipients NAME --outcome O --csv.';
comment on column campaign_failures.reason is 'The relay''s reply without addresses, queue ids and numbers, or why the row is invalid.';

create view worker_activity as
select
  w.worker_id,
  w.host,
  w.pid,
  case
    when w.presumed_dead then 'presumed dead'
    when w.stopped_at is not null then 'stopped'
    when w.heartbeat_at < now() - w.lease then 'silent'
    else 'alive'
  end as state,
  c.name as campaign,
  n.claimed as holds,
  t.done as done_last_minute,
  w.started_at,
  w.heartbeat_at
from worker w
left join lateral (
  select campaign_id, sum(claimed)::bigint as claimed from counter where worker_id = w.worker_id group by campaign_id
) n on true
left join campaign c on c.campaign_id = n.campaign_id
left join lateral (
  select coalesce(sum(sent + failed), 0)::bigint as done from timeline
  where timeline.campaign_id = n.campaign_id and timeline.worker_id = w.worker_id and at > now() - interval '1 minute'
) t on true
where w.stopped_at is null or w.stopped_at > now() - interval '1 hour';
comment on view worker_activity is 'Workers that are alive or were within the last hour, and what each holds of which campaign.';
comment on column worker_activity.state is 'alive; silent: no heartbeat for longer than its lease, its claims will be rescued; presumed dead: they were; stopped: it said goodbye.';

-- worker_activity asks by worker; the primary key of counter begins with the campaign.
create index counter_worker on counter (worker_id);

create function suppress(campaign_name text, recipient_address text) returns boolean
language sql as $$
  with found as (
    select r.campaign_id, r.recipient_id, r.retry_at is not null as retrying
    from campaign c join recipient r on r.campaign_id = c.campaign_id
    where c.name = campaign_name and lower(r.address) = lower(recipient_address collate "C") and r.send_state = 0
    for no key update of r
  ), put as (
    update recipient r set send_state = 2, outcome = 'suppressed', done_at = now(), retry_at = null
    from found f where r.campaign_id = f.campaign_id and r.recipient_id = f.recipient_id
    returning r.campaign_id, f.retrying
  ), counted as (
    insert into counter as c (campaign_id, worker_id, lane, waiting, retrying, suppressed)
    select campaign_id, 0, 0, -(not retrying)::int, -retrying::int, 1 from put
    on conflict (campaign_id, worker_id, lane) do update set waiting = c.waiting + excluded.waiting,
      retrying = c.retrying + excluded.retrying, suppressed = c.suppressed + excluded.suppressed
  )
  select exists (select 1 from put);
$$;
comment on function suppress(text, text) is 'Takes one waiting recipient out of a campaign: select suppress(''news'', ''kim@example.com''). True when it was still waiting; a claimed or done recipient stays as it is.';
