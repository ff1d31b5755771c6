import { type ReplyParts, splitReply } from './reply-normal.ts';
import { BEFORE_RECIPIENT, type ReplyPattern, type ReplyStage, type ReplyVerdict } from './reply-pattern.ts';
import { REPLY_PATTERNS } from './reply-patterns.ts';

/** What a reply is about. */
export interface ReplyMeaning {
  readonly verdict: ReplyVerdict;
  /** Name of the line of the table that decided; null: the codes alone did. */
  readonly pattern: string | null;
}

/** A refusal and where it came: the whole text, codes included, its lines joined by line ends. */
export interface StagedReply {
  readonly stage: ReplyStage;
  readonly reply: string;
}

/** Block lists by the names in their URLs and host names, which the normal form leaves out. */
const LIST_NAMES =
  /spamhaus|spamcop|sorbs\.net|barracuda(?:central|networks)|uceprotect|csi\.cloudmark|dnsbl|senderscore|ivmsip|ipcheck\./i;

/** The texts of RFC 5321 §4.2.3 say no more than the code. They are looked at when nothing else was said. */
const STANDARD_TEXT =
  /requested (?:mail )?action (?:not taken|aborted|terminated)(?: (?:mailbox (?:unavailable|name not allowed)|insufficient system storage|transaction failed))?|for explanation visit|transaction failed/g;

/** The verdict of a refusal. Pure; hostile text costs linear time. */
export function classifyReply(staged: StagedReply): ReplyVerdict {
  return explainReply(staged).verdict;
}

/**
 * As `classifyReply`, with the line of the table that decided. The words come first, because providers give one code to
 * opposite things (550 5.7.1 is both "no such user" and "your IP is listed"); then the enhanced code (RFC 3463 and the
 * IANA registry of SMTP enhanced status codes), then the basic code (RFC 5321 §4.2) and the stage.
 */
export function explainReply(
  { stage, reply }: StagedReply,
  patterns: readonly ReplyPattern[] = REPLY_PATTERNS,
): ReplyMeaning {
  const parts = splitReply(reply);
  if (parts.code < 400) return { verdict: 'protocol', pattern: null };
  const said = parts.words.replace(STANDARD_TEXT, ' ').replace(/\s+/g, ' ').trim();
  const listed = LIST_NAMES.test(reply) ? ' list name' : '';
  const words = said + listed === '' ? parts.words : said + listed;
  for (const pattern of patterns) {
    if (!holds(pattern, stage, parts, words.trim())) continue;
    const verdict = parts.code < 500 ? (pattern.temporary ?? pattern.verdict) : pattern.verdict;
    return { verdict, pattern: pattern.name };
  }
  return { verdict: byCodes(stage, parts.code, parts.enhanced), pattern: null };
}

function holds(pattern: ReplyPattern, stage: ReplyStage, parts: ReplyParts, words: string): boolean {
  return (
    pattern.stages?.includes(stage) !== false &&
    pattern.code?.test(String(parts.code)) !== false &&
    pattern.enhanced?.test(parts.enhanced) !== false &&
    pattern.words.some((phrase) => phrase.test(words))
  );
}

function byCodes(stage: ReplyStage, code: number, enhanced: string): ReplyVerdict {
  if (stage === 'auth') return code < 500 ? 'relay-deferred' : 'configuration';
  if (stage === 'starttls') return 'configuration';
  if ([530, 534, 535, 538].includes(code)) return 'configuration';
  // The connection ends: whatever is said, it is not about one recipient.
  if (code === 421) return 'relay-deferred';
  // The only argument of EHLO is our own name.
  if (stage === 'helo' && code === 501) return 'sender-refused';
  const known = byEnhanced(stage, code, enhanced);
  if (known !== undefined) return known;
  return code < 500 ? byTemporaryCode(stage, code) : byPermanentCode(stage, code);
}

/** Subjects and details of RFC 3463 §3; 7.17 to 7.30 are of RFC 7293, 7372, 7505 and 8689. */
function byEnhanced(stage: ReplyStage, code: number, enhanced: string): ReplyVerdict | undefined {
  const [, subject, detail] = enhanced.split('.').map(Number);
  const early = BEFORE_RECIPIENT.includes(stage);
  const temporary = code < 500;
  switch (subject) {
    case 1:
      if (detail === 7 || detail === 8 || early) return 'sender-refused';
      return temporary ? 'recipient-deferred' : 'recipient-rejected';
    case 2:
      if (early) return temporary ? 'relay-deferred' : 'sender-refused';
      if (detail === 3) return temporary ? 'relay-deferred' : 'message-rejected';
      return temporary ? 'recipient-deferred' : 'recipient-rejected';
    case 3:
      return detail === 4 && !temporary ? 'message-rejected' : 'relay-deferred';
    case 4:
      if (temporary) return 'relay-deferred';
      if (detail === 6) return 'message-rejected';
      if (detail === 3) return 'relay-deferred';
      return detail === 5 || early ? 'sender-refused' : 'recipient-rejected';
    case 5:
      if (temporary) return 'relay-deferred';
      if (detail === 3) return 'sender-refused';
      return code >= 550 && code !== 555 ? undefined : 'protocol';
    case 6:
      if (temporary) return 'relay-deferred';
      return detail === 7 && stage === 'rcpt' ? 'recipient-rejected' : 'message-rejected';
    case 7:
      return bySecurity(stage, temporary, detail ?? 0);
    default:
      return undefined;
  }
}

function bySecurity(stage: ReplyStage, temporary: boolean, detail: number): ReplyVerdict | undefined {
  if ([4, 8, 10, 11, 14, 30].includes(detail)) return 'configuration';
  if (detail === 17 || detail === 18) return temporary ? 'recipient-deferred' : 'recipient-rejected';
  // Microsoft's numbers of three digits follow words, and have no meaning in the registry.
  if (detail >= 20 && detail <= 29) return 'sender-refused';
  if (BEFORE_RECIPIENT.includes(stage)) return temporary ? 'relay-deferred' : 'sender-refused';
  if (temporary) return stage === 'rcpt' ? 'recipient-deferred' : 'relay-deferred';
  return detail === 2 || detail === 13 ? 'recipient-rejected' : 'message-rejected';
}

function byTemporaryCode(stage: ReplyStage, code: number): ReplyVerdict {
  return code === 450 && stage === 'rcpt' ? 'recipient-deferred' : 'relay-deferred';
}

function byPermanentCode(stage: ReplyStage, code: number): ReplyVerdict {
  const early = BEFORE_RECIPIENT.includes(stage);
  if (early && stage !== 'mail') return 'sender-refused';
  if ((code >= 500 && code <= 504) || code === 555) return 'protocol';
  if (code === 552 && stage !== 'rcpt') return 'message-rejected';
  if (early) return 'sender-refused';
  const address = [521, 550, 551, 552, 553, 556, 542].includes(code);
  return stage === 'rcpt' && address ? 'recipient-rejected' : 'message-rejected';
}
