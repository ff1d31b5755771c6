import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { codeOf } from '../database/problems.ts';
import { SendstateError } from '../errors.ts';
import {
  clusterVersion,
  createCluster,
  NAME,
  passwordFile,
  refuseOtherMajor,
  toolFailed,
} from './cluster.ts';
import {
  baseOf,
  dataOf,
  ensureDirectory,
  type Home,
  type HomeOptions,
  hasServer,
  resolveHome,
} from './home.ts';
import { withLock } from './lock.ts';
import { findPostmaster, type Postmaster } from './process.ts';
import { run } from './run.ts';
import { pruneLogs, startServer } from './server.ts';

export interface EmbeddedOptions extends HomeOptions {
  /** `.sendstate/`; relative to the working directory. */
  readonly directory: string;
  /** Settings of the server that win over ours, for tests and benchmarks: `{ fsync: 'off' }`. Taken at start only. */
  readonly settings?: Readonly<Record<string, string>>;
  /**
   * Milliseconds to wait for another command that makes, starts or stops the same server, and for the server itself.
   * Default 120,000: recovery after a crash replays up to max_wal_size (4 GB).
   */
  readonly waitMs?: number;
  /** False: there must be one already; nothing is made, not even the directory. Default true. */
  readonly make?: boolean;
  /** Told in a few words what takes a moment. */
  readonly say?: (line: string) => void;
}

export interface EmbeddedServer {
  /** With the password: not for messages. */
  readonly url: string;
  readonly port: number;
  /** False: it was running already. */
  readonly started: boolean;
}

export interface EmbeddedStatus {
  readonly running: boolean;
  /** Where its files are; undefined when none have been made yet. */
  readonly base: string | undefined;
  readonly pid: number | undefined;
  readonly port: number | undefined;
}

/**
 * The embedded PostgreSQL of a directory: made if there is none, started if it does not run, shared if it does. It goes on
 * running when this process ends. Any number of commands may call this at once.
 *
 * @throws SendstateError with a code that begins with `embedded-`
 */
export async function ensureEmbedded(options: EmbeddedOptions): Promise<EmbeddedServer> {
  if (options.make === false) await requireEmbedded(options.directory);
  const directory = await ensureDirectory(path.resolve(options.directory));
  const base = await baseOf(directory);
  const running = await findPostmaster(dataOf({ base }));
  if (running?.status === 'ready') return describe(base, running, false);
  const waitMs = options.waitMs ?? 120_000;
  return withLock(directory, waitMs, async () => {
    const home = await resolveHome(directory, options);
    const early = await settle(home, waitMs);
    if (early !== undefined) return describe(home.base, early, false);
    const version = await clusterVersion(home.base);
    if (version === undefined) {
      options.say?.(`Making an embedded PostgreSQL in ${home.base}`);
      await createCluster(home);
    } else {
      refuseOtherMajor(home, version);
    }
    options.say?.('Starting the embedded PostgreSQL');
    return describe(home.base, await startServer(home, options.settings ?? {}, waitMs), true);
  });
}

/**
 * Stops the embedded PostgreSQL of a directory; connections are cut, what was committed is on disk.
 * @returns false when none was running
 */
export async function stopEmbedded(options: EmbeddedOptions): Promise<boolean> {
  const { base } = await embeddedStatus(options.directory);
  if (base === undefined) return false;
  const directory = await ensureDirectory(path.resolve(options.directory));
  const waitMs = options.waitMs ?? 120_000;
  return withLock(directory, waitMs, async () => {
    const home = await resolveHome(directory, options);
    if ((await findPostmaster(dataOf(home))) === undefined) return false;
    const args = ['stop', '-D', dataOf(home), '-m', 'fast', '-w', '-t', String(Math.ceil(waitMs / 1000))];
    const { status, output } = await run(home.binaries.pgCtl, args, { as: home.account, cwd: home.base });
    if (status !== 0) throw toolFailed(`Could not stop the embedded database in ${home.base}`, output);
    return true;
  });
}

/** Looks, and changes nothing. */
export async function embeddedStatus(directory: string): Promise<EmbeddedStatus> {
  const base = await baseOf(path.resolve(directory));
  if ((await clusterVersion(base)) === undefined) {
    return { running: false, base: undefined, pid: undefined, port: undefined };
  }
  const postmaster = await findPostmaster(dataOf({ base }));
  return { running: postmaster?.status === 'ready', base, pid: postmaster?.pid, port: postmaster?.port };
}

async function requireEmbedded(directory: string): Promise<void> {
  if ((await embeddedStatus(directory)).base === undefined) throw noEmbedded(directory);
}

/** That there is none, with the one that was probably meant: whose directory lies further up. */
export function noEmbedded(directory: string): SendstateError {
  const here = path.resolve(directory);
  const above = directoryAbove(here);
  return new SendstateError('embedded-none', `There is no embedded database here (${here})`, {
    hint:
      above === undefined
        ? 'sendstate create, demo and migrate make one. Or set DATABASE_URL or SENDSTATE_DIR to one that is there.'
        : `There is one in ${above}: go to ${path.dirname(above)}, or set SENDSTATE_DIR to it.`,
  });
}

function directoryAbove(directory: string): string | undefined {
  const name = path.basename(directory);
  let parent = path.dirname(path.dirname(directory));
  for (;;) {
    const candidate = path.join(parent, name);
    if (candidate !== directory && hasServer(candidate)) return candidate;
    if (path.dirname(parent) === parent) return undefined;
    parent = path.dirname(parent);
  }
}

async function describe(base: string, { port }: Postmaster, started: boolean): Promise<EmbeddedServer> {
  const file = passwordFile(base);
  try {
    const password = (await readFile(file, 'utf8')).trim();
    await pruneLogs(base);
    return { url: `postgres://${NAME}:${password}@127.0.0.1:${port}/${NAME}`, port, started };
  } catch (error) {
    if (codeOf(error) !== 'ENOENT') throw error;
    throw new SendstateError(
      'embedded-password',
      `The password of the embedded database is gone: there is no ${file}`,
      {
        hint: 'Put the file back, or run `sendstate db stop` and delete the directory to begin with an empty database.',
        cause: error,
      },
    );
  }
}

/** Waits until a server that is starting is ready, or one that is stopping is gone. */
async function settle(home: Home, waitMs: number): Promise<Postmaster | undefined> {
  const until = Date.now() + waitMs;
  for (;;) {
    const found = await findPostmaster(dataOf(home));
    if (found === undefined || found.status === 'ready') return found;
    if (Date.now() > until) {
      throw new SendstateError(
        'embedded-slow',
        `The embedded database in ${home.base} is still ${found.status}`,
        {
          hint: `Look at the newest file in ${path.join(home.base, 'log')}, and try again later.`,
        },
      );
    }
    await delay(50);
  }
}
