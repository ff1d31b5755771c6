import type { Command } from 'commander';
import {
  type EmbeddedOptions,
  embeddedStatus,
  ensureEmbedded,
  noEmbedded,
  stopEmbedded,
} from '../embedded/embedded.ts';
import { withoutPassword } from '../errors.ts';
import type { Context } from './context.ts';

export type DbContext = Pick<Context, 'config' | 'out' | 'err' | 'json'>;

/** Starts the embedded PostgreSQL, making it first if there is none, and says where it is. */
export async function dbStart(context: DbContext): Promise<void> {
  noteForeign(context);
  const { url, port, started } = await ensureEmbedded(optionsOf(context));
  const shown = withoutPassword(url);
  if (context.json) context.out(JSON.stringify({ started, port, url: shown }));
  else context.out(`${started ? 'Started' : 'It runs already'}: ${shown}`);
}

/** Stops the embedded PostgreSQL; connections are cut. */
export async function dbStop(context: DbContext): Promise<void> {
  const stopped = await stopEmbedded(optionsOf(context));
  if (context.json) context.out(JSON.stringify({ stopped }));
  else context.out(stopped ? 'Stopped.' : 'It was not running.');
}

/** Says whether the embedded PostgreSQL runs, and where its files are. */
export async function dbStatus(context: DbContext): Promise<void> {
  noteForeign(context);
  const { running, base, pid, port } = await embeddedStatus(context.config.embedded.directory);
  if (context.json) {
    context.out(JSON.stringify({ running, pid: pid ?? null, port: port ?? null, directory: base ?? null }));
  } else if (base === undefined) {
    const { message, hint } = noEmbedded(context.config.embedded.directory);
    context.out(`${message}. ${hint}`);
  } else if (running) {
    context.out(`It runs on port ${port}, process ${pid}, files in ${base}`);
  } else {
    context.out(`It does not run; files in ${base}. Start it: sendstate db start`);
  }
}

/** Prints the whole URL, password included, because it was asked for: psql "$(sendstate db url)". */
export async function dbUrl(context: DbContext): Promise<void> {
  const { url, port } = await ensureEmbedded({ ...optionsOf(context), make: false });
  context.out(context.json ? JSON.stringify({ port, url }) : url);
}

/** Adds `db start`, `db stop`, `db status`, `db url` to the program; `contextOf` is asked once a command runs. */
export function registerDb(program: Command, contextOf: (command: Command) => DbContext): void {
  const db = program.command('db').description('the embedded PostgreSQL, used when DATABASE_URL is not set');
  const verbs = [
    ['start', 'start it; other commands do so by themselves', dbStart],
    ['stop', 'stop it', dbStop],
    ['status', 'say whether it runs, and where its files are', dbStatus],
    ['url', 'print its URL with the password, for psql "$(sendstate db url)"', dbUrl],
  ] as const;
  for (const [name, description, run] of verbs) {
    db.command(name)
      .description(description)
      .option('--json', 'print one JSON object')
      .action((_options: unknown, command: Command) => run(contextOf(command)));
  }
}

function optionsOf({ config, err }: DbContext): EmbeddedOptions {
  return { ...config.embedded, say: err };
}

function noteForeign({ config, err }: DbContext): void {
  if (config.databaseUrl === undefined) return;
  err('Note: DATABASE_URL is set, so the other commands use that database and not the embedded one.');
}
