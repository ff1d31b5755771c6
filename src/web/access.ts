import { createHash, createHmac, scryptSync, timingSafeEqual } from 'node:crypto';
import { isIP } from 'node:net';

/** Characters of a token at least: shorter ones are words, and words are guessed. */
export const SHORTEST_TOKEN = 16;
/** How long a login lasts, seconds: a working day. */
export const SESSION_SECONDS = 12 * 3600;

/** Whether only this machine can reach an address to listen at. */
export function isLoopback(host: string): boolean {
  const bare = host.replace(/^\[(.*)\]$/, '$1').toLowerCase();
  if (bare === 'localhost' || bare === '::1') return true;
  return isIP(bare) === 4 && bare.startsWith('127.');
}

/**
 * Whether a Host header names this machine. A page from elsewhere can have its own name lead to 127.0.0.1 (DNS rebinding);
 * its requests then come from this machine's browser, but they carry that name.
 */
export function isLoopbackHost(header: string | undefined): boolean {
  const match = /^(\[[0-9a-f:.]+\]|[^:[\]@/]+)(?::\d{1,5})?$/i.exec(header ?? '');
  return match !== null && isLoopback(match[1] ?? '');
}

/** Where a request says that it comes from. */
export interface Origin {
  readonly host: string | undefined;
  readonly origin: string | undefined;
  readonly fetchSite: string | undefined;
}

/**
 * Whether a request that changes something comes from our own page, or from a program. Browsers send Sec-Fetch-Site, which no
 * page can forge, where the connection is encrypted or local; otherwise the Origin must be the host that was asked. Behind
 * a proxy that puts another Host, the first still holds.
 */
export function isOwnPage({ host, origin, fetchSite }: Origin): boolean {
  if (fetchSite !== undefined) return fetchSite === 'same-origin';
  if (origin === undefined) return true;
  return URL.canParse(origin) && host !== undefined && new URL(origin).host === host.toLowerCase();
}

/** Where a browser may be sent: a path of ours, and nothing that it would take for another host. */
export function ownPath(path: unknown): string {
  if (typeof path !== 'string' || !/^\/(?![/\\])[^\\\s]*$/.test(path)) return '/';
  return path;
}

const digest = (text: string) => createHash('sha256').update(text).digest();

/** A client that knows the token, by the token itself or by a login made with it. */
export class TokenGuard {
  readonly #token: Buffer;
  readonly #key: Buffer;

  constructor(token: string) {
    this.#token = digest(token);
    // A stolen cookie may be used to try tokens offline: each try costs this.
    this.#key = scryptSync(token, 'sendstate session', 32);
  }

  /** Compares in a time that says nothing about how much of it was right. */
  knows(token: string): boolean {
    return timingSafeEqual(digest(token), this.#token);
  }

  /** What a cookie holds after a login: until when it lasts, and a seal that only we can make. It outlives a restart. */
  session(nowMs: number): string {
    const until = String(Math.floor(nowMs / 1000) + SESSION_SECONDS);
    return `${until}.${this.#seal(until)}`;
  }

  isSession(cookie: string | undefined, nowMs: number): boolean {
    const [, until, seal] = /^(\d{1,12})\.([\w-]{43})$/.exec(cookie ?? '') ?? [];
    if (until === undefined || seal === undefined) return false;
    return timingSafeEqual(digest(seal), digest(this.#seal(until))) && Number(until) * 1000 > nowMs;
  }

  #seal(until: string): string {
    return createHmac('sha256', this.#key).update(until).digest('base64url');
  }
}

/** Wrong tokens from one address before it is told to wait. */
const TRIES = 10;
/** How long, milliseconds. */
const WAIT_MS = 60_000;
/** Addresses that are remembered at most; beyond it the oldest is forgotten. */
const REMEMBERED = 1_000;

/**
 * Counts wrong tokens by who sent them, so that a program that repeats one learns it and the log is not full of it. What keeps
 * strangers out is the length of the token: the right one is never made to wait, or guessing could shut others out.
 */
export class Limiter {
  readonly #failed = new Map<string, { count: number; since: number }>();

  /** Seconds that the address has to wait; 0: it may try. */
  waits(address: string, nowMs: number): number {
    const found = this.#failed.get(address);
    if (found === undefined || found.count < TRIES) return 0;
    return Math.max(0, Math.ceil((found.since + WAIT_MS - nowMs) / 1000));
  }

  failed(address: string, nowMs: number): void {
    const found = this.#failed.get(address);
    const count = found === undefined || found.since + WAIT_MS <= nowMs ? 1 : found.count + 1;
    const since = count === 1 ? nowMs : (found?.since ?? nowMs);
    this.#failed.delete(address);
    this.#failed.set(address, { count, since });
    const [oldest] = this.#failed.keys();
    if (this.#failed.size > REMEMBERED && oldest !== undefined) this.#failed.delete(oldest);
  }
}
