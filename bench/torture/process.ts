import { type ChildProcess, fork, spawn } from 'node:child_process';
import { sendstateCommand } from '../server.ts';
import type { FromSink, ToSink } from './sink.ts';

export interface Ended {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

/** A process of the command line, by its own pid, so that a signal reaches it and no other. */
export class Command {
  readonly pid: number;
  readonly ended: Promise<Ended>;
  /** Its last words. */
  stderr = '';
  over = false;
  readonly #child: ChildProcess;

  constructor(args: readonly string[], env: Readonly<Record<string, string>>, cwd: string) {
    const child = spawn(process.execPath, [...sendstateCommand(), ...args], {
      cwd,
      env: { PATH: process.env.PATH, HOME: cwd, LANG: 'C.UTF-8', ...env },
      stdio: ['pipe', 'ignore', 'pipe'],
    });
    if (child.pid === undefined) throw new Error('sendstate did not start');
    this.pid = child.pid;
    this.#child = child;
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      this.stderr = (this.stderr + text).slice(-20_000);
    });
    // Who is killed reads no more.
    child.stdin.on('error', () => undefined);
    this.ended = new Promise((resolve) => {
      child.once('close', (code, signal) => {
        this.over = true;
        resolve({ code, signal });
      });
    });
    const kill = () => child.kill('SIGKILL');
    process.once('exit', kill);
    void this.ended.then(() => process.off('exit', kill));
  }

  signal(name: NodeJS.Signals): void {
    this.#child.kill(name);
  }

  write(text: string): void {
    this.#child.stdin?.write(text);
  }

  closeInput(): void {
    this.#child.stdin?.end();
  }

  get lastWords(): string {
    return this.stderr.trim().split('\n').slice(-3).join(' | ');
  }
}

/** The sink's process. It ends when its channel closes. */
export class SinkProcess {
  readonly port: number;
  readonly logFile: string;
  accepted = 0;
  readonly #child: ChildProcess;
  #looks: (() => void)[] = [];

  private constructor(child: ChildProcess, port: number, logFile: string) {
    this.#child = child;
    this.port = port;
    this.logFile = logFile;
    child.on('message', (message: FromSink) => {
      if (message.kind !== 'accepted') return;
      this.accepted = message.count;
      for (const look of this.#looks.splice(0)) look();
    });
  }

  static async start(logFile: string): Promise<SinkProcess> {
    const child = fork(new URL('./sink.ts', import.meta.url), [logFile], {
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    });
    const port = await new Promise<number>((resolve, reject) => {
      child.once('message', (message: FromSink) => resolve(message.kind === 'listening' ? message.port : 0));
      child.once('exit', (code) => reject(new Error(`the sink ended (${code})`)));
    });
    return new SinkProcess(child, port, logFile);
  }

  tell(message: ToSink): void {
    this.#child.send(message);
  }

  /** Resolves when so many were accepted, or after `patienceMs`. */
  async reaches(count: number, patienceMs: number): Promise<boolean> {
    const end = performance.now() + patienceMs;
    while (this.accepted < count && performance.now() < end) {
      const woken = Promise.withResolvers<void>();
      this.#looks.push(woken.resolve);
      const timer = setTimeout(woken.resolve, Math.max(end - performance.now(), 1));
      await woken.promise;
      clearTimeout(timer);
    }
    return this.accepted >= count;
  }

  async stop(): Promise<void> {
    const gone = new Promise<void>((resolve) => this.#child.once('exit', () => resolve()));
    if (this.#child.exitCode !== null) return;
    this.#child.disconnect();
    await gone;
  }
}
