import type { ClaimedRecipient, Result } from '../model/states.ts';
import type { Verdict } from '../smtp/classify.ts';
import { DELIVERY_CODES, type Delivery } from '../smtp/deliverer.ts';

/** Refusals in a row, for policy or content, that pause the campaign. Fifty: no list has so many bad rows side by side. */
export const REFUSALS_IN_A_ROW = 50;

/** First wait after a temporary failure, seconds, unless the campaign says otherwise. Five minutes is what greylisting servers ask for at least. */
export const FIRST_RETRY_SECONDS = 300;
/** The wait doubles up to this, seconds. Four hours: RFC 5321 §4.5.4.1 wants a queue that still tries after days. */
export const LONGEST_RETRY_SECONDS = 4 * 3600;
/** Wait after a 421 and its like, seconds: the first pause of the breaker, so that one person who always gets it is no busy loop. */
export const BACKOFF_SECONDS = 5;
/** Waits differ by up to this share, so that 10,000 people who were deferred together do not come back together. */
export const RETRY_JITTER = 0.2;

export interface RetryPolicy {
  /** Temporary failures about one recipient before it is expired. */
  readonly maxAttempts: number;
  /** When temporary failures, but the first of a recipient, turn into `expired`, milliseconds on the clock that `decide` is given. */
  readonly expiresAt: number;
  readonly onUnconfirmed: 'resend' | 'hold';
  /** First wait after a temporary failure, seconds. */
  readonly retryAfterSeconds: number;
}

/**
 * Seconds until the next attempt: the first wait, then twice as long each time (5, 10, 20, 40 minutes …), capped at 4
 * hours, plus jitter. A campaign that asks for less than a greylisting server wants is taken at its word.
 *
 * @param first seconds after the first attempt
 * @param attempts attempts charged so far, this one included (1…)
 * @param random in [0, 1)
 */
export function retryDelay(first: number, attempts: number, random: number): number {
  const longest = Math.max(LONGEST_RETRY_SECONDS, first);
  const doubled = Math.min(first * 2 ** Math.min(attempts - 1, 30), longest);
  return Math.round(doubled * (1 + RETRY_JITTER * random));
}

/** What the relay said, as the row keeps it: enhanced code and words; the basic code has a column of its own. */
function wordsOf(delivery: Delivery): { code: number | null; words: string } {
  if (delivery.kind !== 'replied') return { code: null, words: delivery.why };
  const { code, enhanced, text } = delivery.reply;
  return { code, words: enhanced === null || text.startsWith(enhanced) ? text : `${enhanced} ${text}` };
}

/**
 * The reply without what differs from mail to mail, so that failures group: addresses, queue ids, long numbers, URLs.
 * At most 200 characters.
 */
export function reasonOf(code: number | null, words: string): string {
  const general = words
    .slice(0, 500)
    .replace(/<[^<>]{0,320}>/g, '<…>')
    .replace(/[^\s<>"'(),;:]{1,64}@[^\s<>"'(),;:]{1,255}/g, '…')
    .replace(/\bhttps?:\/\/\S+/g, '…')
    .replace(/\b(?=[A-Za-z0-9-]*\d)[A-Za-z0-9-]{8,}\b/g, '…')
    .replace(/\s+/g, ' ')
    .trim();
  return `${code === null ? '' : `${code} `}${general}`.slice(0, 200);
}

/**
 * Decides what becomes of a recipient after an attempt. Pure: the same arguments always give the same result.
 *
 * @param now milliseconds on any clock that is never set, for the campaign's age
 * @param random in [0, 1), for the jitter
 */
export function decide(
  claimId: number,
  recipient: ClaimedRecipient,
  delivery: Delivery,
  verdict: Verdict,
  policy: RetryPolicy,
  now: number,
  random: number,
): Result {
  const { code, words } = wordsOf(delivery);
  const base = {
    recipientId: recipient.recipientId,
    claimId,
    replyCode: code,
    reply: words,
    retrySeconds: 0,
    maybeSent: 0,
    reason: null,
  } as const;
  const failed = (outcome: 'rejected' | 'expired' | 'invalid' | 'unconfirmed', charged: 0 | 1): Result => ({
    ...base,
    outcome,
    charged,
    reason: reasonOf(code, words),
  });
  switch (verdict.kind) {
    case 'sent':
      return { ...base, outcome: 'sent', charged: 1 };
    case 'rejected':
      return failed('rejected', 1);
    case 'invalid':
      return { ...failed('invalid', 0), reply: verdict.why, reason: reasonOf(null, verdict.why) };
    case 'retry': {
      const attempts = recipient.attempts + 1;
      // Not the first: the campaign may have been paused for days, and greylisting asks every recipient for a second attempt.
      const tooOld = now >= policy.expiresAt && recipient.attempts > 0;
      if (attempts >= policy.maxAttempts || tooOld) return failed('expired', 1);
      return deferred(base, attempts, policy, random);
    }
    case 'unconfirmed':
      // Bounded like any other failure: a mail that breaks the connection each time must not be sent for ever.
      if (policy.onUnconfirmed === 'hold' || recipient.maybeSent + 1 >= policy.maxAttempts) {
        return { ...failed('unconfirmed', 0), maybeSent: 1 };
      }
      return { ...base, outcome: null, charged: 0, maybeSent: 1 };
    case 'backoff':
    case 'sender':
      // A relay that cannot be reached is the breaker's business; one that answers is asked again after a moment.
      if (!answered(delivery)) return { ...base, outcome: null, charged: 0 };
      // No attempt is charged, but who is answered so for as long as the campaign tries will not be answered otherwise.
      if (now >= policy.expiresAt) {
        if (recipient.attempts > 0 || policy.maxAttempts === 1) return failed('expired', 0);
        return deferred(base, 1, policy, random);
      }
      return { ...base, outcome: null, charged: 0, retrySeconds: BACKOFF_SECONDS };
    default:
      // misconfigured, fallback: the relay's trouble. The row comes back as it was, and not at once.
      return { ...base, outcome: null, charged: 0, retrySeconds: BACKOFF_SECONDS };
  }
}

/** The relay said something, if only what no relay says. */
function answered(delivery: Delivery): boolean {
  return delivery.kind === 'replied' || delivery.code === DELIVERY_CODES.protocol;
}

function deferred(
  base: Omit<Result, 'outcome' | 'charged'>,
  attempts: number,
  policy: RetryPolicy,
  random: number,
): Result {
  const retrySeconds = retryDelay(policy.retryAfterSeconds, attempts, random);
  return { ...base, outcome: null, charged: 1, retrySeconds };
}

/** A row that was claimed and never handed over goes back as it was, or is cancelled with its campaign. */
export function released(claimId: number, recipientId: number, cancelled: boolean): Result {
  return {
    recipientId,
    claimId,
    outcome: cancelled ? 'cancelled' : null,
    replyCode: null,
    reply: null,
    retrySeconds: 0,
    charged: 0,
    maybeSent: 0,
    reason: null,
  };
}

/** A row that cannot be addressed or rendered: it never reaches the relay, and says why. */
export function invalid(claimId: number, recipientId: number, why: string): Result {
  return {
    ...released(claimId, recipientId, false),
    outcome: 'invalid',
    reply: why.slice(0, 500),
    reason: reasonOf(null, why),
  };
}
