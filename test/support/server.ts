import { randomBytes } from 'node:crypto';
import { chmod, mkdtemp, readdir, rm, stat } from 'node:fs/promises';
import net from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { PostgreSqlContainer } from '@testcontainers/postgresql';
import { openDatabase } from '../../src/database/connect.ts';
import { migrate } from '../../src/database/migrate.ts';
import { ensureEmbedded, stopEmbedded } from '../../src/embedded/embedded.ts';
import { startPooler } from './pooler.ts';

/** What a test file is told about the server of the run; it crosses a process boundary, so it is plain data. */
export interface TestServer {
  /** A database that exists, for `create database` and `drop database`. */
  readonly adminUrl: string;
  /** The migrated database that is cloned. */
  readonly template: string;
  readonly source: 'DATABASE_URL' | 'container' | 'embedded';
  /** The port of a PgBouncer through which tests reach their databases (TEST_THROUGH=pgbouncer); undefined: directly. */
  readonly poolerPort: number | undefined;
}

interface Running {
  readonly url: string;
  readonly source: TestServer['source'];
  stop(): Promise<void>;
}

/** DATABASE_URL if it is set (its user needs CREATEDB), else a container where Docker answers, else the embedded server. */
export async function startTestServer(): Promise<{ server: TestServer; stop: () => Promise<void> }> {
  const running = await startServer();
  const template = `sendstate_test_${randomBytes(4).toString('hex')}_template`;
  try {
    await onAdmin(running.url, `create database ${template}`);
    const database = await openDatabase(withDatabase(running.url, template));
    await migrate(database).finally(() => database.close());
  } catch (error) {
    await running.stop();
    throw error;
  }
  const pooler = process.env.TEST_THROUGH === 'pgbouncer' ? await startPooler(running.url) : undefined;
  return {
    server: { adminUrl: running.url, template, source: running.source, poolerPort: pooler?.port },
    stop: async () => {
      await pooler?.end();
      await onAdmin(running.url, `drop database if exists ${template}`);
      await running.stop();
    },
  };
}

/** The same server, another database. */
export function withDatabase(url: string, name: string): string {
  const changed = new URL(url);
  changed.pathname = `/${name}`;
  return changed.href;
}

async function onAdmin(url: string, statement: string): Promise<void> {
  const admin = await openDatabase(url, { max: 1, applicationName: 'sendstate-test' });
  try {
    await admin.pool.query(statement);
  } finally {
    await admin.close();
  }
}

async function startServer(): Promise<Running> {
  const given = process.env.DATABASE_URL;
  if (given !== undefined && given !== '')
    return { url: given, source: 'DATABASE_URL', stop: async () => undefined };
  if (await dockerAnswers()) return startContainer();
  return startEmbedded();
}

async function startContainer(): Promise<Running> {
  const container = await new PostgreSqlContainer('postgres:18-alpine')
    .withCommand(['postgres', '-c', 'fsync=off', '-c', 'synchronous_commit=off'])
    .start();
  const stop = async () => {
    await container.stop();
  };
  return { url: container.getConnectionUri(), source: 'container', stop };
}

const SCRATCH = 'sendstate-test-';

async function startEmbedded(): Promise<Running> {
  await removeLeftovers();
  const scratch = await mkdtemp(path.join(tmpdir(), `${SCRATCH}${process.pid}-`));
  // A directory that the server's account can pass through, when the tests run as root.
  const { directory, outside } = placesIn(scratch);
  await chmod(scratch, 0o711);
  // Durability is not what these tests are about (test/crash/ has its own servers), so the disk is spared.
  const settings = {
    fsync: 'off',
    synchronous_commit: 'off',
    full_page_writes: 'off',
    shared_buffers: '128MB',
  };
  const stop = async () => {
    await stopEmbedded({ directory, outside });
    await rm(scratch, { recursive: true, force: true });
  };
  try {
    const { url } = await ensureEmbedded({ directory, outside, settings });
    return { url, source: 'embedded', stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

/** Where a run has its server, and where its programs are copied to when root's clone is closed to other accounts. */
function placesIn(scratch: string): { directory: string; outside: string } {
  return { directory: path.join(scratch, 'server'), outside: path.join(scratch, 'outside') };
}

/** Servers of test runs that were killed before they could stop theirs. */
async function removeLeftovers(): Promise<void> {
  for (const name of await readdir(tmpdir())) {
    const pid = new RegExp(`^${SCRATCH}(\\d+)-`).exec(name)?.[1];
    if (pid === undefined || isAlive(Number(pid))) continue;
    const scratch = path.join(tmpdir(), name);
    // Another run may be cleaning up at this moment, and other users' leftovers are theirs.
    const owner = await stat(scratch).then(
      ({ uid }) => uid,
      () => undefined,
    );
    if (owner === undefined || owner !== process.getuid?.()) continue;
    await stopEmbedded(placesIn(scratch));
    await rm(scratch, { recursive: true, force: true });
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return error instanceof Error && 'code' in error && error.code === 'EPERM';
  }
}

/** Asks Docker for a sign of life, for a second at most; most machines without it have no socket at all. */
async function dockerAnswers(): Promise<boolean> {
  const host = process.env.DOCKER_HOST ?? 'unix:///var/run/docker.sock';
  const target = URL.canParse(host) ? new URL(host) : undefined;
  if (target === undefined) return false;
  const options =
    target.protocol === 'unix:'
      ? { path: target.pathname }
      : { host: target.hostname, port: Number(target.port || 2375) };
  return new Promise((resolve) => {
    const socket = net.connect(options);
    const answer = (yes: boolean) => {
      socket.destroy();
      resolve(yes);
    };
    socket.setTimeout(1_000, () => answer(false));
    socket.on('error', () => answer(false));
    socket.on('data', (bytes) => answer(bytes.toString('latin1').startsWith('HTTP/1.1 200')));
    socket.on('connect', () =>
      socket.write('GET /_ping HTTP/1.1\r\nHost: docker\r\nConnection: close\r\n\r\n'),
    );
  });
}
