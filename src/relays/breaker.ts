import type { Breaker } from '../model/events.ts';

/** Failures in a row after which the relay is paused. Five: one bad connection of ten is noise, five is an outage. */
export const BREAKER_FAILURES = 5;
/** First pause, milliseconds; doubles after each failed probe. */
export const BREAKER_FIRST_PAUSE_MS = 5_000;
/** Longest pause, milliseconds: a relay that is back is noticed within two minutes. */
export const BREAKER_LONGEST_PAUSE_MS = 120_000;

export const CLOSED: Breaker = { state: 'closed', failures: 0, pauses: 0, until: 0, reason: null };

/** After a reply that shows the relay at work: everything is forgotten. */
export function succeeded(breaker: Breaker): Breaker {
  return breaker.state === 'closed' && breaker.failures === 0 ? breaker : CLOSED;
}

/** After trouble of the relay (refused, reset, 421 …). A failed probe opens the breaker again at once, for longer. */
export function failed(breaker: Breaker, reason: string, now: number): Breaker {
  // What was still in flight when the breaker opened says nothing new.
  if (breaker.state === 'open') return { ...breaker, reason };
  const failures = breaker.failures + 1;
  if (breaker.state === 'closed' && failures < BREAKER_FAILURES) return { ...breaker, failures, reason };
  const pause = Math.min(
    BREAKER_FIRST_PAUSE_MS * 2 ** Math.min(breaker.pauses, 20),
    BREAKER_LONGEST_PAUSE_MS,
  );
  return { state: 'open', failures, pauses: breaker.pauses + 1, until: now + pause, reason };
}

/** Lets time pass: an open breaker whose pause is over becomes half-open. */
export function at(breaker: Breaker, now: number): Breaker {
  return breaker.state === 'open' && now >= breaker.until ? { ...breaker, state: 'half-open' } : breaker;
}

/** How many mails may be in flight: all, one, or none. */
export function allowance(breaker: Breaker, capacity: number): number {
  if (breaker.state === 'open') return 0;
  return breaker.state === 'half-open' ? 1 : capacity;
}
