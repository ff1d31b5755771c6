import type { ClaimedRecipient, Result } from './states.ts';

/**
 * A circuit breaker for one relay, as a value. `closed`: all is well. `open`: the relay is not asked until `until`.
 * `half-open`: one mail is tried, and decides.
 */
export interface Breaker {
  readonly state: 'closed' | 'open' | 'half-open';
  /** Failures in a row. */
  readonly failures: number;
  /** Pauses in a row. */
  readonly pauses: number;
  /** For open: when the next probe may go, in milliseconds of the clock that the caller uses. */
  readonly until: number;
  /** The last words of the relay or of the network, for people. */
  readonly reason: string | null;
}

/** What one round of rescues came to. */
export interface Rescue {
  /** Workers found dead in this round. */
  readonly workers: number;
  /** Recipients taken from claims without an owner. */
  readonly recipients: number;
  /** Of those, the ambiguous ones: inside a handed-over mark, without a result. */
  readonly ambiguous: number;
}

/** Why a worker ended before nothing was due. */
export type StopReason = 'paused' | 'cancelled' | 'stopped' | 'presumed-dead' | 'relay';

/** What happened, for the code that tells people. Nothing in it holds an address, except `result`. */
export type SendEvent =
  | { readonly kind: 'started'; readonly workerId: number }
  | {
      readonly kind: 'result';
      readonly campaignId: number;
      readonly name: string;
      readonly result: Result;
      readonly recipient: ClaimedRecipient;
    }
  | {
      readonly kind: 'campaign';
      readonly campaignId: number;
      readonly name: string;
      readonly now: 'started' | 'idle' | 'finished' | StopReason;
    }
  | { readonly kind: 'refused'; readonly campaignId: number; readonly name: string; readonly reason: string }
  /** A relay's breaker opened or closed. `several`: there are others, so that words have to name it. */
  | {
      readonly kind: 'relay';
      readonly label: string;
      readonly several: boolean;
      readonly breaker: Breaker;
      readonly misconfigured: string | null;
    }
  /** A relay asked for less, or (null) is held back no more. */
  | {
      readonly kind: 'relay-slowed';
      readonly label: string;
      readonly several: boolean;
      readonly perSecond: number | null;
      readonly words: string | null;
    }
  | { readonly kind: 'rescued'; readonly rescue: Rescue }
  | { readonly kind: 'presumed-dead' }
  | {
      readonly kind: 'claims-lost';
      readonly campaignId: number;
      readonly name: string;
      readonly claimIds: readonly number[];
    }
  | { readonly kind: 'database-lost'; readonly why: string }
  | { readonly kind: 'database-back' };

/** What a worker of one campaign tells its process. */
export interface CampaignRunEvents {
  /** A result is decided (not yet durable): for progress bars. */
  result(result: Result, recipient: ClaimedRecipient): void;
  /** The database does not answer; results are kept. / It is back. */
  databaseLost(error: unknown): void;
  databaseBack(): void;
  /** Claims that others took because this worker was presumed dead. */
  claimsLost(claimIds: readonly number[]): void;
  /** The sender is refused by every relay, or so many mails in a row for policy or content that going on would only hurt its name: the worker is to be stopped. */
  refused(reason: string): void;
}
