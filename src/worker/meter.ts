import type { Outcome } from '../model/states.ts';

/** What becomes of a mail: an outcome, or `deferred`, when its recipient waits again. */
export type MailEnd = Outcome | 'deferred';

/** Campaigns that are counted by name; the rest together are `other`. Each name is a series that is kept for long. */
export const NAMED_CAMPAIGNS = 100;
/** The name of the rest. */
export const OTHER = 'other';

/** Durations in buckets, as plain numbers: an observation at 20,000 mails a second is a short loop and three additions. */
export class Durations {
  /** Upper bounds, seconds, ascending. */
  readonly bounds: readonly number[];
  /** Observations within each bound and above the one before; the last one is for what is longer than any. */
  readonly counts: Float64Array;
  /** Of all observations, seconds. */
  sum = 0;

  constructor(bounds: readonly number[]) {
    this.bounds = bounds;
    this.counts = new Float64Array(bounds.length + 1);
  }

  /** @param ms milliseconds, as the difference of two performance.now() */
  observe(ms: number): void {
    const seconds = ms / 1000;
    const { bounds, counts } = this;
    let at = 0;
    while (at < bounds.length && seconds > (bounds[at] as number)) at++;
    counts[at] = (counts[at] as number) + 1;
    this.sum += seconds;
  }
}

/** Mails of one campaign by what became of them. All keys are there from the beginning: one shape, one fast path. */
export type OutcomeCounts = Record<MailEnd, number>;

/** What is told of the worker that runs at this moment: read on demand, never pushed. */
export interface Reading {
  readonly gates: readonly GateReading[];
  readonly health: Health;
}

/** What is told about a relay. */
export interface GateReading {
  readonly label: string;
  readonly state: string;
  readonly inFlight: number;
  readonly accepted: number;
  readonly capacity: number;
  /** Connections that are open; undefined: the deliverer does not say. */
  readonly connections: number | undefined;
}

/** Whether the worker can do its work; if not, why, in words without addresses and secrets. */
export type Health = { readonly ready: true } | { readonly ready: false; readonly why: string };

/**
 * What one process counts about itself, for a scraper. Plain numbers that only grow: nothing is labelled, hashed or
 * allocated for a mail. It outlives pollers: with --cron there are many.
 */
export class Meter {
  /** One claim statement, 0.5 ms to seconds: a far or a busy database. */
  readonly claim = new Durations([0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1, 5]);
  /** One message: ten microseconds for a plain one, milliseconds with large attachments. */
  readonly compose = new Durations([
    0.00001, 0.000025, 0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.005, 0.025, 0.1,
  ]);
  /** From handing over until the answer: milliseconds on a local relay, minutes on one that greets slowly. */
  readonly deliver = new Durations([
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10, 30, 120, 600,
  ]);
  /** One statement that writes results. */
  readonly record = new Durations([0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1, 5]);
  readonly outcomeCounts = new Map<string, OutcomeCounts>();
  #live: Reading | null = null;
  #begun = false;

  /** A poller works from now on. */
  begin(live: Reading): void {
    this.#live = live;
    this.#begun = true;
  }

  end(): void {
    this.#live = null;
  }

  /** The counters of a campaign; a worker asks once and keeps them. */
  counts(campaign: string): OutcomeCounts {
    const known = this.outcomeCounts.get(campaign);
    if (known !== undefined) return known;
    if (this.outcomeCounts.size >= NAMED_CAMPAIGNS && campaign !== OTHER) return this.counts(OTHER);
    const counts: OutcomeCounts = {
      sent: 0,
      rejected: 0,
      expired: 0,
      invalid: 0,
      unconfirmed: 0,
      suppressed: 0,
      cancelled: 0,
      deferred: 0,
    };
    this.outcomeCounts.set(campaign, counts);
    return counts;
  }

  get gates(): readonly GateReading[] {
    return this.#live?.gates ?? [];
  }

  /** Ready while a poller is; between the ticks of a schedule there is nothing that could be wrong. */
  get health(): Health {
    if (this.#live !== null) return this.#live.health;
    return this.#begun ? { ready: true } : { ready: false, why: 'starting' };
  }
}
