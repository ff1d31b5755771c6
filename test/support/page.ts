/// <reference lib="dom" />
import type { Browser, BrowserContextOptions, Page } from 'playwright-core';
import { expect } from 'vitest';
import { type CaptureOptions, type CaptureServer, startCapture } from '../../src/capture/capture.ts';
import { lazyDatabase } from '../../src/database/connect.ts';
import { type Served, type ServeOptions, serve } from '../../src/web/serve.ts';
import { startBrowser, type Visit, visit } from './browser.ts';
import { type FreshDatabase, freshDatabase } from './database.ts';
import { type CliProcess, endProcesses, startCli } from './process.ts';
import { type BadLink, startProxy, through } from './proxy.ts';

/** A browser, a server whose database can be taken away, and workers that are processes of their own. */
export interface Stage {
  readonly fresh: FreshDatabase;
  readonly relay: CaptureServer;
  readonly link: BadLink;
  readonly url: string;
  readonly browser: Browser;
  /** A page of its own profile, at a path. What goes wrong in it fails the test at the end. */
  open(path: string, options?: BrowserContextOptions): Promise<Page>;
  /** What went wrong in all pages so far: scripts, policies, hosts that are not ours. */
  wrong(): string[];
  worker(...args: string[]): Promise<CliProcess>;
  /** One number that a statement gives. */
  number(statement: string, values?: readonly unknown[]): Promise<number>;
  /** Closes the pages and ends the workers, for afterEach. */
  clear(): Promise<void>;
  end(): Promise<void>;
}

export async function startStage(options: ServeOptions = {}, capture: CaptureOptions = {}): Promise<Stage> {
  const fresh = await freshDatabase();
  const relay = await startCapture(capture);
  const link = await startProxy(Number(new URL(fresh.url).port));
  const database = lazyDatabase(through(fresh.url, link), { max: 6, connectTimeoutMs: 2_000 });
  const served: Served = await serve(
    { database, embedded: false, close: async () => undefined },
    { port: 0, ...options },
  );
  const browser = await startBrowser();
  const visits = new Set<Visit>();
  return {
    fresh,
    relay,
    link,
    url: served.url,
    browser,
    open: async (path, more) => {
      const found = await visit(browser, more);
      visits.add(found);
      await found.page.goto(served.url + path);
      return found.page;
    },
    wrong: () => {
      const own = new URL(served.url).host;
      return [...visits].flatMap(({ wrong, hosts }) => [
        ...wrong,
        ...[...hosts].filter((host) => host !== own).map((host) => `asked ${host}`),
      ]);
    },
    worker: (...args) =>
      startCli(args, { env: { DATABASE_URL: fresh.url, SMTP_URL: `${relay.url}?connections=2` } }),
    number: async (statement, values = []) => {
      const { rows } = await fresh.pool.query<Record<string, number>>(statement, [...values]);
      return Number(Object.values(rows[0] ?? {})[0] ?? Number.NaN);
    },
    clear: async () => {
      await endProcesses();
      for (const { context } of visits) await context.close();
      visits.clear();
    },
    end: async () => {
      await browser.close();
      await served.close();
      await database.close();
      await Promise.all([link.close(), relay.close()]);
      await fresh.drop();
    },
  };
}

/** Milliseconds until a page must show something: a browser on a machine that does other things at the same time. */
const PATIENCE_MS = 40_000;

/** `expect.poll` with the patience that a browser needs. */
export function eventually<T>(look: () => T) {
  return expect.poll(look, { timeout: PATIENCE_MS });
}

/** The numbers below the bar: what the page says is sent, rejected, waiting … */
export async function legendOf(page: Page): Promise<Record<string, number>> {
  return await page
    .locator('#legend li:not(.note)')
    .evaluateAll((items) =>
      Object.fromEntries(
        items.map((item) => [
          item.getAttribute('data-key') ?? '',
          Number(item.querySelector('b')?.textContent?.replaceAll(',', '')),
        ]),
      ),
    );
}

/** Nothing of the page stands out to the right, except what scrolls by itself. */
export async function expectNoOverflow(page: Page): Promise<void> {
  const [content, window] = await page.evaluate(() => [
    document.documentElement.scrollWidth,
    document.documentElement.clientWidth,
  ]);
  expect(content).toBeLessThanOrEqual(window ?? 0);
}
