import type { AddressInfo } from 'node:net';
import { createAdaptorServer } from '@hono/node-server';
import { maskedAll } from '../api/mask.ts';
import type { Opened } from '../api/open.ts';
import { codeOf } from '../database/problems.ts';
import { messageOf, SendstateError } from '../errors.ts';
import { isLoopback, Limiter, SHORTEST_TOKEN, TokenGuard } from './access.ts';
import { type AppOptions, createApp } from './app.ts';
import { loadAssets } from './assets.ts';
import type { WebContext } from './context.ts';
import type { Served, ServeOptions } from './events.ts';
import { Feed } from './feed.ts';
import { tell, troubleOf } from './problems.ts';
import { look } from './snapshot.ts';

/** What the program itself may set beside what users may. */
export interface ServeInternals extends ServeOptions, AppOptions {
  /**
   * What the buttons work with, where `app` gives a statement only the few seconds that reading needs (`queryTimeoutMs` of
   * `open`): to cancel a campaign of millions takes longer. Default: `app`.
   */
  readonly acting?: Opened | undefined;
}

export type { Served, ServeOptions } from './events.ts';

/** Milliseconds that answers which are being written get at the end. */
const END_WITHIN_MS = 500;

/**
 * Serves the web page: campaigns and their progress, live. By default only this machine can reach it.
 * @throws SendstateError `web-token` (missing or too short), `web-port` (taken, not allowed)
 */
export async function serve(app: Opened, options: ServeInternals = {}): Promise<Served> {
  const { port = 8025, host = '127.0.0.1', token, readOnly = false, mask = false } = options;
  const onEvent = options.onEvent ?? (() => undefined);
  checkToken(host, token);
  const feed = new Feed({
    look: async (watched) => {
      const snapshot = await look(app.database, watched);
      return mask ? maskedAll(snapshot) : snapshot;
    },
    explain: tell,
    onTurn: (error) => onEvent({ kind: 'database', lost: error === null ? null : troubleOf(error) }),
  });
  const web: WebContext = {
    app,
    acting: options.acting ?? app,
    feed,
    assets: await loadAssets(),
    tokenGuard: token === undefined ? undefined : new TokenGuard(token),
    limiter: new Limiter(),
    readOnly,
    mask,
    onEvent,
  };
  const server = createAdaptorServer({ fetch: createApp(web, options).fetch });
  await new Promise<void>((resolve, reject) => {
    server.once('error', (error) => reject(cannotListen(host, port, error)));
    server.listen(port, host.replace(/^\[(.*)\]$/, '$1'), resolve);
  });
  const close = async () => {
    feed.close();
    const closed = new Promise<void>((resolve) => server.close(() => resolve()));
    const cut = setTimeout(
      () => 'closeAllConnections' in server && server.closeAllConnections(),
      END_WITHIN_MS,
    );
    await closed;
    clearTimeout(cut);
    onEvent({ kind: 'stopped' });
  };
  const url = urlOf(server.address() as AddressInfo);
  onEvent({ kind: 'started', url });
  return { url, close };
}

function checkToken(host: string, token: string | undefined): void {
  const make =
    'Make one and keep it in a file: openssl rand -hex 32 > token; then sendstate serve --token-file token';
  if (token !== undefined && token.length < SHORTEST_TOKEN) {
    throw new SendstateError(
      'web-token',
      `The token has ${token.length} characters; at least ${SHORTEST_TOKEN} are needed, 32 or more are good`,
      { hint: make },
    );
  }
  if (token !== undefined || isLoopback(host)) return;
  throw new SendstateError('web-token', `${host} can be reached by others, so a token is needed`, {
    hint: make,
  });
}

function cannotListen(host: string, port: number, error: Error): SendstateError {
  const hints: Readonly<Record<string, string>> = {
    EADDRINUSE: 'Something listens there already. Take another: --port 8026',
    EACCES: 'Ports below 1024 are for root. Take another: --port 8025',
    EADDRNOTAVAIL: 'This machine has no such address; see: ip address',
    ENOTFOUND: 'That name is not known; give an address, such as 127.0.0.1',
  };
  const hint = hints[codeOf(error)];
  return new SendstateError('web-port', `Cannot listen at ${host}, port ${port}: ${messageOf(error)}`, {
    ...(hint === undefined ? {} : { hint }),
    cause: error,
  });
}

function urlOf({ address, family, port }: AddressInfo): string {
  return `http://${family === 'IPv6' ? `[${address}]` : address}:${port}`;
}
