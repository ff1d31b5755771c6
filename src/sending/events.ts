import type { Breaker } from './breaker.ts';
import type { Rescue } from './rescue.ts';
import type { Result } from './states.ts';
import type { StopReason } from './worker.ts';

/** What happened, for whoever talks to people. Nothing in it holds an address, except `result` (by id). */
export type SendEvent =
  | { readonly kind: 'started'; readonly workerId: number }
  | { readonly kind: 'result'; readonly campaignId: number; readonly result: Result }
  | {
      readonly kind: 'campaign';
      readonly name: string;
      readonly now: 'started' | 'idle' | 'finished' | StopReason;
    }
  | { readonly kind: 'refused'; readonly name: string; readonly reason: string }
  | { readonly kind: 'relay'; readonly breaker: Breaker; readonly misconfigured: string | null }
  | { readonly kind: 'rescued'; readonly rescue: Rescue }
  | { readonly kind: 'presumed-dead' }
  | { readonly kind: 'claims-lost'; readonly name: string; readonly claims: number }
  | { readonly kind: 'database-lost'; readonly why: string }
  | { readonly kind: 'database-back' };
