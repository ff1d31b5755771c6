import { createServer, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Database } from '../database/connect.ts';
import { codeOf } from '../database/problems.ts';
import { messageOf, SendstateError } from '../errors.ts';
import type { Meter } from '../worker/meter.ts';

export interface MetricsOptions {
  /** 0: any free one. */
  readonly port: number;
  /** Default 127.0.0.1. There is no login: a client that reaches it reads campaign names and counts. */
  readonly host?: string | undefined;
}

export interface MetricsServer {
  /** http://127.0.0.1:9465 */
  readonly url: string;
  close(): Promise<void>;
}

/** Milliseconds for a request to be sent: a silent client must not hold a connection of a worker open. */
const REQUEST_MS = 5_000;
/** A scraper or two, a health check or two, and a person with a browser. */
const CONNECTIONS = 50;

/**
 * /metrics, /healthz and /readyz of a worker's process.
 * @throws SendstateError `metrics-port` (taken, not allowed)
 */
export async function serveMetrics(
  { database }: { readonly database: Database },
  meter: Meter,
  { port, host = '127.0.0.1' }: MetricsOptions,
): Promise<MetricsServer> {
  // Loaded by those alone who are scraped: it takes as long as a tenth of a second.
  const { workerRegistry } = await import('./worker.ts');
  const registry = workerRegistry(database, meter);
  const server = createServer(
    { requestTimeout: REQUEST_MS, headersTimeout: REQUEST_MS },
    (request, response) => {
      const path = request.url?.replace(/\?.*$/s, '');
      if (request.method !== 'GET' && request.method !== 'HEAD') text(response, 405, 'GET only\n');
      else if (path === '/healthz') json(response, 200, { ok: true });
      else if (path === '/readyz') ready(response, meter);
      else if (path === '/metrics') {
        registry.metrics().then(
          (body) => text(response, 200, body, registry.contentType),
          (error: unknown) => text(response, 500, `${messageOf(error)}\n`),
        );
      } else text(response, 404, 'There are /metrics, /healthz and /readyz\n');
    },
  );
  server.maxConnections = CONNECTIONS;
  await new Promise<void>((resolve, reject) => {
    server.once('error', (error) => reject(cannotListen(host, port, error)));
    server.listen(port, host.replace(/^\[(.*)\]$/, '$1'), resolve);
  });
  // Metrics do not keep a finished process alive.
  server.unref();
  return {
    url: urlOf(server.address() as AddressInfo),
    close: async () => {
      await new Promise<void>((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      });
      registry.clear();
    },
  };
}

function ready(response: ServerResponse, { health }: Meter): void {
  if (health.ready) json(response, 200, { ok: true });
  else json(response, 503, { ok: false, why: health.why });
}

function json(response: ServerResponse, status: number, body: object): void {
  text(response, status, `${JSON.stringify(body)}\n`, 'application/json');
}

function text(
  response: ServerResponse,
  status: number,
  body: string,
  type = 'text/plain; charset=utf-8',
): void {
  response.writeHead(status, {
    'content-type': type,
    'cache-control': 'no-store',
    'x-content-type-options': 'nosniff',
  });
  response.end(body);
}

function cannotListen(host: string, port: number, error: Error): SendstateError {
  const hint =
    codeOf(error) === 'EADDRINUSE'
      ? `Something listens there already. Take another: --metrics-port ${port + 1}, or 0 for any free one`
      : 'Take another --metrics-port or --metrics-host';
  return new SendstateError(
    'metrics-port',
    `Cannot serve metrics at ${host}, port ${port}: ${messageOf(error)}`,
    { hint, cause: error },
  );
}

function urlOf({ address, family, port }: AddressInfo): string {
  return `http://${family === 'IPv6' ? `[${address}]` : address}:${port}`;
}
