export const OUTCOMES = [
  'sent',
  'rejected',
  'expired',
  'invalid',
  'unconfirmed',
  'suppressed',
  'cancelled',
] as const;
/** How a recipient with send_state 2 ended. */
export type Outcome = (typeof OUTCOMES)[number];

export const CAMPAIGN_STATUSES = [
  'draft',
  'scheduled',
  'running',
  'paused',
  'finished',
  'cancelled',
] as const;
export type CampaignStatus = (typeof CAMPAIGN_STATUSES)[number];

/**
 * The states of a recipient and the ways between them. Pure; the diagram in docs/states.md is checked against it.
 *
 *     0 waiting ──claim──▶ 1 claimed ──record──▶ 2 done + outcome
 *         ▲                    │
 *         └── retry, release, rescue
 */
export type SendState = 0 | 1 | 2;

/** Outcomes that an operator may put back to waiting with `retry`: those after which a person has no mail. */
export type Retryable = Exclude<Outcome, 'sent'>;
export const RETRYABLE: readonly Retryable[] = OUTCOMES.filter((outcome) => outcome !== 'sent');

/** The columns of the counter table, which add up to a campaign's people: where a row can be. */
export const COUNTED = ['waiting', 'retrying', 'claimed', ...OUTCOMES] as const;

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
  /** Label of the relay that said so, for the log; not there when no relay was asked. */
  readonly relay?: string;
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
