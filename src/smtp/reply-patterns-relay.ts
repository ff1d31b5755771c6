import { type ReplyPattern, WITH_RECIPIENT } from './reply-pattern.ts';

/** Limits of a connection and of connections at once. They need another or fewer connections, and cost nothing else. */
export const CONNECTION_PATTERNS: readonly ReplyPattern[] = [
  {
    name: 'session-used-up',
    words: [
      /\b(?:messages?|mails?|emails?|recipients?|commands?|transactions?)\b.{0,30}\b(?:per|in|on|for|of) (?:this |that |the |an? |each |current |same |your )?(?:smtp )?(?:session|connection)\b/,
      /\b(?:session|connection)\b.{0,16}\b(?:message|mail|recipient)s?\b.{0,12}\b(?:limit|maximum|quota)\b|\b(?:message|mail|recipient) limit\b.{0,16}\b(?:session|connection)\b/,
      /\b(?:messages|mails|recipients) received this session|\b(?:session|connection) (?:has )?expired|open a new (?:session|connection)|reconnect(?:ing)?\b/,
      /message threshold exceeded|too many (?:messages|mails|emails) sent$/,
      /\bmi dmc\b/,
    ],
    verdict: 'session-limit',
    example: 'gmx-mails-per-session',
  },
  {
    name: 'connections-at-once',
    words: [
      /too many (?:(?:open|concurrent|simultaneous|new|active|parallel|smtp|tls|ssl|tcp|inbound|client) )*(?:connections?|connects?|sessions?)\b/,
      /\b(?:concurrent|simultaneous|parallel) (?:smtp |server |client )*(?:connections?|sessions?)\b/,
      /\b(?:maximum|max|number of|exceed\w*|limit(?: of)?)\b.{0,30}\bconnections\b/,
      /\bconnections? (?:count )?limit\b|\b(?:sender|outbound|submission) thread limit\b|trop de connexions/,
      /\bhl icc\b/,
    ],
    verdict: 'connection-limit',
    example: 'm365-concurrent-connections',
  },
];

/** How much and how fast we may send, as opposed to what one mailbox takes. */
export const QUOTA_PATTERNS: readonly ReplyPattern[] = [
  {
    name: 'recipient-receives-too-much',
    words: [
      /receiving (?:mail|messages?|emails?) (?:too|at a rate)|\breceiv(?:e|ing) (?:rate )?limit|recipient thread limit/,
    ],
    verdict: 'recipient-deferred',
    example: 'gmail-receiving-rate-temporary',
  },
  {
    name: 'sending-too-fast',
    words: [
      /\b(?:emails?|mails?|messages?|requests?) (?:per|a) (?:second|minute)\b|\btoo (?:fast|quickly|frequent(?:ly)?)\b/,
      /\bslow(?:er| down)\b|frequency limited|rate ?limit|\brate\b.{0,12}\b(?:exceed|limit)|\bthrottled\b/,
      /too many requests|too much (?:mail|email) from|submission rate|excessive volume|unexpected volume/,
      /temporarily deferred|peak smtp relay limit|maximum sending rate/,
    ],
    verdict: 'relay-deferred',
    example: 'hostinger-out-ratelimit',
  },
  {
    name: 'sending-quota',
    words: [
      /\b(?:emails?|mails?|messages?|recipients?|rcpts?|failures)\b.{0,24}\b(?:per|this|an|each|in|within|over past|for the|received this) ?(?:the )?(?:last )?(?:hours?|days?|month|minutes?)\b/,
      /\b(?:daily|hourly|monthly|sending|send|relay|submission|messaging|outbound|outgoing|throttling)\b.{0,40}\b(?:quotas?|limits?)\b/,
      /\b(?:quotas?|limits?|maximum|exceeded|reached)\b.{0,60}\b(?:sending|today|daily|hourly|a day|per (?:day|hour)|day|hours?|month)\b/,
      /\b(?:today|daily|hourly|day|hour)\b.{0,24}\b(?:quotas?|limits?|maximum)\b/,
      /\byour\b.{0,24}\b(?:account|domain|plan|ip)\b.{0,30}\b(?:quota|limit)\b|\b(?:exceed\w*|reached|over) your (?:\w+ ){0,2}(?:quota|limits?)\b/,
      /\b(?:send|sent|sending) (?:to )?too many (?:emails?|messages?|mails?|recipients?)\b|too many (?:emails?|messages?|mails?) (?:per|this|received)\b/,
      /tenant has exceeded|\blimits? of your\b|exceeded permitted limits|limite maximo de envio|max(?:imum)? number of (?:new |first time )*(?:messages|recipients)|\b(?:daily|hourly|monthly) (?:\w+ ){0,2}(?:allowance|allotment)|\bexceeded (?:the |your )?(?:\w+ )?allowance\b/,
      /\b(?:mi (?:stc|sfq)|rp (?:trc|qrc)|hl (?:ifc|itc))\b/,
    ],
    verdict: 'sender-refused',
    temporary: 'relay-deferred',
    example: 'm365-submission-quota',
  },
  {
    // One recipient a mail is what this product sends: what there were too many of were mails before.
    name: 'too-many-recipients',
    words: [/too many recipients(?! for this sender)/],
    verdict: 'relay-deferred',
    example: 'postfix-too-many-recipients',
  },
  {
    name: 'unusual-rate',
    words: [/unusual rate/],
    verdict: 'sender-refused',
    temporary: 'relay-deferred',
    example: 'gmail-unusual-rate-blocked',
  },
];

/** TLS, login and permission to relay: the words say what to set. */
export const ACCESS_PATTERNS: readonly ReplyPattern[] = [
  {
    name: 'plan-used-up',
    words: [
      /credits? exceeded|\b(?:out of|insufficient|no) credits?\b|\bunpaid\b|\binvoice\b|\btrial (?:period|has|is)\b|(?:trial|free) (?:account|plan|domain)\b.{0,30}\b(?:limit|quota)/,
    ],
    verdict: 'sender-refused',
    temporary: 'relay-deferred',
    example: 'sendgrid-credits',
  },
  {
    name: 'login-for-now-impossible',
    words: [
      /too many (?:failed )?(?:login|log in|auth\w*) (?:attempts|commands|failures)|temporary authentication (?:failure|problem|error)/,
      /cannot authenticate due to (?:a )?temporary|unable to authenticate at (?:present|this time)/,
    ],
    verdict: 'configuration',
    temporary: 'relay-deferred',
    example: 'gmail-too-many-logins',
  },
  {
    name: 'tls-needed',
    words: [
      /\b(?:issue|use|is|do|send|need) (?:a )?starttls\b|\bstarttls (?:command )?(?:is )?(?:first|required|needed)\b/,
      /\b(?:tls|ssl|encryption|encrypted connection)\b.{0,24}\b(?:required|needed|mandatory|first)\b/,
      /\brequires? (?:an? )?(?:encrypt\w*|tls|ssl|high strength)\b|\bnot available without tls\b|sent over a tls connection|\bno tls\b/,
    ],
    verdict: 'configuration',
    example: 'postfix-starttls-first',
  },
  {
    name: 'tls-not-working',
    words: [/\btls (?:is )?(?:currently )?(?:not |un)available\b|\btls (?:negotiation|handshake) fail/],
    verdict: 'configuration',
    example: 'postfix-tls-local-problem',
  },
  {
    name: 'login-needed-or-wrong',
    words: [
      /\bauth(?:entication)? (?:(?:is|was) )?(?:required|needed|requise|failed|failure|unsuccessful|rejected|not (?:allowed|enabled))\b|authentification requise/,
      /\brequires (?:smtp )?auth|\bauthorization required\b|\bsmtp auth (?:is )?(?:disabled|not enabled)|unauthenticated senders? not allowed|\bnot (?:been )?(?:authenticated|logged in(?:to)?)\b/,
      /\b(?:credentials?|api key|password|username|login|authentication data|authorization code|oauth token|user pass)\b.{0,30}\b(?:not accepted|invalid|incorrect|wrong|bad|required|expired|fail\w*|rejected|denied|disabled)\b/,
      /\b(?:invalid|incorrect|wrong|bad) (?:authentication|credentials?|username|login|password|user pass|state)\b|\blogin (?:fail|denied)|application specific password/,
      /\b(?:must|please|need (?:e?hlo|ehlo) and|try to|issue an?) auth(?:enticate)?\b|\b(?:auth(?:enticate)?|log ?in) first\b|\b(?:must|need to|please) log ?in\b|turn on smtp auth|smtp auth(?:entication)? (?:is )?(?:required|turned)/,
      /log ?in (?:with|through|via) your web browser|no authentication type|too much fail authentication|auth error limit|account not subscribed|unauthorized ip address|无权|only allowed with authentication|\b(?:check|receive|retrieve|pop)\b(?: \w+){0,3} before (?:sending|smtp)/,
    ],
    verdict: 'configuration',
    example: 'm365-auth-unsuccessful',
  },
  {
    name: 'relaying-as-other-sender',
    words: [/relaying disallowed as/],
    verdict: 'sender-refused',
    example: 'zoho-relaying-disallowed',
  },
  {
    name: 'not-our-relay',
    words: [
      /\brelay(?:ing|ed)?\b(?! (?:limit|quota|rate))(?: (?:access|operation|to|from|is|was|mail|msg|for))*.{0,12}\b(?:denied|not (?:be )?(?:permitted|allowed|authori[sz]ed)|rejected|refused|prohibited|disallowed|forbidden)\b/,
      /\b(?:unable|not (?:currently )?(?:permitted|allowed|configured|authori[sz]ed)|isnt allowed|cannot|wont|will not|dont|do not|insecure|unauthorized) (?:to )?(?:mail )?relay/,
      /\ballowed rcpthosts?\b|credentials for relay|permissions? to relay|not a gateway\b|not an open relay|cannot deliver mail for|not authorized to send email directly/,
    ],
    verdict: 'configuration',
    example: 'postfix-relay-access-denied',
  },
];

/** Faults that only the relay itself can have. Before recipients: Postfix puts "Recipient address rejected:" in front of them. */
export const FAULT_PATTERNS: readonly ReplyPattern[] = [
  {
    name: 'relay-fault',
    words: [
      /queue file|write error|spool file|\bspool\b|queue (?:is )?full|no space left|insufficient (?:disk|system|storage|resources)|space shortage|mail system (?:full|error)|disk full|(?<!(?:recipient|mailbox|user|account|your) )storage full/,
      /configuration (?:error|problem)|config error|internal (?:problem|failure)|\b(?:ldap|database|backend|directory service)\b.{0,24}\b(?:fail\w*|error|unavailable|problem|timed)\b|incorrectly configured|local (?:error|problem|configuration|data error)|internal (?:server |resources? )?(?:error|temporar\w*)|\bi o error|operating system error|malfunction/,
      /lookup (?:error|failure)|name server timeout|out of memory|no (?:system )?resources|resources (?:temporarily )?unavailable|scanner (?:is )?(?:not |un)available|no data saved|could not be saved/,
    ],
    verdict: 'relay-deferred',
    example: 'postfix-queue-file',
  },
];

/** Trouble of the relay in weaker words. Late in the table: many texts about something else ask to come later as well. */
export const SYSTEM_PATTERNS: readonly ReplyPattern[] = [
  {
    name: 'system-trouble',
    words: [
      /\b(?:service|server|system|resources?|network|filters?)\b.{0,24}\b(?:unavailable|not (?:available|active|ready)|busy|down|shutting down|too high)\b|too much load|\boverload(?:ed)?\b|\bmaintenance\b|high load|not accepting (?:connections|network messages)/,
      /dns (?:lookup|resolving)|cannot resolve|unable to (?:verify|process|accept|fork)|(?:temporary|upstream|unexpected|server) (?:error|failure)/,
      /too many errors|time ?out|idle time|inactivity$|throttled|connection refused from$|\b(?:ports|agent) (?:are )?busy\b/,
    ],
    verdict: 'relay-deferred',
    example: 'outlook-server-busy',
  },
  {
    name: 'later-without-a-reason',
    words: [/^(?:recipient address rejected )?(?:please )?try (?:again )?later(?: please)?$/],
    verdict: 'recipient-deferred',
    code: /^4/,
    enhanced: /^4\.(?:7\.1|2\.0)$/,
    stages: WITH_RECIPIENT,
    example: 'rspamd-try-again',
  },
  {
    name: 'later',
    words: [
      /\b(?:try|retry|come back|please)\b.{0,12}\blater\b|\btry again\b|\bbusy\b|temporar(?:y|ily)|essayer plus tard|intentelo mas tarde/,
    ],
    verdict: 'relay-deferred',
    example: 'laposte-service-refused',
  },
];
