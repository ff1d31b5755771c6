import type { Command } from 'commander';
import type { App } from '../api/sendstate.ts';
import { status } from '../api/status.ts';
import { send } from '../api/work.ts';
import { SendstateError } from '../errors.ts';
import type { Outcome } from '../model/states.ts';
import { duration, failureLines, outcomesLine, printable } from '../report/format.ts';
import type { WorkEnd } from '../worker/worker.ts';
import { type Context, withDatabase } from './context.ts';
import { logFor, Observing } from './observing.ts';
import { Painter } from './painter.ts';
import { Siblings } from './processes.ts';
import { keepPainting, type WorkFlags, workOptions, workOptionsOf } from './working.ts';

async function runSend(context: Context, name: string, flags: WorkFlags): Promise<void> {
  const options = workOptionsOf(context, flags);
  const painter = new Painter(context);
  const log = await logFor(context, flags, { service: false, before: () => painter.clear() });
  await withDatabase(
    context,
    async (app) => {
      const observing = await Observing.begin(context, app, flags, log);
      const stopPainting = flags.child === true ? () => undefined : keepPainting(app, name, painter);
      let end: WorkEnd;
      try {
        const siblings = new Siblings(context, (flags.processes ?? 1) - 1);
        const { meter, onEvent } = observing;
        end = await send(app, name, { ...options, join: flags.child, meter, onEvent });
        await siblings.wait();
      } finally {
        stopPainting();
        await observing.close();
      }
      if (flags.child !== true) await report(context, app, name, end);
    },
    { max: 6 },
  );
}

/** The outcomes that need an operator's attention. */
const FAILURES = ['rejected', 'expired', 'invalid', 'unconfirmed'] as const satisfies readonly Outcome[];

async function report(context: Context, app: App, name: string, end: WorkEnd): Promise<void> {
  const { progress, failures } = await status(app, name);
  const { startedAt, finishedAt } = progress;
  if (context.json) context.out(JSON.stringify({ end, ...progress, failures }));
  else {
    const took =
      startedAt !== null && finishedAt !== null
        ? ` in ${duration((finishedAt.getTime() - startedAt.getTime()) / 1000)}`
        : '';
    const why = progress.statusReason === null ? '' : ` (${printable(progress.statusReason)})`;
    context.out(`${name} is ${progress.status}${why}${took}: ${outcomesLine(progress)}.`);
    for (const line of failureLines(failures)) context.out(line);
    if (end === 'stopped')
      context.out(`What was in flight is recorded, the rest waits. Go on: sendstate send ${name}`);
    for (const outcome of FAILURES.filter((one) => progress.outcomes[one] > 0))
      context.out(`Who and why: sendstate recipients ${name} --outcome ${outcome} --csv`);
  }
  if (end === 'relay') {
    throw new SendstateError(
      'relay-refuses',
      'The relay refuses the sender; no recipient has failed for it, all wait',
      {
        hint: `See what is wrong: sendstate doctor. Then go on: sendstate send ${name}`,
      },
    );
  }
  if (progress.status === 'paused') {
    const why = progress.statusReason === null ? '' : `: ${printable(progress.statusReason)}`;
    throw new SendstateError('campaign-paused', `Campaign "${name}" was paused${why}`, {
      hint: `Let it go on: sendstate resume ${name} (for workers that run), or sendstate send ${name}`,
    });
  }
  const failed = FAILURES.reduce((sum, outcome) => sum + progress.outcomes[outcome], 0);
  if (progress.status === 'finished' && progress.outcomes.sent === 0 && failed > 0) {
    const [first] = failures;
    const why = first === undefined ? '' : `; the most frequent reason: ${printable(first.reason)}`;
    throw new SendstateError(
      'nothing-sent',
      `Campaign "${name}" has ended and none of its ${failed} mails was accepted${why}`,
      {
        hint: `Correct the cause, see sendstate doctor. Then: sendstate retry ${name} --outcome ${first?.outcome ?? 'rejected'}, and sendstate send ${name}`,
      },
    );
  }
  if (end === 'stopped') context.fail();
}

/** `send NAME` */
export function registerSend(program: Command, contextOf: (command: Command) => Context): void {
  workOptions(
    program
      .command('send')
      .description('start a campaign and work until it is finished')
      .argument('<name>', 'the campaign'),
  )
    .option('--json', 'print one JSON object')
    .action((name: string, flags: WorkFlags, command: Command) => runSend(contextOf(command), name, flags));
}
