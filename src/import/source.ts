import { open } from 'node:fs/promises';
import { Readable } from 'node:stream';
import { setImmediate } from 'node:timers/promises';
import { messageOf, SendstateError } from '../errors.ts';
import { byteOrderMark, fallbackEncoding, Utf8Check } from './decode.ts';

/** Where the bytes of an import come from: a path, or a stream such as standard input. */
export type ImportSource = string | AsyncIterable<Uint8Array>;

/** An opened source. Each piece of `bytes` is valid until the next one is asked for. */
export interface OpenedSource {
  readonly bytes: AsyncIterable<Buffer>;
  /** Size, for a progress bar; null for a stream. */
  readonly bytesTotal: number | null;
  /** What a look at the whole file found; null for a stream, which can be read only once. */
  readonly looksLike: string | null;
  close(): Promise<void>;
}

export interface SourceOptions {
  readonly fileName: string;
  readonly readBytes: number;
  /** Look through a file for its encoding. False when the encoding is known. */
  readonly detect: boolean;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Opens a path or takes a stream. A regular file is looked through once for its encoding (about a second per
 * gigabyte, and at once when it is not UTF-8); a named pipe counts as a stream.
 *
 * @throws SendstateError `import-file` when it cannot be opened or read
 */
export async function openSource(source: ImportSource, options: SourceOptions): Promise<OpenedSource> {
  if (typeof source !== 'string') {
    return {
      bytes: gather(source, options),
      bytesTotal: null,
      looksLike: null,
      close: () => Promise.resolve(),
    };
  }
  const handle = await open(source, 'r').catch((error: unknown) => {
    throw unreadable(options.fileName, error);
  });
  const buffer = Buffer.allocUnsafe(options.readBytes);
  async function* readFrom(position: number | null): AsyncGenerator<Buffer> {
    let at = position;
    for (;;) {
      options.signal?.throwIfAborted();
      const { bytesRead } = await handle.read(buffer, 0, buffer.length, at).catch((error: unknown) => {
        throw unreadable(options.fileName, error);
      });
      if (bytesRead === 0) return;
      if (at !== null) at += bytesRead;
      yield buffer.subarray(0, bytesRead);
    }
  }
  try {
    const stat = await handle.stat();
    if (stat.isDirectory()) throw unreadable(options.fileName, new Error('it is a directory'));
    const seekable = stat.isFile();
    return {
      bytes: seekable ? readFrom(0) : gather(readFrom(null), options),
      bytesTotal: seekable ? stat.size : null,
      looksLike: seekable && options.detect ? await encodingOf(readFrom(0)) : null,
      close: () => handle.close(),
    };
  } catch (error) {
    await handle.close();
    throw error;
  }
}

async function encodingOf(pieces: AsyncIterable<Buffer>): Promise<string> {
  const check = new Utf8Check();
  let first = true;
  for await (const piece of pieces) {
    const mark = first ? byteOrderMark(piece) : null;
    if (mark !== null) return mark.encoding;
    first = false;
    if (!check.push(piece)) return fallbackEncoding;
  }
  return check.end() ? 'utf-8' : fallbackEncoding;
}

/**
 * Makes large pieces of small ones (a pipe gives 64 KiB at most, a slow writer a few bytes) and stops waiting for the next
 * one when the signal says so.
 */
async function* gather(source: AsyncIterable<Uint8Array>, options: SourceOptions): AsyncGenerator<Buffer> {
  const iterator = source[Symbol.asyncIterator]();
  let stopWaiting: ((reason: unknown) => void) | undefined;
  const abort = () => stopWaiting?.(options.signal?.reason);
  options.signal?.addEventListener('abort', abort);
  let waiting: Buffer[] = [];
  let bytes = 0;
  try {
    for (;;) {
      options.signal?.throwIfAborted();
      // A promise a wait: racing one promise for the whole stream would keep every piece alive to the end.
      const next = await new Promise<IteratorResult<Uint8Array>>((resolve, reject) => {
        stopWaiting = reject;
        iterator.next().then(resolve, (error: unknown) => reject(unreadable(options.fileName, error)));
      });
      if (next.done === true) break;
      // Copied: some streams use their buffer again.
      waiting.push(Buffer.from(next.value));
      bytes += next.value.length;
      if (bytes < options.readBytes) continue;
      yield Buffer.concat(waiting);
      waiting = [];
      bytes = 0;
    }
    if (bytes > 0) yield Buffer.concat(waiting);
  } finally {
    options.signal?.removeEventListener('abort', abort);
    await stopReading(source, iterator);
  }
}

/** Lets go of a stream, which may be in the middle of waiting for something that never comes. */
async function stopReading(
  source: AsyncIterable<Uint8Array>,
  iterator: AsyncIterator<Uint8Array>,
): Promise<void> {
  if (source instanceof Readable) source.destroy();
  else await Promise.race([iterator.return?.(), setImmediate()]);
}

function unreadable(fileName: string, error: unknown): SendstateError {
  return new SendstateError('import-file', `${fileName} cannot be read: ${messageOf(error)}.`, {
    hint: 'Check the path and its permissions; - reads from standard input.',
    cause: error,
  });
}
