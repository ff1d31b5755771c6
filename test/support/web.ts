import { type IncomingHttpHeaders, request } from 'node:http';
import { type Served, type ServeInternals, serve } from '../../src/web/serve.ts';
import { type FreshDatabase, freshDatabase } from './database.ts';

/** What a server answered. */
export interface Answer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
}

export interface Asking {
  readonly method?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
}

/** Asks with exactly these headers, Host included, which fetch would not let us choose. */
export async function asking(
  url: string,
  { method = 'GET', headers = {}, body }: Asking = {},
): Promise<Answer> {
  return await new Promise((resolve, reject) => {
    const sent = request(url, { method, headers, agent: false }, (answer) => {
      let text = '';
      answer.setEncoding('utf8');
      answer.on('data', (piece: string) => {
        text += piece;
      });
      answer.on('end', () =>
        resolve({ status: answer.statusCode ?? 0, headers: answer.headers, body: text }),
      );
      answer.on('error', reject);
    });
    sent.on('error', reject);
    sent.end(body);
  });
}

export const FORM = { 'content-type': 'application/x-www-form-urlencoded' };
/** What our own page sends with a button. */
export const ACTION = { 'x-sendstate-action': '1' };

/** A server on a free port, with a database of its own. */
export interface Site extends Served {
  readonly fresh: FreshDatabase;
  end(): Promise<void>;
}

export async function startSite(options: ServeInternals = {}): Promise<Site> {
  const fresh = await freshDatabase({ max: 6 });
  const app = { database: fresh.database, embedded: false, close: async () => undefined };
  const served = await serve(app, { port: 0, ...options });
  const end = async () => {
    await served.close();
    await fresh.drop();
  };
  return { ...served, fresh, end };
}

/** One event of a stream. */
export interface Heard {
  readonly event: string;
  readonly data: unknown;
}

/** A viewer as a program: everything that the stream has said so far, put together as the page does. */
export interface Viewer {
  readonly heard: readonly Heard[];
  /** The pieces as they stand. */
  readonly cells: Readonly<Record<string, unknown>>;
  /** Bytes that came. */
  readonly bytes: number;
  /** True once the server has ended the stream. */
  readonly ended: boolean;
  close(): void;
}

export async function startViewer(
  url: string,
  headers: Readonly<Record<string, string>> = {},
): Promise<Viewer> {
  const heard: Heard[] = [];
  const state = { cells: {} as Record<string, unknown>, bytes: 0, ended: false };
  const cut = new AbortController();
  const answer = await fetch(url, { headers, signal: cut.signal });
  if (answer.body === null || !answer.ok) throw new Error(`${url}: ${answer.status}`);
  const take = (block: string) => {
    const event = /^event: (.*)$/m.exec(block)?.[1];
    const data = /^data: (.*)$/m.exec(block)?.[1];
    if (event === undefined || data === undefined) return;
    const parsed: unknown = JSON.parse(data);
    heard.push({ event, data: parsed });
    if (event === 'state') state.cells = parsed as Record<string, unknown>;
    if (event === 'change') state.cells = { ...state.cells, ...(parsed as object) };
  };
  void (async () => {
    let rest = '';
    const decoder = new TextDecoder();
    for await (const piece of answer.body as AsyncIterable<Uint8Array>) {
      state.bytes += piece.length;
      rest += decoder.decode(piece, { stream: true });
      const blocks = rest.split('\n\n');
      rest = blocks.pop() ?? '';
      for (const block of blocks) take(block);
    }
  })()
    // Cut off from our side or from the other: the end of a stream either way.
    .catch(() => undefined)
    .finally(() => {
      state.ended = true;
    });
  return {
    heard,
    get cells() {
      return state.cells;
    },
    get bytes() {
      return state.bytes;
    },
    get ended() {
      return state.ended;
    },
    close: () => cut.abort(),
  };
}
