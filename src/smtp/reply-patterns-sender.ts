import { BEFORE_RECIPIENT, type ReplyPattern } from './reply-pattern.ts';

/** Refusals that name a bad user or a stopped account, which is the sender's. They come before what names a recipient. */
export const SENDER_ACCOUNT_PATTERNS: readonly ReplyPattern[] = [
  {
    name: 'sender-verification',
    words: [/sender (?:address )?(?:verif|callout)|verify (?:the |your )?(?:mail ?from|sender)/],
    verdict: 'sender-refused',
    example: 'exim-sender-verify',
  },
  {
    name: 'sending-stopped',
    words: [
      /\b(?:sending|outbounds?|outgoing (?:mail|email|messages?))\b(?!.{0,30}temporarily).{0,40}\b(?:disabled|suspended|paused|stopped)\b/,
      /\b(?:account|domain|client)\b.{0,24}\b(?:not (?:yet )?activated|not allowed to send|blocked from sending)\b|\bblocked from sending\b|unusual sending activity/,
      /\byour (?:\w+ )?account\b.{0,24}\b(?:suspended|locked|disabled|blocked|deactivated|restricted|stopped|cancell?ed)\b|\b(?:service|sending) for your account\b|\b(?:account|domain)\b.{0,40}\b(?:sending spam|(?:suspicious|unusual|excessive) (?:outgoing|outbound|sending))|outbound spam/,
    ],
    verdict: 'sender-refused',
    example: 'ses-sending-paused',
  },
];

/** Proof of who sends: SPF, DKIM, DMARC, the reverse DNS, HELO. */
export const IDENTITY_PATTERNS: readonly ReplyPattern[] = [
  {
    name: 'proof-lookup-failed',
    words: [
      /\btemporary\b.{0,30}\b(?:spf|dkim|dmarc|reverse dns|rdns)\b|\b(?:spf|dkim|dmarc|rdns|reverse dns) (?:lookup|record lookup|temporary)\b|temporary dns failures?/,
    ],
    verdict: 'sender-refused',
    temporary: 'relay-deferred',
    code: /^4/,
    example: 'qmail-spf-lookup',
  },
  {
    name: 'spf-dkim-dmarc',
    words: [
      /\b(?:spf|dkim|dmarc)\b|sender policy framework|\barc validation|\bmi (?:spf|dma)\b|multiple authentication checks|purported responsible/,
      /authentication (?:checks|results|level|information)|unauthenticated (?:e?mail|message)|sender is unauthenticated|sending guidelines/,
    ],
    verdict: 'sender-refused',
    example: 'gmail-dmarc-reject',
  },
  {
    name: 'sender-domain-unresolvable',
    words: [/\bunresolvable\b|\bdomain of sender address does not/],
    verdict: 'sender-refused',
    example: 'sendmail-sender-domain-does-not-resolve',
  },
  {
    name: 'reverse-dns',
    words: [
      /\bptr\b|\breverse (?:dns|host ?name|lookup)|\brdns\b|cannot find your host ?name|ip name lookup failed|forged host ?name|resolve your (?:ip|address|host)/,
      /client ip address does not resolve|\bdns check failure|\bhost ?name\b.{0,40}\b(?:match|mismatch)\w*\b.{0,24}\bip\b|doesnt match with your ip/,
    ],
    verdict: 'sender-refused',
    example: 'gmail-no-ptr',
  },
  {
    name: 'helo',
    words: [
      /\be?he?lo\b.{0,40}\b(?:reject|invalid|denied|bad|not accepted|does not resolve|requires|should|must|impersonat|argument|name|domain|host)/,
      /\b(?:invalid|bad|forged|your) (?:e?helo|ehlo)\b/,
    ],
    verdict: 'sender-refused',
    code: /^(?!503)/,
    example: 'postfix-helo-not-found',
  },
  {
    // X.1.7 and X.1.8 are the sender's address; X.7.20 to X.7.29, X.7.28 apart, what a receiver checks of a sender.
    name: 'identity-by-code',
    words: [/(?:)/],
    verdict: 'sender-refused',
    enhanced: /^[45]\.(?:1\.[78]|7\.2[0-79])$/,
    example: 'rspamd-null-mx-sender',
  },
];

/** Block lists and the reputation of our address. */
export const REPUTATION_PATTERNS: readonly ReplyPattern[] = [
  {
    name: 'listed',
    words: [
      /\b(?:list name|spamhaus|spamcop|sorbs|barracuda reputation|cloudmark|invaluement|ivmsip|hostkarma|uceprotect|trend micro)\b/,
      /\bdnsbls?\b|\b(?:att)?rbl\b|\b(?:block|deny) ?list(?:ed|ing)?\b|\bblack ?list(?:ed|s|ing)?\b|\bblacklistis\b|\bblock listed\b|\bhl (?:ipb|ihu|rep|mep)\b|\bmi spb\b|\bdt rbl\b/,
      /\bblocked (?:using|by)\b(?! spam)|(?<!\bnot )\blisted (?:at|in|on|by|with)\b|\bon a list of\b|\bbanned (?:sending ip|sender|ip)\b|\bspammers?\b|spamming|too many spams|currently sending spam/,
    ],
    verdict: 'sender-refused',
    example: 'postfix-rbl',
  },
  {
    name: 'reputation',
    words: [
      /\breputation\b|\bsender ?score\b|(?:due to|because of) (?:\w+ )?abuse\b|\bsending mta\b|suspected (?:spam ip|bounce)/,
      /\babus[e ]\b.{0,16}\b(?:detect|from)|spam abuse|abus detecte|permanently deferred|\bip control\b/,
    ],
    verdict: 'sender-refused',
    example: 'ironport-sender-base',
  },
  {
    name: 'too-many-bad-recipients',
    words: [
      /\b(?:too many|high number of) (?:bad|invalid|unknown|nonexistent) (?:recipients?|addresses|users?)\b/,
    ],
    verdict: 'sender-refused',
    temporary: 'relay-deferred',
    example: 'exim-too-many-bad-recipients',
  },
  {
    name: 'our-address-refused',
    words: [
      /\b(?:your|sender|sending|source|connecting)\b.{0,12}\b(?:ip|network|server|address(?= blocked))\b.{0,40}\b(?:block\w*|banned|filtered|refus\w*|reject\w*|not allowed)\b/,
      /\bclient (?:(?:host|address)\b.{0,24}\b)?(?:rejected|blocked|denied)\b|\b(?:messages|mail) from (?:your ip )?(?:werent|was blocked|has been blocked)|\bip (?:address )?(?:is )?(?:blocked|rejected|banned|blacklisted)\b|from ip address blocked|ip has been (?:temporarily )?blocked/,
      /not (?:currently )?accept(?:ing|ed)? (?:mail|connections) from|\bnot welcome\b|connections? (?:will )?not (?:be )?accepted|your access to|host network not allowed|not allowed to connect|connection (?:denied|rejected)|access to this mail system|blocked automatically/,
      /\b(?:bad|suspicious|suspected|blocked|banned|dynamic|unauthori[sz]ed)\b.{0,12}\bip\b|\bopen (?:proxy|relay)\b|smtp server of your isp|\b(?:invalid|mismatch\w*)\b.{0,12}\b(?:client )?ip\b|connection refused (?:mx )?mail from/,
    ],
    verdict: 'sender-refused',
    example: 'postfix-client-access-denied',
  },
  {
    name: 'refused-in-the-greeting',
    words: [/\bblocked\b|access denied|not welcome|go away|connection refused|reject(?:ed)?\b|refused/],
    verdict: 'sender-refused',
    code: /^5/,
    stages: ['connect', 'banner', 'helo'],
    example: 'spectrum-refused-connection',
  },
];

/** The sender's address, its domain, and what the account may send as. */
export const SENDER_PATTERNS: readonly ReplyPattern[] = [
  {
    name: 'sender-address',
    words: [
      /\bsender\b.{0,48}\b(?:reject\w*|denied|refused|blocked|invalid|unauthori[sz]ed|not (?:allowed|valid|permitted|owned|same|logged|in my)|unverified|does(?:nt| not) (?:exist|resolve)|syntax|must)/,
      /\b(?:invalid|unauthori[sz]ed|blocked|banned|bad|spoofed|unknown|null|malformed) (?:envelope |outbound )?senders?\b|\bsender (?:identity|is rejected|reject)|\bdomain of sender\b|\bdomain name required for sender|use of sender|return path\b.{0,24}\b(?:invalid|reject|refus|not)|valid mx for sender/,
      /\benvelope (?:sender|rejected|blocked|domain)\b|\bmail ?from\b.{0,40}\b(?:reject\w*|invalid|denied|mismatch\w*|listed|not|must|conform|configured|same)\b|\bspoof(?:ed|ing)\b|badmailfrom|\bdt sum\b/,
      /\bfrom (?:address(?:es)?|domain|sender name|header|and auth)\b.{0,40}\b(?:not|invalid|must|doesnt|unresolvable|rejected|unknown)\b|\bblank from\b|provide a valid from|unresolvable (?:rfc )?from/,
    ],
    verdict: 'sender-refused',
    example: 'postfix-sender-not-owned',
  },
  {
    name: 'send-as',
    words: [
      /\bnot (?:owned|local sender)\b|send as denied|permissions? to send|send on behalf|\bnot (?:authori[sz]ed|allowed|permitted) to (?:send|perform)|authori[sz](?:ed|ation) user\b|authenticate username|belong to authenticated|local user only/,
      /verified sender|\b(?:sending|sender) domain\b.{0,16}\b(?:not|isnt|unknown)\b|\bnot (?:an? |been |yet )?(?:verified|validated|confirmed)\b|(?:unconfigured|unregistered|sandbox|demo) (?:sending )?(?:sub)?domains?|sending denied|one of your addresses|not authori[sz]ed to use/,
    ],
    verdict: 'sender-refused',
    example: 'm365-no-permission-as-sender',
  },
  {
    name: 'prohibited-to-us',
    words: [/administrative prohibition|repeated bad requests/],
    verdict: 'sender-refused',
    example: 'exim-administrative-prohibition',
  },
  {
    name: 'refused-before-a-recipient',
    words: [/access denied|\bdenied\b|reject|not allowed|blocked/],
    verdict: 'sender-refused',
    code: /^5/,
    stages: BEFORE_RECIPIENT,
    example: 'sendmail-access-denied',
  },
];

/** Words that speak of us and of no recipient. Last: what is left would be taken for a recipient's by the codes. */
export const ABOUT_US_PATTERNS: readonly ReplyPattern[] = [
  {
    name: 'about-us',
    words: [
      /^(?!.*\b(?:recipient|mailbox|account|user|rcpt)\b).*(?:\bsender\b|\bconnecting ip\b|\breturn path\b|\bbounces?\b|\b(?:e?mails?|messages?|connections?) from \w|\b(?:votre|ihre?|su|tu) (?:adresse )?(?:ip|server|serveur|servidor)\b|\byour (?:\w+ )?(?:ip|host|server|network|domain|system|isp)\b)/,
      // The sender, block, limit, spam and black list in the languages of the providers that this product meets.
      /^(?!.*(?:수신|받는|사용자|사서함|메일함|용량|收件|用户|邮箱|受信|宛先|получател|ящик)).*(?:발신|송신|보내는|발송|차단|한도|스팸|发件|发送|黑名单|限制|垃圾|送信|拒否|отправител|absender|expediteur|remitente|mittente)/,
    ],
    verdict: 'sender-refused',
    temporary: 'relay-deferred',
    example: 'yahoo-aol-dynamic-ip',
  },
];
