import { findCampaign } from '../campaigns/campaigns.ts';
import { startCampaign, waitingOf } from '../campaigns/life.ts';
import type { DkimKey } from '../message/dkim.ts';
import type { SendEvent } from '../model/events.ts';
import { DEFAULT_LEASE_SECONDS } from '../queue/heartbeat.ts';
import type { TransportName } from '../smtp/choose.ts';
import { VERSION } from '../version.ts';
import type { Meter } from '../worker/meter.ts';
import { type WorkEnd, Worker } from '../worker/worker.ts';
import { composerFor } from './create.ts';
import type { Opened } from './open.ts';
import { openRelays, type RelayChoice } from './relays.ts';

export interface WorkOptions {
  /** The relay, or anything that delivers; or several, which share the mails by weight and stand in for each other. */
  readonly relay: RelayChoice | readonly RelayChoice[];
  /** Who speaks to the relay. Default `auto`: the fast client. */
  readonly transport?: TransportName | undefined;
  /** Every mail is signed with each of these (RFC 6376). Default: none, the relay may sign. */
  readonly dkim?: readonly DkimKey[] | undefined;
  /** Recipients in a claim (1…10,000). Default 500. */
  readonly batch?: number | undefined;
  /** Recipients that may be in doubt after this process dies. Default 4 × the capacity of the relays, at least 200: a record
   * statement takes 1 to 2 ms, and mails have to go on meanwhile. */
  readonly window?: number | undefined;
  /** Seconds that this worker may be silent before others take its claims (2…3600). Default 15. */
  readonly leaseSeconds?: number | undefined;
  readonly onEvent?: ((event: SendEvent) => void) | undefined;
  /** What counts and times for metrics; see `serveMetrics`. Default: nothing is counted. */
  readonly meter?: Meter | undefined;
  /** Graceful end: nothing more is claimed, what is in flight is finished, the rest released. */
  readonly signal?: AbortSignal | undefined;
  /** The second signal: connections are cut, what is in flight stays in doubt and is rescued by others. */
  readonly abortSignal?: AbortSignal | undefined;
}

export interface SendOptions extends WorkOptions {
  /** Only help with what runs: do not start the campaign. Default false. */
  readonly join?: boolean | undefined;
}

/** Recipients in a claim. */
export const DEFAULT_BATCH = 500;

async function poll(
  app: Opened,
  options: WorkOptions,
  campaignId: number | null,
  until: 'finished' | 'idle' | 'stopped',
): Promise<WorkEnd> {
  const opened = openRelays(options);
  const poller = new Worker(
    app.database,
    opened.relays,
    (campaign) => composerFor(app, campaign),
    {
      batch: options.batch ?? DEFAULT_BATCH,
      window: options.window ?? Math.max(200, 4 * opened.capacity),
      leaseSeconds: options.leaseSeconds ?? DEFAULT_LEASE_SECONDS,
      version: VERSION,
      campaignId,
      until,
      meter: options.meter ?? null,
    },
    options.onEvent ?? (() => undefined),
  );
  const stop = () => poller.stop();
  const abort = () => {
    poller.abort();
    opened.abort();
  };
  options.signal?.addEventListener('abort', stop, { once: true });
  options.abortSignal?.addEventListener('abort', abort, { once: true });
  if (options.signal?.aborted === true) stop();
  try {
    return await poller.run();
  } finally {
    options.signal?.removeEventListener('abort', stop);
    options.abortSignal?.removeEventListener('abort', abort);
    await opened.close();
  }
}

/**
 * Starts a campaign and works on it until it has ended: finished, paused or cancelled, by this worker or by others.
 * Recipients who were deferred are waited for.
 *
 * @returns `ended`; `stopped` after the signal; `relay` when every relay refuses the sender (no recipient fails for it)
 * @throws SendstateError `campaign-unknown`, `campaign-empty`, `campaign-status`
 */
export async function send(app: Opened, name: string, options: SendOptions): Promise<WorkEnd> {
  const { campaignId, status } = await findCampaign(app.database, name);
  // Sending what is finished already is done: a cron job or a second machine that comes late has nothing to fail for.
  if (options.join !== true) {
    if (status === 'finished' && (await waitingOf(app.database, campaignId)).left === 0) return 'ended';
    if (status !== 'running') await startCampaign(app.database, name);
  }
  return await poll(app, options, campaignId, 'finished');
}

/** Works on everything that is due. With `drain`, until nothing is due any more; otherwise until the signal. */
export async function work(
  app: Opened,
  options: WorkOptions & { readonly drain?: boolean | undefined },
): Promise<WorkEnd> {
  return await poll(app, options, null, options.drain === true ? 'idle' : 'stopped');
}
