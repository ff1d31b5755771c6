import { DELIVERY_CODES, type Delivery, type Reply, type Stage } from './deliverer.ts';
import { explainReply, type ReplyMeaning } from './reply-verdict.ts';

/** What follows from a delivery, for the recipient and for the relay. */
export type Verdict =
  /** The relay took the mail. */
  | { readonly kind: 'sent' }
  /** Permanently refused. `policy`: for its content or by policy; many of those in a row should pause the campaign. */
  | { readonly kind: 'rejected'; readonly policy: boolean }
  /** Temporarily refused because of this recipient or message: charged as an attempt, again after at least this long. */
  | { readonly kind: 'retry'; readonly minDelaySeconds: number }
  /** The relay or the connection is in trouble: nothing is charged, the relay is paused for a while. */
  | { readonly kind: 'backoff' }
  /** The relay refuses us, not the recipient: it pauses until an operator changes the configuration. */
  | { readonly kind: 'misconfigured' }
  /** The relay refuses this sender's address; it may take others': the campaign pauses, the relay goes on. */
  | { readonly kind: 'sender' }
  /** The relay did not understand: try once more in serial mode, then pause. */
  | { readonly kind: 'fallback' }
  /** Handed over, the reply never seen: the campaign decides between sending again and holding. */
  | { readonly kind: 'unconfirmed' }
  /** It can never be handed to this relay as it is. */
  | { readonly kind: 'invalid'; readonly why: string };

/** Greylisting servers refuse for 5 minutes by default (postgrey, RFC 6647 section 5). */
export const GREYLIST_SECONDS = 300;

const SENT: Verdict = { kind: 'sent' };
const BACKOFF: Verdict = { kind: 'backoff' };
const MISCONFIGURED: Verdict = { kind: 'misconfigured' };
const SENDER: Verdict = { kind: 'sender' };
const FALLBACK: Verdict = { kind: 'fallback' };
const UNCONFIRMED: Verdict = { kind: 'unconfirmed' };
const REJECTED: Verdict = { kind: 'rejected', policy: false };
const REFUSED: Verdict = { kind: 'rejected', policy: true };
const GREYLISTED: Verdict = { kind: 'retry', minDelaySeconds: GREYLIST_SECONDS };
const LATER: Verdict = { kind: 'retry', minDelaySeconds: 0 };

const GREYLIST_WORDS = /gr[ea]y.?list|postgrey/i;
const RATE_WORDS = /\brates?\b|thrott|too (?:many|fast|much)|slow down|exceeded|limit/i;
/** How much we may send, not how much a recipient may receive. */
const QUOTA_WORDS =
  /\b(?:daily|hourly|sending)\b[\w ]{0,40}\b(?:quota|limit)|submissionquota|\b(?:e-?mails|messages) per (?:hour|day)\b/i;
/** That the relay does not relay for us. Not a host name with the word in it. */
const RELAYING_WORDS = /(?<![\w.@-])relay(?:ing|ed)?(?!\.?[\w@-])|rcpthosts/i;

/**
 * What follows from a delivery. Pure. The enhanced status code (RFC 3463) decides where there is one, then the basic
 * code (RFC 5321 section 4.2), then the stage: what is refused before a recipient was named is never a recipient's fault.
 */
export function classify(delivery: Delivery): Verdict {
  if (delivery.kind === 'ambiguous') return UNCONFIRMED;
  if (delivery.kind === 'not-sent') return classifyNotSent(delivery);
  const { stage, reply } = delivery;
  if (reply.code === 421) return BACKOFF;
  if (reply.code < 400) return classifyAccepted(stage, reply);
  if (stage === 'connect' || stage === 'auth') return reply.code < 500 ? BACKOFF : MISCONFIGURED;
  return reply.code < 500 ? classifyTemporary(stage, reply) : classifyPermanent(stage, reply);
}

function classifyNotSent(delivery: { readonly why: string; readonly code: string }): Verdict {
  switch (delivery.code) {
    case DELIVERY_CODES.needsSmtputf8:
    case DELIVERY_CODES.needs8bitmime:
    case DELIVERY_CODES.badAddress:
      return { kind: 'invalid', why: delivery.why };
    // The same message to every recipient: as 5.3.4 from the relay itself.
    case DELIVERY_CODES.tooBig:
      return REFUSED;
    case DELIVERY_CODES.auth:
      return MISCONFIGURED;
    case DELIVERY_CODES.senderNeedsSmtputf8:
      return SENDER;
    case DELIVERY_CODES.protocol:
      return FALLBACK;
    default:
      return BACKOFF;
  }
}

/** Safety rule 2: only the 2xx to the end of data means sent. A 3xx there is no answer at all. */
function classifyAccepted(stage: Stage, reply: Reply): Verdict {
  if (stage !== 'final') return FALLBACK;
  return reply.code < 300 ? SENT : UNCONFIRMED;
}

function classifyTemporary(stage: Stage, reply: Reply): Verdict {
  const enhanced = reply.enhanced ?? '';
  if (GREYLIST_WORDS.test(reply.text)) return stage === 'mail' ? BACKOFF : GREYLISTED;
  if (enhanced === '4.3.2' || enhanced.startsWith('4.4.')) return BACKOFF;
  if (enhanced.startsWith('4.7.') && RATE_WORDS.test(reply.text)) return BACKOFF;
  // No recipient was named yet, so none may be charged: a full queue disk would expire the whole campaign.
  if (stage === 'mail') return BACKOFF;
  if (enhanced === '4.5.3' || enhanced === '4.3.1' || enhanced === '4.2.2') return LATER;
  if (enhanced.startsWith('4.7.') || enhanced === '4.2.0') return GREYLISTED;
  if (reply.code === 450 || reply.code === 451) return GREYLISTED;
  // RFC 4954 section 6: authentication or TLS is temporarily not to be had.
  if (reply.code === 454 || reply.code === 432) return BACKOFF;
  return LATER;
}

function classifyPermanent(stage: Stage, reply: Reply): Verdict {
  const enhanced = reply.enhanced ?? '';
  const { code } = reply;
  if (isAuthentication(code, enhanced)) return MISCONFIGURED;
  // 5.1.7, 5.1.8 and Office 365's 554 5.2.252 SendAsDenied are about the sender's address, whatever they answer.
  if (enhanced === '5.1.7' || enhanced === '5.1.8' || /SendAsDenied/i.test(reply.text)) return SENDER;
  // MAIL says SIZE=, so a message that is too big may be refused there (RFC 1870 section 6.1).
  if (enhanced === '5.3.4') return REFUSED;
  if (isSendingQuota(enhanced, reply.text)) return BACKOFF;
  if (stage === 'mail') return classifyRefusedSender(code, enhanced);
  return stage === 'rcpt' ? classifyRefusedRecipient(reply) : classifyRefusedMessage(code, enhanced);
}

/** Tomorrow it is over, whatever the code says: Gmail says 550 5.4.5 (congestion in RFC 3463), Office 365 554 5.2.0. */
function isSendingQuota(enhanced: string, text: string): boolean {
  return enhanced === '5.4.5' || (QUOTA_WORDS.test(text) && !/receiv/i.test(text));
}

function classifyRefusedRecipient({ code, enhanced, text }: Reply): Verdict {
  const subject = enhanced?.slice(0, 4) ?? '';
  if (subject === '5.1.' || subject === '5.2.') return REJECTED;
  if (['5.3.', '5.6.', '5.7.'].includes(subject)) return REFUSED;
  // It may relay to some domains and not to others, so it does not pause for one; when it relays to none, many come in a row.
  if (RELAYING_WORDS.test(text)) return REFUSED;
  if (subject === '5.4.') return REJECTED;
  // An address that is not understood. A relay that understands none says so many times in a row.
  if (code === 501 || code === 504 || code === 555) return REFUSED;
  if (code >= 500 && code <= 503) return FALLBACK;
  return code === 554 ? REFUSED : REJECTED;
}

/** The recipient was taken already: what is refused now is the message or its sender, and the next one's will be too. */
function classifyRefusedMessage(code: number, enhanced: string): Verdict {
  const odd = enhanced === '' || enhanced.startsWith('5.5.') || enhanced.startsWith('5.0.');
  return odd && ((code >= 500 && code <= 504) || code === 555) ? FALLBACK : REFUSED;
}

function isAuthentication(code: number, enhanced: string): boolean {
  return [530, 534, 535, 538].includes(code) || ['5.7.8', '5.7.9', '5.7.11'].includes(enhanced);
}

function classifyRefusedSender(code: number, enhanced: string): Verdict {
  if (code === 552 && enhanced === '') return REFUSED;
  const odd = enhanced === '' || enhanced.startsWith('5.5.');
  return odd && ((code >= 500 && code <= 504) || code === 555) ? FALLBACK : SENDER;
}

/**
 * The verdict of a relay that has taken mails. It understands us, so what it does not understand is about this mail: the
 * address that it was just told. Charged as a temporary refusal: the recipient comes to an end, and no recipient is refused for
 * good while it may be a misunderstanding after all.
 */
export function ofWorkingRelay(verdict: Verdict, delivery: Delivery): Verdict {
  if (verdict.kind !== 'fallback') return verdict;
  if (delivery.kind !== 'replied') return BACKOFF;
  return delivery.stage === 'mail' ? SENDER : LATER;
}

/**
 * The verdict once the words were read: a refusal that names a recipient by its code may still be about us ("Sender
 * verify failed" at RCPT), and then no recipient may fail for it. What the table of patterns does not know stays as it is.
 *
 * @param accepted the relay has taken a mail: what it says of the sender is then about one recipient's provider, unless
 *   it is a quota
 */
export function spareRecipient(verdict: Verdict, delivery: Delivery, accepted: boolean): Verdict {
  if (delivery.kind !== 'replied' || !['retry', 'rejected', 'fallback'].includes(verdict.kind))
    return verdict;
  if (!['rcpt', 'data', 'final'].includes(delivery.stage)) return verdict;
  const { verdict: meaning, pattern } = meaningOf(delivery.stage, delivery.reply);
  if (pattern === null) return verdict;
  switch (meaning) {
    case 'session-limit':
    case 'connection-limit':
      return BACKOFF;
    case 'relay-deferred':
      // "Come back later" beside a code of a mailbox or a policy is how greylisting speaks.
      if (/^4\.(?:2\.|7\.[01]$)/.test(delivery.reply.enhanced ?? '')) return verdict;
      return accepted && delivery.reply.code >= 500 ? verdict : BACKOFF;
    case 'sender-refused':
      return accepted && (pattern !== 'sending-quota' || delivery.reply.code < 500) ? verdict : SENDER;
    case 'configuration':
      return accepted ? verdict : SENDER;
    default:
      return verdict;
  }
}

/** Which limit a refusal speaks of: of mails on this connection, or of connections at once; null: of neither. */
export function limitOf(stage: Stage, reply: Reply): 'session-limit' | 'connection-limit' | null {
  if (reply.code < 400) return null;
  const { verdict } = meaningOf(stage, reply);
  return verdict === 'session-limit' || verdict === 'connection-limit' ? verdict : null;
}

function meaningOf(stage: Stage, { code, enhanced, text }: Reply): ReplyMeaning {
  const words = enhanced === null || text.startsWith(enhanced) ? text : `${enhanced} ${text}`;
  return explainReply({ stage, reply: `${code} ${words}` });
}
