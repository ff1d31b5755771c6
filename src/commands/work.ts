import type { Command } from 'commander';
import cron from 'node-cron';
import { campaigns } from '../api/status.ts';
import { work } from '../api/work.ts';
import { messageOf } from '../errors.ts';
import { outcomesLine } from '../report/format.ts';
import type { WorkEnd } from '../worker/worker.ts';
import { type Context, withDatabase } from './context.ts';
import type { Log } from './log.ts';
import { logFor, Observing } from './observing.ts';
import { Siblings } from './processes.ts';
import { type WorkFlags, workOptions, workOptionsOf } from './working.ts';

interface WorkCommandFlags extends WorkFlags {
  readonly cron?: string;
  readonly drain?: boolean;
}

async function runWork(context: Context, flags: WorkCommandFlags): Promise<void> {
  const options = workOptionsOf(context, flags);
  const drain = flags.drain === true || flags.cron !== undefined;
  const log = await logFor(context, flags, { service: true });
  await withDatabase(
    context,
    async (app) => {
      const observing = await Observing.begin(context, app, flags, log);
      try {
        const { meter, onEvent } = observing;
        const siblings = new Siblings(context, (flags.processes ?? 1) - 1);
        const once = () => work(app, { ...options, drain, meter, onEvent });
        if (flags.cron !== undefined) await ticking(context, log, flags.cron, once);
        else if ((await once()) === 'relay') context.fail();
        await siblings.wait();
      } finally {
        await observing.close();
      }
      if (flags.child === true) return;
      const running = (await campaigns(app)).filter(({ status }) => status === 'running');
      for (const progress of running) log.note('standing', `${progress.name}: ${outcomesLine(progress)}`);
    },
    { make: true, max: 8 },
  );
}

/** Drains at each tick of the schedule until the signal. A tick that comes while the last one still works is left out. */
async function ticking(
  context: Context,
  log: Log,
  expression: string,
  drain: () => Promise<WorkEnd>,
): Promise<void> {
  const end = Promise.withResolvers<void>();
  let current: Promise<unknown> = Promise.resolve();
  const task = cron.schedule(
    expression,
    () => {
      current = drain().catch((error: unknown) =>
        log.note('tick', `This tick failed: ${messageOf(error)}`, 'error'),
      );
      return current;
    },
    { noOverlap: true },
  );
  log.note('tick', `Waiting for ${expression}; stop with Ctrl-C.`);
  context.signal.addEventListener('abort', () => end.resolve(), { once: true });
  if (context.signal.aborted) end.resolve();
  await end.promise;
  await task.destroy();
  await current;
}

/** `work` */
export function registerWork(program: Command, contextOf: (command: Command) => Context): void {
  workOptions(
    program.command('work').description('a worker for every campaign that runs, until it is stopped'),
  )
    .option('--drain', 'end when nothing is due any more')
    .option('--cron <expression>', 'drain at each tick, e.g. "*/5 * * * *"; never overlaps itself')
    .action((flags: WorkCommandFlags, command: Command) => {
      if (flags.cron !== undefined && !cron.validate(flags.cron))
        command.error(`error: "${flags.cron}" is no cron expression; write it as "*/5 * * * *"`);
      return runWork(contextOf(command), flags);
    });
}
