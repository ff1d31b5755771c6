import type { Command } from 'commander';
import cron from 'node-cron';
import { messageOf, SendstateError } from '../errors.ts';
import { campaigns, type PollEnd, type SendEvent, type Sendstate, send, status, work } from '../index.ts';
import { count, duration, failureLines, outcomesLine, printable, progressLine } from '../progress/format.ts';
import { type Context, relayOf, withDatabase } from './context.ts';
import { integer } from './options.ts';
import { Painter } from './painter.ts';

interface WorkFlags {
  readonly batch?: number;
  readonly window?: number;
  readonly lease?: number;
}

/** How often the progress line is drawn, milliseconds. */
const PAINT_MS = 250;

function workOptions(command: Command): Command {
  return command
    .option('--batch <n>', 'recipients in a claim (default: 500)', integer(1, 10_000))
    .option(
      '--window <n>',
      'recipients that may be in doubt after a crash (default: 4 × connections, at least 100)',
      integer(1, 10_000),
    )
    .option(
      '--lease <seconds>',
      "silence after which others take over this worker's claims (default: 15)",
      integer(2, 3600),
    );
}

/** What happened, in words; null for what needs none. */
function wordsOf(event: SendEvent): string | null {
  switch (event.kind) {
    case 'refused':
      return `${event.name} is paused: ${event.reason}`;
    case 'relay': {
      const { state, reason } = event.breaker;
      if (event.misconfigured !== null)
        return `The relay refuses us: ${event.misconfigured}. Nobody fails for it; correct SMTP_URL or the sender.`;
      if (state === 'open')
        return `The relay is in trouble: ${reason ?? 'no reason given'}. Waiting; nobody is charged an attempt.`;
      return state === 'closed' ? 'The relay works again.' : null;
    }
    case 'rescued': {
      const { workers, recipients, ambiguous } = event.rescue;
      return `Took over ${count(recipients)} recipients from ${workers} workers that died; ${count(ambiguous)} of them may have been sent.`;
    }
    case 'presumed-dead':
      return 'This worker was silent for too long; others took its claims. Going on with new ones.';
    case 'claims-lost':
      return `${event.name}: ${event.claims} claims were taken over by others.`;
    case 'database-lost':
      return `The database does not answer: ${event.why}. Results are kept and written when it is back.`;
    case 'database-back':
      return 'The database is back.';
    default:
      return null;
  }
}

async function runSend(context: Context, name: string, flags: WorkFlags): Promise<void> {
  const relay = relayOf(context);
  const painter = new Painter(context);
  await withDatabase(
    context,
    async (app) => {
      let asking = false;
      const paint = async () => {
        if (asking) return;
        asking = true;
        try {
          painter.paint(progressLine((await status(app, name)).progress));
        } catch {
          // The worker itself says that the database is away; a line that is not drawn loses nothing.
        }
        asking = false;
      };
      const timer = setInterval(() => void paint(), PAINT_MS);
      let end: PollEnd;
      try {
        end = await send(app, name, {
          relay,
          ...flags,
          leaseSeconds: flags.lease,
          signal: context.signal,
          abortSignal: context.abortSignal,
          onEvent: (event) => {
            const words = wordsOf(event);
            if (words !== null) painter.say(printable(words));
          },
        });
      } finally {
        clearInterval(timer);
        painter.clear();
      }
      await report(context, app, name, end);
    },
    { max: 6 },
  );
}

async function report(context: Context, app: Sendstate, name: string, end: PollEnd): Promise<void> {
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
    const failed =
      progress.outcomes.rejected +
      progress.outcomes.expired +
      progress.outcomes.invalid +
      progress.outcomes.unconfirmed;
    if (failed > 0) context.out(`Who and why: sendstate recipients ${name} --outcome rejected --csv`);
  }
  if (end === 'relay') {
    throw new SendstateError(
      'relay-refuses',
      'The relay refuses the sender; nobody has failed for it, everybody waits',
      {
        hint: `See what is wrong: sendstate doctor. Then go on: sendstate send ${name}`,
      },
    );
  }
  if (end === 'stopped' || progress.status === 'paused') context.fail();
}

interface WorkCommandFlags extends WorkFlags {
  readonly cron?: string;
  readonly drain?: boolean;
}

async function runWork(context: Context, flags: WorkCommandFlags): Promise<void> {
  const relay = relayOf(context);
  const drain = flags.drain === true || flags.cron !== undefined;
  await withDatabase(
    context,
    async (app) => {
      const once = () =>
        work(app, {
          relay,
          ...flags,
          drain,
          leaseSeconds: flags.lease,
          signal: context.signal,
          abortSignal: context.abortSignal,
          onEvent,
        });
      const onEvent = (event: SendEvent) => {
        const words = event.kind === 'campaign' ? `${event.name}: ${event.now}` : wordsOf(event);
        if (words !== null) context.err(printable(words));
      };
      if (flags.cron === undefined) {
        const end = await once();
        if (end === 'relay') context.fail();
      } else {
        await ticking(context, flags.cron, once);
      }
      const running = (await campaigns(app)).filter(({ status }) => status === 'running');
      for (const progress of running) context.err(`${progress.name}: ${outcomesLine(progress)}`);
    },
    { max: 8 },
  );
}

/** Drains at each tick of the schedule until the signal. A tick that comes while the last one still works is left out. */
async function ticking(context: Context, expression: string, drain: () => Promise<PollEnd>): Promise<void> {
  const end = Promise.withResolvers<void>();
  let current: Promise<unknown> = Promise.resolve();
  const task = cron.schedule(
    expression,
    () => {
      current = drain().catch((error: unknown) => context.err(`This tick failed: ${messageOf(error)}`));
      return current;
    },
    { noOverlap: true },
  );
  context.err(`Waiting for ${expression}; stop with Ctrl-C.`);
  context.signal.addEventListener('abort', () => end.resolve(), { once: true });
  if (context.signal.aborted) end.resolve();
  await end.promise;
  await task.destroy();
  await current;
}

/** `send NAME`, `work` */
export function registerSend(program: Command, contextOf: (command: Command) => Context): void {
  workOptions(
    program
      .command('send')
      .description('start a campaign and work until it is finished')
      .argument('<name>', 'the campaign'),
  )
    .option('--json', 'print one JSON object')
    .action((name: string, flags: WorkFlags, command: Command) => runSend(contextOf(command), name, flags));
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
