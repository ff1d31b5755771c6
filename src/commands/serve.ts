import { readFile } from 'node:fs/promises';
import type { Command } from 'commander';
import type { App } from '../api/sendstate.ts';
import { messageOf, SendstateError } from '../errors.ts';
import type { ServeEvent } from '../web/events.ts';

import { type Context, withDatabase } from './context.ts';
import { type LogFlags, logFor, logOptions } from './observing.ts';
import { integer } from './options.ts';
import { serveLine } from './serve-words.ts';

interface ServeFlags extends LogFlags {
  readonly port: number;
  readonly host: string;
  readonly tokenFile?: string;
  readonly readOnly?: boolean;
  readonly mask?: boolean;
}

/** The token of the file, else of the environment, else none. */
async function tokenOf({ config }: Context, file: string | undefined): Promise<string | undefined> {
  if (file === undefined) return config.token?.reveal();
  try {
    return (await readFile(file, 'utf8')).trim();
  } catch (error) {
    throw new SendstateError('web-token', `Cannot read the token from ${file}: ${messageOf(error)}`, {
      hint: 'Make one: openssl rand -hex 32 > token',
      cause: error,
    });
  }
}

/** What is read for the page: counters, and one person's rows by an index. Longer than this is a database that is away. */
const READING = { max: 6, connectTimeoutMs: 5_000, queryTimeoutMs: 5_000 };
/** What buttons do: cancelling and putting back walk through millions of rows. */
const ACTING = { make: true, max: 3, connectTimeoutMs: 5_000, queryTimeoutMs: 600_000 };

async function runServe(context: Context, flags: ServeFlags): Promise<void> {
  const { port, host, readOnly, mask } = flags;
  const token = await tokenOf(context, flags.tokenFile);
  const log = await logFor(context, flags, { service: true });
  const onEvent = (event: ServeEvent) => log.line(serveLine(event));
  const stopped = Promise.withResolvers<void>();
  context.signal.addEventListener('abort', () => stopped.resolve(), { once: true });
  const run = async (app: App, acting: App) => {
    // Loaded here: every other command starts sooner without the web page.
    const { serve } = await import('../web/serve.ts');
    const { url, close } = await serve(app, { port, host, token, readOnly, mask, onEvent, acting });
    if (context.json) context.out(JSON.stringify({ url }));
    else context.out(`The page is at ${url}/ (Ctrl-C ends it).`);
    await stopped.promise;
    await close();
  };
  // In this order: an embedded database is brought to this version on the way, which may take long.
  await withDatabase(context, (acting) => withDatabase(context, (app) => run(app, acting), READING), ACTING);
}

/** `serve` */
export function registerServe(program: Command, contextOf: (command: Command) => Context): void {
  const command = program
    .command('serve')
    .description(
      'a web page with the progress of all campaigns, for this machine only unless there is a token',
    )
    .option('--port <n>', 'where to listen; 0: any free port', integer(0, 65_535), 8025)
    .option('--host <address>', 'other than loopback needs a token', '127.0.0.1')
    .option('--token-file <file>', 'a file that holds the token (default: SENDSTATE_TOKEN)')
    .option('--read-only', 'no buttons; nothing can be changed')
    .option('--mask', 'show addresses as k…@example.com');
  logOptions(command)
    .option('--json', 'print {"url"} when it listens')
    .action((flags: ServeFlags, command: Command) => runServe(contextOf(command), flags));
}
