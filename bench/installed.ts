import { existsSync } from 'node:fs';
import path from 'node:path';

/** Set: every server, broker and browser of this machine counts as not installed, as on a machine with only Node. */
export const BARE = process.env.TEST_BARE !== undefined && process.env.TEST_BARE !== '';

/** Whether a file that a package of the system installs is here. */
export function isInstalled(file: string): boolean {
  return !BARE && existsSync(file);
}

/** A program, in the PATH or in one of the folders where Debian keeps servers; null where it is not installed. */
export function findProgram(name: string): string | null {
  const folders = [...(process.env.PATH ?? '').split(path.delimiter), '/usr/sbin', '/usr/local/sbin'];
  return (
    folders
      .filter((folder) => folder !== '')
      .map((folder) => path.join(folder, name))
      .find(isInstalled) ?? null
  );
}
