import { createHash } from 'node:crypto';
import { constants } from 'node:fs';
import { open } from 'node:fs/promises';
import net from 'node:net';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { codeOf } from '../database/problems.ts';
import { SendstateError } from '../errors.ts';

/** BSD's flag of open(2) that also takes the lock; Linux has none, Node no constant. */
const O_EXLOCK = 0x20;

/** Milliseconds between two looks at a lock that another process holds: short beside the second that initdb takes. */
const LOOK_AGAIN_MS = 50;

/**
 * Runs `work` while no other process does so for the same directory.
 *
 * The lock is something that the kernel takes back when the process ends in whatever way, so that it cannot be left behind:
 * a socket name without a file (Linux), a named pipe (Windows), a locked file (macOS, BSD). On Linux it excludes the
 * processes of one network namespace, which is also as far as the server on 127.0.0.1 can be shared.
 *
 * @param waitMs how long to wait for the other one, milliseconds
 * @throws SendstateError `embedded-locked` when the other one did not finish in time
 */
export async function withLock<T>(directory: string, waitMs: number, work: () => Promise<T>): Promise<T> {
  const until = Date.now() + waitMs;
  let release = await tryLock(directory);
  while (release === undefined) {
    if (Date.now() > until) {
      throw new SendstateError(
        'embedded-locked',
        `Another command has been busy with ${directory} for ${waitMs / 1000} s`,
        {
          hint: 'Wait for it or end it, then try again.',
        },
      );
    }
    await delay(LOOK_AGAIN_MS);
    release = await tryLock(directory);
  }
  try {
    return await work();
  } finally {
    await release();
  }
}

type Release = () => Promise<void>;

function tryLock(directory: string): Promise<Release | undefined> {
  const name = `sendstate-${createHash('sha256').update(directory).digest('hex').slice(0, 32)}`;
  if (process.platform === 'linux') return lockByName(`\0${name}`);
  if (process.platform === 'win32') return lockByName(`\\\\.\\pipe\\${name}`);
  return lockByFile(path.join(directory, 'lock'));
}

function lockByName(name: string): Promise<Release | undefined> {
  return new Promise((resolve, reject) => {
    const server = net.createServer((socket) => socket.destroy());
    server.on('error', (error) => (codeOf(error) === 'EADDRINUSE' ? resolve(undefined) : reject(error)));
    server.listen({ path: name, exclusive: true }, () =>
      resolve(() => new Promise((released) => server.close(() => released()))),
    );
  });
}

async function lockByFile(file: string): Promise<Release | undefined> {
  const { O_RDWR, O_CREAT, O_NONBLOCK } = constants;
  try {
    const handle = await open(file, O_RDWR | O_CREAT | O_NONBLOCK | O_EXLOCK, 0o600);
    return () => handle.close();
  } catch (error) {
    if (codeOf(error) === 'EAGAIN' || codeOf(error) === 'EWOULDBLOCK') return undefined;
    throw error;
  }
}
