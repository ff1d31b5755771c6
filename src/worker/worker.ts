import { type Campaign, campaignsById } from '../campaigns/campaigns.ts';
import { finishCampaign, pauseRunning } from '../campaigns/life.ts';
import type { Database } from '../database/connect.ts';
import { Outage } from '../database/outage.ts';
import { isTransient } from '../database/prepare.ts';
import { messageOf, SendstateError } from '../errors.ts';
import type { SendEvent } from '../model/events.ts';
import { leaveQueues } from '../queue/domain-limit.ts';
import { type DueCampaign, lookForDue } from '../queue/due.ts';
import { sweepCancelled } from '../queue/sweep.ts';
import type { NamedRelay } from '../relays/gate.ts';
import { RelayWatch } from '../relays/relay-watch.ts';
import type { Relays } from '../relays/router.ts';
import { CampaignRun, type Composer } from './campaign-run.ts';
import { Composers } from './composers.ts';
import { PendingPauses } from './pending-pauses.ts';
import { Presence } from './presence.ts';
import { Doorbell } from './wake.ts';
import { SharedWindow } from './window.ts';
import { WorkerHealth } from './worker-health.ts';
import type { WorkEnd, WorkerOptions } from './worker-options.ts';

/** How often the database is asked what is due and what was paused, milliseconds: "within a second or so". */
export const POLL_MS = 1_000;

export type { WorkEnd, WorkerOptions };

/** The loop of one process: a heartbeat, rescues, and a worker for each campaign that is due. */
export class Worker {
  readonly #db: Database;
  readonly #composers: Composers<Campaign, Composer>;
  readonly #options: WorkerOptions;
  readonly #emit: (event: SendEvent) => void;
  readonly #watch: RelayWatch;
  readonly #relays: Relays;
  readonly #window: SharedWindow;
  readonly #workers = new Map<number, CampaignRun>();
  #running = new Set<Promise<void>>();
  readonly #pendingPauses = new PendingPauses<Campaign>((campaign, reason) => this.#pause(campaign, reason));
  #presence: Presence | null = null;
  readonly #outage: Outage;
  #failure: unknown = null;
  #stopping = false;
  readonly #bell = new Doorbell();

  constructor(
    db: Database,
    relays: readonly NamedRelay[],
    composerFor: (campaign: Campaign) => Promise<Composer>,
    options: WorkerOptions,
    emit: (event: SendEvent) => void,
  ) {
    this.#db = db;
    this.#composers = new Composers(composerFor);
    this.#options = options;
    this.#window = new SharedWindow(options.window);
    this.#emit = emit;
    this.#outage = new Outage(emit, (error) => {
      this.#failure ??= error;
      this.#bell.ring();
    });
    this.#watch = new RelayWatch(db, relays, emit, this.#outage);
    this.#relays = this.#watch.relays;
  }

  /**
   * Works until its `until`, or until `stop`. Everything that was in flight is answered and recorded by then, and what
   * was claimed is back in the table.
   *
   * @throws what can never work (a permission, a bug); trouble of the database or the relay is waited out
   */
  async run(): Promise<WorkEnd> {
    const presence = await this.#register();
    const beat = () => this.#watch.beat(presence.heartbeat.workerId);
    const pulsed = () => void this.#outage.guard(() => presence.pulse().then(beat));
    const pulse = setInterval(pulsed, presence.heartbeat.intervalMs);
    this.#watch.begin();
    this.#options.meter?.begin(new WorkerHealth(this.#relays, presence, () => this.#stopping));
    try {
      await this.#outage.guard(beat);
      await this.#outage.guard(() => presence.rescue());
      let end: WorkEnd | null = null;
      while (end === null) {
        end = this.#stopping ? 'stopped' : ((await this.#outage.guard(() => this.#look())) ?? null);
        if (this.#failure !== null) throw this.#failure;
        if (end === null) await this.#bell.wait(POLL_MS);
      }
      return end;
    } finally {
      for (const worker of this.#workers.values()) worker.stop('stopped');
      await Promise.all(this.#running);
      await this.#outage.guard(() => this.#pendingPauses.pause());
      clearInterval(pulse);
      this.#options.meter?.end();
      await this.#watch.end();
      await this.#outage.guard(() => presence.end());
    }
  }

  /** No more claims; finishes what is in flight and releases the rest. */
  stop(): void {
    this.#stopping = true;
    for (const worker of this.#workers.values()) worker.stop('stopped');
    this.#bell.ring();
  }

  /** Stops waiting for the database. The caller aborts the relay as well. */
  abort(): void {
    this.#stopping = true;
    for (const worker of this.#workers.values()) worker.abort();
    this.#bell.ring();
  }

  async #register(): Promise<Presence> {
    this.#presence = await Presence.begin(this.#db, this.#options, {
      registered: (workerId) => {
        this.#emit({ kind: 'started', workerId });
        this.#bell.ring();
      },
      presumedDead: async () => {
        this.#emit({ kind: 'presumed-dead' });
        for (const worker of this.#workers.values()) worker.stop('presumed-dead');
        await Promise.all(this.#running);
      },
      rescued: (rescue) => {
        this.#emit({ kind: 'rescued', rescue });
        for (const worker of this.#workers.values()) worker.lookForDue();
        this.#bell.ring();
      },
      knows: (campaignId, claimId) => this.#workers.get(campaignId)?.knows(claimId) === true,
    });
    return this.#presence;
  }

  /** One look at the database: workers for what is due, an end to what is paused, finished or cancelled. */
  async #look(): Promise<WorkEnd | null> {
    // Before the look at the table: what it shows as running after that may be started.
    await this.#pendingPauses.pause();
    const { campaignId, until } = this.#options;
    const mine = [...this.#workers.keys(), ...(campaignId === null ? [] : [campaignId])];
    const all = await lookForDue(this.#db, mine);
    const campaigns =
      campaignId === null ? all : all.filter((campaign) => campaign.campaignId === campaignId);
    this.#composers.keep(campaigns);
    for (const campaign of campaigns) await this.#attend(campaign);
    if (this.#stopping) return 'stopped';
    if (until === 'finished') {
      const ended = campaigns.every(
        ({ status }) => status === 'finished' || status === 'paused' || status === 'cancelled',
      );
      if (ended && this.#workers.size === 0) return await this.#ended();
      if (this.#relays.misconfigured !== null && this.#workers.size === 0) return 'relay';
    }
    if (until === 'idle' && this.#workers.size === 0) {
      // Who was put back by a relay that refuses us is due in a moment, and will be refused again.
      const refused = this.#relays.misconfigured !== null;
      if (campaigns.some((one) => one.status === 'running' && (one.due || (refused && one.retrying > 0))))
        return this.#relays.waitMs > 0 ? 'relay' : null;
      // A cron job that ended at once would never see any worker silent for a whole lease.
      return (await this.#presence?.watching()) === true ? null : 'idle';
    }
    return null;
  }

  /** The state that was read may be older than what the last worker wrote: finished means finished now. */
  async #ended(): Promise<WorkEnd | null> {
    const { campaignId } = this.#options;
    const fresh = await lookForDue(this.#db, campaignId === null ? [] : [campaignId]);
    const own = fresh.find((campaign) => campaign.campaignId === campaignId);
    if (own === undefined) return 'ended';
    // What was in flight may have come back behind the sweep: the next look sweeps again.
    const left = own.status === 'cancelled' && own.waiting + own.retrying > 0;
    return own.status === 'running' || left ? null : 'ended';
  }

  async #attend(campaign: DueCampaign): Promise<void> {
    const { campaignId, status, name } = campaign;
    const worker = this.#workers.get(campaignId);
    if (status === 'cancelled') {
      worker?.stop('cancelled');
      if (campaign.waiting + campaign.retrying > 0) await sweepCancelled(this.#db, campaignId);
    } else if (status !== 'running') {
      worker?.stop('paused');
    } else if (worker === undefined && !this.#stopping && !this.#pendingPauses.has(campaignId)) {
      if (campaign.due && this.#relays.waitMs <= 0) await this.#start(campaignId, campaign.ageSeconds);
      else if (
        campaign.waiting + campaign.retrying + campaign.claimed === 0 &&
        (await finishCampaign(this.#db, campaignId))
      ) {
        this.#emit({ kind: 'campaign', campaignId, name, now: 'finished' });
        this.#bell.ring();
      }
    }
  }

  async #start(campaignId: number, ageSeconds: number): Promise<void> {
    const [campaign] = await campaignsById(this.#db, [campaignId]);
    if (campaign === undefined) return;
    const composer = await this.#composer(campaign);
    if (composer === null) return;
    const { name } = campaign;
    const { batch, meter } = this.#options;
    if (this.#presence === null) throw new Error('the worker is not registered');
    const { heartbeat } = this.#presence;
    const worker = new CampaignRun(
      this.#db,
      heartbeat.workerId,
      {
        campaignId,
        name,
        rate: campaign.rate,
        maxAttempts: campaign.maxAttempts,
        // The age is the database's; this machine's clock may be wrong, and may be set while it works.
        expiresAt: performance.now() + (campaign.maxAgeSeconds - ageSeconds) * 1000,
        onUnconfirmed: campaign.onUnconfirmed,
        retryAfterSeconds: campaign.retryAfterSeconds,
      },
      composer,
      this.#relays,
      { batch, window: this.#window, leaseValid: () => heartbeat.valid, meter },
      {
        result: (result, recipient) => this.#emit({ kind: 'result', campaignId, name, result, recipient }),
        databaseLost: (error) => this.#outage.lost(error),
        databaseBack: () => this.#outage.back(),
        claimsLost: (claimIds) => this.#emit({ kind: 'claims-lost', campaignId, name, claimIds }),
        refused: (reason) => {
          this.#pendingPauses.add(campaign, reason);
          worker.stop('paused');
          this.#bell.ring();
        },
      },
    );
    this.#workers.set(campaignId, worker);
    this.#emit({ kind: 'campaign', campaignId, name, now: 'started' });
    const running = this.#finishWith(campaign, worker);
    this.#running.add(running);
    void running.then(() => this.#running.delete(running));
  }

  async #finishWith(campaign: Campaign, worker: CampaignRun): Promise<void> {
    const { campaignId, name } = campaign;
    try {
      const reason = await worker.run();
      this.#emit({ kind: 'campaign', campaignId, name, now: reason ?? 'idle' });
      const finished = await this.#outage.guard(
        async () => reason === null && (await finishCampaign(this.#db, campaignId)),
      );
      if (finished === true) this.#emit({ kind: 'campaign', campaignId, name, now: 'finished' });
    } catch (error) {
      this.#failure = error;
    }
    this.#workers.delete(campaignId);
    // A run that found nothing to claim, because another session holds the waiting rows locked, looks again after the usual pause.
    if (worker.claims > 0 || this.#stopping || this.#failure !== null) this.#bell.ring();
  }

  /** A campaign whose message cannot be compiled is paused, with the reason. */
  async #composer(campaign: Campaign): Promise<Composer | null> {
    try {
      return await this.#composers.of(campaign);
    } catch (error) {
      if (isTransient(error)) throw error;
      this.#pendingPauses.add(campaign, `the message cannot be compiled: ${messageOf(error)}`);
      this.#bell.ring();
      return null;
    }
  }

  async #pause({ campaignId, name }: Campaign, reason: string): Promise<void> {
    try {
      await pauseRunning(this.#db, name, reason);
      this.#emit({ kind: 'refused', campaignId, name, reason });
      await leaveQueues(this.#db, campaignId);
    } catch (error) {
      // It was ended meanwhile, which is better than a pause.
      if (!(error instanceof SendstateError && error.code === 'campaign-status')) throw error;
    }
  }
}
