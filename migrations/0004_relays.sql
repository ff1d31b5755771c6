-- Several relays: the rate of each over all workers, and what each worker thinks of each.
--
-- Neither table belongs to a campaign: a relay takes mails from all of them. Both are tiny; on a database that is
-- distributed by campaign they are copied to every node (reference tables).

create table relay_pace (
  label           text primary key,
  tokens          double precision not null,
  granted         double precision not null,
  refilled_at     timestamptz not null
) with (fillfactor = 10);
comment on table relay_pace is 'The token bucket of each relay with a rate: workers draw from it a moment ahead, one token a mail, so that the rate holds over all of them.';
comment on column relay_pace.granted is 'What the last draw got.';

create table relay (
  worker_id       bigint not null,
  label           text not null,
  state           text not null check (state in ('working', 'slowed', 'half-open', 'open', 'misconfigured')),
  words           text,
  slowed_to       double precision,
  weight          int not null,
  rate            double precision,
  in_flight       int not null,
  accepted        bigint not null,
  changed_at      timestamptz not null default now(),
  primary key (worker_id, label)
) with (fillfactor = 50);
comment on table relay is 'What each worker thinks of each relay: written when it changes and with the heartbeat, removed when the worker stops. Read it through relay_activity, which leaves out the dead.';

create view relay_activity as
select r.label, r.worker_id, w.host, w.pid, r.state, r.words, r.slowed_to, r.weight, r.rate, r.in_flight, r.accepted, r.changed_at
from relay r join worker w on w.worker_id = r.worker_id
where w.stopped_at is null and w.heartbeat_at >= now() - w.lease;
comment on view relay_activity is 'The relays as the workers that are alive see them: each worker finds out for itself.';
comment on column relay_activity.label is 'label= of SMTP_URL, or HOST:PORT.';
comment on column relay_activity.state is 'working; slowed: it asked for less, see slowed_to; open: in trouble and left alone for a while; half-open: one mail is tried and decides; misconfigured: it refuses the sender, not the mail.';
comment on column relay_activity.words is 'Why, in the relay''s last words or the network''s, without passwords; null while it works.';
comment on column relay_activity.slowed_to is 'Mails per second that this worker sends at most since the relay asked for less; null: no limit.';
comment on column relay_activity.weight is 'Its share of the mails; 0: a stand-by.';
comment on column relay_activity.rate is 'Mails per second over all workers, as configured; null: no limit.';
comment on column relay_activity.in_flight is 'Mails that this worker has handed to it and that are not answered.';
comment on column relay_activity.accepted is 'Mails that it has taken from this worker.';
comment on column relay_activity.changed_at is 'When the state became what it is.';
