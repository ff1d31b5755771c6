import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmod, writeFile } from 'node:fs/promises';
import net from 'node:net';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { BARE, isInstalled } from '../../bench/installed.ts';
import { chooseAccount } from '../../src/embedded/account.ts';
import { freePort } from './cluster.ts';
import { makeScratch, removeScratch } from './scratch.ts';

/** A PgBouncer in front of a server. */
export interface Pooler {
  readonly port: number;
  /** The same database by way of the pooler. */
  through(url: string): string;
  /** kill -9, and another one on the same port. */
  restart(): Promise<void>;
  end(): Promise<void>;
}

/** Debian's place for it. */
const PROGRAM = '/usr/sbin/pgbouncer';

/** Where it is not installed its tests are left out; with CI set a missing one fails the run. */
export const poolerThere = isInstalled(PROGRAM) || (process.env.CI !== undefined && !BARE);

/**
 * Starts PgBouncer in transaction mode: each transaction gets whatever server connection is free, and server connections are
 * closed after a second of idleness, so that nothing of a session is there the next time. A client is logged in as the
 * URL's user.
 */
export async function startPooler(url: string): Promise<Pooler> {
  const { hostname, port: serverPort, username, password } = new URL(url);
  const scratch = await makeScratch('pooler');
  const port = await freePort();
  const config = path.join(scratch, 'pgbouncer.ini');
  const login = `user=${decodeURIComponent(username)} password=${decodeURIComponent(password)}`;
  await writeFile(
    config,
    `[databases]
* = host=${hostname === 'localhost' ? '127.0.0.1' : hostname} port=${serverPort || 5432} ${password === '' ? login.split(' ')[0] : login}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = ${port}
unix_socket_dir =
auth_type = any
pool_mode = transaction
default_pool_size = 6
max_client_conn = 400
server_idle_timeout = 1
autodb_idle_timeout = 5
ignore_startup_parameters = extra_float_digits
log_connections = 0
log_disconnections = 0
`,
  );
  await chmod(config, 0o644);
  // It refuses to run as root.
  const as = process.getuid?.() === 0 ? await chooseAccount([], undefined) : {};
  let child: ChildProcess | undefined;
  const start = async () => {
    const started = spawn(PROGRAM, [config], { ...as, cwd: '/', stdio: ['ignore', 'ignore', 'pipe'] });
    child = started;
    let said = '';
    started.stderr.setEncoding('utf8').on('data', (text: string) => {
      said = (said + text).slice(-4000);
    });
    const gone = once(started, 'exit').then(() => {
      throw new Error(`PgBouncer ended:\n${said}`);
    });
    gone.catch(() => undefined);
    await Promise.race([gone, listening(port)]);
  };
  const stop = async () => {
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
    const exited = once(child, 'exit');
    child.kill('SIGKILL');
    await exited;
  };
  await start();
  return {
    port,
    through: (direct) => {
      const changed = new URL(direct);
      changed.hostname = '127.0.0.1';
      changed.port = String(port);
      return changed.href;
    },
    restart: async () => {
      await stop();
      await start();
    },
    end: async () => {
      await stop();
      await removeScratch(scratch);
    },
  };
}

async function listening(port: number): Promise<void> {
  for (;;) {
    const answered = await new Promise<boolean>((resolve) => {
      const socket = net.connect({ port, host: '127.0.0.1' });
      socket.on('connect', () => socket.destroy()).on('error', () => undefined);
      socket.on('close', (failed) => resolve(!failed));
    });
    if (answered) return;
    await delay(20);
  }
}
