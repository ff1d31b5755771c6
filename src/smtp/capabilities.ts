import type { RelayOptions } from './relay.ts';

/** How mails are spoken over a connection; see chooseMode. */
export type Mode = 'serial' | 'grouped' | 'chunked';

/** What a relay offers in its answer to EHLO (RFC 5321 section 4.1.1.1). */
export interface Capabilities {
  /** False after HELO: the relay knows no extensions at all. */
  readonly esmtp: boolean;
  /** RFC 2920. */
  readonly pipelining: boolean;
  /** RFC 3030. */
  readonly chunking: boolean;
  /** RFC 6152. */
  readonly eightBitMime: boolean;
  /** RFC 6531. */
  readonly smtputf8: boolean;
  /** RFC 3207. */
  readonly starttls: boolean;
  /** SIZE was announced, so MAIL may carry one (RFC 1870). */
  readonly size: boolean;
  /** Largest message taken, in bytes; Infinity when none was named. */
  readonly maxBytes: number;
  /** SASL mechanisms, upper case (RFC 4954). */
  readonly auth: readonly string[];
  /** LIMITS (RFC 9422); Infinity when none was named. */
  readonly limits: Limits;
  /** The keyword lines as they were said. */
  readonly keywords: readonly string[];
}

export interface Limits {
  /** MAIL commands on one connection. */
  readonly mailMax: number;
  /** Recipients of one mail. This client names one. */
  readonly rcptMax: number;
  /** Different recipient domains on one connection. */
  readonly rcptDomainMax: number;
}

const NO_LIMITS: Limits = {
  mailMax: Number.POSITIVE_INFINITY,
  rcptMax: Number.POSITIVE_INFINITY,
  rcptDomainMax: Number.POSITIVE_INFINITY,
};

/** What is known of a relay that only answered HELO. */
export const NO_CAPABILITIES: Capabilities = {
  esmtp: false,
  pipelining: false,
  chunking: false,
  eightBitMime: false,
  smtputf8: false,
  starttls: false,
  size: false,
  maxBytes: Number.POSITIVE_INFINITY,
  auth: [],
  limits: NO_LIMITS,
  keywords: [],
};

/** Reads the lines of an EHLO answer; the first is the relay's greeting and no keyword. Pure; never throws. */
export function parseEhlo(lines: readonly string[]): Capabilities {
  const keywords = lines.slice(1).map((line) => line.trim());
  const said = new Map<string, string>();
  const auth: string[] = [];
  for (const line of keywords) {
    // Old servers write AUTH=LOGIN.
    const [, keyword = '', parameters = ''] = /^([^\s=]+)[\s=]*(.*)$/.exec(line) ?? [];
    const name = keyword.toUpperCase();
    if (name === 'AUTH')
      auth.push(
        ...parameters
          .toUpperCase()
          .split(/[\s=]+/)
          .filter((one) => one !== ''),
      );
    else said.set(name, parameters);
  }
  const size = said.get('SIZE');
  return {
    esmtp: true,
    pipelining: said.has('PIPELINING'),
    chunking: said.has('CHUNKING'),
    eightBitMime: said.has('8BITMIME'),
    smtputf8: said.has('SMTPUTF8'),
    starttls: said.has('STARTTLS'),
    size: size !== undefined,
    // RFC 1870 section 4: 0 and a missing number mean "no fixed limit".
    maxBytes: positive(size),
    auth: [...new Set(auth)],
    limits: parseLimits(said.get('LIMITS')),
    keywords,
  };
}

function parseLimits(parameters: string | undefined): Limits {
  if (parameters === undefined) return NO_LIMITS;
  const named = new Map(
    parameters.split(/\s+/).map((one) => {
      const [name = '', value] = one.split('=');
      return [name.toUpperCase(), positive(value)] as const;
    }),
  );
  return {
    mailMax: named.get('MAILMAX') ?? Number.POSITIVE_INFINITY,
    rcptMax: named.get('RCPTMAX') ?? Number.POSITIVE_INFINITY,
    rcptDomainMax: named.get('RCPTDOMAINMAX') ?? Number.POSITIVE_INFINITY,
  };
}

function positive(text: string | undefined): number {
  const value = text !== undefined && /^\d{1,15}$/.test(text) ? Number(text) : 0;
  return value > 0 ? value : Number.POSITIVE_INFINITY;
}

/**
 * The mode for a relay and the reason in words, from what it offered (after TLS) and what `mode=` wants.
 *
 * - `serial`: one command, one reply. The only way where PIPELINING is not offered.
 * - `grouped`: the body of one mail and the envelope of the next in one write: one round trip a mail (RFC 2920 section 3.1).
 * - `chunked`: several mails in flight by BDAT. Common, but beyond the letter of RFC 3030, so only when asked for.
 */
export function chooseMode(offered: Capabilities, wanted: RelayOptions['mode']): { mode: Mode; why: string } {
  if (wanted === 'serial') return { mode: 'serial', why: 'mode=serial was asked for' };
  if (!offered.pipelining) {
    const asked = wanted === 'auto' ? '' : `; mode=${wanted} needs it`;
    return { mode: 'serial', why: `the relay does not offer PIPELINING${asked}` };
  }
  if (wanted !== 'chunked') {
    const more = wanted === 'auto' && offered.chunking ? '; it offers CHUNKING too, see mode=chunked' : '';
    return { mode: 'grouped', why: `the relay offers PIPELINING${more}` };
  }
  if (!offered.chunking)
    return { mode: 'grouped', why: 'mode=chunked was asked for, but the relay does not offer CHUNKING' };
  return { mode: 'chunked', why: 'mode=chunked was asked for, and the relay offers PIPELINING and CHUNKING' };
}
