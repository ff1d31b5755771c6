import { type Context, Hono, type MiddlewareHandler } from 'hono';
import { getCookie, setCookie } from 'hono/cookie';
import { findCampaign } from '../campaigns/campaigns.ts';
import { checkSchema } from '../database/migrate.ts';
import { SendstateError } from '../errors.ts';
import { ownPath } from './access.ts';
import { apiRoutes } from './api.ts';
import type { Env, Routes, WebContext } from './context.ts';
import type { Topic } from './feed.ts';
import { addressOf, headers, isKnown, ownAction, ownName } from './guard.ts';
import { pageContextOf, problemPage } from './layout.ts';
import { askToken, loginRoutes } from './login.ts';
import { campaignPage, listPage, searchPage } from './pages.ts';
import { problemIn } from './problem-words.ts';
import { isUnexpected, tell, troubleOf } from './problems.ts';
import { shared } from './shared.ts';
import { eventStream } from './stream.ts';
import { LANGUAGES, languageOf } from './words.ts';

/** How long an answer about readiness is good, milliseconds: however often it is asked, the database is asked once a second. */
const READY_MS = 1_000;
const LANGUAGE_COOKIE = 'sendstate-language';
/** A year, seconds. */
const LANGUAGE_SECONDS = 365 * 86_400;

export interface AppOptions {
  /** More routes behind the same login, such as metrics. They are asked before the pages. */
  readonly extraRoutes?: ((routes: Routes, web: WebContext) => void) | undefined;
}

/**
 * Everything that the server answers. The order is the protection: headers on everything; then what is no secret (health, assets,
 * login); then only who is known; then, of what changes something, only what our own page asks.
 */
export function createApp(web: WebContext, { extraRoutes }: AppOptions = {}): Routes {
  const routes = new Hono<Env>();
  routes.onError((error, c) => explain(web, c, error));
  routes.notFound((c) => {
    const hint = 'The campaigns are at /';
    return explain(web, c, new SendstateError('web-page-unknown', 'There is no such page', { hint }));
  });
  routes.use(headers);
  routes.use(async (c, next) => {
    c.set('language', languageOf(getCookie(c, LANGUAGE_COOKIE), c.req.header('accept-language')));
    await next();
  });
  // No text of Postgres holds a NUL: what has one names nothing.
  routes.use(async (c, next) => (/%00|\0/.test(c.req.url) ? await c.notFound() : await next()));
  healthRoutes(web, routes);
  routes.use(ownName(web));
  assetRoutes(web, routes);
  routes.use(chooseLanguage);
  routes.route('/', loginRoutes(web));
  routes.use(async (c, next) => {
    if (isKnown(web, c, Date.now())) return await next();
    if (wantsPage(c)) return askToken(web, c, c.req.path, null, 401);
    throw new SendstateError('web-login', 'Not logged in', {
      hint: 'Log in at /login, or send the token: Authorization: Bearer TOKEN',
    });
  });
  routes.use(ownAction(web));
  metricsRoute(web, routes);
  extraRoutes?.(routes, web);
  pageRoutes(web, routes);
  routes.get('/api/whoami', (c) => c.json({ readOnly: web.readOnly, mask: web.mask }));
  routes.get('/api/events', (c) =>
    eventStream(web.feed, topicOf(c.req.query('id')), () => c.env.outgoing.destroy()),
  );
  routes.route('/api', apiRoutes(web));
  return routes;
}

/** `?lang=ko` at any page, the login's included, is remembered; then the page comes as it is called. */
const chooseLanguage: MiddlewareHandler<Env> = async (c, next) => {
  const language = LANGUAGES.find((one) => one === c.req.query('lang'));
  if (language === undefined || c.req.method !== 'GET' || c.req.path.startsWith('/api/')) return await next();
  setCookie(c, LANGUAGE_COOKIE, language, { path: '/', sameSite: 'Lax', maxAge: LANGUAGE_SECONDS });
  return c.redirect(ownPath(c.req.path), 303);
};

/** By number, so that a page that comes again while the database is away needs no answer of it. */
function topicOf(id: string | undefined): Topic {
  if (id === undefined) return 'list';
  if (/^[1-9]\d{0,14}$/.test(id)) return Number(id);
  throw new SendstateError('web-events', 'That is no number of a campaign', {
    hint: 'Ask for /api/events?id=7, or without id for all campaigns.',
  });
}

function healthRoutes({ app }: WebContext, routes: Routes): void {
  const ready = shared<string, void>(() => checkSchema(app.database), READY_MS);
  routes.get('/healthz', (c) => c.json({ ok: true }));
  routes.get('/readyz', async (c) => {
    try {
      await ready('schema');
      return c.json({ ok: true });
    } catch (error) {
      // Any client may ask, so it says what kind of trouble it is and not where the database lives.
      return c.json({ ok: false, code: tell(error).code }, 503);
    }
  });
}

/** For Prometheus, which sends the token as `authorization: {credentials: …}` where there is one. */
function metricsRoute({ app }: WebContext, routes: Routes): void {
  // Loaded and made at the first request: it watches the event loop from then on.
  const make = async () => (await import('../metrics/database.ts')).databaseRegistry(app.database);
  let made: ReturnType<typeof make> | undefined;
  routes.get('/metrics', async (c) => {
    made ??= make();
    const registry = await made;
    c.header('content-type', registry.contentType);
    return c.body(await registry.metrics());
  });
}

function assetRoutes({ assets }: WebContext, routes: Routes): void {
  routes.get('/assets/:name', (c) => {
    const asset = assets.get(c.req.param('name'));
    if (asset === undefined) return c.notFound();
    c.header('etag', asset.etag);
    // Asked again each time, answered with nothing while it is the same: an upgrade shows at once.
    c.header('cache-control', 'no-cache');
    if (c.req.header('if-none-match') === asset.etag) return c.body(null, 304);
    c.header('content-type', asset.type);
    return c.body(new Uint8Array(asset.body));
  });
}

function pageRoutes(web: WebContext, routes: Routes): void {
  const page = (c: Context<Env>) => pageContextOf(web, c.get('language'), c.req.path);
  routes.get('/', (c) => c.html(listPage(page(c))));
  routes.get('/search', (c) => c.html(searchPage(page(c))));
  routes.get('/campaigns/:name', async (c) => {
    const { campaignId, name } = await findCampaign(web.app.database, c.req.param('name'));
    return c.html(campaignPage(page(c), { id: campaignId, name }));
  });
}

const wantsPage = (c: Context<Env>) =>
  c.req.method === 'GET' &&
  !c.req.path.startsWith('/api/') &&
  /text\/html/.test(c.req.header('accept') ?? '');

/** An error as its reader wants it: a page for a person, JSON with message and hint for a program. */
function explain(web: WebContext, c: Context<Env>, error: unknown): Response | Promise<Response> {
  const { status, code, message, hint } = tell(error);
  if (isUnexpected(error)) {
    const { method, path } = c.req;
    web.onEvent({ kind: 'error', method, path, remote: addressOf(c), ...troubleOf(error) });
  }
  if (wantsPage(c)) {
    const language = c.get('language') ?? 'en';
    const page = problemPage(pageContextOf(web, language, '/'), {
      ...problemIn(language, { code, message, hint }),
      found: status !== 404,
      passing: status === 503,
    });
    return c.html(page, status);
  }
  return c.json({ code, message, hint }, status);
}
