import type { Reply } from './deliverer.ts';

/** Longest `Reply.text`, in UTF-16 units: what a person reads, and what one row of a table should carry. */
export const MAX_REPLY_TEXT = 500;

/** Builds the Reply of a code and its lines: enhanced code (RFC 2034) found, text joined, cleaned and cut. */
export function makeReply(code: number, lines: readonly string[]): Reply {
  const enhanced = enhancedCode(code, lines[0] ?? '');
  const words = lines.map((line, i) => (i > 0 && enhanced !== null ? withoutPrefix(line, enhanced) : line));
  return { code, enhanced, text: cleanText(words.join(' ')) };
}

/**
 * The enhanced status code at the start of a reply's text (RFC 2034 section 3, RFC 3463 section 2), or null. RFC 2034
 * section 4: its class has to agree with the basic code, so a 550 that says 4.1.1 says nothing.
 */
function enhancedCode(code: number, text: string): string | null {
  const match = /^\s*([245])\.(\d{1,3})\.(\d{1,3})(?!\S)/.exec(text);
  if (match === null || Number(match[1]) !== Math.floor(code / 100)) return null;
  return `${match[1]}.${Number(match[2])}.${Number(match[3])}`;
}

function withoutPrefix(line: string, enhanced: string): string {
  return line.startsWith(`${enhanced} `) ? line.slice(enhanced.length + 1) : line;
}

/**
 * One printable line of at most `max` UTF-16 units. Control characters, line and paragraph separators and the marks
 * that turn the direction of writing become spaces: a reply ends up in terminals, logs and web pages.
 */
export function cleanText(text: string, max = MAX_REPLY_TEXT): string {
  // Cut first, so that cleaning a hostile megabyte costs no more than cleaning a kilobyte.
  const line = text
    .slice(0, 4 * max)
    .replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Co}\p{Cs}]+/gu, ' ')
    .replace(/\s+/g, ' ')
    .trim();
  if (line.length <= max) return line;
  const cut = line.slice(0, max - 1);
  return `${/[\uD800-\uDBFF]$/.test(cut) ? cut.slice(0, -1) : cut}…`;
}

const utf8 = new TextDecoder('utf-8', { fatal: true });

/** UTF-8 where it is valid (RFC 6531 allows it in replies), else Latin-1. */
export function decode(bytes: Buffer): string {
  try {
    return utf8.decode(bytes);
  } catch (error) {
    if (error instanceof TypeError) return bytes.toString('latin1');
    throw error;
  }
}

/** Bytes for an error message: a short, clean JSON string. */
export function quote(bytes: Buffer): string {
  return JSON.stringify(cleanText(decode(bytes.subarray(0, 200)), 80));
}
