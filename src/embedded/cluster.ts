import { randomBytes } from 'node:crypto';
import { readdir, readFile, rename } from 'node:fs/promises';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { codeOf } from '../database/problems.ts';
import { SendstateError } from '../errors.ts';
import { appendTo, makePrivate, remove, writePrivate } from './files.ts';
import { dataOf, type Home } from './home.ts';
import { run } from './run.ts';

/** Name of the role and of the database. */
export const NAME = 'sendstate';

/** What the server is told, each with its reason. */
const SETTINGS = `
# ---- sendstate ----
listen_addresses = '127.0.0.1'        # reached only from this machine
password_encryption = 'scram-sha-256' # the password itself never travels
max_connections = 100                 # tens of workers with four connections each
shared_buffers = '256MB'              # the hot pages of a million recipients; touched lazily, so a demo pays little
fsync = on                            # what was recorded as sent stays recorded after a power cut
synchronous_commit = on               # the same, for each single commit
full_page_writes = on                 # a page torn by a power cut can be repaired
max_wal_size = '4GB'                  # sending writes up to 50 MB/s: a checkpoint a minute, not one every 20 s
min_wal_size = '256MB'                # what an idle demo keeps on disk
checkpoint_timeout = '15min'          # fewer checkpoints, fewer full page images
jit = off                             # statements last milliseconds; compiling them takes longer
autovacuum = on                       # for the dead versions that heap-only updates could not prune
track_io_timing = off                 # two readings of the clock per page, not needed
logging_collector = on                # into files of a bounded size, because there is no terminal
log_directory = '../log'              # beside data/, so that both move together
log_filename = 'server-%Y%m%d-%H%M%S.log'
log_file_mode = 0600                  # statements can hold addresses
log_rotation_size = '10MB'            # each command keeps the newest three
log_rotation_age = 0                  # a quiet server makes no new files
log_checkpoints = off                 # ordinary work, not news
`;

/** Last, so that it wins: what can differ at each start. */
const INCLUDE = "include_if_exists = 'sendstate.conf'  # rewritten by sendstate at each start\n";

/** Makes the cluster in a sibling directory and moves it into place in one step, so that data/ is whole or not there. */
export async function createCluster(home: Home): Promise<void> {
  await refuseBroken(home);
  await removeHalfMade(home);
  await makePrivate(home, path.join(home.base, 'log'));
  const password = passwordFile(home.base);
  await remove(home, [password]);
  await writePrivate(home, password, `${randomBytes(24).toString('base64url')}\n`);
  const building = path.join(home.base, `data.new-${randomBytes(4).toString('hex')}`);
  try {
    await must(home, home.binaries.initdb, [
      `--pgdata=${building}`,
      `--username=${NAME}`,
      `--pwfile=${password}`,
      '--auth=scram-sha-256',
      '--encoding=UTF8',
      // The same order and case rules on every machine, whatever its libc and its languages.
      '--locale=C',
      '--locale-provider=builtin',
      '--builtin-locale=C.UTF-8',
      '--data-checksums',
      '--no-instructions',
    ]);
    const settings = SETTINGS + (await compression(home, building)) + INCLUDE;
    await appendTo(home, path.join(building, 'postgresql.conf'), settings);
    const single = ['--single', '-D', building, 'postgres'];
    await must(home, home.binaries.postgres, single, `create database ${NAME};\n`);
    await rename(building, dataOf(home));
  } catch (error) {
    await remove(home, [building]);
    throw error;
  }
}

export const passwordFile = (base: string) => path.join(base, 'password');

/** The major version that the files in data/ were made by; undefined when there are none. */
export async function clusterVersion(base: string): Promise<string | undefined> {
  try {
    return (await readFile(path.join(dataOf({ base }), 'PG_VERSION'), 'utf8')).trim();
  } catch (error) {
    if (codeOf(error) === 'ENOENT' || codeOf(error) === 'ENOTDIR') return undefined;
    throw error;
  }
}

/** @throws SendstateError `embedded-version`: Postgres reads only files of its own major version */
export function refuseOtherMajor(home: Home, version: string): void {
  if (home.binaries.version.startsWith(`${version}.`)) return;
  const [major] = home.binaries.version.split('.');
  throw new SendstateError(
    'embedded-version',
    `${dataOf(home)} was made by PostgreSQL ${version}; this is ${major}`,
    {
      hint: `Carry it over with pg_dump of version ${version}, or delete ${home.directory} to begin with an empty database.`,
    },
  );
}

/**
 * Clears away what an earlier command left that was killed while it made the cluster. The lock is ours, so no other process uses it;
 * but its initdb may live on for a moment and put files where we remove them.
 */
async function removeHalfMade(home: Home): Promise<void> {
  for (let attempt = 1; ; attempt++) {
    const left = (await readdir(home.base)).filter((name) => name.startsWith('data.new-'));
    const places = left.map((name) => path.join(home.base, name));
    try {
      return await remove(home, places);
    } catch (error) {
      if (attempt === REMOVE_ATTEMPTS) throw error;
      await delay(REMOVE_AGAIN_MS);
    }
  }
}

/** Two seconds: initdb takes half of one. */
const REMOVE_ATTEMPTS = 20;
const REMOVE_AGAIN_MS = 100;

/** data/ appears whole, so one without PG_VERSION is not of our making, or half of it was deleted. */
async function refuseBroken(home: Home): Promise<void> {
  const found = await readdir(dataOf(home)).catch((error: unknown) => {
    if (codeOf(error) === 'ENOENT') return [];
    throw error;
  });
  if (found.length === 0) return;
  throw new SendstateError('embedded-directory', `${dataOf(home)} exists and is not a database`, {
    hint: 'Move it away if it is of any use, delete it otherwise, and run the command again.',
  });
}

/** lz4 where the programs were built with it; pages that are logged whole shrink to a third or less either way. */
async function compression(home: Home, data: string): Promise<string> {
  const args = ['-D', data, '-c', 'wal_compression=lz4', '-C', 'wal_compression'];
  const { status } = await run(home.binaries.postgres, args, { as: home.account, cwd: home.base });
  return status === 0
    ? 'wal_compression = lz4                 # whole pages in the log shrink to a third, at almost no CPU\n'
    : 'wal_compression = on                  # whole pages in the log shrink to a third; lz4 is not built in\n';
}

async function must(home: Home, program: string, args: string[], input = ''): Promise<void> {
  const { status, output } = await run(program, args, { as: home.account, cwd: home.base, input });
  if (status === 0) return;
  throw toolFailed(
    `Could not make the embedded database in ${home.base}`,
    output || `it ended with ${status}`,
  );
}

/** An error in the tool's own last words. */
export function toolFailed(what: string, output: string): SendstateError {
  if (/No space left on device|disk quota exceeded/i.test(output)) {
    return new SendstateError('embedded-disk-full', `${what}: the disk is full`, {
      hint: 'Make room (about 200 MB) or set SENDSTATE_DIR to a directory on another disk; then run the command again.',
    });
  }
  const lines = output.split('\n').filter((line) => line.trim() !== '');
  const telling = lines.filter((line) => /error|fatal|panic|could not|invalid|denied/i.test(line));
  const words = (telling.length > 0 ? telling : lines).slice(-3).join('; ').trim();
  return new SendstateError('embedded-failed', `${what}: ${words}`, {
    hint: 'Correct the cause and run the command again, or set DATABASE_URL to a PostgreSQL that is already there.',
  });
}
