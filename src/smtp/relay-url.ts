import { domainToASCII } from 'node:url';
import { strayAt } from '../errors.ts';
import { relayError } from './relay-parameters.ts';

/** The parts of an SMTP_URL, of a scheme of ours and with a host. Throws SendstateError `RELAY_URL`, as all here. */
export function readUrl(url: string): URL {
  const parsed = URL.canParse(url) ? new URL(url) : null;
  if (
    parsed === null ||
    strayAt(url) ||
    (parsed.protocol !== 'smtp:' && parsed.protocol !== 'smtps:') ||
    parsed.hostname === ''
  ) {
    throw relayError(url, 'is not the URL of a relay');
  }
  if (parsed.pathname !== '' && parsed.pathname !== '/') {
    throw relayError(url, 'has a path, which a relay does not have');
  }
  if (parsed.password !== '' && parsed.username === '')
    throw relayError(url, 'has a password but no user name');
  return parsed;
}

/** Letters, digits, hyphens, underscores and the dots of IDNA. */
const HOST_LETTERS = /^[\p{L}\p{M}\p{N}\-._\u3002\uff0e\uff61]+$/u;

/** The host in A-labels. The URL class leaves what is not ASCII percent-encoded in a host of ours, and no resolver accepts that. */
export function asciiHost(url: string, hostname: string): string {
  if (!hostname.includes('%')) return hostname;
  const written = decodePart(url, hostname, 'host name');
  const ascii = HOST_LETTERS.test(written) ? domainToASCII(written) : '';
  if (ascii === '') throw relayError(url, 'has a host name that is none');
  return ascii;
}

/** A part of the URL without its percent-encoding. `what` is named in errors. */
export function decodePart(url: string, part: string, what = 'user name or password'): string {
  let text: string;
  try {
    text = decodeURIComponent(part);
  } catch {
    throw relayError(url, `has a ${what} with a % that is not percent-encoded`);
  }
  if (/[\0\r\n]/.test(text)) throw relayError(url, `has a ${what} with a line break or NUL`);
  return text;
}
