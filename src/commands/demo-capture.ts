import { type ChildProcess, fork } from 'node:child_process';
import path from 'node:path';
import { SendstateError } from '../errors.ts';
import type { CaptureMessage } from './capture.ts';

export type CaptureCounts = Extract<CaptureMessage, { kind: 'counts' }>;

/** The words of a process that failed are shown; a flood of them is not, characters. */
const STDERR_CHARS = 2_000;
/** For a process that was asked to end and did not, milliseconds. It has nothing to do but to close its sockets. */
const STOP_MS = 5_000;

/** The command line itself, as src/cli.ts and as dist/cli.js. */
const CLI = path.join(import.meta.dirname, '..', `cli${path.extname(import.meta.filename)}`);

/**
 * `sendstate capture` as a process of its own, so that its counts are independent of the process that sends. It ends
 * with this one, however this one ends, because it notices that the channel between them is closed.
 */
export class CaptureProcess {
  readonly #child: ChildProcess;
  readonly #gone = new AbortController();
  readonly #exited: Promise<void>;
  #said = '';
  #url = '';

  /** Resolves when it listens. `directory` exists; `keep` mails are written there as 1.eml, 2.eml … */
  static async start(directory: string, keep: number): Promise<CaptureProcess> {
    const capture = new CaptureProcess(directory, keep);
    capture.#url = (await capture.#next('listening')).url;
    return capture;
  }

  private constructor(directory: string, keep: number) {
    const args = ['capture', '--port', '0', '--directory', directory, '--keep', String(keep)];
    // A group of its own: Ctrl-C is for the sender, which first finishes what is in flight with this very server.
    this.#child = fork(CLI, args, {
      stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
      detached: true,
      // What this process was started with (--inspect, --eval) is not meant for that one.
      execArgv: [],
    });
    this.#child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      this.#said = (this.#said + text).slice(-STDERR_CHARS);
    });
    this.#exited = new Promise((resolve) => {
      const ended = () => {
        this.#gone.abort();
        resolve();
      };
      this.#child.once('close', ended);
      this.#child.once('error', ended);
    });
  }

  /** smtp://127.0.0.1:PORT */
  get url(): string {
    return this.#url;
  }

  /** Aborted when it has ended. */
  get gone(): AbortSignal {
    return this.#gone.signal;
  }

  /** @throws SendstateError `demo-capture` when it has ended */
  async counts(): Promise<CaptureCounts> {
    const answer = this.#next('counts');
    if (this.#child.connected) this.#child.send('counts');
    return await answer;
  }

  /** Ends it; the mails are written by then. */
  async stop(): Promise<void> {
    const timer = setTimeout(() => this.#child.kill('SIGKILL'), STOP_MS);
    if (this.#child.connected) this.#child.send('stop');
    await this.#exited;
    clearTimeout(timer);
  }

  async #next<K extends CaptureMessage['kind']>(kind: K): Promise<Extract<CaptureMessage, { kind: K }>> {
    return await new Promise((resolve, reject) => {
      const ended = () => reject(this.#ended());
      const heard = (message: unknown) => {
        const told = message as CaptureMessage;
        if (told.kind !== kind) return;
        this.#child.off('message', heard);
        this.gone.removeEventListener('abort', ended);
        resolve(told as Extract<CaptureMessage, { kind: K }>);
      };
      this.#child.on('message', heard);
      if (this.gone.aborted) ended();
      else this.gone.addEventListener('abort', ended, { once: true });
    });
  }

  #ended(): SendstateError {
    const words = this.#said.trim();
    return new SendstateError(
      'demo-capture',
      `The capture server has ended${words === '' ? '' : `: ${words}`}`,
      { hint: 'Try it by itself: sendstate capture' },
    );
  }
}
