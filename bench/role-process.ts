import type { RoleJob, RoleMessage, RoleResult } from './role.ts';
import { Child } from './speed-child.ts';

/** A publisher or a consumer, from outside. */
export class RoleProcess {
  readonly #child: Child;
  readonly #job: RoleJob;

  private constructor(child: Child, job: RoleJob) {
    this.#child = child;
    this.#job = job;
  }

  /** Starts the process and waits until it has loaded everything. */
  static async start(job: RoleJob): Promise<RoleProcess> {
    const child = Child.start(new URL('./role.ts', import.meta.url), [JSON.stringify(job)]);
    const first = await child.next<RoleMessage>();
    if (first.kind !== 'ready') throw new Error(`a process of ${job.design} said ${first.kind} first`);
    return new RoleProcess(child, job);
  }

  get pid(): number {
    return this.#child.pid;
  }

  /** @throws what went wrong in the process, or that it ended */
  async go(): Promise<RoleResult> {
    const message = await this.#child.ask<RoleMessage>('go');
    if (message.kind === 'done') return message;
    const why = message.kind === 'failed' ? message.why : `it said ${message.kind}`;
    throw new Error(`${this.#job.role} of ${this.#job.design}: ${why}`);
  }

  /** Of a job with `holdAfter`: until it holds. @throws when it ended or came to its end instead */
  async goUntilHeld(): Promise<void> {
    const { kind } = await this.#child.ask<RoleMessage>('go');
    if (kind !== 'held')
      throw new Error(`${this.#job.role} of ${this.#job.design} should hold, it said ${kind}`);
  }

  /** The gentle end: what is in flight is finished, and `go` comes back. */
  stop(): void {
    this.#child.tell('stop');
  }

  /** SIGKILL, and wait. */
  async kill(): Promise<void> {
    await this.#child.kill();
  }

  /** Ends a process that has done its work, however long its connections would like to stay. */
  async end(): Promise<void> {
    await this.#child.stop();
  }
}

/** One role from beginning to end. */
export async function play(job: RoleJob): Promise<RoleResult> {
  const role = await RoleProcess.start(job);
  try {
    return await role.go();
  } finally {
    await role.end();
  }
}
