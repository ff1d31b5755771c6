import type { Breaker } from './breaker.ts';
import type { Rescue } from './rescue.ts';
import type { ClaimedRecipient, Result } from './states.ts';

/** Why a worker ended before nothing was due. */
export type StopReason = 'paused' | 'cancelled' | 'stopped' | 'presumed-dead' | 'relay';

/** What happened, for whoever talks to people. Nothing in it holds an address, except `result`. */
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
export interface WorkerEvents {
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
