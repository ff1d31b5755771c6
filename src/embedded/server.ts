import { randomInt } from 'node:crypto';
import { readdir, readFile } from 'node:fs/promises';
import net from 'node:net';
import path from 'node:path';
import { codeOf } from '../database/problems.ts';
import { ownerAccount } from './account.ts';
import { toolFailed } from './cluster.ts';
import { remove, writePrivate } from './files.ts';
import { dataOf, type Home } from './home.ts';
import { disarmPidFile, findPostmaster, type Postmaster } from './process.ts';
import { run } from './run.ts';

/** Below the range from which Linux takes the ports of outgoing connections, so that a port once chosen stays free. */
const PORTS = { from: 20_000, to: 32_000 };

/** Bytes of a Unix socket's path: macOS has 104 with the final NUL, Linux 108. */
const SOCKET_PATH_LIMIT = 103;

/** Times that another port is tried when another process takes the chosen one between our look and the server's start. */
const PORT_ATTEMPTS = 5;

/** Log files that are kept: enough to look back over a restart or two. */
const KEPT_LOGS = 3;

/** Starts the server of a complete cluster and waits until it takes connections. Call it under the lock. */
export async function startServer(
  home: Home,
  settings: Readonly<Record<string, string>>,
  waitMs: number,
): Promise<Postmaster> {
  const startLog = path.join(home.base, 'start.log');
  // pg_ctl puts the server into a session of its own: it survives this process and does not hear its Ctrl-C.
  const args = [
    'start',
    '-s',
    '-D',
    dataOf(home),
    '-l',
    startLog,
    '-w',
    '-t',
    String(Math.ceil(waitMs / 1000)),
  ];
  for (let attempt = 1; ; attempt++) {
    await disarmPidFile(home);
    await writeSettings(home, await choosePort(home), settings);
    await remove(home, [startLog, ...(await sockets(home.base))]);
    const before = await newestLog(home.base);
    const { status, output } = await run(home.binaries.pgCtl, args, { as: home.account, cwd: home.base });
    const postmaster = await findPostmaster(dataOf(home));
    if (status === 0 && postmaster !== undefined) return postmaster;
    const log = await newestLog(home.base);
    const said = [output, await textOf(startLog), log === before ? '' : await textOf(log)].join('\n');
    if (attempt < PORT_ATTEMPTS && /could not bind|Address already in use/.test(said)) continue;
    throw toolFailed(`Could not start the embedded database in ${home.base}`, said);
  }
}

/** Keeps the newest log files; the server begins another one at 10 MB and at each start. */
export async function pruneLogs(base: string): Promise<void> {
  await remove({ base, account: await ownerAccount(base) }, (await logFiles(base)).slice(0, -KEPT_LOGS));
}

async function writeSettings(
  home: Home,
  port: number,
  settings: Readonly<Record<string, string>>,
): Promise<void> {
  const place =
    Buffer.byteLength(path.join(home.base, `.s.PGSQL.${port}`)) <= SOCKET_PATH_LIMIT ? home.base : '';
  const all = { port: String(port), unix_socket_directories: socketDirectories(place), ...settings };
  const lines = Object.entries(all).map(([name, value]) => `${name} = '${value.replaceAll("'", "''")}'\n`);
  await writePrivate(home, settingsFile(home), lines.join(''));
}

/**
 * Sockets and their locks of a server that was killed. Postgres would remove them itself, unless a process with its pid
 * exists; under a first process that does not reap its children, that is its own zombie.
 */
async function sockets(base: string): Promise<string[]> {
  const names = (await readdir(base)).filter((name) => name.startsWith('.s.PGSQL.'));
  return names.map((name) => path.join(base, name));
}

/** As an entry of the comma-separated list that the setting is; Windows needs none. */
function socketDirectories(directory: string): string {
  if (directory === '' || process.platform === 'win32') return '';
  return `"${directory.replaceAll('"', '""')}"`;
}

const settingsFile = (home: Home) => path.join(dataOf(home), 'sendstate.conf');

/** The port of the last time when it is free, so that what people wrote down stays right; else another free one. */
async function choosePort(home: Home): Promise<number> {
  const last = Number(/^port = '(\d+)'$/m.exec(await textOf(settingsFile(home)))?.[1]);
  if (last > 0 && (await isFree(last))) return last;
  for (;;) {
    const port = randomInt(PORTS.from, PORTS.to);
    if (await isFree(port)) return port;
  }
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = net.createServer();
    server.on('error', () => resolve(false));
    server.listen({ port, host: '127.0.0.1', exclusive: true }, () => server.close(() => resolve(true)));
  });
}

async function logFiles(base: string): Promise<string[]> {
  const directory = path.join(base, 'log');
  // Their names are their times.
  const names = (await readdir(directory)).filter((name) => /^server-\d{8}-\d{6}\.log$/.test(name)).sort();
  return names.map((name) => path.join(directory, name));
}

async function newestLog(base: string): Promise<string | undefined> {
  return (await logFiles(base)).at(-1);
}

async function textOf(file: string | undefined): Promise<string> {
  if (file === undefined) return '';
  try {
    return await readFile(file, 'utf8');
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return '';
    throw error;
  }
}
