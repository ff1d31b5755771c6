import type { OpenOptions } from '../api/open.ts';
import { type App, open } from '../api/sendstate.ts';
import type { Config } from '../config.ts';
import { SendstateError } from '../errors.ts';
import type { RelayOptions } from '../smtp/relay.ts';

/** What every command is given: what it was told, and where it may talk. */
export interface Context {
  readonly config: Config;
  /** A line of data, to stdout. */
  out(line: string): void;
  /** A line of talk, to stderr. */
  err(line: string): void;
  /** `--json`: data as one JSON document. */
  readonly json: boolean;
  /** Whether stderr is a terminal. */
  readonly isTty: boolean;
  /** The first SIGINT or SIGTERM, or a SIGHUP: finish what is in flight and end. */
  readonly signal: AbortSignal;
  /** The second one: end now. */
  readonly abortSignal: AbortSignal;
  /** Says that the command failed, without an error to throw: the program will exit with 1. */
  fail(): void;
}

/**
 * Opens the database that the configuration names, runs the work, and closes it. Only who says `make` gets an embedded one that
 * is not there yet: in a wrong directory every other command would find it empty and believe it.
 */
export async function withDatabase<T>(
  context: Context,
  work: (app: App) => Promise<T>,
  options: Pick<OpenOptions, 'check' | 'make' | 'max' | 'connectTimeoutMs' | 'queryTimeoutMs'> = {},
): Promise<T> {
  const { databaseUrl, embedded } = context.config;
  const app = await open({
    make: false,
    ...options,
    ...embedded,
    databaseUrl: databaseUrl?.reveal(),
    say: context.err,
  });
  try {
    return await work(app);
  } finally {
    await app.close();
  }
}

/** The relays of SMTP_URL, at least one, in its order. @throws SendstateError `relay-missing` */
export function relaysOf({ config }: Context): readonly [RelayOptions, ...RelayOptions[]] {
  const [first, ...others] = config.relays;
  if (first !== undefined) return [first, ...others];
  throw new SendstateError('relay-missing', 'No relay is named', {
    hint: 'Set SMTP_URL to smtp://USER:PASSWORD@HOST:PORT, in the environment or in a .env file.',
  });
}
