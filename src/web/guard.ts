import type { Context, MiddlewareHandler } from 'hono';
import { getCookie } from 'hono/cookie';
import { SendstateError } from '../errors.ts';
import { isLoopbackHost, isOwnPage } from './access.ts';
import type { Env, WebContext } from './context.ts';

export const SESSION_COOKIE = 'sendstate-session';
/** A page of another origin cannot send it: the browser would ask us first, and we never say yes. */
export const ACTION_HEADER = 'x-sendstate-action';

/**
 * Nothing but our own files, no inline script or style, and no frame around us. Frames of our own show mails, whose own
 * policy is `PREVIEW_POLICY`; whatever a mail links to cannot be opened in that frame, because only we may stand in it.
 */
const POLICY = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "img-src 'self'",
  "connect-src 'self'",
  "frame-src 'self'",
  "form-action 'self'",
  "base-uri 'none'",
  "frame-ancestors 'none'",
].join('; ');

/** For a mail in its frame: no script, no request to anywhere, no form; its own styles and the pictures within it. */
export const PREVIEW_POLICY = [
  'sandbox',
  "default-src 'none'",
  "style-src 'unsafe-inline'",
  'img-src data:',
  "form-action 'none'",
  "base-uri 'none'",
  "frame-ancestors 'self'",
].join('; ');

/** What every answer says, data and errors included. Routes may say something else for themselves before it. */
export const headers: MiddlewareHandler<Env> = async (c, next) => {
  await next();
  const set = (name: string, value: string) => {
    if (!c.res.headers.has(name)) c.res.headers.set(name, value);
  };
  set('content-security-policy', POLICY);
  set('x-frame-options', 'DENY');
  set('x-content-type-options', 'nosniff');
  set('referrer-policy', 'no-referrer');
  set('cross-origin-opener-policy', 'same-origin');
  set('cross-origin-resource-policy', 'same-origin');
  set('permissions-policy', 'camera=(), geolocation=(), microphone=()');
  set('cache-control', 'no-store');
};

/** Without a token every client that reaches us is let in, so only this machine's own names may lead here. */
export function ownName({ tokenGuard }: WebContext): MiddlewareHandler<Env> {
  return async (c, next) => {
    if (tokenGuard === undefined && !isLoopbackHost(c.req.header('host'))) {
      throw new SendstateError('web-host', 'This server answers only to localhost', {
        hint: 'Open http://127.0.0.1 with its port. To reach it by another name, start it with --token-file.',
      });
    }
    await next();
  };
}

export function addressOf(c: Context<Env>): string {
  return c.env.incoming.socket.remoteAddress ?? '';
}

/** A login: the cookie that the form gave, or the token itself as a program sends it. */
export function isKnown({ tokenGuard, limiter, onEvent }: WebContext, c: Context<Env>, now: number): boolean {
  if (tokenGuard === undefined) return true;
  if (tokenGuard.isSession(getCookie(c, SESSION_COOKIE), now)) return true;
  const [, token] = /^Bearer +(\S+)$/i.exec(c.req.header('authorization') ?? '') ?? [];
  if (token === undefined) return false;
  // The right one first: no client can keep others out by being wrong, not even from behind the same proxy.
  if (tokenGuard.knows(token)) return true;
  const remote = addressOf(c);
  const who = `bearer ${remote}`;
  refuseHasty(limiter.waits(who, now));
  limiter.failed(who, now);
  onEvent({ kind: 'login-failed', by: 'bearer', remote, seconds: limiter.waits(who, now) });
  return false;
}

/** @throws SendstateError `web-slow-down` while the address has to wait */
function refuseHasty(seconds: number): void {
  if (seconds === 0) return;
  throw new SendstateError('web-slow-down', 'Too many wrong tokens from this address', {
    hint: `Wait ${seconds} seconds, or send the right one.`,
  });
}

/** What changes something must come from our own page, or from a program that knows that it does so. */
export function ownAction({ readOnly }: WebContext): MiddlewareHandler<Env> {
  return async (c, next) => {
    if (c.req.method === 'GET' || c.req.method === 'HEAD') return await next();
    if (readOnly) {
      throw new SendstateError('web-read-only', 'This page only shows: it was started with --read-only', {
        hint: 'Use the command line instead, such as sendstate pause NAME.',
      });
    }
    refuseStrangers(c);
    if (c.req.header(ACTION_HEADER) === undefined) {
      throw new SendstateError('web-origin', `The header ${ACTION_HEADER} is missing`, {
        hint: `A program has to send ${ACTION_HEADER}: 1 with everything that changes something.`,
      });
    }
    await next();
  };
}

/** @throws SendstateError `web-origin` when a page of another origin asks */
export function refuseStrangers(c: Context<Env>): void {
  const [host, origin, fetchSite] = [
    c.req.header('host'),
    c.req.header('origin'),
    c.req.header('sec-fetch-site'),
  ];
  if (isOwnPage({ host, origin, fetchSite })) return;
  throw new SendstateError('web-origin', 'This was asked by a page of another origin', {
    hint: 'Behind a proxy: let it pass the Host header on as it came.',
  });
}
