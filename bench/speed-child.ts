import { type ChildProcess, fork } from 'node:child_process';

interface Waiting {
  readonly resolve: (message: unknown) => void;
  readonly reject: (error: Error) => void;
}

/** A process of the bench's own, spoken to in messages. It ends when the bench does: its channel closes. */
export class Child {
  readonly pid: number;
  readonly #process: ChildProcess;
  readonly #name: string;
  readonly #gone: Promise<void>;
  readonly #messages: unknown[] = [];
  #waiting: Waiting | null = null;
  #ended: Error | null = null;
  #stderr = '';

  private constructor(name: string, child: ChildProcess) {
    if (child.pid === undefined) throw new Error(`${name} did not start`);
    this.pid = child.pid;
    this.#name = name;
    this.#process = child;
    child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      // The last words are what tells why it ended.
      this.#stderr = (this.#stderr + text).slice(-4000);
    });
    child.on('message', (message) => {
      const waiting = this.#waiting;
      this.#waiting = null;
      if (waiting === null) this.#messages.push(message);
      else waiting.resolve(message);
    });
    this.#gone = new Promise((resolve) => {
      // Not 'close': it does not come after this side has closed the channel.
      child.once('exit', (code, signal) => {
        const end = () => {
          this.#ended = new Error(`${this.#name} ended (${signal ?? code}): ${this.#stderr}`);
          this.#waiting?.reject(this.#ended);
          resolve();
        };
        if (child.stderr === null || child.stderr.closed) end();
        else child.stderr.once('close', end);
      });
    });
  }

  /** Starts a TypeScript program of this repository. */
  static start(program: URL, args: readonly string[] = []): Child {
    const name = program.pathname.split('/').at(-1) ?? program.pathname;
    return new Child(name, fork(program, args, { stdio: ['ignore', 'ignore', 'pipe', 'ipc'] }));
  }

  /** The next message; rejects when the process ends first, with its last words. */
  async next<T>(): Promise<T> {
    if (this.#messages.length > 0) return this.#messages.shift() as T;
    if (this.#ended !== null) throw this.#ended;
    return await new Promise<T>((resolve, reject) => {
      this.#waiting = { resolve: (message) => resolve(message as T), reject };
    });
  }

  /** Sends a message and waits for the answer. */
  async ask<T>(message: string | object): Promise<T> {
    if (this.#ended !== null) throw this.#ended;
    this.#process.send(message);
    return await this.next<T>();
  }

  /** Sends a message that has no answer of its own. */
  tell(message: string | object): void {
    if (this.#ended === null) this.#process.send(message);
  }

  /** SIGKILL, and wait. */
  async kill(): Promise<void> {
    this.#process.kill('SIGKILL');
    await this.#gone;
  }

  /** Closes the channel, which is the sign to end, and waits. */
  async stop(): Promise<void> {
    if (this.#process.connected) this.#process.disconnect();
    await this.#gone;
  }
}
