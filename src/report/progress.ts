import type { Database } from '../database/connect.ts';
import type { CampaignStatus, Outcome } from '../model/states.ts';

/** A row of the view campaign_progress. Counts are recipients. */
export interface Progress {
  readonly campaignId: number;
  readonly name: string;
  readonly status: CampaignStatus;
  readonly statusReason: string | null;
  readonly total: number;
  /** send_state 0; `retrying` of these came back and wait until they are due. */
  readonly waiting: number;
  readonly retrying: number;
  readonly claimed: number;
  readonly done: number;
  readonly outcomes: Readonly<Record<Outcome, number>>;
  /** Recipients done per second over the last minute; null unless running. */
  readonly perSecond: number | null;
  /** At that rate; null when it is unknown. */
  readonly secondsLeft: number | null;
  readonly startAt: Date | null;
  readonly startedAt: Date | null;
  readonly finishedAt: Date | null;
}

export interface Failure {
  readonly outcome: Outcome;
  /** The reply without what differs from mail to mail. */
  readonly reason: string;
  readonly recipients: number;
  /** One address that it happened to. */
  readonly example: string | null;
  readonly lastAt: Date;
}

export interface WorkerActivity {
  readonly workerId: number;
  readonly host: string;
  readonly pid: number;
  readonly state: 'alive' | 'silent' | 'presumed dead' | 'stopped';
  readonly campaign: string | null;
  readonly holds: number;
  readonly doneLastMinute: number;
  readonly startedAt: Date;
  readonly heartbeatAt: Date;
}

/** A row of the view relay_activity: one relay as one worker that is alive sees it. */
export interface RelayActivity {
  readonly label: string;
  readonly workerId: number;
  readonly host: string;
  readonly pid: number;
  readonly state: 'working' | 'slowed' | 'half-open' | 'open' | 'misconfigured';
  /** The relay's last words, or the network's; null while it works. */
  readonly words: string | null;
  /** Mails per second that this worker sends at most, because the relay asked for less. */
  readonly slowedTo: number | null;
  readonly weight: number;
  /** Mails per second over all workers, as configured. */
  readonly rate: number | null;
  readonly inFlight: number;
  readonly accepted: number;
  readonly changedAt: Date;
}

/** What is read from: a database, or one transaction of it. */
export interface Readable {
  readonly pool: Pick<Database['pool'], 'query'>;
}

type ProgressRow = Omit<Progress, 'outcomes'> & Readonly<Record<Outcome, number>>;

/** The progress of one campaign, or of all, the latest first. Reads counters only: the same cost at any size. */
export async function readProgress(db: Readable, name?: string): Promise<Progress[]> {
  const { rows } = await db.pool.query<ProgressRow>(
    `select campaign_id as "campaignId", name, status, status_reason as "statusReason", total, waiting, retrying, claimed, done,
       sent, rejected, expired, invalid, unconfirmed, suppressed, cancelled,
       per_second::float8 as "perSecond", extract(epoch from time_left)::float8 as "secondsLeft",
       start_at as "startAt", started_at as "startedAt", finished_at as "finishedAt"
     from campaign_progress where $1::text is null or name = $1 order by campaign_id desc`,
    [name ?? null],
  );
  return rows.map(({ sent, rejected, expired, invalid, unconfirmed, suppressed, cancelled, ...row }) => ({
    ...row,
    outcomes: { sent, rejected, expired, invalid, unconfirmed, suppressed, cancelled },
  }));
}

/** Why recipients of a campaign failed, the most frequent reason first. */
export async function readFailures(db: Readable, campaignId: number, limit = 20): Promise<Failure[]> {
  const { rows } = await db.pool.query<Failure>(
    `select outcome, reason, recipients, example, last_at as "lastAt" from campaign_failures
     where campaign_id = $1 order by recipients desc, reason limit $2`,
    [campaignId, limit],
  );
  return rows;
}

/** Workers that are alive, or were within the last hour. */
export async function readWorkers(db: Database): Promise<WorkerActivity[]> {
  const { rows } = await db.pool.query<WorkerActivity>(
    `select worker_id as "workerId", host, pid, state, campaign, coalesce(holds, 0) as holds,
       coalesce(done_last_minute, 0) as "doneLastMinute", started_at as "startedAt", heartbeat_at as "heartbeatAt"
     from worker_activity order by worker_id`,
  );
  return rows;
}

/** The relays as the workers that are alive see them. */
export async function relayActivity(db: Database): Promise<RelayActivity[]> {
  const { rows } = await db.pool.query<RelayActivity>(
    `select label, worker_id as "workerId", host, pid, state, words, slowed_to as "slowedTo", weight, rate,
       in_flight as "inFlight", accepted, changed_at as "changedAt"
     from relay_activity order by label, worker_id`,
  );
  return rows;
}

/** One recipient as the table has it. */
export interface RecipientRow {
  readonly recipientId: number;
  readonly address: string;
  readonly sendState: 0 | 1 | 2;
  readonly outcome: Outcome | null;
  readonly attempts: number;
  readonly maybeSent: number;
  readonly replyCode: number | null;
  readonly reply: string | null;
  readonly retryAt: Date | null;
  readonly doneAt: Date | null;
}

/** Rows a page: the campaign's recipients are walked by primary key, so memory does not depend on their number. */
const PAGE = 2_000;

/** The recipients of a campaign in the order they were imported, all or those with one outcome. */
export async function* readRecipients(
  db: Database,
  campaignId: number,
  outcome?: Outcome,
): AsyncGenerator<RecipientRow> {
  for (let after = 0; ; ) {
    const { rows } = await db.pool.query<RecipientRow>(
      `select recipient_id as "recipientId", address, send_state as "sendState", outcome, attempts, maybe_sent as "maybeSent",
         reply_code as "replyCode", reply, retry_at as "retryAt", done_at as "doneAt"
       from recipient where campaign_id = $1 and recipient_id > $2 and ($3::outcome is null or outcome = $3)
       order by recipient_id limit ${PAGE}`,
      [campaignId, after, outcome ?? null],
    );
    yield* rows;
    const last = rows.at(-1);
    if (last === undefined || rows.length < PAGE) return;
    after = last.recipientId;
  }
}
