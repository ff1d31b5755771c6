#!/usr/bin/env node
import { Command, CommanderError } from 'commander';
import { registerCreate, registerLifecycle } from './commands/campaign.ts';
import { registerCapture } from './commands/capture.ts';
import type { Context } from './commands/context.ts';
import { registerDb } from './commands/db.ts';
import { registerDemo } from './commands/demo.ts';
import { registerHelp } from './commands/help.ts';
import { registerImport } from './commands/import.ts';
import { registerLimit } from './commands/limit.ts';
import { registerMaintenance } from './commands/maintenance.ts';
import { registerPreview } from './commands/preview.ts';
import { registerReport } from './commands/report.ts';
import { registerSend } from './commands/send.ts';
import { registerServe } from './commands/serve.ts';
import { registerStatus } from './commands/status.ts';
import { legible, legibleJson } from './commands/terminal.ts';
import { registerWork } from './commands/work.ts';
import { loadConfig } from './config.ts';
import { messageOf, SendstateError } from './errors.ts';
import { VERSION } from './version.ts';

const FAILED = 1;
const WRONG_USAGE = 2;
/** After a second signal, milliseconds: enough to cut connections and say where things stand, if the database answers. */
const END_WITHIN_MS = 3_000;

/** The first signal asks to finish, the second to end, the third ends. No handler is set until a command asks. */
class Signals {
  readonly #graceful = new AbortController();
  readonly #now = new AbortController();

  constructor() {
    process.on('SIGINT', () => this.#received());
    process.on('SIGTERM', () => this.#received());
    // A terminal that goes away sends it, and its shell once more: that is no second wish.
    process.on('SIGHUP', () => this.#finish());
    // From the parent of several worker processes; one that has died cannot ask any more.
    process.on('message', (word) => {
      if (word === 'finish') this.#graceful.abort();
      if (word === 'end') this.#end();
    });
    process.on('disconnect', () => this.#graceful.abort());
  }

  #received(): void {
    if (this.#now.signal.aborted) process.exit(FAILED);
    if (this.#graceful.signal.aborted) this.#end();
    else this.#finish();
  }

  #finish(): void {
    if (this.#graceful.signal.aborted) return;
    process.stderr.write('\nFinishing what is in flight; once more to end at once.\n');
    this.#graceful.abort();
  }

  #end(): void {
    this.#now.abort();
    const giveUp = setTimeout(() => {
      process.stderr.write('Ended without waiting any longer; other workers take over what this one held.\n');
      process.exit(FAILED);
    }, END_WITHIN_MS);
    giveUp.unref();
  }

  get graceful(): AbortSignal {
    return this.#graceful.signal;
  }

  get now(): AbortSignal {
    return this.#now.signal;
  }
}

let listening: Signals | undefined;
function signals(): Signals {
  listening ??= new Signals();
  return listening;
}

let failed = false;

function contextOf(command: Command): Context {
  const json = command.opts<{ json?: boolean }>().json === true;
  return {
    config: loadConfig({ env: process.env, cwd: process.cwd() }),
    out: (line) => void process.stdout.write(`${json ? legibleJson(line) : legible(line)}\n`),
    err: (line) => void process.stderr.write(`${legible(line)}\n`),
    json,
    isTty: process.stderr.isTTY === true,
    get signal() {
      return signals().graceful;
    },
    get abortSignal() {
      return signals().now;
    },
    fail: () => {
      failed = true;
    },
  };
}

/** The program without running it: for the tests of the documentation. */
export function createProgram(): Command {
  const program = new Command('sendstate')
    .description('Bulk personalised e-mail from a Postgres table.')
    .version(VERSION)
    .exitOverride()
    // Its errors quote the arguments.
    .configureOutput({ writeErr: (text) => void process.stderr.write(legible(text)) })
    .showHelpAfterError('(sendstate help COMMAND says more)')
    .configureHelp({ sortSubcommands: false });
  registerDemo(program, contextOf);
  registerMaintenance(program, contextOf);
  registerCreate(program, contextOf);
  registerImport(program, contextOf);
  registerPreview(program, contextOf);
  registerSend(program, contextOf);
  registerWork(program, contextOf);
  registerLifecycle(program, contextOf);
  registerStatus(program, contextOf);
  registerReport(program, contextOf);
  registerServe(program, contextOf);
  registerLimit(program, contextOf);
  registerDb(program, contextOf);
  registerCapture(program, contextOf);
  registerHelp(program);
  for (const command of allCommands(program)) command.exitOverride();
  return program;
}

function allCommands(command: Command): Command[] {
  return command.commands.flatMap((child) => [child, ...allCommands(child)]);
}

function explain(error: unknown): void {
  process.stderr.write(legible(`sendstate: ${messageOf(error)}\n`));
  if (error instanceof SendstateError) {
    if (error.hint !== undefined) process.stderr.write(legible(`${error.hint}\n`));
  } else if (error instanceof Error && process.env.SENDSTATE_DEBUG !== undefined) {
    process.stderr.write(legible(`${error.stack}\n`));
  }
}

let survives = false;

/** A stream without a listener ends the process, in the middle of whatever is in flight. */
function surviveReaders(): void {
  if (survives) return;
  survives = true;
  // The reader of our output may have seen enough: head, a pager, a closed terminal.
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code === 'EPIPE' || error.code === 'EIO') process.exit(failed ? FAILED : 0);
    explain(new Error(`The output cannot be written: ${error.message}`));
    process.exit(FAILED);
  });
  // There is no other place to say it, and what is talked about goes on.
  process.stderr.on('error', () => undefined);
}

/** Runs the program with the arguments of the process. @returns its exit code */
export async function main(): Promise<number> {
  surviveReaders();
  try {
    await createProgram().parseAsync();
    return failed ? FAILED : 0;
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : WRONG_USAGE;
    explain(error);
    return FAILED;
  } finally {
    // A channel to a parent would keep the process alive.
    if (process.connected) process.disconnect();
  }
}

if (import.meta.main) process.exitCode = await main();
