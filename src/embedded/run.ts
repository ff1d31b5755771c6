import { spawn } from 'node:child_process';
import { messageOf } from '../errors.ts';

/** Whom the server runs as. Undefined wherever it is optional: the account of this process. */
export interface Account {
  readonly uid: number;
  readonly gid: number;
}

export interface RunOptions {
  readonly as?: Account | undefined;
  /** Must be a directory that the account can enter. Default '/'. */
  readonly cwd?: string;
  /** Text for the program's standard input. */
  readonly input?: string;
}

export interface RunResult {
  /** Exit status; null when it was killed or could not be started. */
  readonly status: number | null;
  /** Both streams of output, or the reason why it could not be started. */
  readonly output: string;
}

/** Enough for every error message of these tools; what is beyond is dropped. */
const OUTPUT_LIMIT = 64 * 1024;

/** Runs one of Postgres' programs to its end. Never throws: what went wrong is in the result. */
export function run(program: string, args: readonly string[], options: RunOptions = {}): Promise<RunResult> {
  return new Promise((resolve) => {
    let output = '';
    const keep = (chunk: Buffer) => {
      if (output.length < OUTPUT_LIMIT) output += chunk.toString('utf8');
    };
    try {
      const child = spawn(program, args, {
        ...options.as,
        cwd: options.cwd ?? '/',
        env: environment(),
        stdio: ['pipe', 'pipe', 'pipe'],
        windowsHide: true,
      });
      child.stdout.on('data', keep);
      child.stderr.on('data', keep);
      // A program that ends before it has read its input is judged by its status, not by the broken pipe.
      child.stdin.on('error', () => undefined);
      child.stdin.end(options.input ?? '');
      child.on('error', (error) => resolve({ status: null, output: messageOf(error) }));
      child.on('close', (status) => resolve({ status, output: output.trim() }));
    } catch (error) {
      resolve({ status: null, output: messageOf(error) });
    }
  });
}

/** Nothing else of the caller's surroundings may steer the server: no PGPORT, PGDATA, LC_*, LD_PRELOAD. */
const KEPT = ['PATH', 'TZ', 'SystemRoot', 'TEMP', 'TMP'];

function environment(): NodeJS.ProcessEnv {
  const kept = KEPT.flatMap((name) => (process.env[name] === undefined ? [] : [[name, process.env[name]]]));
  return { ...Object.fromEntries(kept), LC_ALL: 'C' };
}
