/**
 * Header fields as they go on the wire: ASCII, folded at 76 characters, RFC 2047 encoded-words where the text needs them.
 * Pure; values may be hostile.
 */

/** RFC 5322 §2.1.1: lines should have at most 78 characters; 76 is what RFC 2047 asks of lines with encoded-words. */
const LINE = 76;
/** RFC 5322 §2.1.1 allows 998; a word that is longer than this cannot be folded. */
const LONGEST_WORD = 900;

/** RFC 5322 §3.6.8: printable ASCII without the colon. */
const FIELD_NAME = /^[!-9;-~]{1,60}$/;
/** What `oneLine` takes out: controls, line separators, halves of surrogate pairs. */
const AWKWARD = /[\p{Cc}\p{Cs}\u2028\u2029]/u;
const PRINTABLE = /^[\x20-\x7e]*$/;

/** Headers that are made from other options or by the composer, and what to do instead. */
const RESERVED = new Map<string, string>([
  ['from', 'Use the sender option (--from).'],
  ['sender', 'Use the sender option (--from).'],
  ['to', 'Leave it out: it is the recipient.'],
  ['cc', 'Use a recipient of its own: one mail goes to one person.'],
  ['bcc', 'Use a recipient of its own: one mail goes to one person.'],
  ['reply-to', 'Use the reply-to option (--reply-to).'],
  ['subject', 'Use the subject option (--subject).'],
  ['date', 'Leave it out: it is the time of composing.'],
  ['message-id', 'Leave it out: it is derived from campaign and recipient.'],
  ['return-path', 'Use the bounce-to option (--bounce-to).'],
  ['mime-version', 'Leave it out: the composer writes it.'],
  ['received', 'Leave it out: relays write it.'],
  ['dkim-signature', 'Use a DKIM key.'],
]);
const RESERVED_FAMILIES = ['content-', 'resent-', 'arc-', 'authentication-results'];

/** Why a name may not be an extra header, or null: it may. `advice`: what to do instead, a sentence. */
export function headerNameProblem(
  name: string,
): { readonly problem: string; readonly advice: string } | null {
  if (!FIELD_NAME.test(name)) {
    return { problem: 'is not a header name', advice: 'Use letters, digits and hyphens, at most 60.' };
  }
  const lower = name.toLowerCase();
  const advice = RESERVED.get(lower);
  if (advice !== undefined) return { problem: 'is a header that sendstate writes itself', advice };
  if (RESERVED_FAMILIES.some((family) => lower.startsWith(family))) {
    return { problem: 'is a header that sendstate or a relay writes', advice: 'Use another name.' };
  }
  return null;
}

/** Headers that hold URIs in angle brackets (RFC 2369, RFC 8058) and must never become encoded-words. */
export function holdsUris(name: string): boolean {
  return /^list-(unsubscribe|subscribe|help|archive|post|owner)$/i.test(name);
}

/**
 * A value on one line: line breaks and tabs, with the spaces around them, become one space, other control characters go. Merge data may hold
 * them, and none of them may start a header.
 */
export function oneLine(value: string): string {
  if (!AWKWARD.test(value)) return value.trim();
  return value
    .toWellFormed()
    .replace(/[ \t\r\n\v\f\x85\u2028\u2029]+/g, (run) => (/[^ ]/.test(run) ? ' ' : run))
    .replace(/\p{Cc}+/gu, '')
    .trim();
}

/**
 * A whole header field, folded, without the final CRLF; null when it cannot be written (a URI header with a word of more
 * than 900 characters). Printable ASCII stays as it is; text that could be read as an encoded-word is encoded, so that
 * every mail program reads what the row says.
 */
export function unstructured(name: string, value: string): string | null {
  const text = holdsUris(name) ? oneLine(value).replaceAll('=?', '=%3F') : oneLine(value);
  const plain = PRINTABLE.test(text) && !text.includes('=?');
  if (plain && name.length + 2 + text.length <= LINE) return `${name}: ${text}`;
  if (holdsUris(name)) return plain ? foldWords(name, text) : null;
  const folded = plain && !text.includes('  ') ? foldWords(name, text) : null;
  return folded ?? `${name}: ${encodedWords(text, LINE - name.length - 2)}`;
}

/** Breaks before words; null when a word is too long for a line. */
function foldWords(name: string, text: string): string | null {
  let line = `${name}:`;
  let folded = '';
  for (const word of text.split(/ +/)) {
    if (word.length > LONGEST_WORD) return null;
    if (line.length + 1 + word.length > LINE && line.length > name.length + 1) {
      folded += `${line}\r\n`;
      line = '';
    }
    line += ` ${word}`;
  }
  return folded + line;
}

/** `=?utf-8?B?` and `?=`. */
const WORD_OVERHEAD = 12;
/** RFC 2047 §2: an encoded-word has at most 75 characters. */
const LONGEST_ENCODED_WORD = 75;

/**
 * Q, which people can read in a raw message, where it is clearly shorter: Latin text with some accents. B is much cheaper to
 * make and shorter for Hangul.
 */
const Q_SHARE = 0.9;

/**
 * RFC 2047 encoded-words, one a line, never splitting a character. B or Q.
 * @param room characters that are free on the first line
 */
export function encodedWords(text: string, room: number): string {
  const wellFormed = text.toWellFormed();
  const q = lengthInQ(wellFormed) < Q_SHARE * Math.ceil(Buffer.byteLength(wellFormed) / 3) * 4;
  const words: string[] = [];
  let start = 0;
  let used = 0;
  let space = Math.min(room, LONGEST_ENCODED_WORD) - WORD_OVERHEAD;
  for (let at = 0; at < wellFormed.length; ) {
    const code = wellFormed.codePointAt(at) as number;
    const cost = q ? costInQ(code) : utf8Length(code);
    if (used + cost > (q ? space : Math.floor(space / 4) * 3)) {
      // An empty first word means that the header's name left no room on its line.
      words.push(start === at ? '' : encodedWord(wellFormed.slice(start, at), q));
      start = at;
      used = 0;
      space = LINE - 1 - WORD_OVERHEAD;
    }
    used += cost;
    at += code > 0xffff ? 2 : 1;
  }
  words.push(encodedWord(wellFormed.slice(start), q));
  return words.join('\r\n ');
}

function encodedWord(text: string, q: boolean): string {
  return q ? `=?utf-8?Q?${inQ(text)}?=` : `=?utf-8?B?${Buffer.from(text, 'utf8').toString('base64')}?=`;
}

function utf8Length(code: number): number {
  if (code < 0x80) return 1;
  if (code < 0x800) return 2;
  return code < 0x10000 ? 3 : 4;
}

/** Letters, digits and the space (as "_") stand for themselves; RFC 2047 §5 (3) has a few more, which we do not need. */
function costInQ(code: number): number {
  const literal =
    (code >= 0x61 && code <= 0x7a) ||
    (code >= 0x41 && code <= 0x5a) ||
    (code >= 0x30 && code <= 0x39) ||
    code === 0x20;
  return literal ? 1 : 3 * utf8Length(code);
}

function lengthInQ(text: string): number {
  let length = 0;
  for (let at = 0; at < text.length; at++) {
    const code = text.codePointAt(at) as number;
    length += costInQ(code);
    if (code > 0xffff) at++;
  }
  return length;
}

/** The engine's percent-encoding is ten times faster than a loop over bytes; what it leaves alone is put right after it. */
function inQ(text: string): string {
  return encodeURIComponent(text).replace(/%20|[%_.!~*'()-]/g, (found) => {
    if (found === '%20') return '_';
    return found === '%' ? '=' : `=${found.charCodeAt(0).toString(16).toUpperCase()}`;
  });
}

/** RFC 5322 §3.3, in UTC. */
export function dateHeader(at: Date): string {
  return `Date: ${at.toUTCString().replace('GMT', '+0000')}`;
}
