/**
 * What this folder promises to its caller: every mail gets exactly one `Delivery`, and the three kinds of
 * it never mix up what was said by the relay, what certainly did not reach it, and what cannot be known.
 */

/** One mail, ready to be spoken to a relay: an envelope with one recipient, and the message as bytes. */
export interface OutgoingMail {
  /** Envelope sender; '' is the null sender (RFC 5321 section 4.5.5). No CR, LF, NUL, angle brackets or spaces. */
  readonly from: string;
  /** Envelope recipient, the domain in A-labels. No CR, LF, NUL, angle brackets or spaces. */
  readonly to: string;
  /** The whole message: CRLF line ends only, no bare CR or LF, lines of at most 998 bytes, not dot-stuffed. */
  readonly raw: Buffer;
  /** The message holds bytes above 127 and needs 8BITMIME (RFC 6152). */
  readonly eightBit: boolean;
  /** The recipient's local part, or one in the sender's or the header's addresses, is not ASCII and needs SMTPUTF8 (RFC 6531). */
  readonly smtputf8: boolean;
}

/** What the relay said: one complete reply, all of its lines joined. */
export interface Reply {
  /** Three digits, 200 to 599. */
  readonly code: number;
  /** `class.subject.detail` of RFC 3463, such as `5.1.1`; null when the relay gave none that agrees with the code. */
  readonly enhanced: string | null;
  /** The relay's own words, enhanced code included, as one printable line of at most 500 characters. */
  readonly text: string;
}

/**
 * Where the dialogue stood when the deciding reply came: `connect` is the greeting, EHLO and STARTTLS; `final` is the
 * answer to the end of the message.
 */
export type Stage = 'connect' | 'auth' | 'mail' | 'rcpt' | 'data' | 'final';

/**
 * How handing one mail over ended.
 *
 * - `replied`: the relay decided. It is the first failing reply of the mail, or the 2xx to its end of data.
 * - `not-sent`: the mail certainly is not with the relay: its terminator never left this process.
 * - `ambiguous`: the terminator was given to the kernel and the reply was never seen.
 *
 * `code` is one of `DELIVERY_CODES` or a system error such as ECONNREFUSED; `why` is for people and holds no secret.
 */
export type Delivery =
  | { readonly kind: 'replied'; readonly stage: Stage; readonly reply: Reply }
  | { readonly kind: 'not-sent'; readonly why: string; readonly code: string }
  | { readonly kind: 'ambiguous'; readonly why: string; readonly code: string };

/** Codes of `not-sent` and `ambiguous` that classify() tells apart; every other one means trouble with the connection. */
export const DELIVERY_CODES = {
  /** The recipient's local part is not ASCII and the relay does not offer SMTPUTF8. */
  needsSmtputf8: 'ESMTPUTF8',
  /** The recipient's is ASCII and the sender's or Reply-To's local part is not, and the relay does not offer SMTPUTF8. */
  senderNeedsSmtputf8: 'ESENDERUTF8',
  /** The message holds 8-bit bytes and the relay does not offer 8BITMIME. */
  needs8bitmime: 'E8BITMIME',
  /** The message is larger than the SIZE that the relay announced. */
  tooBig: 'EMESSAGESIZE',
  /** The envelope holds characters that could end a command. */
  badAddress: 'EADDRESS',
  /** Authentication could not be tried: no common mechanism, no password, or it would have been in the clear. */
  auth: 'EAUTH',
  /** The relay broke the protocol: a malformed, oversized or unexpected reply. */
  protocol: 'EPROTOCOL',
  /** The connection ended. */
  connection: 'ECONNECTION',
  /** TLS could not be set up, or was required and not offered. */
  tls: 'ETLS',
  /** A timeout of this client. */
  timeout: 'ETIMEDOUT',
  /** The caller aborted. */
  aborted: 'EABORTED',
} as const;

/** Hands mails to one relay. */
export interface Deliverer {
  /** How many mails may usefully be in flight at once. */
  readonly capacity: number;
  /** Connections that are open now; undefined: it does not say. */
  readonly connections?: number | undefined;
  /** Hands one mail over. `done` is called exactly once and never inside this call. Never throws. */
  deliver(mail: OutgoingMail, done: (result: Delivery) => void): void;
  /** Takes nothing new, waits for what is in flight, then sends QUIT. */
  close(): Promise<void>;
  /** Destroys every connection now; every open mail is answered `not-sent` or `ambiguous`. */
  abort(): void;
}

/** What a delivery comes to in words for people: `550 5.1.1 no such user`, or why there was no reply. */
export function deliveryWords(delivery: Delivery): string {
  return delivery.kind === 'replied' ? `${delivery.reply.code} ${delivery.reply.text}` : delivery.why;
}
