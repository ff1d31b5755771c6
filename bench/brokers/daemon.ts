import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, openSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { mkdtemp, open, rm } from 'node:fs/promises';
import { connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { messageOf, SendstateError } from '../../src/errors.ts';

/** What has to go when this process ends, however it ends: servers first, then their folders. */
const running = new Set<Daemon>();
const folders = new Set<string>();
let guarded = false;

/** Only SIGKILL of this process itself can leave something behind. */
function guard(): void {
  if (guarded) return;
  guarded = true;
  process.on('exit', () => {
    for (const daemon of running) daemon.killNow();
    for (const folder of folders)
      rmSync(folder, { recursive: true, force: true, maxRetries: 20, retryDelay: 50 });
  });
  // Without a listener these end the process without 'exit'. An existing listener decides when to end.
  for (const [signal, code] of [
    ['SIGINT', 130],
    ['SIGTERM', 143],
    ['SIGHUP', 129],
  ] as const) {
    process.once(signal, () => {
      if (process.listenerCount(signal) === 0) process.exit(code);
    });
  }
}

/** A new folder for a broker's data. */
export async function makeFolder(name: string, parent = tmpdir()): Promise<string> {
  guard();
  const folder = await mkdtemp(path.join(parent, `sendstate-${name}-`));
  folders.add(folder);
  return folder;
}

export async function removeFolder(folder: string): Promise<void> {
  // Children that were in the middle of something may still be writing.
  await rm(folder, { recursive: true, force: true, maxRetries: 20, retryDelay: 50 });
  folders.delete(folder);
}

export interface Command {
  readonly name: string;
  readonly program: string;
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  readonly cwd: string;
  /** Standard output and error, over all starts. */
  readonly log: string;
}

/** How long a broker may take to start on a busy machine, milliseconds. */
const START_MS = 180_000;
/** Between two looks, milliseconds. */
const LOOK_MS = 40;
/** How much of the end of a log goes into an error, characters. */
const LOG_TAIL = 800;

/** A server in the foreground as a child of this process, in a process group of its own so that Ctrl-C passes it by. */
export class Daemon {
  readonly #command: Command;
  readonly #ready: () => Promise<boolean>;
  #child: ChildProcess | null = null;
  #exited: Promise<void> = Promise.resolve();

  constructor(command: Command, ready: () => Promise<boolean>) {
    this.#command = command;
    this.#ready = ready;
  }

  async start(): Promise<void> {
    guard();
    const { name, program, args, env, cwd, log } = this.#command;
    const output = openSync(log, 'a');
    const child = spawn(program, args, { cwd, env, stdio: ['ignore', output, output], detached: true });
    closeSync(output);
    let failed: unknown;
    this.#exited = new Promise((resolve) => {
      child.once('exit', () => resolve());
      child.once('error', (error) => {
        failed = error;
        resolve();
      });
    });
    this.#child = child;
    running.add(this);
    const deadline = performance.now() + START_MS;
    while (!(await this.#ready())) {
      const ended = failed !== undefined || child.exitCode !== null || child.signalCode !== null;
      if (!ended && performance.now() < deadline) {
        await wait(LOOK_MS);
        continue;
      }
      await this.kill();
      const how = failed === undefined ? '' : ` (${messageOf(failed)})`;
      const what = ended ? `ended instead of starting${how}` : `was not ready after ${START_MS / 1000} s`;
      throw new SendstateError('bench_broker_start', `${name} ${what}: ${await tail(log)}`);
    }
  }

  pids(): number[] {
    const { pid, exitCode, signalCode } = this.#child ?? {};
    if (pid === undefined || exitCode !== null || signalCode !== null) return [];
    return withChildren(pid);
  }

  /** SIGKILL to the server and its children, and wait. */
  async kill(): Promise<void> {
    this.killNow();
    await this.#exited;
    this.#child = null;
    running.delete(this);
  }

  /** SIGKILL without waiting, for the last moment of a process. */
  killNow(): void {
    for (const pid of this.pids()) signalPid(pid);
  }
}

function signalPid(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch (error) {
    // It ended between the look and the signal.
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}

/** A process and everything under it, by /proc; only itself where there is no /proc. */
function withChildren(root: number): number[] {
  const children = new Map<number, number[]>();
  for (const { pid, parent } of processes()) {
    children.set(parent, [...(children.get(parent) ?? []), pid]);
  }
  const found = [root];
  // `found` grows while it is walked.
  for (const pid of found) found.push(...(children.get(pid) ?? []));
  return found;
}

function processes(): { pid: number; parent: number }[] {
  let names: string[];
  try {
    names = readdirSync('/proc');
  } catch {
    // No Linux: there is nothing to read, and the caller keeps to the one process it started.
    return [];
  }
  return names.flatMap((name) => {
    if (!/^\d+$/.test(name)) return [];
    try {
      // "pid (name) state parent …"; the name may hold spaces and parentheses.
      const stat = readFileSync(`/proc/${name}/stat`, 'latin1');
      const parent = Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1]);
      return [{ pid: Number(name), parent }];
    } catch {
      // It ended between the listing and the look.
      return [];
    }
  });
}

async function tail(log: string): Promise<string> {
  const file = await open(log, 'r');
  const text = await file.readFile('utf8').finally(() => file.close());
  return text.trim().slice(-LOG_TAIL) || '(it wrote nothing)';
}

/**
 * Whether a server on this port answers, after `greeting` where the protocol lets the client speak first, with bytes
 * that match. A port that only accepts proves nothing: the kernel accepts for a server that is still starting.
 */
export function answers(port: number, greeting: Buffer | string, expected: RegExp): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ port, host: '127.0.0.1' });
    const end = (answer: boolean): void => {
      socket.destroy();
      resolve(answer);
    };
    socket.setTimeout(1_000, () => end(false));
    socket.once('error', () => end(false));
    socket.once('close', () => end(false));
    socket.once('data', (data) => end(expected.test(data.toString('latin1'))));
    socket.write(greeting);
  });
}

/**
 * A free port below the range from which the system gives ports to all others (32768 and up on Linux), because it
 * has to stay free until the server has started, and again while it is restarted.
 */
export async function freePort(): Promise<number> {
  for (;;) {
    const port = 20_000 + Math.floor(Math.random() * 12_000);
    const server = createServer();
    const free = await new Promise<boolean>((resolve) => {
      server.once('error', () => resolve(false));
      server.listen(port, '127.0.0.1', () => resolve(true));
    });
    if (!free) continue;
    await new Promise<void>((resolve) => server.close(() => resolve()));
    return port;
  }
}

/** The part of the environment that a server needs; the rest (RABBITMQ_…, KAFKA_…, ERL_…) must not change what is measured. */
export function plainEnvironment(home: string): Record<string, string> {
  return { PATH: process.env.PATH ?? '/usr/bin:/bin', HOME: home, LANG: 'C.UTF-8' };
}
