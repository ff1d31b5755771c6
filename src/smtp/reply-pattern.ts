/**
 * Whose matter a refusal is, and with that what must follow (test/smtp/replies/README.md says more of each):
 *
 * - `recipient-rejected`: this address. The recipient is rejected, the campaign goes on.
 * - `recipient-deferred`: this address, for now. It is tried again later, one attempt is charged.
 * - `message-rejected`: content, size or a policy about this mail. Many of them pause the campaign.
 * - `sender-refused`: our address, IP, name, reputation or quota. Pause; no recipient fails.
 * - `relay-deferred`: the relay as a whole, for now. Back-off; no attempt is charged.
 * - `connection-limit`: fewer connections at once.
 * - `session-limit`: this connection is used up, another one may go on.
 * - `configuration`: TLS, login or permission to relay. Pause and say what to set.
 * - `protocol`: a command was not understood. Once more in serial mode, then pause.
 */
export type ReplyVerdict =
  | 'recipient-rejected'
  | 'recipient-deferred'
  | 'message-rejected'
  | 'sender-refused'
  | 'relay-deferred'
  | 'connection-limit'
  | 'session-limit'
  | 'configuration'
  | 'protocol';

/** Where a reply came. `connect` stands for `banner`, `helo` and `starttls` when it is not known which. */
export type ReplyStage =
  | 'connect'
  | 'banner'
  | 'helo'
  | 'starttls'
  | 'auth'
  | 'mail'
  | 'rcpt'
  | 'data'
  | 'final';

/** One line of the table. Everything that is given must hold. */
export interface ReplyPattern {
  /** Kebab-case and unique: tests and reports name the line by it. */
  readonly name: string;
  /** One of them must be found in the reply's normal form (`normaliseReply`). */
  readonly words: readonly RegExp[];
  readonly verdict: ReplyVerdict;
  /** The verdict when the code is 4xx. Default: `verdict`. */
  readonly temporary?: ReplyVerdict;
  readonly stages?: readonly ReplyStage[];
  /** Over the three digits. */
  readonly code?: RegExp;
  /** Over the enhanced code; '' when the reply has none. */
  readonly enhanced?: RegExp;
  /** Id of an entry of test/smtp/replies/ that this line decides. */
  readonly example: string;
}

/** No recipient was named yet. */
export const BEFORE_RECIPIENT: readonly ReplyStage[] = [
  'connect',
  'banner',
  'helo',
  'starttls',
  'auth',
  'mail',
];
/** The content was not seen yet. */
export const BEFORE_CONTENT: readonly ReplyStage[] = [...BEFORE_RECIPIENT, 'rcpt'];
/** A recipient was named. */
export const WITH_RECIPIENT: readonly ReplyStage[] = ['rcpt', 'data', 'final'];
