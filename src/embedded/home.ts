import { createHash, randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import { chmod, chown, lstat, mkdir, readdir, readFile, realpath, stat, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { codeOf } from '../database/problems.ts';
import { messageOf, SendstateError } from '../errors.ts';
import { chooseAccount } from './account.ts';
import { type Binaries, copyBinaries, findBinaries, whyNotRunnable } from './binaries.ts';
import { type Account, run } from './run.ts';

/** Everything that is known about one embedded server before it runs. */
export interface Home {
  /** `.sendstate/`, absolute. */
  readonly directory: string;
  /** Where data/, log/ and the password are: the same, or a place that the server's account can reach. */
  readonly base: string;
  readonly account: Account | undefined;
  readonly binaries: Binaries;
}

export interface HomeOptions {
  /** For root only: the account that the server runs as. Default: the owner of the data, else postgres, else `nobody`. */
  readonly user?: string | undefined;
  /** For root only: where data and programs go when the account cannot reach the project. Default /var/lib/sendstate. */
  readonly outside?: string | undefined;
}

export const dataOf = (home: Pick<Home, 'base'>) => path.join(home.base, 'data');

/** Says in `.sendstate/` that everything else is in another directory. */
const POINTER = 'elsewhere.json';

/** Names that this program makes in `.sendstate/`. */
const OURS = new RegExp(`^(data|data\\.new-.*|log|password|start\\.log|lock|${POINTER}|\\.s\\.PGSQL\\..*)$`);

/**
 * Makes `.sendstate/` if need be, private to whom it belongs.
 * @returns its absolute path without symbolic links
 * @throws SendstateError `embedded-owner`, `embedded-directory`
 */
export async function ensureDirectory(directory: string): Promise<string> {
  try {
    await mkdir(path.dirname(directory), { recursive: true });
    await mkdir(directory, { mode: 0o700 });
  } catch (error) {
    if (codeOf(error) !== 'EEXIST') throw cannotUse(directory, error);
  }
  const unusable = (error: unknown) => {
    throw cannotUse(directory, error);
  };
  const real = await realpath(directory).catch(unusable);
  await refuseOthers(directory, real);
  const foreign = (await readdir(real).catch(unusable)).find((name) => !OURS.test(name));
  if (foreign !== undefined) {
    throw new SendstateError(
      'embedded-directory',
      `${real} holds something that is not sendstate's: ${foreign}`,
      {
        hint: 'Set SENDSTATE_DIR to an empty directory, or to one that does not exist yet.',
      },
    );
  }
  await chmod(real, 0o700);
  return real;
}

async function refuseOthers(directory: string, real: string): Promise<void> {
  const me = process.getuid?.();
  if (me === undefined) return;
  const { uid } = await stat(real);
  if (me !== 0 && uid !== me) throw belongsToOthers(real, uid);
  // A link that another user laid could lead root anywhere.
  const link = await lstat(directory);
  if (link.isSymbolicLink() && link.uid !== me) throw belongsToOthers(directory, link.uid);
}

function belongsToOthers(directory: string, uid: number | undefined): SendstateError {
  const whose = uid === undefined ? '' : ` (uid ${uid})`;
  return new SendstateError('embedded-owner', `${directory} belongs to another user${whose}`, {
    hint: 'Run the command as that user, or set SENDSTATE_DIR to a directory of your own.',
  });
}

function cannotUse(directory: string, cause: unknown): SendstateError {
  const full = codeOf(cause) === 'ENOSPC' || codeOf(cause) === 'EDQUOT';
  return new SendstateError(
    full ? 'embedded-disk-full' : 'embedded-directory',
    `Cannot use ${directory} for the embedded database: ${messageOf(cause)}`,
    {
      hint: 'Set SENDSTATE_DIR (and, as root, SENDSTATE_EMBEDDED_OUTSIDE) to a directory that can be written to.',
      cause,
    },
  );
}

/**
 * Where the server's files are, without making any.
 * @throws SendstateError `embedded-owner` when the directory belongs to another account
 */
export async function baseOf(directory: string): Promise<string> {
  const file = path.join(directory, POINTER);
  try {
    // Who may write the pointer decides where root goes: only root itself may have.
    const { uid } = await lstat(file);
    if (process.getuid?.() === 0 && uid !== 0) throw belongsToOthers(file, uid);
    const pointer: unknown = JSON.parse(await readFile(file, 'utf8'));
    if (typeof pointer === 'object' && pointer !== null && 'directory' in pointer)
      return String(pointer.directory);
    return directory;
  } catch (error) {
    if (codeOf(error) === 'ENOENT' || codeOf(error) === 'ENOTDIR') return directory;
    if (codeOf(error) === 'EACCES') throw belongsToOthers(directory, undefined);
    throw error;
  }
}

/** Whether a server was made in this directory, or one elsewhere that it names; false when that cannot be seen. */
export function hasServer(directory: string): boolean {
  return ['data', POINTER].some((name) => existsSync(path.join(directory, name)));
}

/**
 * Decides who runs the server, from which programs, on which files. PostgreSQL refuses to run as root, so root lends it
 * another account; when the project lies where that account may not look (under /root, say), data and programs go to
 * a directory of its own and `.sendstate/` names it. No permission of a directory that is not ours is ever changed.
 *
 * @throws SendstateError `embedded-platform`, `embedded-missing`, `embedded-broken`, `embedded-user`, `embedded-directory`
 */
export async function resolveHome(directory: string, options: HomeOptions): Promise<Home> {
  const found = await findBinaries();
  if (process.getuid?.() !== 0)
    return { directory, base: directory, account: undefined, binaries: await runnable(found) };
  const base = await baseOf(directory);
  const account = await chooseAccount([dataOf({ base }), base], options.user);
  const outside = options.outside ?? '/var/lib/sendstate';
  const reachable = (await whyNotRunnable(found, account)) === undefined;
  const programs = reachable
    ? found
    : await copyBinaries(found, outside).catch((error: unknown) => {
        throw cannotUse(outside, error);
      });
  const home = { directory, account, binaries: await runnable(programs, account) };
  // If the other place was deleted, this is a directory without a database again.
  if (base !== directory && (await exists(base))) return { ...home, base };
  return {
    ...home,
    base: (await adopt(directory, account)) ? directory : await makeElsewhere(directory, outside, account),
  };
}

async function runnable(binaries: Binaries, account?: Account): Promise<Binaries> {
  const why = await whyNotRunnable(binaries, account);
  if (why === undefined) return binaries;
  const glibc = /ENOENT/.test(why) ? ' (they need glibc; Alpine Linux has musl)' : '';
  throw new SendstateError(
    'embedded-broken',
    `The programs of the embedded PostgreSQL do not run here${glibc}: ${why}`,
    {
      hint: 'Delete node_modules and run npm ci on this machine, or set DATABASE_URL to a PostgreSQL that is already there.',
    },
  );
}

/** Gives the directory to the account, if the account can get there at all. */
async function adopt(directory: string, account: Account): Promise<boolean> {
  const before = await stat(directory);
  if (before.uid === 0) await chown(directory, account.uid, account.gid);
  if (await canEnter(directory, account)) return true;
  await chown(directory, before.uid, before.gid);
  return false;
}

async function exists(place: string): Promise<boolean> {
  try {
    await stat(place);
    return true;
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return false;
    throw error;
  }
}

async function canEnter(directory: string, as: Account): Promise<boolean> {
  const { status } = await run('/bin/sh', ['-c', 'cd "$1"', 'sh', directory], { as });
  return status === 0;
}

async function makeElsewhere(directory: string, outside: string, account: Account): Promise<string> {
  // Not the hash alone: a project that was moved still owns the directory that was named after its old place.
  const hash = createHash('sha256').update(directory).digest('hex').slice(0, 12);
  const base = path.join(outside, `${hash}-${randomBytes(3).toString('hex')}`);
  try {
    await mkdir(outside, { recursive: true, mode: 0o755 });
    await mkdir(base, { mode: 0o700 });
    await chown(base, account.uid, account.gid);
  } catch (error) {
    throw cannotUse(base, error);
  }
  if (!(await canEnter(base, account))) {
    throw cannotUse(
      base,
      new Error(`the account of the server (uid ${account.uid}) cannot enter ${outside}`),
    );
  }
  await writeFile(path.join(directory, POINTER), `${JSON.stringify({ directory: base })}\n`, { mode: 0o600 });
  return base;
}
