import type { Meter } from './meter.ts';

export interface WorkerOptions {
  /** Recipients in a claim. */
  readonly batch: number;
  /** Recipients that may be in doubt after this process dies, over all campaigns. Default 4 × the relays' capacity, at least 200. */
  readonly window: number;
  /** How long this worker may be silent, seconds. */
  readonly leaseSeconds: number;
  /** For the worker's row. */
  readonly version: string;
  /** Only this campaign; null: every one that runs. */
  readonly campaignId: number | null;
  /** When to stop by itself. `finished`: that campaign has ended (finished, paused, cancelled). `idle`: nothing is due. */
  readonly until: 'finished' | 'idle' | 'stopped';
  /** What is counted and timed; null: nothing is. */
  readonly meter: Meter | null;
}

/** `relay`: every relay refuses the sender (password, address) or does not answer, and a caller waits for the end. */
export type WorkEnd = 'ended' | 'idle' | 'stopped' | 'relay';
