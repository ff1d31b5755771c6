import { appendFile, chmod, chown, mkdir, writeFile } from 'node:fs/promises';
import net from 'node:net';
import path from 'node:path';
import { expect } from 'vitest';
import { type Database, openDatabase } from '../../src/database/connect.ts';
import { migrate } from '../../src/database/migrate.ts';
import { ensureEmbedded, stopEmbedded } from '../../src/embedded/embedded.ts';
import { dataOf, type Home, resolveHome } from '../../src/embedded/home.ts';
import { run } from '../../src/embedded/run.ts';
import { makeScratch, removeScratch } from './scratch.ts';

/** A database server of a test's own, for faults that would reach every test. */
export interface OwnServer {
  readonly scratch: string;
  readonly url: string;
  readonly port: number;
  readonly database: Database;
  readonly home: Home;
  /** Ends it as a power cut would: nothing is written any more. */
  crash(): Promise<void>;
  end(): Promise<void>;
}

/** Makes and starts one, with sendstate's tables. */
export async function startServer(settings: Readonly<Record<string, string>> = {}): Promise<OwnServer> {
  const scratch = await makeScratch('server');
  const place = { directory: path.join(scratch, 'primary'), outside: path.join(scratch, 'outside') };
  const { url, port } = await ensureEmbedded({ ...place, settings: { shared_buffers: '32MB', ...settings } });
  const database = await openDatabase(url, { applicationName: 'sendstate-test' });
  await migrate(database);
  const home = await resolveHome(place.directory, place);
  return {
    scratch,
    url,
    port,
    database,
    home,
    crash: async () => {
      await control(home, dataOf(home), 'stop', '-m', 'immediate');
    },
    end: async () => {
      await database.close();
      await stopEmbedded(place);
      await removeScratch(scratch);
    },
  };
}

/** A second server that follows the first one by streaming replication. */
export interface Standby {
  readonly url: string;
  readonly port: number;
  readonly database: Database;
  /** From now on it gets nothing more, and no commit waits for it: it is asynchronous, and late. */
  fallBehind(): Promise<void>;
  /** Ends the recovery: it takes writes from now on. */
  promote(): Promise<void>;
  end(): Promise<void>;
}

/**
 * A copy of the server's files, taken while it stands still, which then streams. When it returns the first server waits with
 * every commit until this one has it, so that a failover loses nothing.
 */
export async function startStandby(server: OwnServer): Promise<Standby> {
  const { home } = server;
  const base = path.join(server.scratch, 'standby');
  const data = path.join(base, 'data');
  await mkdir(base, { mode: 0o700 });
  if (home.account !== undefined) await chown(base, home.account.uid, home.account.gid);
  await control(home, dataOf(home), 'stop', '-m', 'fast');
  const copied = await run('cp', ['-a', dataOf(home), data]);
  expect(copied).toMatchObject({ status: 0 });
  const port = await freePort();
  const from = new URL(server.url);
  const conninfo = `host=127.0.0.1 port=${server.port} user=${from.username} password=${from.password} application_name=standby`;
  // The last file that is read, and ours by its owner already.
  await appendFile(
    path.join(data, 'sendstate.conf'),
    `port = '${port}'\nprimary_conninfo = '${conninfo}'\nlogging_collector = off\n`,
  );
  const signal = path.join(data, 'standby.signal');
  await writeFile(signal, '');
  if (home.account !== undefined) await chown(signal, home.account.uid, home.account.gid);
  await chmod(signal, 0o600);
  await control(home, dataOf(home), 'start', '-l', path.join(home.base, 'start.log'));
  await control(home, data, 'start', '-l', path.join(base, 'start.log'));
  await settle(server.database, `alter system set synchronous_standby_names = 'standby'`);
  await expect
    .poll(async () => await syncStates(server.database), { timeout: 10_000, interval: 20 })
    .toEqual(['sync']);
  from.port = String(port);
  const database = await openDatabase(from.href, { applicationName: 'sendstate-test' });
  return {
    url: from.href,
    port,
    database,
    fallBehind: async () => {
      // In this order no commit ever waits for a standby that does not listen.
      await settle(server.database, `alter system reset synchronous_standby_names`);
      await expect
        .poll(async () => await syncStates(server.database), { timeout: 10_000, interval: 20 })
        .toEqual(['async']);
      await settle(database, `alter system set primary_conninfo = ''`);
      await expect
        .poll(async () => await syncStates(server.database), { timeout: 10_000, interval: 20 })
        .toEqual([]);
    },
    promote: async () => {
      await control(home, data, 'promote');
      // It would wait for a standby of its own.
      await settle(database, 'alter system reset synchronous_standby_names');
    },
    end: async () => {
      await database.close();
      await control(home, data, 'stop', '-m', 'immediate');
    },
  };
}

/** Changes a setting of a server that runs. */
async function settle({ pool }: Database, statement: string): Promise<void> {
  await pool.query(statement);
  await pool.query('select pg_reload_conf()');
}

/** What a server's standbys are to it. */
async function syncStates({ pool }: Database): Promise<string[]> {
  const { rows } = await pool.query<{ sync_state: string }>('select sync_state from pg_stat_replication');
  return rows.map((row) => row.sync_state);
}

async function control(home: Home, data: string, command: string, ...args: string[]): Promise<void> {
  const result = await run(home.binaries.pgCtl, [command, '-s', '-w', '-D', data, ...args], {
    as: home.account,
    cwd: home.base,
  });
  if (result.status !== 0) throw new Error(`pg_ctl ${command}: ${result.output}`);
}

/** A port of this machine that no server listens on. */
export async function freePort(): Promise<number> {
  const server = net.createServer();
  return await new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const address = server.address();
      if (address === null || typeof address === 'string') return reject(new Error('no port'));
      server.close(() => resolve(address.port));
    });
  });
}
