/**
 * The states of a recipient and the ways between them. Pure; the diagram in docs/states.md is checked against it.
 *
 *     0 waiting ──claim──▶ 1 claimed ──record──▶ 2 done + outcome
 *         ▲                    │
 *         └── retry, release, rescue
 */
export const WAITING = 0;
export const CLAIMED = 1;
export const DONE = 2;
export type SendState = typeof WAITING | typeof CLAIMED | typeof DONE;

/** How a done row ended. The order is the order of the database's enum and of every listing. */
export const OUTCOMES = [
  'sent',
  'rejected',
  'expired',
  'invalid',
  'unconfirmed',
  'suppressed',
  'cancelled',
] as const;
export type Outcome = (typeof OUTCOMES)[number];

/** Outcomes that an operator may put back to waiting with `retry`: those after which a person has no mail. */
export const RETRYABLE = [
  'rejected',
  'expired',
  'invalid',
  'unconfirmed',
  'suppressed',
  'cancelled',
] as const;
export type Retryable = (typeof RETRYABLE)[number];

export function isOutcome(text: string): text is Outcome {
  return (OUTCOMES as readonly string[]).includes(text);
}

export function isRetryable(text: string): text is Retryable {
  return (RETRYABLE as readonly string[]).includes(text);
}

/** The life of a campaign; `from` states of each verb, for the commands' checks and their error messages. */
export const STATUSES = ['draft', 'scheduled', 'running', 'paused', 'finished', 'cancelled'] as const;
export type CampaignStatus = (typeof STATUSES)[number];

/**
 * What one attempt came to, as it is written to the row.
 *
 * `outcome` null: the row goes back to waiting, due again in `retrySeconds` (0: at once). `charged` adds to attempts
 * (0 or 1), `maybeSent` counts a handing-over whose reply was never seen (0 or 1). `reason` groups failures; null for
 * sent rows and for rows that go back.
 */
export interface Result {
  readonly recipientId: number;
  readonly claimId: number;
  readonly outcome: Outcome | null;
  readonly replyCode: number | null;
  readonly reply: string | null;
  readonly retrySeconds: number;
  readonly charged: 0 | 1;
  readonly maybeSent: 0 | 1;
  readonly reason: string | null;
}

/** One recipient as a claim hands it out. `vars` holds the CSV's other columns by name. */
export interface ClaimedRecipient {
  readonly recipientId: number;
  readonly address: string;
  readonly vars: Readonly<Record<string, string>>;
  readonly attempts: number;
  readonly maybeSent: number;
}

/** A numbered batch of recipients, in ascending order of id. */
export interface Claim {
  readonly campaignId: number;
  readonly claimId: number;
  readonly recipients: readonly ClaimedRecipient[];
}
