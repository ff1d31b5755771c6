import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const CLI = fileURLToPath(new URL('../../src/cli.ts', import.meta.url));
/** What Node has compiled once it need not compile for every process: 0.2 s instead of 0.4 s to the first line. */
const COMPILED = fileURLToPath(new URL('../../node_modules/.cache/sendstate-tests', import.meta.url));

export interface CliOptions {
  /** Added to an environment that names nothing: no database, no relay, nothing of the test runner's. */
  readonly env?: Readonly<Record<string, string | undefined>>;
  /** Default: an empty directory, so that no .env is read. */
  readonly cwd?: string;
  /** Written to standard input, which is then closed. Default: closed at once. */
  readonly input?: string | Buffer;
  /** A file that stdout goes to, by its descriptor. Default: it is read. */
  readonly stdout?: number;
  /** Another program than this version's src/cli.ts. */
  readonly program?: string;
}

export interface Ended {
  /** Exit code; null when a signal ended it. */
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** A real process of the command line. */
export class CliProcess {
  readonly pid: number;
  /** Resolves when the process is gone and everything that it said has been read; never rejects. */
  readonly ended: Promise<Ended>;
  readonly #child: ChildProcess;
  #stdout = '';
  #stderr = '';
  #over = false;
  #looks: (() => void)[] = [];

  constructor(child: ChildProcess) {
    if (child.pid === undefined) throw new Error('the process did not start');
    this.pid = child.pid;
    this.#child = child;
    child.stdout?.setEncoding('utf8').on('data', (text: string) => {
      this.#stdout += text;
      this.#look();
    });
    child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      this.#stderr += text;
      this.#look();
    });
    this.ended = new Promise((resolve) => {
      child.on('close', (code, signal) => {
        this.#over = true;
        this.#look();
        resolve({ code, signal, stdout: this.#stdout, stderr: this.#stderr });
      });
    });
  }

  get stdout(): string {
    return this.#stdout;
  }

  get stderr(): string {
    return this.#stderr;
  }

  /** Sends a signal; throws when the process is gone, because then the test forced nothing. */
  signal(name: NodeJS.Signals): void {
    if (!this.#child.kill(name)) throw new Error(`${name}: the process has ended already\n${this.#stderr}`);
  }

  /** Resolves once stdout and stderr together hold the words; rejects when the process ends without. */
  async says(words: RegExp): Promise<void> {
    await new Promise<void>((resolve, reject) => {
      const look = () => {
        if (words.test(this.#stdout + this.#stderr)) resolve();
        else if (this.#over) reject(new Error(`never said ${words}:\n${this.#stdout}${this.#stderr}`));
        else this.#looks.push(look);
      };
      look();
    });
  }

  /** Its stdout has no reader any more: the next write finds a broken pipe. */
  closeOutput(): void {
    this.#child.stdout?.destroy();
  }

  /** The same of its stderr. */
  closeErrors(): void {
    this.#child.stderr?.destroy();
  }

  /** Ends it, whatever state it is in. */
  async destroy(): Promise<void> {
    if (!this.#over) {
      this.#child.kill('SIGKILL');
      await this.ended;
    }
  }

  #look(): void {
    const looks = this.#looks;
    this.#looks = [];
    for (const look of looks) look();
  }
}

const started = new Set<CliProcess>();
let emptyDirectory: Promise<string> | undefined;

/** An empty directory that is removed by `endProcesses`. */
async function nowhere(): Promise<string> {
  emptyDirectory ??= mkdtemp(path.join(tmpdir(), 'sendstate-cli-'));
  return await emptyDirectory;
}

/** Starts `sendstate` with these arguments; the test file calls `endProcesses` in afterEach. */
export async function startCli(args: readonly string[], options: CliOptions = {}): Promise<CliProcess> {
  const cwd = options.cwd ?? (await nowhere());
  const child = spawn(process.execPath, [options.program ?? CLI, ...args], {
    cwd,
    env: {
      PATH: process.env.PATH,
      HOME: cwd,
      LANG: 'C.UTF-8',
      NODE_COMPILE_CACHE: COMPILED,
      ...options.env,
    },
    stdio: ['pipe', options.stdout ?? 'pipe', 'pipe'],
  });
  // A program that does not read its input closes the pipe; that is its good right.
  child.stdin?.on('error', () => undefined);
  child.stdin?.end(options.input);
  const cli = new CliProcess(child);
  started.add(cli);
  void cli.ended.then(() => started.delete(cli));
  return cli;
}

/** Runs `sendstate` to its end. */
export async function runCli(args: readonly string[], options: CliOptions = {}): Promise<Ended> {
  return await (await startCli(args, options)).ended;
}

/** Ends every process that is still there, also stopped ones, also after a test that failed. */
export async function endProcesses(): Promise<void> {
  await Promise.all([...started].map((cli) => cli.destroy()));
  const directory = await emptyDirectory;
  emptyDirectory = undefined;
  if (directory !== undefined) await rm(directory, { recursive: true, force: true });
}
