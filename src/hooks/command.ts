import { spawn } from 'node:child_process';
import type { Told } from './post.ts';

/** Bytes of a command's output that are kept for the log. */
const OUTPUT = 4_000;
/** Milliseconds for what an ended command has said to arrive; what it left behind may hold its output open for days. */
const DRAIN_MS = 200;

/**
 * Runs a command with `sh -c`, the body on its standard input. Nothing of what happened is written into the command line: a campaign's
 * name is data, and reaches the command as data.
 */
export async function run(
  command: string,
  body: string,
  env: Readonly<Record<string, string | undefined>>,
  timeoutMs: number,
  signal: AbortSignal,
): Promise<Told & { readonly output: string }> {
  return await new Promise((resolve) => {
    // A group of its own: a Ctrl-C is for us, and a timeout ends what the shell has started as well.
    const child = spawn('/bin/sh', ['-c', command], { env, detached: true, stdio: ['pipe', 'pipe', 'pipe'] });
    let output = '';
    let ended: string | null = null;
    const keep = (text: string) => {
      if (output.length < OUTPUT) output = (output + text).slice(0, OUTPUT);
    };
    const end = (why: string) => {
      ended ??= why;
      if (child.pid === undefined) return;
      try {
        process.kill(-child.pid, 'SIGKILL');
      } catch {
        // It has ended meanwhile, which is what was wanted.
      }
    };
    const timer = setTimeout(() => end(`it took longer than ${timeoutMs / 1000} s`), timeoutMs);
    const stop = () => end('we are ending');
    signal.addEventListener('abort', stop, { once: true });
    // From here on nothing is ended any more: a job that the command leaves behind is its own affair.
    const over = () => {
      clearTimeout(timer);
      signal.removeEventListener('abort', stop);
    };
    const done = (why: string | null) => {
      over();
      child.stdout.destroy();
      child.stderr.destroy();
      resolve(why === null ? { ok: true, output } : { ok: false, again: false, why, output });
    };
    child.stdout.setEncoding('utf8').on('data', keep);
    child.stderr.setEncoding('utf8').on('data', keep);
    child.on('error', (error) => done(error.message));
    child.on('exit', (code, name) => {
      over();
      const why = ended ?? (code === 0 ? null : code === null ? `${name} ended it` : `exit code ${code}`);
      const drained = setTimeout(() => done(why), DRAIN_MS);
      child.on('close', () => {
        clearTimeout(drained);
        done(why);
      });
    });
    // Who does not read its input closes the pipe; that is its good right.
    child.stdin.on('error', () => undefined);
    child.stdin.end(body);
    if (signal.aborted) stop();
  });
}
