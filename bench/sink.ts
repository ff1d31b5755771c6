import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtemp, open, rm } from 'node:fs/promises';
import { connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import type { CaptureMessage } from '../src/commands/capture.ts';
import { findProgram } from './installed.ts';
import { Child } from './speed-child.ts';

/** An SMTP server on 127.0.0.1, in a process of its own, that takes every mail, counts it and throws it away. */
export interface Sink {
  readonly name: 'smtp-sink' | 'sendstate capture';
  readonly port: number;
  readonly pid: number;
  /** Mails since its start. Waits a moment for `expected` of them: the counter is written beside the replies. */
  accepted(expected: number): Promise<number>;
  stop(): Promise<void>;
}

const cli = new URL('../bin/sendstate.js', import.meta.url);

/** Postfix's smtp-sink where it is installed, else the capture server of `sendstate capture`. */
export async function startSink(): Promise<Sink> {
  const program = findProgram('smtp-sink');
  return program === null ? startCaptureSink() : startSmtpSink(program);
}

/** The bundled one, which also counts by recipient and offers everything that the client can use. */
export async function startCaptureSink(): Promise<Sink> {
  const child = Child.start(cli, ['capture', '--port', '0', '--json']);
  const listening = await child.next<CaptureMessage>();
  if (listening.kind !== 'listening') throw new Error(`sendstate capture said ${listening.kind} first`);
  return {
    name: 'sendstate capture',
    port: Number(new URL(listening.url).port),
    pid: child.pid,
    accepted: async () => {
      const counts = await child.ask<CaptureMessage>('counts');
      return counts.kind === 'counts' ? counts.accepted : Number.NaN;
    },
    stop: () => child.stop(),
  };
}

/** Another program may take the free port before smtp-sink does. */
const TRIES = 5;
/** How long smtp-sink may take to listen, and its counter to be written, milliseconds. */
const PATIENCE_MS = 5_000;
const LOOK_EVERY_MS = 20;

async function startSmtpSink(program: string): Promise<Sink> {
  const folder = await mkdtemp(path.join(tmpdir(), 'sendstate-bench-sink-'));
  const counters = path.join(folder, 'counters');
  const output = await open(counters, 'a');
  try {
    for (let left = TRIES; ; left--) {
      const port = await freePort();
      // -c writes a line of counters after every message. To a file: a pipe would wake its reader 20,000 times a second.
      const args = ['-c', ...asUser(), `127.0.0.1:${port}`, '1024'];
      const child = spawn(program, args, { stdio: ['ignore', output.fd, 'ignore'] });
      const gone = new Promise<void>((resolve) => {
        child.once('close', () => resolve());
        child.once('error', () => resolve());
      });
      // Its end does not follow from ours, as it does for a process with a channel.
      process.once('exit', () => child.kill());
      if (await listens(port, child)) return sinkOf(child, gone, port, folder, counters);
      child.kill();
      await gone;
      if (left === 1) throw new Error(`${program} does not listen on 127.0.0.1`);
    }
  } finally {
    await output.close();
  }
}

/** smtp-sink refuses to run as root. */
function asUser(): string[] {
  return process.getuid?.() === 0 ? ['-u', 'nobody'] : [];
}

function sinkOf(
  child: ChildProcess,
  gone: Promise<void>,
  port: number,
  folder: string,
  counters: string,
): Sink {
  return {
    name: 'smtp-sink',
    port,
    pid: child.pid ?? 0,
    accepted: async (expected) => {
      const end = performance.now() + PATIENCE_MS;
      for (;;) {
        const count = await lastCount(counters);
        if (count >= expected || performance.now() > end) return count;
        await wait(LOOK_EVERY_MS);
      }
    },
    stop: async () => {
      child.kill();
      await gone;
      await rm(folder, { recursive: true, force: true });
    },
  };
}

/** `sess=2 quit=2 mesg=200\r`, again and again: the last one that is whole. */
async function lastCount(file: string): Promise<number> {
  const handle = await open(file, 'r');
  try {
    const { size } = await handle.stat();
    const tail = Buffer.alloc(Math.min(size, 512));
    await handle.read(tail, 0, tail.length, size - tail.length);
    return Number([...tail.toString('latin1').matchAll(/mesg=(\d+)\s*\r/g)].at(-1)?.[1] ?? 0);
  } finally {
    await handle.close();
  }
}

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(0, '127.0.0.1', resolve);
  });
  const address = server.address();
  await new Promise<void>((resolve) => server.close(() => resolve()));
  return typeof address === 'object' && address !== null ? address.port : 0;
}

async function listens(port: number, child: ChildProcess): Promise<boolean> {
  const end = performance.now() + PATIENCE_MS;
  while (performance.now() < end && child.exitCode === null && child.pid !== undefined) {
    if (await answers(port)) return child.exitCode === null;
    await wait(LOOK_EVERY_MS);
  }
  return false;
}

function answers(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ port, host: '127.0.0.1' });
    socket.once('data', (greeting) => {
      socket.end('QUIT\r\n');
      resolve(greeting.toString('latin1').startsWith('220'));
    });
    socket.once('error', () => resolve(false));
  });
}
