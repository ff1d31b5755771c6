import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';

const CHILD = fileURLToPath(new URL('../argv-child.ts', import.meta.url));
/** Milliseconds for one command on a loaded machine. */
const HANG_MS = 15_000;
/** What the process writes after each run, on both streams. */
const END = String.fromCharCode(1);

export interface Run {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** The command line as a real process, one command after the other. */
export class Line {
  readonly #cwd: string;
  readonly #databaseUrl: string;
  #child: ChildProcess | null = null;
  #stdout = '';
  #stderr = '';
  #wake: () => void = () => undefined;

  constructor(cwd: string, databaseUrl: string) {
    this.#cwd = cwd;
    this.#databaseUrl = databaseUrl;
  }

  #start(): ChildProcess {
    const cwd = this.#cwd;
    const env = { PATH: process.env.PATH, HOME: cwd, LANG: 'C.UTF-8', SMTP_URL: 'smtp://127.0.0.1:9' };
    const child = spawn(process.execPath, [CHILD], { cwd, env: { ...env, DATABASE_URL: this.#databaseUrl } });
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      this.#stdout += text;
      this.#wake();
    });
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      this.#stderr += text;
      this.#wake();
    });
    child.on('close', () => {
      this.#child = null;
      this.#wake();
    });
    return child;
  }

  /** Runs a command; with `parseOnly` its arguments are read and nothing is done. */
  async run(args: readonly string[], { parseOnly = false } = {}): Promise<Run> {
    [this.#stdout, this.#stderr] = ['', ''];
    this.#child ??= this.#start();
    this.#child.stdin?.write(`${Buffer.from(JSON.stringify({ args, parseOnly })).toString('base64')}\n`);
    const deadline = Date.now() + HANG_MS;
    for (;;) {
      const end = this.#stdout.lastIndexOf(`\n${END} `);
      if (end >= 0 && this.#stdout.endsWith('\n') && this.#stderr.endsWith(END)) {
        const stderr = this.#stderr.slice(0, -1);
        return { code: Number(this.#stdout.slice(end + 2)), stdout: this.#stdout.slice(0, end), stderr };
      }
      if (this.#child === null) throw new Error(`the process ended\n${this.#stderr}`);
      if (Date.now() > deadline) throw new Error(`it hangs: ${JSON.stringify(args)}\n${this.#stderr}`);
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, 1_000);
        this.#wake = () => {
          clearTimeout(timer);
          resolve();
        };
      });
    }
  }

  async end(): Promise<void> {
    const child = this.#child;
    if (child === null) return;
    const closed = new Promise((resolve) => child.once('close', resolve));
    child.stdin?.end();
    await closed;
  }
}

/** What a terminal obeys. */
const OBEYED = /[^\P{Cc}\n\t]|[\u202a-\u202e\u2066-\u2069]/u;

export function checkRun(args: readonly string[], run: Run): void {
  const { code, stdout, stderr } = run;
  assert.ok([0, 1, 2].includes(code), `exit code ${code}`);
  assert.doesNotMatch(stderr, /^ {4}at /m, 'a stack');
  assert.ok(code === 0 || (stdout + stderr).trim() !== '', 'who fails says why');
  const shown = args.includes('--csv') || args.includes('--json') ? stderr : stdout + stderr;
  assert.doesNotMatch(shown, OBEYED, JSON.stringify(shown.slice(0, 300)));
}
