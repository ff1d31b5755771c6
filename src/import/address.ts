import { domainToASCII, domainToUnicode } from 'node:url';
// Alone, because the whole of validator takes 10 MB that nothing else here needs.
import validator from 'validator/lib/isEmail.js';

/** What became of one address as it was written. */
export type ParsedAddress =
  | {
      readonly ok: true;
      /** local-part@domain; the domain in A-labels and lower case, the local part as written (NFC). */
      readonly address: string;
      /** The local part is not ASCII: only a relay that offers SMTPUTF8 (RFC 6531) can take it. */
      readonly smtputf8: boolean;
    }
  /** `reason` is a phrase for people that begins in lower case; it never repeats the input. */
  | { readonly ok: false; readonly reason: string };

/** RFC 5321 §4.5.3.1: octets of a local part, of a domain, and of a path without its angle brackets (erratum 1690). */
const maxLocalBytes = 64;
const maxDomainBytes = 253;
const maxAddressBytes = 254;

/**
 * Addresses that need no second look: a small part of what validator accepts, found about ten times as fast, which at
 * a million rows is what the import would spend most of its time on. Short enough that no length limit can be passed,
 * and without `--` in the domain, so that A-labels go the long way and are checked.
 */
const ordinary = /^[a-z0-9_+-]+(?:\.[a-z0-9_+-]+)*@(?:[a-z0-9]+(?:-[a-z0-9]+)*\.)+[a-z]{2,}$/i;
const ordinaryMaxChars = 64;

/** White space around an address, with the invisible characters that copying from a web page brings along. */
const around = /^[\s\u00ad\u180e\u200b-\u200f\u2060\ufeff]+|[\s\u00ad\u180e\u200b-\u200f\u2060\ufeff]+$/gu;
/** C0 but for the tab (which is white space), DEL, C1, line and paragraph separator. */
const control = /[\p{Cc}\u2028\u2029]/u;
/** Separators, and all of category C: controls, formats, private use, surrogates, and code points that Unicode has not assigned. */
const invisible = /[\p{Z}\p{C}]/u;
const fullWidth = /[\uff01-\uff5e]/u;
/** What a domain may be written with before it is turned into A-labels: letters, marks, digits, hyphens, dots of any script. */
const writtenDomain = /^[\p{L}\p{M}\p{N}.\u3002-]+$/u;
/** The top label is never a number, or the domain would be an IP address (WHATWG URL, "ends in a number"). */
const asciiDomain =
  /^(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+(?:[a-z]{2,63}|xn--[a-z0-9-]{1,58}[a-z0-9])$/;

/**
 * Checks and normalises one address. Only a bare address is taken: no display name, no angle brackets, no quoted local
 * part, no comment, no IP address, and nothing that could end an SMTP command (RFC 5321 §4.1.2).
 */
export function parseAddress(raw: string): ParsedAddress {
  if (raw.length <= ordinaryMaxChars && ordinary.test(raw)) {
    const at = raw.indexOf('@');
    return { ok: true, address: raw.slice(0, at) + raw.slice(at).toLowerCase(), smtputf8: false };
  }
  return parseUnusual(raw);
}

function parseUnusual(raw: string): ParsedAddress {
  // Before anything is cut off or normalised: a line break in an address is an attack or a broken file, never a slip.
  if (control.test(raw.replaceAll('\t', ' ')))
    return refuse('a line break or control character in the address');
  // Everything below is linear, but a whole mailing list in one cell still deserves a short answer.
  if (raw.length > 4 * maxAddressBytes) return refuse(`the address is longer than ${maxAddressBytes} bytes`);
  const text = raw.replace(around, '');
  if (text === '') return refuse('the address is empty');
  if (/[<>]/.test(text)) return refuse('write the address alone, without a name and angle brackets');
  const at = text.lastIndexOf('@');
  if (at === -1) {
    return refuse(text.includes('\uff20') ? 'a full-width @ in the address' : 'no @ in the address');
  }
  if (text.indexOf('@') !== at) return refuse('more than one @ in the address');
  const local = text.slice(0, at).normalize('NFC');
  const domain = asciiDomainOf(text.slice(at + 1));
  if (local === '') return refuse('nothing before the @');
  if (at === text.length - 1) return refuse('nothing after the @');
  if (/["\\()]/.test(local)) return refuse('quotation marks, backslashes and comments are not taken');
  if (invisible.test(text)) return refuse('a space or an invisible character in the address');
  if (fullWidth.test(local)) return refuse('full-width letters before the @');
  if (Buffer.byteLength(local) > maxLocalBytes)
    return refuse(`more than ${maxLocalBytes} bytes before the @`);
  if (domain === null) return refuse('the domain after the @ is not valid');
  const address = `${local}@${domain}`;
  if (Buffer.byteLength(address) > maxAddressBytes)
    return refuse(`the address is longer than ${maxAddressBytes} bytes`);
  if (!validator.default(address, { allow_utf8_local_part: true })) return refuse('not a valid address');

  return { ok: true, address, smtputf8: Buffer.byteLength(local) !== local.length };
}

/**
 * The domain in A-labels and lower case, or null. node:url does the IDNA part (UTS 46), but as it serves URLs it also
 * takes percent-escapes and every spelling of an IP address, and passes A-labels in an ASCII domain unchecked: the letters
 * are checked before, and the result after, where a label that means nothing stays as it is when turned back.
 */
function asciiDomainOf(written: string): string | null {
  const domain = written.normalize('NFKC');
  if (!writtenDomain.test(domain)) return null;
  const ascii = domainToASCII(domain);
  if (ascii.length > maxDomainBytes || !asciiDomain.test(ascii)) return null;
  return /(?:^|\.)xn--/.test(domainToUnicode(ascii)) ? null : ascii;
}

function refuse(reason: string): ParsedAddress {
  return { ok: false, reason };
}
