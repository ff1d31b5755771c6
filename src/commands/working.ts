import { type Command, Option } from 'commander';
import type { App } from '../api/sendstate.ts';
import { status } from '../api/status.ts';
import type { WorkOptions } from '../api/work.ts';
import { messageOf } from '../errors.ts';
import { printable, progressLine } from '../report/format.ts';
import { TRANSPORTS, type TransportName } from '../smtp/choose.ts';
import { type Context, relaysOf } from './context.ts';
import { type ObservingFlags, observingOptions } from './observing.ts';
import { integer } from './options.ts';
import type { Painter } from './painter.ts';

/** What `send` and `work` are told alike. */
export interface WorkFlags extends ObservingFlags {
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
  command
    .option('--processes <n>', 'work in so many processes on this machine (default: 1)', integer(1, 64))
    .addOption(
      new Option('--transport <name>', 'who speaks to the relay (default: auto, the fast client)').choices(
        TRANSPORTS,
      ),
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
    .addOption(new Option('--child').hideHelp());
  return observingOptions(command);
}

/** The same as the library wants it. */
export function workOptionsOf(context: Context, flags: WorkFlags): Omit<WorkOptions, 'onEvent' | 'meter'> {
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

/** How often the progress line is drawn, milliseconds. */
const PAINT_MS = 250;

/** Draws the progress line until the returned function is called. */
export function keepPainting(app: App, name: string, painter: Painter): () => void {
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
