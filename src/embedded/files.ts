import { mkdir, rm, writeFile } from 'node:fs/promises';
import { SendstateError } from '../errors.ts';
import { type Account, run } from './run.ts';

/*
 * Changes inside the server's directory are made by the server's account, also when root gives the command: that account
 * could have laid a symbolic link there, and root would follow it anywhere.
 */

interface Where {
  readonly base: string;
  readonly account: Account | undefined;
}

/** Writes a whole file that no other account may read. */
export async function writePrivate({ base, account }: Where, file: string, text: string): Promise<void> {
  if (account === undefined) return writeFile(file, text, { mode: 0o600 });
  await must(account, base, ['-c', 'umask 077 && cat > "$1"', 'sh', file], text);
}

/** Adds to the end of a file. */
export async function appendTo({ base, account }: Where, file: string, text: string): Promise<void> {
  if (account === undefined) return writeFile(file, text, { flag: 'a' });
  await must(account, base, ['-c', 'cat >> "$1"', 'sh', file], text);
}

/** Makes a directory that no other account may enter; one that is there already stays. */
export async function makePrivate({ base, account }: Where, directory: string): Promise<void> {
  if (account === undefined) await mkdir(directory, { recursive: true, mode: 0o700 });
  else await must(account, base, ['-c', 'umask 077 && mkdir -p "$1"', 'sh', directory]);
}

/** Removes files and whole directories; those that are not there are no error. */
export async function remove({ base, account }: Where, paths: readonly string[]): Promise<void> {
  if (paths.length === 0) return;
  if (account === undefined)
    await Promise.all(paths.map((path) => rm(path, { recursive: true, force: true })));
  else await must(account, base, ['-c', 'rm -rf -- "$@"', 'sh', ...paths]);
}

async function must(account: Account, cwd: string, args: string[], input = ''): Promise<void> {
  const { status, output } = await run('/bin/sh', args, { as: account, cwd, input });
  if (status === 0) return;
  throw new SendstateError(
    'embedded-files',
    `Cannot write in ${cwd} as its owner (uid ${account.uid}): ${output}`,
    {
      hint: 'Correct owner and permissions of the directory, or set SENDSTATE_DIR to another one.',
    },
  );
}
