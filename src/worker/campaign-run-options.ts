import type { Meter } from './meter.ts';
import type { RetryPolicy } from './retry.ts';
import type { SharedWindow } from './window.ts';

/** What the worker needs to know of a campaign. */
export interface RunCampaign extends RetryPolicy {
  readonly campaignId: number;
  readonly name: string;
  /** Mails per second over all workers, or null. */
  readonly rate: number | null;
}

export interface CampaignRunOptions {
  /** Recipients in a claim. Default 500: the claim's round trip and commit cost 1/500 of a millisecond a mail. */
  readonly batch: number;
  /** Shared by all campaigns of the process. */
  readonly window: SharedWindow;
  /** Whether mails may be handed over: the worker's lease. */
  readonly leaseValid: () => boolean;
  /** What is counted and timed; null: nothing is. */
  readonly meter: Meter | null;
}
