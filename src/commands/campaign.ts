import { readFile } from 'node:fs/promises';
import { type Command, InvalidArgumentError, Option } from 'commander';
import { create } from '../api/create.ts';
import { cancel, pause, resume, start } from '../api/lifecycle.ts';
import { retry } from '../api/recipients.ts';
import type { App } from '../api/sendstate.ts';
import { messageOf, SendstateError } from '../errors.ts';
import type { Retryable } from '../model/states.ts';
import { counted } from '../report/format.ts';
import { type Context, withDatabase } from './context.ts';
import { integer, pair, rate, retryable, secondsUpTo, several, time } from './options.ts';

type ContextOf = (command: Command) => Context;

interface CreateFlags {
  readonly from: string;
  readonly subject: string;
  readonly html?: string;
  readonly text?: string;
  readonly replyTo?: string;
  readonly bounceTo?: string;
  readonly header?: Record<string, string>;
  readonly attach?: string[];
  readonly inline?: Record<string, string>;
  readonly onUnconfirmed: 'resend' | 'hold';
  readonly maxAttempts: number;
  readonly maxAge: number;
  readonly rate?: number;
  readonly retryAfter: number;
}

async function template(option: string, file: string | undefined): Promise<string | undefined> {
  if (file === undefined) return undefined;
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: false }).decode(await readFile(file));
  } catch (error) {
    throw new SendstateError(
      'template-unreadable',
      `The file of ${option} cannot be read: ${messageOf(error)}`,
      {
        hint: `${file} must be there and be UTF-8.`,
        cause: error,
      },
    );
  }
}

async function runCreate(context: Context, name: string, flags: CreateFlags): Promise<void> {
  const html = await template('--html', flags.html);
  const text = await template('--text', flags.text);
  const inline = Object.entries(flags.inline ?? {}).map(([contentId, path]) => ({ path, contentId }));
  const make = async (app: App) => {
    const campaignId = await create(app, {
      name,
      from: flags.from,
      subject: flags.subject,
      html,
      text,
      replyTo: flags.replyTo,
      bounceTo: flags.bounceTo,
      headers: flags.header,
      attachments: [...inline, ...(flags.attach ?? []).map((path) => ({ path }))],
      onUnconfirmed: flags.onUnconfirmed,
      maxAttempts: flags.maxAttempts,
      maxAgeSeconds: flags.maxAge,
      rate: flags.rate,
      retryAfterSeconds: flags.retryAfter,
    });
    if (context.json) context.out(JSON.stringify({ campaignId, name }));
    else context.out(`Campaign ${name} is there. Next: sendstate import ${name} FILE.csv`);
  };
  await withDatabase(context, make, { make: true });
}

/** `create NAME` */
export function registerCreate(program: Command, contextOf: ContextOf): void {
  program
    .command('create')
    .description('make a campaign from templates')
    .argument('<name>', 'letters, digits, . _ -')
    .requiredOption('--from <mailbox>', 'the sender, a template: "News <news@example.com>"')
    .requiredOption('--subject <template>', 'the subject, a template: "Hello {{name}}"')
    .option('--html <file>', 'the html part, a Handlebars template')
    .option('--text <file>', 'the text part, a template (default: made from the html)')
    .option('--reply-to <mailbox>', 'where answers go, a template')
    .option('--bounce-to <address>', 'the envelope sender, where bounces go (default: the address in --from)')
    .option(
      '--header <line>',
      '"Name: template", several times, e.g. "List-Unsubscribe: <https://…/{{id}}>"',
      pair(':'),
    )
    .option('--attach <file>', 'a file for every mail, several times', several)
    .option(
      '--inline <cid=file>',
      'a picture that the html shows as <img src="cid:CID">, several times',
      pair('='),
    )
    .option('--rate <n/s>', 'mails per second over all workers, e.g. 50/s, 3000/min, 10000/h', rate)
    .option(
      '--on-unconfirmed <policy>',
      'a mail whose reply was never seen: resend or hold',
      onUnconfirmed,
      'resend',
    )
    .option('--max-attempts <n>', 'temporary failures until a recipient is expired', integer(1, 100), 5)
    .addOption(
      new Option(
        '--max-age <time>',
        'time since the start until temporary failures expire, e.g. 12h, 3d; at most 365d',
      )
        .argParser(secondsUpTo('365d'))
        .default(3 * 86_400, '3d'),
    )
    .addOption(
      new Option('--retry-after <time>', 'first wait after a temporary failure, 1s to 4h; doubles from there')
        .argParser(secondsUpTo('4h'))
        .default(300, '5m'),
    )
    .option('--json', 'print one JSON object')
    .action((name: string, flags: CreateFlags, command: Command) =>
      runCreate(contextOf(command), name, flags),
    );
}

function onUnconfirmed(text: string): 'resend' | 'hold' {
  if (text === 'resend' || text === 'hold') return text;
  throw new InvalidArgumentError('It must be resend or hold.');
}

function startsLine(name: string, startAt: Date | null): string {
  const at = startAt?.toISOString();
  if (startAt !== null && startAt.getTime() > Date.now()) return `${name} starts at ${at}.`;
  return `${name} was to start at ${at}; that has passed: it begins at once. Workers: sendstate work`;
}

/** `start` `pause` `resume` `cancel` `retry` */
export function registerLifecycle(program: Command, contextOf: ContextOf): void {
  const say = (context: Context, name: string, status: string, more: object, line: string) =>
    context.out(context.json ? JSON.stringify({ name, status, ...more }) : line);
  program
    .command('start')
    .description('let workers begin, now or at a time; `send` does so by itself')
    .argument('<name>', 'the campaign')
    .option('--at <time>', 'when, e.g. 2026-12-24T09:00:00+09:00', time)
    .option('--json', 'print one JSON object')
    .action(async (name: string, { at }: { at?: Date }, command: Command) => {
      const context = contextOf(command);
      const { status, startAt } = await withDatabase(context, (app) => start(app, name, at));
      const line =
        status === 'running' ? `${name} is running. Workers: sendstate work` : startsLine(name, startAt);
      say(context, name, status, { startAt }, line);
    });
  program
    .command('pause')
    .description('stop sending for now; workers release what they hold within about a second')
    .argument('<name>', 'the campaign')
    .option('--reason <words>', 'shown in the status')
    .option('--json', 'print one JSON object')
    .action(async (name: string, { reason }: { reason?: string }, command: Command) => {
      const context = contextOf(command);
      const { status } = await withDatabase(context, (app) => pause(app, name, reason));
      say(context, name, status, {}, `${name} is paused. Go on: sendstate resume ${name}`);
    });
  program
    .command('resume')
    .description('go on after `pause`')
    .argument('<name>', 'the campaign')
    .option('--json', 'print one JSON object')
    .action(async (name: string, _: object, command: Command) => {
      const context = contextOf(command);
      const { status, startAt } = await withDatabase(context, (app) => resume(app, name));
      const line = status === 'running' ? `${name} is running.` : startsLine(name, startAt);
      say(context, name, status, {}, line);
    });
  program
    .command('cancel')
    .description('no recipient that still waits gets this mail')
    .argument('<name>', 'the campaign')
    .option('--json', 'print one JSON object')
    .action(async (name: string, _: object, command: Command) => {
      const context = contextOf(command);
      const { campaign, cancelled } = await withDatabase(context, (app) => cancel(app, name));
      say(
        context,
        name,
        campaign.status,
        { cancelled },
        `${name} is cancelled; ${counted(cancelled, 'recipient')} ${cancelled === 1 ? 'was' : 'were'} still waiting.`,
      );
    });
  program
    .command('retry')
    .description('put failed recipients back to waiting, on purpose')
    .argument('<name>', 'the campaign')
    .requiredOption(
      '--outcome <outcome>',
      'which: rejected, expired, invalid, unconfirmed, suppressed, cancelled',
      retryable,
    )
    .option('--json', 'print one JSON object')
    .action(async (name: string, { outcome }: { outcome: Retryable }, command: Command) => {
      const context = contextOf(command);
      const put = await withDatabase(context, (app) => retry(app, name, outcome));
      const next = put === 0 ? '' : ` Send them: sendstate send ${name}`;
      context.out(
        context.json
          ? JSON.stringify({ name, outcome, recipients: put })
          : `${counted(put, 'recipient')} ${put === 1 ? 'waits' : 'wait'} again.${next}`,
      );
    });
}
