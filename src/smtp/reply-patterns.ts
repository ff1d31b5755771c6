import type { ReplyPattern } from './reply-pattern.ts';
import {
  CONTENT_FORM_PATTERNS,
  CONTENT_PATTERNS,
  PROTOCOL_PATTERNS,
  RECIPIENT_OWN_PATTERNS,
  RECIPIENT_PATTERNS,
} from './reply-patterns-mail.ts';
import {
  ACCESS_PATTERNS,
  CONNECTION_PATTERNS,
  FAULT_PATTERNS,
  QUOTA_PATTERNS,
  SYSTEM_PATTERNS,
} from './reply-patterns-relay.ts';
import {
  ABOUT_US_PATTERNS,
  IDENTITY_PATTERNS,
  REPUTATION_PATTERNS,
  SENDER_ACCOUNT_PATTERNS,
  SENDER_PATTERNS,
} from './reply-patterns-sender.ts';

/** The whole table, from the most to the least specific: the first line that holds decides. */
export const REPLY_PATTERNS: readonly ReplyPattern[] = [
  ...SENDER_ACCOUNT_PATTERNS,
  ...RECIPIENT_OWN_PATTERNS,
  ...CONNECTION_PATTERNS,
  ...CONTENT_FORM_PATTERNS,
  ...ACCESS_PATTERNS,
  ...IDENTITY_PATTERNS,
  ...QUOTA_PATTERNS,
  ...REPUTATION_PATTERNS,
  ...SENDER_PATTERNS,
  ...FAULT_PATTERNS,
  ...RECIPIENT_PATTERNS,
  ...CONTENT_PATTERNS,
  ...PROTOCOL_PATTERNS,
  ...SYSTEM_PATTERNS,
  ...ABOUT_US_PATTERNS,
];
