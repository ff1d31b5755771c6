import type { Database } from '../database/connect.ts';
import type { CampaignStatus, Outcome } from '../model/states.ts';

/** What the log says happened: see the table `attempt`. */
export interface HistoryEvent {
  readonly at: Date;
  readonly event:
    | 'deferred'
    | 'trouble'
    | 'ambiguous'
    | 'returned'
    | 'retried'
    | 'rejected'
    | 'expired'
    | 'invalid'
    | 'unconfirmed'
    | 'suppressed';
  readonly replyCode: number | null;
  readonly reply: string | null;
  readonly relay: string | null;
  /** Null: an operator did it. */
  readonly claimId: number | null;
  readonly workerId: number | null;
}

/** The claim that holds the recipient, or held it last. */
export interface HistoryClaim {
  readonly claimId: number;
  readonly workerId: number;
  /** Where the worker ran; null: its row is gone. */
  readonly host: string | null;
  readonly pid: number | null;
  readonly claimedAt: Date;
  readonly closedAt: Date | null;
  /** The worker was presumed dead. */
  readonly rescued: boolean;
  /** The recipient stands within the handed-over mark: it may have been handed to the relay under this claim. */
  readonly withinMark: boolean;
}

/** One address in one campaign. */
export interface RecipientHistory {
  readonly campaignId: number;
  readonly campaign: string;
  readonly status: CampaignStatus;
  readonly recipientId: number;
  readonly address: string;
  readonly sendState: 0 | 1 | 2;
  readonly outcome: Outcome | null;
  readonly attempts: number;
  readonly maybeSent: number;
  readonly replyCode: number | null;
  readonly reply: string | null;
  /** While it waits: until when, if it came back. */
  readonly retryAt: Date | null;
  readonly doneAt: Date | null;
  readonly claim: HistoryClaim | null;
  /** In the order they happened. Being sent is told by `outcome`, `doneAt` and `reply`, not here. */
  readonly events: readonly HistoryEvent[];
}

/*
 * By the unique index on (lower(address), campaign_id), then by primary keys: the same at ten recipients and ten million.
 */
const HISTORY = `
select r.campaign_id as "campaignId", c.name as campaign, c.status, r.recipient_id as "recipientId", r.address,
  r.send_state as "sendState", r.outcome, r.attempts, r.maybe_sent as "maybeSent", r.reply_code as "replyCode", r.reply,
  r.retry_at as "retryAt", r.done_at as "doneAt",
  k.claim_id as "claimId", k.worker_id as "workerId", w.host, w.pid, k.claimed_at as "claimedAt", k.closed_at as "closedAt",
  k.rescued, r.recipient_id <= k.handed_through as "withinMark"
from recipient r
join campaign c on c.campaign_id = r.campaign_id
left join claim k on k.campaign_id = r.campaign_id and k.claim_id = r.claim_id
left join worker w on w.worker_id = k.worker_id
where lower(r.address) = lower($1::text collate "C")
order by r.campaign_id desc`;

const EVENTS = `
select campaign_id as "campaignId", at, event, reply_code as "replyCode", reply, relay, claim_id as "claimId", worker_id as "workerId"
from unnest($1::bigint[], $2::bigint[]) as r(c, id) join attempt on campaign_id = r.c and recipient_id = r.id
order by attempt_id`;

type Row = Omit<RecipientHistory, 'claim' | 'events'> &
  Omit<HistoryClaim, 'claimId'> & { readonly claimId: number | null };

/** Everything about one address (any case) in every campaign that has it, the latest campaign first. */
export async function readHistory(db: Database, address: string): Promise<RecipientHistory[]> {
  const { rows } = await db.pool.query<Row>(HISTORY, [address]);
  if (rows.length === 0) return [];
  const { rows: events } = await db.pool.query<HistoryEvent & { readonly campaignId: number }>(EVENTS, [
    rows.map(({ campaignId }) => campaignId),
    rows.map(({ recipientId }) => recipientId),
  ]);
  return rows.map((row) => {
    const { claimId, workerId, host, pid, claimedAt, closedAt, rescued, withinMark, ...recipient } = row;
    const claim =
      claimId === null ? null : { claimId, workerId, host, pid, claimedAt, closedAt, rescued, withinMark };
    const own = events.filter(({ campaignId }) => campaignId === row.campaignId);
    return { ...recipient, claim, events: own.map(({ campaignId: _, ...event }) => event) };
  });
}
