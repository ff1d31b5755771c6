import type { Logger } from 'pino';
import type { SendEvent } from '../model/events.ts';
import { printable } from '../report/format.ts';
import type { Context } from './context.ts';
import { legibleJson, useColour } from './terminal.ts';
import { wordsOf } from './words.ts';

export const LOG_FORMATS = ['words', 'pretty', 'json'] as const;
export type LogFormat = (typeof LOG_FORMATS)[number];

/** Lines about single recipients in a second; the others are counted. A relay that refuses every recipient must not fill a disk. */
const RECIPIENT_LINES = 10;

type Level = 'info' | 'warn' | 'error';
/** One line: what a program asks for, and the words for people. */
export interface Line {
  readonly level: Level;
  readonly event: string;
  readonly words: string;
  readonly fields: Readonly<Record<string, unknown>>;
  /** Left out where lines are words: people see it by other means. */
  readonly silent?: boolean;
}

export interface LogOptions {
  readonly format: LogFormat;
  /** Recipients may be named. */
  readonly addresses: boolean;
  /** `send` says of its campaign with a bar what `work` says in words. */
  readonly campaigns: boolean;
  /** Before each line, for a caller that has painted something. */
  readonly before?: () => void;
}

/** What happened, one line each, to stderr: words for people, or JSON for log collectors. */
export class Log {
  readonly #context: Context;
  readonly #options: LogOptions;
  readonly #logger: Logger | null;
  #workerId: number | null = null;
  #second = 0;
  #lines = 0;
  #leftOut = 0;
  #later: NodeJS.Timeout | undefined;

  private constructor(context: Context, options: LogOptions, logger: Logger | null) {
    this.#context = context;
    this.#options = options;
    this.#logger = logger;
  }

  /** What makes the lines is loaded by those alone who want them. */
  static async open(context: Context, options: LogOptions): Promise<Log> {
    if (options.format === 'words') return new Log(context, options, null);
    const { pino } = await import('pino');
    const timestamp = pino.stdTimeFunctions.isoTime;
    const write = await writerFor(context, options);
    return new Log(context, options, pino({ ...PINO, timestamp }, { write }));
  }

  event(event: SendEvent): void {
    if (event.kind === 'started') this.#workerId = event.workerId;
    if (this.#logger === null) {
      const words =
        event.kind === 'campaign' && this.#options.campaigns ? `${event.name}: ${event.now}` : wordsOf(event);
      if (words !== null) this.#say(words);
      return;
    }
    if (event.kind === 'result' && !this.#mayName(event)) return;
    const line = lineOf(event, this.#options.addresses);
    if (line !== null) this.#write(line);
  }

  /** What is no event of the sending: a schedule, a hook, an address to look at. */
  note(event: string, words: string, level: Level = 'info'): void {
    this.line({ level, event, words, fields: {} });
  }

  /** What is no event of the sending, with fields of its own. */
  line(line: Line): void {
    if (this.#logger !== null) this.#write(line);
    else if (line.silent !== true) this.#say(this.#shown(line.words));
  }

  #shown(text: string): string {
    return this.#options.addresses ? text : nameless(text);
  }

  #say(words: string): void {
    this.#options.before?.();
    this.#context.err(printable(words));
  }

  #write({ level, event, words, fields }: Line): void {
    const shown = (value: unknown) => (typeof value === 'string' ? this.#shown(value) : value);
    const kept = Object.entries(fields).filter(([, value]) => value !== null && value !== undefined);
    const all = Object.fromEntries(kept.map(([key, value]) => [key, shown(value)]));
    const workerId = this.#workerId === null ? {} : { workerId: this.#workerId };
    this.#logger?.[level]({ event, ...workerId, ...all }, '%s', this.#shown(words));
  }

  /** Whether this result has a line: it ended without a mail, and not too many did so in this second. */
  #mayName({ result }: Extract<SendEvent, { kind: 'result' }>): boolean {
    if (result.outcome === null || result.outcome === 'sent') return false;
    const second = Math.floor(performance.now() / 1000);
    if (second !== this.#second) {
      this.flush();
      [this.#second, this.#lines] = [second, 0];
    }
    if (this.#lines++ < RECIPIENT_LINES) return true;
    this.#leftOut++;
    // The next failure may be hours away, or never come.
    this.#later ??= setTimeout(() => this.flush(), 1_000).unref();
    return false;
  }

  /** Says how many recipients had no line of their own; also to be called at the end. */
  flush(): void {
    clearTimeout(this.#later);
    this.#later = undefined;
    const leftOut = this.#leftOut;
    this.#leftOut = 0;
    if (leftOut === 0) return;
    const words = `${leftOut} more recipients ended without a mail; all of them: sendstate recipients NAME --outcome rejected`;
    this.#write({ level: 'info', event: 'recipients', words, fields: { recipients: leftOut } });
  }
}

async function writerFor(context: Context, { format, before }: LogOptions): Promise<(line: string) => void> {
  const colour = context.isTty && useColour();
  const pretty =
    format === 'pretty'
      ? (await import('pino-pretty')).prettyFactory({
          colorize: colour,
          singleLine: true,
          translateTime: 'SYS:HH:MM:ss',
          ignore: 'pid',
        })
      : null;
  return (line) => {
    before?.();
    const json = legibleJson(line);
    if (pretty === null) context.err(json.trimEnd());
    // The colours are ours; what came from outside was made harmless before.
    else if (colour) process.stderr.write(pretty(json));
    else context.err(pretty(json).trimEnd());
  };
}

const PINO = {
  base: { pid: process.pid },
  formatters: {
    level: (level: string) => ({ level }),
    log: (fields: Record<string, unknown>) =>
      Object.fromEntries(
        Object.entries(fields).map(([key, value]) => [
          key,
          typeof value === 'string' ? printable(value) : value,
        ]),
      ),
  },
} as const;

/** Without addresses, which relays like to repeat. */
function nameless(text: string): string {
  return text.replace(/[^\s<>"'(),;:]{1,64}@[^\s<>"'(),;:]{1,255}/g, '…');
}

const WARNINGS: ReadonlySet<SendEvent['kind']> = new Set([
  'refused',
  'rescued',
  'presumed-dead',
  'claims-lost',
  'database-lost',
]);

/** An event as a line; null: it is none of interest. */
export function lineOf(event: SendEvent, addresses: boolean): Line | null {
  const fields = fieldsOf(event, addresses);
  const words = event.kind === 'started' ? `Worker ${event.workerId} has started.` : ownWords(event);
  if (words === null) return null;
  const troubled = event.kind === 'relay' && event.breaker.state !== 'closed';
  return { level: troubled || WARNINGS.has(event.kind) ? 'warn' : 'info', event: event.kind, words, fields };
}

function ownWords(event: SendEvent): string | null {
  if (event.kind === 'campaign') return `${event.name}: ${event.now}`;
  if (event.kind === 'result')
    return `A recipient ended as ${event.result.outcome}: ${event.result.reason ?? ''}`;
  return wordsOf(event);
}

/** What a program may ask for, by the names that the tables have. */
function fieldsOf(event: SendEvent, addresses: boolean): Record<string, unknown> {
  switch (event.kind) {
    case 'campaign':
      return { campaign: event.name, campaignId: event.campaignId, now: event.now };
    case 'refused':
      return { campaign: event.name, campaignId: event.campaignId, reason: event.reason };
    case 'claims-lost':
      return { campaign: event.name, campaignId: event.campaignId, claimIds: event.claimIds };
    case 'rescued':
      return { ...event.rescue };
    case 'relay':
      return {
        relay: event.label,
        state: event.misconfigured === null ? event.breaker.state : 'misconfigured',
      };
    case 'relay-slowed':
      return { relay: event.label, perSecond: event.perSecond };
    case 'result': {
      const { claimId, recipientId, outcome, replyCode, reason } = event.result;
      const address = addresses ? event.recipient.address : null;
      const { name: campaign, campaignId } = event;
      return { campaign, campaignId, claimId, recipientId, outcome, replyCode, reason, address };
    }
    default:
      return {};
  }
}
