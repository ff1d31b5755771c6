import { open, stat } from 'node:fs/promises';
import { basename, dirname, extname, join } from 'node:path';
import { messageOf, SendstateError } from '../errors.ts';

/** How every rejects file begins: by it we know our own. The byte order mark is there so that Excel takes it for UTF-8. */
export const REJECTS_HEADER = '\ufeffline,reason,original\r\n';

/**
 * Where the rows go that are not taken: `people.csv` → `people.rejects.csv` beside it. What has no folder of its own,
 * standard input (`-`) and a shell's pipe (`/dev/fd/63`) → `stdin.rejects.csv` in the working directory.
 */
export function rejectsPathFor(file: string): string {
  if (file === '-' || /^\/(dev|proc)\//.test(file)) return 'stdin.rejects.csv';
  return join(dirname(file), `${stemOf(file)}.rejects.csv`);
}

/** A dry run leaves the rejects of real imports alone: `people.rejects.csv` → `people.rejects.dry-run.csv`. */
export function dryRunPathFor(rejects: string): string {
  return join(dirname(rejects), `${stemOf(rejects)}.dry-run.csv`);
}

function stemOf(file: string): string {
  const extension = extname(file);
  return /^\.(csv|tsv|tab|txt)$/i.test(extension) ? basename(file, extension) : basename(file);
}

/**
 * Only nothing, an empty file or a rejects file may be replaced or removed: a mistyped name must not destroy a list.
 * @param source path of the list that is imported; null: it has none
 * @throws SendstateError `rejects-file`
 */
export async function checkRejectsPlace(path: string, source: string | null): Promise<void> {
  const there = await identity(path);
  if (there === null) return;
  if (source !== null) {
    const list = await identity(source);
    if (list?.dev === there.dev && list.ino === there.ino)
      throw refusal(`The rejects file ${path} is the list itself.`);
  }
  if (!there.isFile()) throw refusal(`${path} is no file that rejects can be written to.`);
  if (there.size > 0n && !(await isRejectsFile(path)))
    throw refusal(`${path} is there and is no rejects file; it is left as it is.`);
}

/** As big integers: a file's number may be beyond 2^53. */
async function identity(path: string) {
  return await stat(path, { bigint: true }).catch((error: NodeJS.ErrnoException) => {
    // Whatever else is wrong is reported when it is opened.
    if (error.code === 'ENOENT' || error.code === 'ENOTDIR') return null;
    throw refusal(`${path} cannot be looked at: ${messageOf(error)}.`, error);
  });
}

async function isRejectsFile(path: string): Promise<boolean> {
  const ours = Buffer.from(REJECTS_HEADER);
  const file = await open(path, 'r').catch((error: unknown) => {
    throw refusal(`${path} cannot be read: ${messageOf(error)}.`, error);
  });
  try {
    const { buffer, bytesRead } = await file.read(Buffer.alloc(ours.length), 0, ours.length, 0);
    return bytesRead === ours.length && buffer.equals(ours);
  } finally {
    await file.close();
  }
}

function refusal(message: string, cause?: unknown): SendstateError {
  return new SendstateError('rejects-file', message, {
    hint: 'Say another place with --rejects FILE, or write none with --no-rejects.',
    cause,
  });
}
