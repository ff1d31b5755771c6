/** Longest text that is looked at, in UTF-16 units: no reply needs more, and a hostile one gets no more time. */
const MAX_TEXT = 2000;

/** A reply taken apart. */
export interface ReplyParts {
  /** Three digits; 0 when the text does not begin with any. */
  readonly code: number;
  /** `class.subject.detail` of RFC 3463 when it agrees with the code's class (RFC 2034 §4), else ''. */
  readonly enhanced: string;
  /** The normal form of `normaliseReply`. */
  readonly words: string;
}

/** Reads the code and the enhanced code of a reply of one or several lines, and its words. Pure, never throws. */
export function splitReply(reply: string): ReplyParts {
  const head = /^\s*([2-5]\d\d)[ -]?\s*#?-?(?:([245])\.(\d{1,3})\.(\d{1,3})(?!\d))?/.exec(reply);
  if (head === null) return { code: 0, enhanced: '', words: normaliseReply(reply) };
  const code = Number(head[1]);
  // qmail, chkuser and IronPort put the enhanced code in brackets at the end: (#5.1.1).
  const late = /\(#([245])\.(\d{1,3})\.(\d{1,3})\b/.exec(reply.slice(0, MAX_TEXT));
  const [, , major, subject, detail] = head;
  const found = major === undefined ? late?.slice(1, 4) : [major, subject, detail];
  const agrees = found !== undefined && Number(found[0]) === Math.floor(code / 100);
  return { code, enhanced: agrees ? found.map(Number).join('.') : '', words: normaliseReply(reply) };
}

const MONTH =
  'jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?|aug(?:ust)?|sept?(?:ember)?|oct(?:ober)?|nov(?:ember)?|dec(?:ember)?';
const DAY = '(?:mon|tues?|wed(?:nes)?|thu(?:rs)?|fri|sat(?:ur)?|sun)(?:day)?';
const ZONE = 'utc|gmt|kst|jst|cet|cest|est|edt|cst|cdt|mst|mdt|pst|pdt|bst|msk';

/** What varies from one reply to the next, longest first: each is replaced by a space. */
const VARYING: readonly RegExp[] = [
  /\b(?:https?|ftp):\/\/\S*|\bwww\.\S+/gi,
  // Mail addresses, with a quoted local part as well.
  /(?:"[^"\s]{1,64}"|[^\s<>()[\]{},;:"'`|]{1,128})@[^\s<>()[\]{},;:"'`|]{1,255}/g,
  // What stands alone in angle brackets is an address or a host.
  /<[^\s<>]{0,255}>/g,
  // IPv6 before times of day, which have neither eight groups nor "::".
  /(?<=ipv6:|(?<![\w:]))(?:(?:[0-9a-f]{1,4}:){7}[0-9a-f]{1,4}|(?=[0-9a-f:]{0,39}::)(?:[0-9a-f]{0,4}:){2,7}[0-9a-f]{0,4}(?:\.\d{1,3}){0,3})(?![\w:])/gi,
  /\b\d{4}-\d\d-\d\d[t ]{0,2}\d\d:\d\d(?::\d\d(?:\.\d+)?)?z?/gi,
  new RegExp(`\\b${DAY},?\\s+(?=\\d|(?:${MONTH})\\b)`, 'gi'),
  new RegExp(`\\b(?:${MONTH})\\.?[\\s,-]{1,3}\\d+(?:st|nd|rd|th)?\\b`, 'gi'),
  new RegExp(`\\b\\d+(?:st|nd|rd|th)?[\\s-]{1,3}(?:${MONTH})\\b`, 'gi'),
  new RegExp(
    `\\b\\d{1,2}:\\d\\d(?::\\d\\d)?(?:\\.\\d+)?(?:\\s?[ap]m\\b)?(?:\\s?[+-]\\d{4})?(?:\\s?\\(?(?:${ZONE})\\b\\)?)?`,
    'gi',
  ),
  // Session and queue ids in base64 or hexadecimal; not a path that ends in a host name.
  /(?<![\w+/=-])(?=[\w+/=-]{0,64}\d)[\w+/=-]{16,}(?![\w+/=-]|\.\w)/g,
];

const BETWEEN_TOKENS = /[\s()[\]{}<>"`,;:|=*!?^&~\\/]+/;
const NUMBER_WORDS = new Set(
  (
    'zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen ' +
    'eighteen nineteen twenty thirty forty fifty sixty seventy eighty ninety hundred hundreds thousand thousands million'
  ).split(' '),
);
/** The last labels of host names that have two labels and no digit: without them "rejected.Please" would be one. */
const TOP_LEVEL = new Set(
  (
    'com net org edu gov mil int info biz name pro app dev cloud email online site shop store tech xyz top club ' +
    'example invalid test local localdomain lan internal arpa'
  ).split(' '),
);

/**
 * The words of a reply without what varies: codes, queue ids, host names, IP and mail addresses, URLs, dates and
 * numbers in any spelling. Two replies that differ only in those have the same normal form. Lower case, one space
 * between words, letters of any script, no punctuation. Pure, linear in the length of the text, never throws.
 */
export function normaliseReply(reply: string): string {
  let text = reply
    .slice(0, MAX_TEXT)
    .normalize('NFD')
    .replace(/[\u0300-\u036f]+/g, '')
    .normalize('NFKC')
    .replace(/[\u2018\u2019\u02bc]/g, "'")
    .replace(/(^|\s)[2-5]\d\d[ -]\s*#?-?(?:[245]\.\d{1,3}\.\d{1,3}(?=[\s-]|$)-?)?/gm, '$1 ');
  for (const varying of VARYING) text = text.replace(varying, ' ');
  return (
    text
      // "example.com's policy": the host name ends before the apostrophe.
      .replace(/(\.\p{L}+)'s\b/gu, '$1')
      .replace(/(\p{L})'(?=\p{L})/gu, '$1')
      .replace(/\be-mail/gi, 'email')
      .split(BETWEEN_TOKENS)
      .flatMap(wordsOf)
      .filter((word) => !NUMBER_WORDS.has(word))
      .join(' ')
  );
}

/** The words of one token: none when it is a number, an id or a host name. */
function wordsOf(token: string): string[] {
  if (/\d/.test(token)) return [];
  const bare = token.replace(/^[^\p{L}]+|[^\p{L}]+$/gu, '');
  if (bare === '' || isHost(bare) || isRandom(bare)) return [];
  return bare
    .replace(/(\p{Ll})(?=\p{Lu}\p{Ll})/gu, '$1 ')
    .split(/[^\p{L}\p{M}]+/u)
    .filter((word) => word !== '')
    .map((word) => word.toLowerCase());
}

/** A name with dots whose last label can be the end of one. `RESOLVER.RST.AuthRequired` is none, `RSET.Please` neither. */
function isHost(token: string): boolean {
  if (!/^[\p{L}_-]+(?:\.[\p{L}_-]+)+$/u.test(token)) return false;
  const labels = token.split('.');
  const last = labels.at(-1) ?? '';
  if (TOP_LEVEL.has(last.toLowerCase())) return true;
  if (last.length === 2) return true;
  return labels.length > 2 && (token === token.toLowerCase() || token === token.toUpperCase());
}

/** An id that has no digit by chance: it changes between upper and lower case more often than any word does. */
function isRandom(token: string): boolean {
  if (token.length < 10) return false;
  const changes = token.match(/\p{Ll}(?=\p{Lu})|\p{Lu}(?=\p{Ll})/gu)?.length ?? 0;
  return changes > token.length / 3;
}
