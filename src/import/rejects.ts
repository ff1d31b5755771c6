import { randomUUID } from 'node:crypto';
import { createWriteStream, type WriteStream } from 'node:fs';
import { readdir, rename, rm } from 'node:fs/promises';
import { hostname } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { finished } from 'node:stream/promises';
import { messageOf, SendstateError } from '../errors.ts';
import { ByteText } from './byte-text.ts';
import type { Reject } from './chunk.ts';
import { safeCell } from './formula.ts';
import { checkRejectsPlace, dryRunPathFor, REJECTS_HEADER } from './rejects-place.ts';

/**
 * One row of the rejects file: line number, reason, original text. An original that a spreadsheet would run as a formula
 * is given an apostrophe in front, which keeps it text: these are rows that a stranger may have written, and the file is
 * made to be opened in Excel.
 */
export function rejectRow(reject: Reject): string {
  return `${reject.line},${quoted(reject.reason)},${quoted(safeCell(reject.original))}\r\n`;
}

function quoted(text: string): string {
  return `"${text.replaceAll('"', '""')}"`;
}

/**
 * Removes what imports of the same file have left half-written that were killed on this machine. Another machine that shares the folder
 * from another machine may be alive, and is not touched.
 */
async function removeLeftovers(path: string): Promise<void> {
  const mine = `${basename(path)}.${hostname()}-`;
  // A folder that cannot be listed may still be written to; that is what counts.
  const names = await readdir(dirname(path)).catch(() => []);
  for (const name of names) {
    const pid = name.startsWith(mine)
      ? /^(\d+)-[0-9a-f]{8}\.partial$/.exec(name.slice(mine.length))?.[1]
      : undefined;
    if (pid !== undefined && !isAlive(Number(pid))) await rm(join(dirname(path), name), { force: true });
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

export interface RejectsOptions {
  /** Path of the list that is imported; null: it has none. */
  readonly source: string | null;
  /** The file is a dry run's own, beside the place that was asked for. */
  readonly dryRun: boolean;
}

/**
 * Writes rejects beside their final place and moves them there at the end, so that the file under that name always
 * belongs to a whole import. Nothing is created before the first reject.
 */
export class RejectsFile {
  readonly #asked: string;
  readonly #path: string;
  readonly #source: string | null;
  readonly #temporary: string;
  readonly #rows = new ByteText(64 * 1024);
  #stream: WriteStream | null = null;
  #failure: unknown = null;

  constructor(asked: string, { source, dryRun }: RejectsOptions) {
    const path = dryRun ? dryRunPathFor(asked) : asked;
    this.#asked = asked;
    this.#path = path;
    this.#source = source;
    this.#temporary = `${path}.${hostname()}-${process.pid}-${randomUUID().slice(0, 8)}.partial`;
  }

  /**
   * Before anything is imported: may its place be taken? A dry run says so of the real one as well.
   * @throws SendstateError `rejects-file`
   */
  async check(): Promise<void> {
    for (const path of new Set([this.#asked, this.#path])) await checkRejectsPlace(path, this.#source);
  }

  /** @throws SendstateError `rejects-file` */
  async write(rejects: Iterable<Reject>): Promise<void> {
    this.#rows.cut(0);
    for (const reject of rejects) this.#rows.write(rejectRow(reject));
    if (this.#rows.length === 0) return;
    if (this.#stream === null) await removeLeftovers(this.#path);
    const stream = this.#stream ?? this.#create();
    // A copy, because the stream may still be writing it when the next rows come.
    const more = stream.write(Buffer.from(this.#rows.bytes));
    if (more || this.#failure !== null) return this.#check();
    const { promise, resolve } = Promise.withResolvers<void>();
    stream.once('drain', resolve).once('close', resolve);
    await promise;
    stream.off('drain', resolve).off('close', resolve);
    this.#check();
  }

  /**
   * Closes the file; it is complete on disk when this returns, under its temporary name.
   * @throws SendstateError `rejects-file`
   */
  async finish(): Promise<void> {
    if (this.#stream === null) return;
    this.#stream.end();
    await finished(this.#stream).catch((error: unknown) => {
      throw this.#explain(error);
    });
  }

  /**
   * Puts the finished file in its place; when nothing was rejected, removes what a former import left there, which would be
   * taken for this one's.
   * @returns the path, or null when there is no such file
   * @throws SendstateError `rejects-file`
   */
  async publish(): Promise<string | null> {
    // Once more: an import takes its time, and something else may have come there.
    await this.check();
    try {
      if (this.#stream === null) await rm(this.#path, { force: true });
      else await rename(this.#temporary, this.#path);
    } catch (error) {
      throw this.#explain(error);
    }
    return this.#stream === null ? null : this.#path;
  }

  /** Leaves no trace; what a former import left stays. */
  async discard(): Promise<void> {
    if (this.#stream === null) return;
    this.#stream.destroy();
    await rm(this.#temporary, { force: true });
  }

  #create(): WriteStream {
    const stream = createWriteStream(this.#temporary, { flags: 'wx', flush: true });
    stream.on('error', (error) => {
      this.#failure = error;
    });
    stream.write(REJECTS_HEADER);
    this.#stream = stream;
    return stream;
  }

  #check(): void {
    if (this.#failure !== null) throw this.#explain(this.#failure);
  }

  #explain(error: unknown): SendstateError {
    return new SendstateError('rejects-file', `${this.#path} cannot be written: ${messageOf(error)}.`, {
      hint: 'Say another place with --rejects FILE.',
      cause: error,
    });
  }
}
