import { readFileSync } from 'node:fs';
import { inspect } from 'node:util';
import { SendstateError } from '../errors.ts';
import { RelayParameters, relayError } from './relay-parameters.ts';

/** A password or token that shows itself only when asked: printing, logging or serialising it gives `***`. */
export class Secret {
  readonly #value: string;

  constructor(value: string) {
    this.#value = value;
  }

  /** The value itself, for the one place that speaks it to the relay. */
  reveal(): string {
    return this.#value;
  }

  toString(): string {
    return '***';
  }

  toJSON(): string {
    return '***';
  }

  [inspect.custom](): string {
    return '***';
  }
}

/** How a relay is reached and spoken to: what `SMTP_URL` says, with every default filled in. */
export interface RelayOptions {
  readonly host: string;
  /** Default 465 for `smtps:`; for `smtp:` 587 with a user name (submission, RFC 6409), 25 without. */
  readonly port: number;
  /** `smtps:`: TLS from the first byte (RFC 8314 section 3.3). */
  readonly secure: boolean;
  /** `tls=if-offered|required|never`: STARTTLS. Default if-offered. */
  readonly tls: 'if-offered' | 'required' | 'never';
  /** `verify=yes|no`: the certificate must be valid for the host. Default yes. */
  readonly verify: boolean;
  /** `servername=`: the name the certificate must carry. Default: the host. */
  readonly servername: string | null;
  /** `ca=FILE`: PEM certificates to trust instead of the system's. */
  readonly ca: string | null;
  /** `name=`: what EHLO says. Default: the machine's full name, or `[127.0.0.1]` when it has none. */
  readonly name: string;
  readonly user: string | null;
  readonly password: Secret | null;
  /** `auth=auto|plain|login|xoauth2`. Default auto: PLAIN, else LOGIN. With xoauth2 the password is the access token. */
  readonly auth: 'auto' | 'plain' | 'login' | 'xoauth2';
  /** `auth-in-clear=yes`: the password may cross the network unencrypted. Default no. */
  readonly authInClear: boolean;
  /** `mode=auto|serial|grouped|chunked`. Default auto: grouped where PIPELINING is offered, else serial. */
  readonly mode: 'auto' | 'serial' | 'grouped' | 'chunked';
  /** `connections=`: most connections at once. Default 10: more than 10 to 20 did not raise the rate when measured. */
  readonly connections: number;
  /** `max-messages=`: mails on one connection. Default 1000, the reuse that relays commonly allow. 0: no limit. */
  readonly maxMessages: number;
  /** `idle-timeout=`, in seconds. Default 240: below the 5 minutes a server waits (RFC 5321 section 4.5.3.2.7). */
  readonly idleTimeoutMs: number;
  /** `connect-timeout=`, in seconds, for TCP and TLS. Default 30: a relay farther away than that is of no use. */
  readonly connectTimeoutMs: number;
  /** `command-timeout=`, in seconds, for each reply but the last. Default 300 (RFC 5321 section 4.5.3.2). */
  readonly commandTimeoutMs: number;
  /** `final-timeout=`, in seconds, for the reply to the end of data. Default 600 (RFC 5321 section 4.5.3.2.6): less makes duplicates. */
  readonly finalTimeoutMs: number;
}

const DEFAULTS = {
  connections: 10,
  maxMessages: 1000,
  idleTimeout: 240,
  connectTimeout: 30,
  commandTimeout: 300,
  finalTimeout: 600,
} as const;

/**
 * Reads `smtp://user:password@host:port?option=value` or `smtps://…`. Reserved characters in user and password are
 * percent-encoded. Throws SendstateError `RELAY_URL`, which never shows the password.
 */
export function parseRelay(url: string): RelayOptions {
  const parsed = readUrl(url);
  const secure = parsed.protocol === 'smtps:';
  const user = parsed.username === '' ? null : decodePart(url, parsed.username);
  const read = new RelayParameters(url, parsed.searchParams);
  const host = parsed.hostname.replace(/^\[|\]$/g, '');
  return Object.freeze({
    host,
    port: parsed.port === '' ? (secure ? 465 : user === null ? 25 : 587) : Number(parsed.port),
    secure,
    tls: read.choice('tls', ['if-offered', 'required', 'never']),
    verify: read.yesNo('verify', true),
    servername: read.text('servername'),
    ca: read.text('ca'),
    name: read.heloName(),
    user,
    password: parsed.password === '' ? null : new Secret(decodePart(url, parsed.password)),
    auth: read.choice('auth', ['auto', 'plain', 'login', 'xoauth2']),
    authInClear: read.yesNo('auth-in-clear', false),
    mode: read.choice('mode', ['auto', 'serial', 'grouped', 'chunked']),
    connections: read.number('connections', DEFAULTS.connections, 1, 1000),
    maxMessages:
      read.number('max-messages', DEFAULTS.maxMessages, 0, 1_000_000_000) || Number.POSITIVE_INFINITY,
    idleTimeoutMs: 1000 * read.number('idle-timeout', DEFAULTS.idleTimeout, 0.01, 86_400),
    connectTimeoutMs: 1000 * read.number('connect-timeout', DEFAULTS.connectTimeout, 0.01, 3600),
    commandTimeoutMs: 1000 * read.number('command-timeout', DEFAULTS.commandTimeout, 0.01, 3600),
    finalTimeoutMs: 1000 * read.number('final-timeout', DEFAULTS.finalTimeout, 0.01, 86_400),
  });
}

/** The relay for people: `smtp://user@host:port`, never the password. */
export function describeRelay(relay: RelayOptions): string {
  const user = relay.user === null ? '' : `${encodeURIComponent(relay.user)}@`;
  const host = relay.host.includes(':') ? `[${relay.host}]` : relay.host;
  return `${relay.secure ? 'smtps' : 'smtp'}://${user}${host}:${relay.port}`;
}

/** Whether the password may only be spoken through TLS, so that STARTTLS is required even where it is only wanted. */
export function needsTls(relay: RelayOptions): boolean {
  return !relay.secure && (relay.tls === 'required' || (relay.user !== null && !relay.authInClear));
}

/** Options for tls.connect(): whom to trust and whom to expect. Reads the `ca` file; throws SendstateError `RELAY_CA`. */
export function tlsOptions(relay: RelayOptions): {
  rejectUnauthorized: boolean;
  servername?: string;
  ca?: string;
  minVersion: 'TLSv1.2';
} {
  const name = relay.servername ?? (/^[\d.]+$|:/.test(relay.host) ? null : relay.host);
  return {
    rejectUnauthorized: relay.verify,
    minVersion: 'TLSv1.2',
    ...(name === null ? {} : { servername: name }),
    ...(relay.ca === null ? {} : { ca: readCa(relay.ca) }),
  };
}

function readCa(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch (cause) {
    throw new SendstateError('RELAY_CA', `The certificates of the relay could not be read: ${file}`, {
      hint: 'Check the ca= option of SMTP_URL; it names a file in PEM format.',
      cause,
    });
  }
}

function readUrl(url: string): URL {
  const parsed = URL.canParse(url) ? new URL(url) : null;
  if (
    parsed === null ||
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

function decodePart(url: string, part: string): string {
  let text: string;
  try {
    text = decodeURIComponent(part);
  } catch {
    throw relayError(url, 'has a user name or password with a % that is not percent-encoded');
  }
  if (/[\0\r\n]/.test(text)) throw relayError(url, 'has a user name or password with a line break or NUL');
  return text;
}
