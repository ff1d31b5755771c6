import { type ChildProcess, fork } from 'node:child_process';
import type { Context } from './context.ts';

/**
 * More processes that do the same as this one: the same command line with `--child` instead of `--processes`. They share
 * the campaign through the table like workers on any other machine; this process only starts and ends them.
 *
 * They stand in sessions of their own, so that a Ctrl-C reaches this process alone, which then tells them once; when this
 * process dies their channel closes and they finish what is in flight.
 */
export class Siblings {
  readonly #children: readonly ChildProcess[];
  readonly #ended: Promise<unknown>;

  constructor(context: Context, count: number) {
    const script = process.argv[1];
    if (count > 0 && script === undefined) throw new Error('the program does not know its own file');
    this.#children = Array.from({ length: count }, (_, index) =>
      fork(script as string, childArguments(process.argv.slice(2), index + 1), {
        detached: true,
        stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
      }),
    );
    this.#ended = Promise.all(this.#children.map((child) => ended(child, context)));
    context.signal.addEventListener('abort', () => this.#tell('finish'), { once: true });
    context.abortSignal.addEventListener('abort', () => this.#tell('end'), { once: true });
  }

  /** Waits until the last has ended: by itself, for the same reason as this process, or because it was told to. */
  async wait(): Promise<void> {
    await this.#ended;
  }

  #tell(word: 'finish' | 'end'): void {
    for (const child of this.#children) if (child.connected) child.send(word);
  }
}

/**
 * The command line without what concerns the parent alone. Each process has metrics of its own: the n-th child at the parent's port + n,
 * or at any free one like its parent.
 */
export function childArguments(args: readonly string[], nth: number): string[] {
  const kept: string[] = [];
  for (let i = 0; i < args.length; i++) {
    const arg = args[i] as string;
    const [, port] = /^--metrics-port(?:=(.*))?$/.exec(arg) ?? [null, null];
    if (port !== null) kept.push(`--metrics-port=${childPort(Number(port ?? args[++i]), nth)}`);
    else if (arg === '--processes') i++;
    else if (arg !== '--json' && !arg.startsWith('--processes=')) kept.push(arg);
  }
  return [...kept, '--child'];
}

function childPort(port: number, nth: number): number {
  return port === 0 ? 0 : port + nth;
}

async function ended(child: ChildProcess, context: Context): Promise<void> {
  await new Promise<void>((resolve) => {
    child.once('error', (error) => {
      context.err(`A worker process could not be started: ${error.message}`);
      resolve();
    });
    child.once('exit', (code, signal) => {
      if (signal !== null)
        context.err(`A worker process was ended by ${signal}; the others take over what it held.`);
      else if (code !== 0 && !context.signal.aborted) context.err(`A worker process failed (exit ${code}).`);
      resolve();
    });
  });
}
