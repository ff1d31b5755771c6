import { setTimeout as wait } from 'node:timers/promises';
import { Command, type Ended } from './process.ts';

/** A death for the others, milliseconds since the epoch: it was killed, or was silent beyond its lease. */
export interface Silence {
  readonly at: number;
  /** When its process was gone, or awake again, or it was buried. */
  until: number;
}

/** One worker process and how it ended. */
export interface WorkerLife {
  /** What it calls itself in EHLO. */
  readonly name: string;
  readonly pid: number;
  readonly deaths: Silence[];
  /** It was killed, or asked to end; else an end is news. */
  expected: boolean;
  /** It ended without a request: its last words. */
  unbidden: string | null;
  /** What it has said. */
  readonly words: () => string;
}

interface Slot {
  command: Command | null;
  life: WorkerLife | null;
  frozen: boolean;
}

export interface WorkersOptions {
  readonly count: number;
  /** Arguments of `sendstate work`. */
  readonly args: readonly string[];
  readonly cwd: string;
  /** The environment of a worker of this name. */
  readonly env: (name: string) => Readonly<Record<string, string>>;
  readonly say: (line: string) => void;
}

/** Wait before a worker that ended by itself is started again, milliseconds: what a supervisor such as systemd does. */
const RESTART_MS = 300;

/** So many worker processes, each started again whenever it ends, as a supervisor would. */
export class Workers {
  readonly lives: WorkerLife[] = [];
  readonly #options: WorkersOptions;
  readonly #slots: Slot[];
  #closing = false;

  constructor(options: WorkersOptions) {
    this.#options = options;
    this.#slots = Array.from({ length: options.count }, () => ({ command: null, life: null, frozen: false }));
    for (const slot of this.#slots) this.#start(slot);
  }

  /** A worker that runs and is not frozen, by chance; null when there is none at this moment. */
  pick(chance: number): Slot | null {
    const awake = this.#slots.filter(({ command, frozen }) => command !== null && !command.over && !frozen);
    return awake[Math.floor(chance * awake.length)] ?? null;
  }

  get awake(): number {
    return this.#slots.filter(({ command, frozen }) => command !== null && !command.over && !frozen).length;
  }

  /** SIGKILL; another one takes its place after a while. Returns whom it hit and when. */
  async kill(slot: Slot, replaceAfterMs: number): Promise<{ life: WorkerLife; at: number }> {
    const { command, life } = slot;
    if (command === null || life === null) throw new Error('there is no worker to kill');
    life.expected = true;
    const at = Date.now();
    const death: Silence = { at, until: Number.POSITIVE_INFINITY };
    life.deaths.push(death);
    command.signal('SIGKILL');
    await command.ended;
    death.until = Date.now();
    void wait(replaceAfterMs).then(() => this.#start(slot));
    return { life, at };
  }

  /** SIGTERM; another one takes its place when it is gone, which it must be within `patienceMs`. Returns how it ended. */
  async term(slot: Slot, patienceMs: number): Promise<{ life: WorkerLife; ended: Ended }> {
    const { command, life } = slot;
    if (command === null || life === null) throw new Error('there is no worker to end');
    life.expected = true;
    command.signal('SIGTERM');
    const impatient = setTimeout(() => {
      life.deaths.push({ at: Date.now(), until: Number.POSITIVE_INFINITY });
      command.signal('SIGKILL');
    }, patienceMs);
    const ended = await command.ended;
    clearTimeout(impatient);
    this.#start(slot);
    return { life, ended };
  }

  /** SIGSTOP for so long, then SIGCONT. Resolves when it is awake again. */
  async freeze(slot: Slot, ms: number): Promise<WorkerLife> {
    const { command, life } = slot;
    if (command === null || life === null) throw new Error('there is no worker to freeze');
    slot.frozen = true;
    const death: Silence = { at: Date.now(), until: Number.POSITIVE_INFINITY };
    life.deaths.push(death);
    command.signal('SIGSTOP');
    await wait(ms);
    command.signal('SIGCONT');
    death.until = Date.now();
    slot.frozen = false;
    return life;
  }

  /** SIGTERM to all, and the exit code of each that had begun to listen to it. */
  async end(): Promise<(number | null)[]> {
    this.#closing = true;
    const running = this.#slots.flatMap(({ command }) => (command === null || command.over ? [] : [command]));
    for (const { life } of this.#slots) if (life !== null) life.expected = true;
    for (const command of running) command.signal('SIGTERM');
    const ends = await Promise.all(running.map(({ ended }) => ended));
    // One that was replaced just now had not begun to listen to signals; whether it had worked is looked at as well.
    for (const { life, command } of this.#slots) {
      if (life !== null && (await command?.ended)?.signal === 'SIGTERM') life.unbidden = 'SIGTERM ended it';
    }
    return ends.filter(({ signal }) => signal !== 'SIGTERM').map(({ code }) => code);
  }

  #start(slot: Slot): void {
    if (this.#closing) return;
    const { args, cwd, env, say } = this.#options;
    const name = `w${this.lives.length + 1}`;
    const command = new Command(args, env(name), cwd);
    const words = () => command.stderr;
    const life: WorkerLife = {
      ...{ name, pid: command.pid, deaths: [], expected: false, unbidden: null, words },
    };
    command.closeInput();
    this.lives.push(life);
    slot.command = command;
    slot.life = life;
    void command.ended.then(async ({ code, signal }) => {
      if (life.expected || this.#closing) return;
      life.unbidden = `${signal ?? code}: ${command.lastWords}`;
      say(`${name} ended by itself (${life.unbidden})`);
      await wait(RESTART_MS);
      this.#start(slot);
    });
  }
}
