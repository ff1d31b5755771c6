import { type Command, Option } from 'commander';
import { messageOf } from '../errors.ts';
import {
  type SendEvent,
  type Sendstate,
  status,
  TRANSPORTS,
  type TransportName,
  type WorkOptions,
} from '../index.ts';
import { count, perSecond, printable, progressLine } from '../progress/format.ts';
import { type Context, relaysOf } from './context.ts';
import { integer } from './options.ts';
import type { Painter } from './painter.ts';

/** What `send` and `work` are told alike. */
export interface WorkFlags {
  readonly batch?: number;
  readonly window?: number;
  readonly lease?: number;
  readonly transport?: TransportName;
  readonly processes?: number;
  /** One of several processes that a parent started. */
  readonly child?: boolean;
}

/** The options that `send` and `work` share. */
export function workOptions(command: Command): Command {
  return command
    .addOption(
      new Option(
        '--transport <name>',
        'who speaks to the relay (default: auto, the fast client where it can)',
      ).choices(TRANSPORTS),
    )
    .option('--batch <n>', 'recipients in a claim (default: 500)', integer(1, 10_000))
    .option(
      '--window <n>',
      'recipients that may be in doubt after a crash (default: 4 × connections, at least 200)',
      integer(1, 10_000),
    )
    .option(
      '--lease <seconds>',
      "silence after which others take over this worker's claims (default: 15)",
      integer(2, 3600),
    )
    .option('--processes <n>', 'work in so many processes on this machine (default: 1)', integer(1, 64))
    .addOption(new Option('--child').hideHelp());
}

/** The same as the library wants it. */
export function workOptionsOf(context: Context, flags: WorkFlags): Omit<WorkOptions, 'onEvent'> {
  const { batch, window, lease, transport } = flags;
  const { signal, abortSignal } = context;
  return {
    relay: relaysOf(context),
    dkim: context.config.dkim,
    transport,
    batch,
    window,
    leaseSeconds: lease,
    signal,
    abortSignal,
  };
}

function relayWords({ label, several }: { readonly label: string; readonly several: boolean }): string {
  return several ? `The relay ${label}` : 'The relay';
}

/** What happened, in words; null for what needs none. */
export function wordsOf(event: SendEvent): string | null {
  switch (event.kind) {
    case 'refused':
      return `${event.name} is paused: ${event.reason}`;
    case 'relay': {
      const { state, reason } = event.breaker;
      const relay = relayWords(event);
      if (event.misconfigured !== null)
        return `${relay} refuses us: ${event.misconfigured}. Nobody fails for it; correct SMTP_URL or the sender.`;
      if (state === 'open')
        return `${relay} is in trouble: ${reason ?? 'no reason given'}. ${event.several ? 'Others take over' : 'Waiting'}; nobody is charged an attempt.`;
      return state === 'closed' ? `${relay} works again.` : null;
    }
    case 'relay-slowed': {
      const relay = relayWords(event);
      if (event.perSecond === null) return `${relay} takes mails at full speed again.`;
      return `${relay} asks for less: ${event.words}. Slowing down to ${perSecond(event.perSecond)}, more again while it is content.`;
    }
    case 'rescued': {
      const { workers, recipients, ambiguous } = event.rescue;
      return `Took over ${count(recipients)} recipients from ${workers} workers that died; ${count(ambiguous)} of them may have been sent.`;
    }
    case 'presumed-dead':
      return 'This worker was silent for too long; others took its claims. Going on with new ones.';
    case 'claims-lost':
      return `${event.name}: ${event.claimIds.length} claims were taken over by others.`;
    case 'database-lost':
      return `The database does not answer: ${event.why}. Results are kept and written when it is back.`;
    case 'database-back':
      return 'The database is back.';
    default:
      return null;
  }
}

/** How often the progress line is drawn, milliseconds. */
const PAINT_MS = 250;

/** Draws the progress line until the returned function is called. */
export function keepPainting(app: Sendstate, name: string, painter: Painter): () => void {
  let asking = false;
  const paint = async () => {
    if (asking) return;
    asking = true;
    try {
      painter.paint(progressLine((await status(app, name)).progress));
    } catch (error) {
      painter.paint(printable(`No progress to show: ${messageOf(error)}`));
    }
    asking = false;
  };
  const timer = setInterval(() => void paint(), PAINT_MS);
  return () => {
    clearInterval(timer);
    painter.clear();
  };
}
