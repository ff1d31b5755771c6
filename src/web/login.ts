import { type Context, Hono } from 'hono';
import { bodyLimit } from 'hono/body-limit';
import { deleteCookie, setCookie } from 'hono/cookie';
import { SendstateError } from '../errors.ts';
import { ownPath, SESSION_SECONDS } from './access.ts';
import type { Env, Routes, WebContext } from './context.ts';
import { addressOf, refuseStrangers, SESSION_COOKIE } from './guard.ts';
import { type LoginProblem, loginPage, pageContextOf } from './layout.ts';

/** Bytes of a login form at most. */
const FORM_BYTES = 8 * 1024;

/** The form that the token is typed into, and the way out. */
export function loginRoutes(web: WebContext): Routes {
  const { tokenGuard, limiter, onEvent } = web;
  const routes = new Hono<Env>();
  routes.use(
    bodyLimit({
      maxSize: FORM_BYTES,
      onError: () => {
        throw new SendstateError('web-too-large', 'That is too much for a form');
      },
    }),
  );
  routes.get('/login', (c) =>
    tokenGuard === undefined ? c.redirect('/') : askToken(web, c, '/', null, 200),
  );
  routes.post('/login', async (c) => {
    refuseStrangers(c);
    const form = await c.req.parseBody();
    const next = ownPath(form.next);
    if (tokenGuard === undefined) return c.redirect(next, 303);
    const [remote, now] = [addressOf(c), Date.now()];
    const who = `form ${remote}`;
    if (typeof form.token !== 'string' || !tokenGuard.knows(form.token.trim())) {
      const waits = limiter.waits(who, now);
      if (waits > 0) {
        c.header('retry-after', String(waits));
        return askToken(web, c, next, { word: 'tokenWait', n: String(waits) }, 429);
      }
      limiter.failed(who, now);
      onEvent({ kind: 'login-failed', by: 'form', remote, seconds: limiter.waits(who, now) });
      return askToken(web, c, next, { word: 'tokenWrong', n: '' }, 401);
    }
    setCookie(c, SESSION_COOKIE, tokenGuard.session(now), {
      httpOnly: true,
      sameSite: 'Strict',
      path: '/',
      maxAge: SESSION_SECONDS,
      secure: isEncrypted(c),
    });
    return c.redirect(next, 303);
  });
  routes.post('/logout', (c) => {
    refuseStrangers(c);
    deleteCookie(c, SESSION_COOKIE, { path: '/', secure: isEncrypted(c) });
    return c.redirect('/', 303);
  });
  return routes;
}

export function askToken(
  web: WebContext,
  c: Context<Env>,
  next: string,
  problem: LoginProblem | null,
  status: 200 | 401 | 429,
): Response | Promise<Response> {
  // Asked for in place of a page: a viewer that changes the language there still wants that page.
  const path = c.req.method === 'GET' ? c.req.path : '/login';
  return c.html(loginPage(pageContextOf(web, c.get('language'), path), next, problem), status);
}

/**
 * Whether the browser's side is https, by the word of the proxy that ends it. A client that claims it wrongly gets a cookie that
 * its own browser does not take.
 */
function isEncrypted(c: Context<Env>): boolean {
  return c.req.header('x-forwarded-proto')?.split(',')[0]?.trim() === 'https';
}
