import { domainToASCII } from 'node:url';
import { encodedWords, oneLine } from './headers.ts';

/** An address that may stand in an envelope and in a header. */
export interface Address {
  /** local-part@domain, the domain in A-labels and lower case. */
  readonly address: string;
  /** The local part is not ASCII: needs SMTPUTF8 (RFC 6531). */
  readonly smtputf8: boolean;
}

/** RFC 5321 §4.5.3.1.3: a path has at most 256 octets, with its angle brackets. */
const LONGEST_ADDRESS = 254;

/**
 * RFC 5322 §3.2.3 atext, and what RFC 6532 adds to it, all beyond ASCII; but nothing that cannot be seen, and no full-width forms,
 * which a mail program may turn into the signs that they resemble. The import takes no more than this.
 */
const ATOM = /(?:[\w!#$%&'*+\-/=?^`{|}~]|(?![\p{Z}\p{Cc}\p{Cf}\p{Co}\p{Cs}\uff01-\uff5e])\P{ASCII})+/u.source;
const DOT_ATOM = new RegExp(`^${ATOM}(?:\\.${ATOM})*$`, 'u');
/** A quoted local part without spaces, angle brackets and controls, which no envelope of ours may hold. */
const QUOTED = /^"(?:[!#-;=?-[\]-~]|\\[!-;=?-~])+"$/;
const DOMAIN = /^(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?)(?:\.[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?)*$/;
/** What a domain may be written in before it becomes A-labels: letters, digits, hyphens and the dots of IDNA. */
const DOMAIN_LETTERS = /^[\p{L}\p{M}\p{N}\-.\u3002\uff0e\uff61]+$/u;
const ADDRESS_LITERAL = /^\[(?:\d{1,3}(?:\.\d{1,3}){3}|IPv6:[0-9a-f:.]+)\]$/i;
/** What nearly every address is: plain, lower case domain. */
const ORDINARY =
  /^[\w!#$%&'*+\-/=?^`{|}~]+(?:\.[\w!#$%&'*+\-/=?^`{|}~]+)*@(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?)(?:\.[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?)*$/;

/**
 * The address in the form that envelopes and headers hold, or null when it is none: a dot-atom or a quoted string without
 * spaces, `@`, and a domain or an address literal. CR, LF, NUL, angle brackets and spaces are refused, not removed.
 */
export function readAddress(text: string): Address | null {
  if (text.length > LONGEST_ADDRESS) return null;
  if (ORDINARY.test(text)) return { address: text, smtputf8: false };
  const at = text.lastIndexOf('@');
  const local = text.slice(0, at);
  if (at < 1 || !(DOT_ATOM.test(local) || QUOTED.test(local))) return null;
  const written = text.slice(at + 1);
  // domainToASCII would silently drop line breaks and decode percent signs.
  if (!ADDRESS_LITERAL.test(written) && !DOMAIN_LETTERS.test(written)) return null;
  const domain = ADDRESS_LITERAL.test(written) ? written : domainToASCII(written);
  if (!ADDRESS_LITERAL.test(domain) && !DOMAIN.test(domain)) return null;
  const address = `${local}@${domain}`;
  const smtputf8 = /\P{ASCII}/u.test(local);
  return Buffer.byteLength(address) > LONGEST_ADDRESS ? null : { address, smtputf8 };
}

/** Display names that need no quotes: atoms and single spaces. */
const BARE_NAME = /^[\w-]+(?: [\w-]+)*$/;
/** A quoted name is not folded; a longer one goes as encoded-words, which are. */
const LONGEST_QUOTED_NAME = 60;

/**
 * An address header for one mailbox (RFC 5322 §3.4), folded, without the final CRLF. Whatever the name holds, it stays a
 * name: quoted or encoded.
 */
export function mailboxHeader(header: string, name: string, address: string): string {
  return `${header}: ${mailbox(name, address, header.length + 2)}`;
}

/** A mailbox for an address header. `column`: characters before it on its line. */
export function mailbox(name: string, address: string, column: number): string {
  const text = oneLine(name);
  const bracketed = `<${address}>`;
  if (text === '') return /["[]/.test(address) ? bracketed : address;
  const phrase = phraseOf(text, column);
  const lastLine = phrase.slice(phrase.lastIndexOf('\n') + 1).length + (phrase.includes('\n') ? 0 : column);
  return `${phrase}${lastLine + 1 + bracketed.length > 76 ? '\r\n ' : ' '}${bracketed}`;
}

function phraseOf(text: string, column: number): string {
  const short = text.length <= LONGEST_QUOTED_NAME && !text.includes('=?');
  if (short && BARE_NAME.test(text)) return text;
  if (short && /^[\x20-\x7e]*$/.test(text)) return `"${text.replace(/["\\]/g, '\\$&')}"`;
  return encodedWords(text, 76 - column);
}
