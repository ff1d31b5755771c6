import type { Command } from 'commander';
import { stringify } from 'csv-stringify/sync';
import type { App } from '../api/sendstate.ts';
import { campaigns, recipients, type Status, status } from '../api/status.ts';
import { safeCell } from '../import/formula.ts';
import { OUTCOMES, type Outcome } from '../model/states.ts';
import {
  count,
  duration,
  failureLines,
  outcomesLine,
  perSecond,
  printable,
  progressLine,
} from '../report/format.ts';
import type { Progress, RecipientRow, RelayActivity } from '../report/progress.ts';
import { type Context, withDatabase } from './context.ts';
import { outcome } from './options.ts';
import { legibleJson, writeOut } from './terminal.ts';
import { watch } from './watch.ts';

function overviewLine(progress: Progress): string {
  return `${progress.name}  ${progress.status}  ${outcomesLine(progress)}`;
}

function statusLines({ progress, failures, workers, relays }: Status): string[] {
  const why = progress.statusReason === null ? '' : `: ${printable(progress.statusReason)}`;
  const lines = [
    `${progress.name} is ${progress.status}${why}`,
    progressLine(progress),
    outcomesLine(progress),
  ];
  if (progress.status === 'scheduled' && progress.startAt !== null)
    lines.push(`starts at ${progress.startAt.toISOString()}`);
  if (failures.length > 0) lines.push('Failures:', ...failureLines(failures));
  const alive = workers.filter(({ state }) => state === 'alive' || state === 'silent');
  if (alive.length > 0) {
    lines.push('Workers:');
    for (const worker of alive) {
      const since = duration((Date.now() - worker.startedAt.getTime()) / 1000);
      lines.push(
        `  ${worker.workerId} on ${printable(worker.host)} (${worker.state}, since ${since}) holds ${count(worker.holds)}, did ${count(worker.doneLastMinute)} in the last minute`,
      );
    }
  }
  const troubled = relays.filter(({ state }) => state !== 'working');
  if (troubled.length > 0) lines.push('Relays:', ...troubled.map(relayLine));
  return lines;
}

function relayLine({ label, workerId, state, words, slowedTo }: RelayActivity): string {
  const limit = state === 'slowed' && slowedTo !== null ? ` to ${perSecond(slowedTo)}` : '';
  return printable(
    `  ${label} is ${state}${limit} for worker ${workerId}${words === null ? '' : `: ${words}`}`,
  );
}

async function show(
  context: Context,
  app: App,
  name: string | undefined,
  out = context.out,
): Promise<Progress[]> {
  if (name === undefined) {
    const all = await campaigns(app);
    if (context.json) out(JSON.stringify(all));
    else if (all.length === 0)
      out('There is no campaign yet. Make one: sendstate create NAME --from … --subject … --html FILE');
    else for (const progress of all) out(overviewLine(progress));
    return all;
  }
  const found = await status(app, name);
  if (context.json) out(JSON.stringify(found));
  else for (const line of statusLines(found)) out(line);
  return [found.progress];
}

const COLUMNS = [
  'address',
  'send_state',
  'outcome',
  'attempts',
  'maybe_sent',
  'reply_code',
  'reply',
  'retry_at',
  'done_at',
];

function cells(row: RecipientRow): (string | number | null)[] {
  const { address, sendState, attempts, maybeSent, replyCode, reply, retryAt, doneAt } = row;
  return [
    safeCell(address),
    sendState,
    row.outcome,
    attempts,
    maybeSent,
    replyCode,
    // A relay's words come from outside.
    reply === null ? null : safeCell(reply),
    retryAt?.toISOString() ?? null,
    doneAt?.toISOString() ?? null,
  ];
}

interface RecipientFlags {
  readonly outcome?: Outcome;
  readonly csv?: boolean;
}

async function runRecipients(context: Context, name: string, flags: RecipientFlags): Promise<void> {
  await withDatabase(context, async (app) => {
    let header = flags.csv === true ? stringify([COLUMNS], { bom: true, record_delimiter: '\r\n' }) : '';
    for await (const row of recipients(app, name, flags.outcome)) {
      if (context.json) await writeOut(`${legibleJson(JSON.stringify(row))}\n`);
      else if (flags.csv === true) {
        await writeOut(header + stringify([cells(row)], { record_delimiter: '\r\n' }));
        header = '';
      } else {
        const state = row.outcome ?? (row.sendState === 1 ? 'claimed' : 'waiting');
        await writeOut(
          printable(`${row.address}  ${state}  ${row.replyCode ?? ''} ${row.reply ?? ''}`.trimEnd()).concat(
            '\n',
          ),
        );
      }
    }
    if (header !== '') await writeOut(header);
  });
}

/** `status [NAME]`, `recipients NAME` */
export function registerStatus(program: Command, contextOf: (command: Command) => Context): void {
  program
    .command('status')
    .description('where campaigns stand: progress, rate, time left, failures by reason')
    .argument('[name]', 'one campaign (default: a line for each)')
    .option('--watch', 'look every second until it has ended')
    .option('--json', 'print JSON')
    .action((name: string | undefined, flags: { watch?: boolean }, command: Command) => {
      const context = contextOf(command);
      return withDatabase(context, async (app) => {
        if (flags.watch === true) await watch(context, app, name, (out) => show(context, app, name, out));
        else await show(context, app, name);
      });
    });
  program
    .command('recipients')
    .description('who, and what the relay said')
    .argument('<name>', 'the campaign')
    .option('--outcome <outcome>', `only these: ${OUTCOMES.join(', ')}`, outcome)
    .option('--csv', 'CSV that Excel opens (UTF-8 with a byte order mark)')
    .option('--json', 'print a JSON object a line')
    .action((name: string, flags: RecipientFlags, command: Command) =>
      runRecipients(contextOf(command), name, flags),
    );
}
