-- sendstate, the tables: a campaign, the people it goes to, the claims that workers hold on them, the workers,
-- and the counters that say where things stand without counting.
--
-- Three rules shape everything below.
--   1. Nothing that changes on an ordinary journey 0 -> 1 -> 2 stands in any index, so that both updates of a row are
--      heap-only (HOT): no index entry is written, and dead versions are pruned without vacuum.
--   2. Every primary key begins with campaign_id and every hot statement names one campaign, so that the same SQL runs
--      on a database distributed by that column. (worker is the exception: it is tiny and belongs to no campaign.)
--   3. A claim commits before the first byte goes to the relay; no lock is ever held while SMTP runs.

create type outcome as enum ('sent', 'rejected', 'expired', 'invalid', 'unconfirmed', 'suppressed', 'cancelled');
comment on type outcome is 'How a recipient with send_state 2 (done) ended.';

create type campaign_status as enum ('draft', 'scheduled', 'running', 'paused', 'finished', 'cancelled');

create table campaign (
  campaign_id     bigint generated always as identity primary key,
  name            text not null unique,
  status          campaign_status not null default 'draft',
  status_reason   text,
  created_at      timestamptz not null default now(),
  start_at        timestamptz,
  started_at      timestamptz,
  finished_at     timestamptz,
  sender          text not null,
  reply_to        text,
  bounce_to       text,
  subject         text not null,
  html            text,
  text            text,
  headers         json not null default '{}',
  on_unconfirmed  text not null default 'resend' check (on_unconfirmed in ('resend', 'hold')),
  max_attempts    smallint not null default 5 check (max_attempts between 1 and 100),
  max_age         interval not null default interval '3 days' check (max_age > interval '0'),
  rate            double precision check (rate > 0),
  check (html is not null or text is not null),
  check (status <> 'scheduled' or start_at is not null)
);
comment on table campaign is 'One message (templates, sender, options) and the people it goes to.';
comment on column campaign.status is 'draft -> scheduled -> running <-> paused -> finished | cancelled. Workers look at it before every claim and about once a second while they hold one.';
comment on column campaign.status_reason is 'Why it is paused, in words: an operator''s, or the relay''s.';
comment on column campaign.start_at is 'For scheduled: when workers may begin.';
comment on column campaign.sender is 'The From header, as a Handlebars template.';
comment on column campaign.bounce_to is 'The envelope sender (MAIL FROM), where bounces go; null: the address in sender.';
comment on column campaign.headers is 'Extra headers, name to Handlebars template; json and not jsonb, which would sort them.';
comment on column campaign.on_unconfirmed is 'What becomes of a recipient that was handed over and whose reply was never seen: sent again, or held as unconfirmed.';
comment on column campaign.max_attempts is 'Temporary failures (4xx) about one recipient before it is expired.';
comment on column campaign.max_age is 'Time since the campaign started after which a temporary failure is expired instead of retried.';
comment on column campaign.rate is 'Mails per second over all workers; null: no limit.';

create table attachment (
  campaign_id     bigint not null references campaign on delete cascade,
  attachment_id   int not null,
  filename        text not null,
  content_type    text not null,
  content_id      text,
  content         bytea not null,
  primary key (campaign_id, attachment_id)
);
comment on table attachment is 'Files that every mail of a campaign carries. The bytes live here, not in a path: a worker on any machine has them, and nobody can move them away in the middle.';
comment on column attachment.content_id is 'For inline pictures: the html says <img src="cid:CONTENT_ID">.';

create sequence recipient_id_seq as bigint cache 100;
create sequence claim_id_seq as bigint;

-- The order of the columns is part of the design: the fixed-width ones that change stand together, the long ones that
-- never change (address, vars) stand last, so that the WAL of an update, which leaves out the common beginning and end
-- of the two versions, holds little more than what changed.
create table recipient (
  campaign_id     bigint not null,
  recipient_id    bigint not null default nextval('recipient_id_seq'),
  claim_id        bigint,
  retry_at        timestamptz,
  done_at         timestamptz,
  send_state      smallint not null default 0 check (send_state in (0, 1, 2)),
  attempts        smallint not null default 0,
  maybe_sent      smallint not null default 0,
  reply_code      smallint,
  outcome         outcome,
  reply           text,
  address         text collate "C" not null,
  vars            jsonb not null default '{}',
  primary key (campaign_id, recipient_id),
  check ((send_state = 2) = (outcome is not null))
) with (fillfactor = 30);
comment on table recipient is 'One row a person: an address, its merge variables and its send state. The table is the queue, the progress report and the audit trail.';
comment on column recipient.claim_id is 'The claim that holds the row (send_state 1) or held it last. Every write about a claimed row names it, so that a worker that was presumed dead and comes back changes nothing.';
comment on column recipient.retry_at is 'Not null: the row came back (temporary failure, released, rescued, retried by an operator) and waits until then.';
comment on column recipient.done_at is 'When send_state became 2.';
comment on column recipient.send_state is '0 waiting, 1 claimed by a worker, 2 done (see outcome).';
comment on column recipient.attempts is 'Attempts that were the recipient''s: a reply about this recipient or this message was seen. Trouble of the relay is not charged.';
comment on column recipient.maybe_sent is 'Times it was handed over and the reply was never seen (a process or a connection died in between): each may have been a mail.';
comment on column recipient.reply_code is 'The relay''s last reply about this recipient (250, 451, 550, ...); null: the relay was never asked.';
comment on column recipient.reply is 'The relay''s own words (they hold its queue id when it accepted), or why the row is invalid.';
comment on column recipient.address is 'local-part@domain, the domain in A-labels and lower case.';
comment on column recipient.vars is 'The other columns of the CSV by name, for the templates.';

-- Rows that came back. An ordinary journey never touches retry_at, so this index costs it nothing.
create index recipient_retry on recipient (campaign_id, retry_at) where retry_at is not null;

-- One mail a person: Kim@example.com and kim@example.com are the same mailbox everywhere that matters. The address comes
-- first, so that one person is found in every campaign, and so that this index never looks like a way to a campaign's
-- rows: with statistics from before an import it would be taken instead of the primary key.
create unique index recipient_address on recipient (lower(address), campaign_id);

create table claim (
  campaign_id     bigint not null,
  claim_id        bigint not null default nextval('claim_id_seq'),
  worker_id       bigint not null,
  first_id        bigint not null,
  last_id         bigint not null,
  recipient_ids   bigint[],
  size            int not null,
  handed_through  bigint not null default 0,
  claimed_at      timestamptz not null default now(),
  closed_at       timestamptz,
  rescued         boolean not null default false,
  primary key (campaign_id, claim_id)
) with (fillfactor = 50);
comment on table claim is 'A numbered batch of recipients that one worker holds. The number only ever grows.';
comment on column claim.recipient_ids is 'For claims of rows that came back: their ids, because these lie scattered. Null: every row of first_id..last_id that carries the number.';
comment on column claim.handed_through is 'The handed-over mark: a recipient may be handed to SMTP only when its id is at most this. Rows of a dead worker beyond it are certainly unsent.';
comment on column claim.closed_at is 'When the last recipient left the claim; null: open.';
comment on column claim.rescued is 'The worker was presumed dead and others took the claim apart.';

create index claim_open on claim (worker_id, campaign_id) where closed_at is null;

create table worker (
  worker_id       bigint generated always as identity primary key,
  host            text not null,
  pid             int not null,
  version         text not null,
  lease           interval not null,
  started_at      timestamptz not null default now(),
  heartbeat_at    timestamptz not null default now(),
  stopped_at      timestamptz,
  presumed_dead   boolean not null default false
) with (fillfactor = 50);
comment on table worker is 'A process that claims, composes, delivers, records. Alive while heartbeat_at is younger than its lease, by the database''s clock.';
comment on column worker.stopped_at is 'When it said goodbye or was presumed dead.';

create index worker_alive on worker (worker_id) where stopped_at is null;

-- Rows of (campaign, worker, lane) whose sum is the truth. A worker writes only its own rows, and its claims and its
-- records use different lanes, so that no statement ever waits for another one's counter. Worker 0 is everybody else:
-- imports, operators, and the folded rows of workers that are gone.
create table counter (
  campaign_id     bigint not null,
  worker_id       bigint not null,
  lane            smallint not null,
  waiting         bigint not null default 0,
  retrying        bigint not null default 0,
  claimed         bigint not null default 0,
  sent            bigint not null default 0,
  rejected        bigint not null default 0,
  expired         bigint not null default 0,
  invalid         bigint not null default 0,
  unconfirmed     bigint not null default 0,
  suppressed      bigint not null default 0,
  cancelled       bigint not null default 0,
  primary key (campaign_id, worker_id, lane)
) with (fillfactor = 10);
comment on table counter is 'Differences, moved in the same statement as the rows they count; only the sum over a campaign means something. waiting: never came back; retrying: came back and waits for retry_at.';
comment on column counter.lane is '0: claims and everything else, 1: records.';

-- Failures by reason, so that nobody has to scan millions of rows to learn why some failed. Only failures touch it.
create table failure (
  campaign_id     bigint not null,
  outcome         outcome not null,
  reason          text not null,
  worker_id       bigint not null,
  recipients      bigint not null,
  example_id      bigint not null,
  last_at         timestamptz not null default now(),
  primary key (campaign_id, outcome, reason, worker_id)
) with (fillfactor = 50);
comment on table failure is 'Recipients that ended as something else than sent, by reason. A worker writes only its own rows.';
comment on column failure.reason is 'The reply without what differs from mail to mail (addresses, queue ids, numbers).';
comment on column failure.example_id is 'One recipient that it happened to.';

create table timeline (
  campaign_id     bigint not null,
  at              timestamptz not null,
  worker_id       bigint not null,
  sent            int not null default 0,
  failed          int not null default 0,
  retried         int not null default 0,
  primary key (campaign_id, at, worker_id)
) with (fillfactor = 50);
comment on table timeline is 'What each worker recorded in each span of 5 seconds: for the rate of the last minute and for charts.';

create table pace (
  campaign_id     bigint primary key,
  tokens          double precision not null,
  granted         double precision not null default 0,
  refilled_at     timestamptz not null
) with (fillfactor = 10);
comment on table pace is 'The token bucket of a campaign with a rate: drawn from before each claim, so that the rate holds over all workers.';
