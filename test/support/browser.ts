import {
  type Browser,
  type BrowserContext,
  type BrowserContextOptions,
  chromium,
  type Page,
} from 'playwright-core';
import { chromiumPath } from './chromium.ts';

/** A browser that asks for no updates, and that root may start. Its profile is new and goes with it. */
export async function startBrowser(): Promise<Browser> {
  const executablePath = chromiumPath();
  if (executablePath === undefined) {
    throw new Error("There is no chromium on the PATH. It is Debian's package chromium.");
  }
  return await chromium.launch({
    executablePath,
    headless: true,
    args: [
      '--no-sandbox',
      '--disable-gpu',
      '--disable-quic',
      '--no-first-run',
      '--disable-background-networking',
      '--disable-component-update',
      '--disable-sync',
      '--disable-dev-shm-usage',
    ],
  });
}

/** A page of its own profile, and what went wrong in it: errors of scripts, refusals of the policy, requests elsewhere. */
export interface Visit {
  readonly context: BrowserContext;
  readonly page: Page;
  readonly wrong: readonly string[];
  /** Hosts that it asked. */
  readonly hosts: ReadonlySet<string>;
}

export async function visit(browser: Browser, options: BrowserContextOptions = {}): Promise<Visit> {
  const context = await browser.newContext({
    locale: 'en-US',
    viewport: { width: 1200, height: 900 },
    ...options,
  });
  const page = await context.newPage();
  const wrong: string[] = [];
  const hosts = new Set<string>();
  page.on('pageerror', (error) => wrong.push(String(error)));
  page.on('console', (message) => {
    if (message.type() === 'error') wrong.push(message.text());
  });
  page.on('request', (request) => {
    if (!request.url().startsWith('data:')) hosts.add(new URL(request.url()).host);
  });
  return { context, page, wrong, hosts };
}
