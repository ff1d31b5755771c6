import { execFileSync } from 'node:child_process';
import { chownSync, closeSync, openSync, rmSync, writeSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import path from 'node:path';
import { messageOf } from '../../src/errors.ts';

/** A file system of a bounded size that can be filled up. */
export interface TinyDisk {
  readonly directory: string;
  /** Takes every byte that is left. */
  fill(): void;
  free(): void;
  remove(): void;
}

const BLOCK = Buffer.alloc(256 * 1024);

/**
 * Mounts a tmpfs of so many megabytes, for the account that owns `beside`'s files.
 * @returns why it is not to be had, where this process may not mount
 */
export async function tinyDisk(
  directory: string,
  megabytes: number,
  owner: { readonly uid: number; readonly gid: number } | null,
): Promise<TinyDisk | string> {
  await mkdir(directory, { recursive: true });
  try {
    execFileSync(
      'mount',
      ['-t', 'tmpfs', '-o', `size=${megabytes}m,mode=0700`, 'sendstate-torture', directory],
      {
        stdio: 'pipe',
      },
    );
  } catch (error) {
    return `no file system can be mounted here (${messageOf(error).replaceAll('\n', ' ').trim()})`;
  }
  const remove = () => {
    process.off('exit', remove);
    // Lazily: a process that still has a file open keeps it until it closes it.
    execFileSync('umount', ['-l', directory], { stdio: 'pipe' });
  };
  process.on('exit', remove);
  if (owner !== null) chownSync(directory, owner.uid, owner.gid);
  const ballast = path.join(directory, 'ballast');
  return {
    directory,
    fill: () => {
      const file = openSync(ballast, 'a');
      try {
        for (;;) writeSync(file, BLOCK);
      } catch (error) {
        if (!(error instanceof Error && 'code' in error && error.code === 'ENOSPC')) throw error;
      } finally {
        closeSync(file);
      }
    },
    free: () => rmSync(ballast, { force: true }),
    remove,
  };
}
