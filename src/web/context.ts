import type { HttpBindings } from '@hono/node-server';
import type { Hono } from 'hono';
import type { Opened } from '../api/open.ts';
import type { Limiter, TokenGuard } from './access.ts';
import type { Asset } from './assets.ts';
import type { ServeEvent } from './events.ts';
import type { Feed } from './feed.ts';
import type { Language } from './words.ts';

/** What every request has with it. */
export interface Env {
  Bindings: HttpBindings;
  Variables: { language: Language };
}

export type Routes = Hono<Env>;

/** What the routes work with. */
export interface WebContext {
  readonly app: Opened;
  /** For what buttons do. */
  readonly acting: Opened;
  readonly feed: Feed;
  readonly assets: ReadonlyMap<string, Asset>;
  /** The access rules; undefined: every client that reaches us, which is this machine alone. */
  readonly tokenGuard: TokenGuard | undefined;
  readonly limiter: Limiter;
  readonly readOnly: boolean;
  readonly mask: boolean;
  readonly onEvent: (event: ServeEvent) => void;
}
