import { BEFORE_CONTENT, type ReplyPattern, WITH_RECIPIENT } from './reply-pattern.ts';

/** What one recipient, or the administrator of its domain, decided. Other recipients are not concerned. */
export const RECIPIENT_OWN_PATTERNS: readonly ReplyPattern[] = [
  {
    name: 'only-senders-of-its-own',
    words: [
      /resolver rst (?:auth required|sender not|not in allowed)|delivery restriction|only accepting mail from|closed system|approved external addresses/,
      /\b(?:recipient|group|mailbox|list|user|address)\b.{0,16}\b(?:only accepts?|does(?:nt| not) accept) (?:mail|messages?|email) from|\baccepts? (?:mail|messages?|email) from (?:its|known|members|authenticated|internal)|not allowed to post\b/,
    ],
    verdict: 'recipient-rejected',
    temporary: 'recipient-deferred',
    example: 'outlook-only-internal-senders',
  },
  {
    name: 'recipient-blocks',
    words: [
      /\b(?:blocked|rejected|denied|refused) by (?:the |this )?(?:recipients?|user|receiver)\b|rejected by recipient|user refused|receiver denied|recipient preferences|users? reject list|blocked user entry|denied by spam filter|using customer block list/,
      /banned recipient|recipient (?:email )?address has been blocked|policy rejection on the target|sending to or from has a policy|envelope recipient|validrcptto|badrcptto/,
    ],
    verdict: 'recipient-rejected',
    temporary: 'recipient-deferred',
    stages: WITH_RECIPIENT,
    example: 'daum-receiver-denied',
  },
  {
    name: 'recipient-domain-not-in-service',
    words: [
      /mail enabled subscriptions|recipient domain (?:temporarily )?disabled|account or domain may not exist/,
    ],
    verdict: 'recipient-rejected',
    temporary: 'recipient-deferred',
    stages: WITH_RECIPIENT,
    example: 'cpanel-account-may-not-exist',
  },
  {
    name: 'recipient-verification',
    words: [/recipient verify|^callout verification failed|verify (?:the |this )?(?:recipient|mailbox)/],
    verdict: 'recipient-rejected',
    temporary: 'recipient-deferred',
    example: 'exim-recipient-callout',
  },
  {
    name: 'greylisted',
    words: [
      /gr[ea]y ?list|\btriple(?:t)?\b|whitelisted by this recipient|temporarily denied$|intentional policy rejection|\bgrey rbl\b/,
    ],
    verdict: 'recipient-deferred',
    code: /^4/,
    stages: WITH_RECIPIENT,
    example: 'greylist-milter-greylist',
  },
];

/** The dialogue at DATA, and the content as such: URLs, headers, size. Before anything that speaks of lists, senders and recipients. */
export const CONTENT_FORM_PATTERNS: readonly ReplyPattern[] = [
  {
    name: 'no-valid-recipients',
    words: [/no valid recipients?/],
    verdict: 'protocol',
    stages: ['data'],
    example: 'postfix-no-valid-recipients',
  },
  {
    name: 'url-in-content',
    words: [
      /\burls?\b.{0,60}\b(?:listed|black ?listed|rejected|blocked)\b|\bsurbl\b|\buribl\b|having a domain present in/,
    ],
    verdict: 'message-rejected',
    temporary: 'relay-deferred',
    stages: ['data', 'final'],
    example: 'list-url-in-mail',
  },
  {
    name: 'header-or-form',
    words: [
      /\b(?:multiple|duplicate|missing|too many|improper|improperly)\b.{0,48}\b(?:headers?|message id|subject)\b|\bheaders?\b.{0,24}\b(?:not accepted|not rfc|too|size|error|syntax|rejected|exceeds|invalid)\b|\b(?:invalid|bad) header/,
      /\brfc\b.{0,24}\bcompliant\b|\bbare ?(?:lf|line ?feeds?)\b|mail message is malformed|parsing error|\bmime error\b|line (?:length|limit|is too long)/,
      /message (?:was |is )?looping|loop (?:was )?detected|mail loop|too many (?:hops|received)|exceeded hops|hop count/,
    ],
    verdict: 'message-rejected',
    temporary: 'relay-deferred',
    example: 'gmail-two-from-addresses',
  },
  {
    name: 'size',
    words: [
      /^(?!.*\b(?:mailbox|inbox)\b).*\b(?:message|mail|email|file|data|header)\b.{0,24}\b(?:too (?:big|large|long)|size (?:exceed|limit|is too)|exceeds?\b.{0,24}\b(?:size|limit)|length exceeds|is larger than)|\bmaximum (?:e?mail|message) size\b|\b(?:mail|message) ?size limit|databytes limit|too much mail data|\bsize exceeds\b/,
    ],
    verdict: 'message-rejected',
    temporary: 'relay-deferred',
    code: /^5/,
    enhanced: /^(?!5\.2\.2$)/,
    example: 'exchange-message-size',
  },
];

/** An address that does not exist, is closed, full or written badly. */
export const RECIPIENT_PATTERNS: readonly ReplyPattern[] = [
  {
    name: 'mailbox-full',
    words: [
      /\b(?:mailbox|inbox|account|recipient|user|boite|storage|quota)\b.{0,48}\b(?:full|over ?quota|out of storage|exceeded|pleine|used up|quota exceeded)\b|\bover ?quota\b|\b(?:mailbox|user|recipient|storage|disk|account storage)\b.{0,24}\b(?:quota|limit)\b|^quota exceeded/,
      /requested mailbox exceeds quota|exceed maximum mailbox|over quote\b|exceeded storage allocation|recipient overquota|shutoff quota/,
    ],
    verdict: 'recipient-rejected',
    temporary: 'recipient-deferred',
    stages: WITH_RECIPIENT,
    example: 'icloud-over-quota',
  },
  {
    name: 'no-such-address',
    words: [
      /\b(?:user|mailbox|recipient|account|address|alias|person|addressee|utilisateur|destinataire)\b.{0,40}\b(?:unknown|not (?:exist|found|known|valid|registered|be found)|doe?s(?:nt| not) (?:exist|have)|cannot (?:currently )?receive|could not be found|inconnu|invalide|unallocated|no longer (?:exists?|valid|on))\b/,
      /\b(?:unknown|no such|invalid|illegal|nonexistent|not (?:an? |our )(?:known |valid )?)(?: or \w+)?:? ?(?:local )?(?:user|mailbox|recipient|account|address|alias|person|customer|rcptto|virtual)/,
      /\bno (?:mail ?box|account|user|valid recipients?)\b|doesnt have an? (?:\w+ )*account|unrouteable|unroutable|undeliverable|no longer on server|email not exist|not our customer|doe?s(?:nt| not) exist$|registered gateway user|nie ma takiego/,
      /not configured to receive|does not accept (?:mail|incoming)|sends and receives no email|null ?mx|not accepted for this domain|host unknown|not (?:able to )?find the (?:recipient )?domain|valid mx for rcpt/,
    ],
    verdict: 'recipient-rejected',
    temporary: 'recipient-deferred',
    stages: WITH_RECIPIENT,
    example: 'gmail-no-such-user',
  },
  {
    name: 'mailbox-closed',
    words: [
      /\b(?:mailbox|inbox|account|user|mbox|email account|recipient|alias|konto|compte|mailaddress)\b.{0,48}\b(?:disabled|inactive|suspended|closed|deactivated|locked|frozen|blocked|bloque|archivee?d?|terminated|expired|not (?:active|activated|allowed)|receiving disabled|restricted|unavailable|access denied)\b/,
      /\b(?:disabled|inactive|suspended|deactivated|expired|frozen|archived|terminated|blocked) (?:or \w+ )?(?:mailbox|account|user|mbox|recipient|alias)|\binactive$|mail receiving disabled|delivery is not allowed to this address|\b(?:address|domain)\b.{0,24}\b(?:administratively|disabled|suspended|expired|deactivated)\b|unverified address/,
    ],
    verdict: 'recipient-rejected',
    temporary: 'recipient-deferred',
    stages: WITH_RECIPIENT,
    example: 'gmail-account-disabled',
  },
  {
    name: 'recipient-syntax',
    words: [
      /\b(?:recipient|rcpt|destination|mailbox)\b.{0,32}\b(?:syntax|fully qualified|must contain a domain|not a valid|reserved|ambiguous|unicode)\b|bad address syntax|ambiguous address|missing final|recipient address reserved|unicode address/,
    ],
    verdict: 'recipient-rejected',
    temporary: 'recipient-deferred',
    stages: WITH_RECIPIENT,
    example: 'postfix-bad-recipient-syntax',
  },
  {
    // Codes of RFC 3463 whose meaning is narrow enough to trust them against weak words.
    name: 'recipient-by-code',
    words: [/(?:)/],
    verdict: 'recipient-rejected',
    temporary: 'recipient-deferred',
    enhanced: /^[45]\.(?:1\.[1236]|1\.10|2\.2)$/,
    stages: WITH_RECIPIENT,
    example: 'gmail-no-recipient-domain',
  },
  {
    name: 'recipient-refused',
    words: [
      /\brecipients? (?:address )?(?:was |is |has been )?(?:rejected|refused|denied)\b|\baddress(?:es)? (?:rejected|unavailable|temporarily unavailable)\b|permanent failure for or more recipients|domain is not allowed|not accepted by recipient/,
    ],
    verdict: 'recipient-rejected',
    temporary: 'recipient-deferred',
    stages: WITH_RECIPIENT,
    example: 'vade-recipient-rejected',
  },
];

/** What the content holds, and policies about this mail. */
export const CONTENT_PATTERNS: readonly ReplyPattern[] = [
  {
    name: 'spam-or-virus',
    words: [/\b(?:anti)?spam|\bvirus|unsolicited|\bube\b|\bjunk|malware|phish|\bdt spm\b/],
    verdict: 'message-rejected',
    temporary: 'relay-deferred',
    stages: ['data', 'final'],
    example: 'gmail-unsolicited-message',
  },
  {
    name: 'spam-before-content',
    words: [/\b(?:anti)?spam/],
    verdict: 'sender-refused',
    temporary: 'relay-deferred',
    stages: BEFORE_CONTENT,
    example: 'zoho-antispam-rcpt',
  },
  {
    name: 'content-or-policy',
    words: [
      /\bcontent\b.{0,32}\b(?:reject\w*|denied|blocked|not accepted|restrict\w*|polic\w*|presents|examination|filter)\b|\battachment|\bpolic(?:y|ies)\b|message (?:content )?(?:rejected|refused|denied|filtered|not (?:accepted|allowed))|mail (?:rejected(?! by destination)|refused|rejete)|nature of the content|quarantined/,
    ],
    verdict: 'message-rejected',
    temporary: 'relay-deferred',
    stages: WITH_RECIPIENT,
    example: 'yahoo-policy-reasons',
  },
];

/** A command that was not understood, or came at the wrong time. */
export const PROTOCOL_PATTERNS: readonly ReplyPattern[] = [
  {
    name: 'protocol',
    words: [
      /\b(?:command|parameter|option)s?\b.{0,24}\b(?:not (?:implemented|recognized|supported|allowed)|unrecognized|unknown|invalid)\b|\b(?:unrecogni[sz]ed|unimplemented|unknown|unsupported|invalid) (?:command|option|parameter|input|mail command)\b|^unimplemented|^unrecogni[sz]ed/,
      /\bsyntax error\b|\bbad (?:syntax|sequence)\b|sequence of commands|\bpipelin|synchroni[sz]ation|protocol error|\bnested\b/,
      /\b(?:need|use|send|say|valid|issue) (?:\w+ )?(?:mail|rcpt|hello|helo|ehlo)\b|\b(?:mail|rcpt|hello|helo|ehlo)(?: ehlo)?(?: command)? (?:first|required|before|expected)\b|sender (?:not yet given|already (?:given|specified))/,
    ],
    verdict: 'protocol',
    stages: ['connect', 'banner', 'helo', 'starttls', 'mail', 'rcpt', 'data', 'final'],
    code: /^(?:5(?:0\d|2[01]|5[045])|4)/,
    example: 'postfix-not-implemented',
  },
];
