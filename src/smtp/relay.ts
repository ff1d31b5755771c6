import { readFileSync } from 'node:fs';
import { inspect } from 'node:util';
import { SendstateError, shownUser } from '../errors.ts';
import { RelayParameters, relayError } from './relay-parameters.ts';
import { asciiHost, decodePart, readUrl } from './relay-url.ts';

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
  /** `weight=`: its share of the mails where there are several relays, 0 to 1000. Default 1. 0: a stand-by. */
  readonly weight: number;
  /** `rate=`: mails per second over all workers and processes that send through it. Default: no limit. */
  readonly rate: number | null;
  /** `label=`: its name in states, logs and pages; unique. Default `host:port`, never with credentials. */
  readonly label: string;
}

const DEFAULTS = {
  connections: 10,
  maxMessages: 1000,
  idleTimeout: 240,
  connectTimeout: 30,
  commandTimeout: 300,
  finalTimeout: 600,
  weight: 1,
} as const;

/** Most relays in one SMTP_URL: each is a pool of connections in every process. */
const MOST_RELAYS = 64;

/**
 * Reads `smtp://user:password@host:port?option=value` or `smtps://…`. Reserved characters in user and password are
 * percent-encoded. Throws SendstateError `RELAY_URL`, which never shows the password.
 */
export function parseRelay(url: string): RelayOptions {
  const parsed = readUrl(url);
  const secure = parsed.protocol === 'smtps:';
  const user = parsed.username === '' ? null : decodePart(url, parsed.username);
  const read = new RelayParameters(url, parsed.searchParams);
  const hostname = asciiHost(url, parsed.hostname);
  const host = hostname.replace(/^\[|\]$/g, '');
  const port = parsed.port === '' ? (secure ? 465 : user === null ? 25 : 587) : Number(parsed.port);
  return Object.freeze({
    host,
    port,
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
    weight: read.number('weight', DEFAULTS.weight, 0, 1000),
    rate: read.rate('rate'),
    label: read.label('label', `${hostname.toLowerCase()}:${port}`),
  });
}

/**
 * Reads one or several relays with white space between them; a space inside a URL is percent-encoded, so nothing else can
 * be meant. Throws SendstateError `RELAY_URL`.
 */
export function parseRelays(text: string): readonly [RelayOptions, ...RelayOptions[]] {
  const [first = '', ...others] = text.trim().split(/\s+/);
  // A space in a password splits it; its first half would look like a host.
  if (others.length > 0 && ![first, ...others].every((url) => /^smtps?:\/\//i.test(url)))
    throw relayError('', 'is not the URL of a relay, nor several with spaces between');
  const relays = [parseRelay(first), ...others.map(parseRelay)] as const;
  if (relays.length > MOST_RELAYS) {
    throw new SendstateError('RELAY_URL', `SMTP_URL names ${relays.length} relays`, {
      hint: `Name at most ${MOST_RELAYS}.`,
    });
  }
  checkLabels(relays.map(({ label }) => label));
  return Object.freeze(relays);
}

/** Two relays of one name could not be told apart in states and logs, and would share a rate. Throws `RELAY_URL`. */
export function checkLabels(labels: readonly string[]): void {
  const twice = labels.find((label, index) => labels.indexOf(label) !== index);
  if (twice === undefined) return;
  throw new SendstateError('RELAY_URL', `Two relays of SMTP_URL are called ${twice}.`, {
    hint: 'Give them names with label=…: smtp://one@HOST:587?label=one smtp://two@HOST:587?label=two',
  });
}

/** The relay for people: `smtp://user@host:port`, never the password. */
export function describeRelay(relay: RelayOptions): string {
  const shown = shownUser(relay.user ?? '', relay.password?.reveal() ?? '');
  const user = relay.user === null ? '' : `${shown === '***' ? shown : encodeURIComponent(shown)}@`;
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
