import { type Command, InvalidArgumentError, Option } from 'commander';
import type { App } from '../api/sendstate.ts';
import { messageOf } from '../errors.ts';
import { parseTarget } from '../hooks/target.ts';
import { type MetricsServer, serveMetrics } from '../metrics/server.ts';
import type { SendEvent } from '../model/events.ts';
import { Meter } from '../worker/meter.ts';
import type { Context } from './context.ts';
import { HookDesk, type HookFlags } from './hooks.ts';
import { LOG_FORMATS, Log, type LogFormat } from './log.ts';
import { integer } from './options.ts';

export interface LogFlags {
  readonly log?: LogFormat;
  readonly logAddresses?: boolean;
}

/** What `send` and `work` are told about being watched. */
export interface ObservingFlags extends HookFlags, LogFlags {
  readonly metricsPort?: number;
  readonly metricsHost?: string;
}

function target(text: string): string {
  try {
    parseTarget(text);
    return text;
  } catch (error) {
    throw new InvalidArgumentError(`${messageOf(error)}.`);
  }
}

export function logOptions(command: Command): Command {
  return command
    .addOption(
      new Option(
        '--log <format>',
        'words, pretty or json lines on stderr (default: words; json for work and serve without a terminal)',
      ).choices(LOG_FORMATS),
    )
    .option('--log-addresses', 'log lines may name recipients');
}

export function observingOptions(command: Command): Command {
  return logOptions(command)
    .option(
      '--metrics-port <n>',
      'serve /metrics, /healthz and /readyz there; 0: any free port',
      integer(0, 65_000),
    )
    .option('--metrics-host <address>', 'where that listens (default: 127.0.0.1); there is no login')
    .option(
      '--on-finished <hook>',
      'a URL to post to or a command to run when a campaign has finished',
      target,
    )
    .option('--on-paused <hook>', 'the same when a campaign was paused', target)
    .option('--on-failing <hook>', 'the same when a relay, the database or a campaign is failing', target)
    .option(
      '--failing-after <seconds>',
      'trouble of a relay or the database that lasts so long is failing (default: 60)',
      integer(1, 86_400),
    );
}

export interface ObservingOptions {
  /** `send` talks in words, `work` and `serve` as a service without a viewer. */
  readonly service: boolean;
  readonly before?: () => void;
}

/** The log for these flags. */
export async function logFor(
  context: Context,
  flags: LogFlags,
  { service, before }: ObservingOptions,
): Promise<Log> {
  const format = flags.log ?? (service && !context.isTty ? 'json' : 'words');
  const addresses = flags.logAddresses === true;
  return await Log.open(context, {
    format,
    addresses,
    campaigns: service,
    ...(before === undefined ? {} : { before }),
  });
}

/** Log, metrics and hooks of one process, from beginning to end. */
export class Observing {
  readonly meter: Meter | undefined;
  readonly #log: Log;
  readonly #hooks: HookDesk | null;
  readonly #server: MetricsServer | null;

  private constructor(
    log: Log,
    hooks: HookDesk | null,
    meter: Meter | undefined,
    server: MetricsServer | null,
  ) {
    this.#log = log;
    this.#hooks = hooks;
    this.meter = meter;
    this.#server = server;
  }

  /** @throws SendstateError `metrics-port` */
  static async begin(context: Context, app: App, flags: ObservingFlags, log: Log): Promise<Observing> {
    const { metricsPort: port, metricsHost: host } = flags;
    const meter = port === undefined ? undefined : new Meter();
    const server =
      meter === undefined || port === undefined ? null : await serveMetrics(app, meter, { port, host });
    if (server !== null) log.note('metrics', `Metrics are at ${server.url}/metrics`);
    const hooked = [flags.onFinished, flags.onPaused, flags.onFailing].some((hook) => hook !== undefined);
    const hooks = hooked ? new HookDesk(context, app, flags, (words) => log.note('hook', words)) : null;
    return new Observing(log, hooks, meter, server);
  }

  readonly onEvent = (event: SendEvent): void => {
    this.#log.event(event);
    this.#hooks?.event(event);
  };

  /** Hooks first: they ask the database and take a moment, and metrics are still told meanwhile. */
  async close(): Promise<void> {
    await this.#hooks?.close();
    await this.#server?.close();
    this.#log.flush();
  }
}
