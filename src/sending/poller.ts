import { type Campaign, campaignsById } from '../campaigns/campaigns.ts';
import { finishCampaign, pauseCampaign } from '../campaigns/life.ts';
import { sweepCancelled } from '../campaigns/sweep.ts';
import type { Database } from '../database/connect.ts';
import { isTransient } from '../database/prepare.ts';
import { messageOf, SendstateError } from '../errors.ts';
import type { Deliverer } from '../smtp/deliverer.ts';
import { type DueCampaign, lookForDue } from './due.ts';
import type { SendEvent } from './events.ts';
import { Gate } from './gate.ts';
import { Outage } from './outage.ts';
import { Presence } from './presence.ts';
import { Doorbell } from './waiting.ts';
import { type Composer, Worker } from './worker.ts';

/** How often the database is asked what is due and what was paused, milliseconds: "within a second or so". */
export const POLL_MS = 1_000;

export interface PollerOptions {
  /** Recipients in a claim. */
  readonly batch: number;
  /** Recipients that may be in doubt after this process dies. */
  readonly window: number;
  /** How long this worker may be silent, seconds. */
  readonly leaseSeconds: number;
  /** For the worker's row. */
  readonly version: string;
  /** Only this campaign; null: every one that runs. */
  readonly campaignId: number | null;
  /** When to stop by itself. `finished`: that campaign has ended (finished, paused, cancelled). `idle`: nothing is due. */
  readonly until: 'finished' | 'idle' | 'stopped';
}

/** `relay`: the relay refuses the sender (password, address) or does not answer, and somebody waits for the end. */
export type PollEnd = 'ended' | 'idle' | 'stopped' | 'relay';

/** The loop of one process: a heartbeat, rescues, and a worker for each campaign that is due. */
export class Poller {
  readonly #db: Database;
  readonly #composerFor: (campaign: Campaign) => Promise<Composer>;
  readonly #options: PollerOptions;
  readonly #emit: (event: SendEvent) => void;
  readonly #gate: Gate;
  readonly #workers = new Map<number, Worker>();
  readonly #composers = new Map<number, Composer>();
  #running = new Set<Promise<void>>();
  #presence: Presence | null = null;
  readonly #outage: Outage;
  #failure: unknown = null;
  #stopping = false;
  readonly #bell = new Doorbell();

  constructor(
    db: Database,
    relay: Deliverer,
    composerFor: (campaign: Campaign) => Promise<Composer>,
    options: PollerOptions,
    emit: (event: SendEvent) => void,
  ) {
    this.#db = db;
    this.#composerFor = composerFor;
    this.#options = options;
    this.#emit = emit;
    this.#gate = new Gate(relay, (breaker) =>
      emit({ kind: 'relay', breaker, misconfigured: this.#gate.misconfigured }),
    );
    this.#outage = new Outage(emit, (error) => {
      this.#failure ??= error;
      this.#bell.ring();
    });
  }

  /**
   * Works until its `until`, or until `stop`. Everything that was in flight is answered and recorded by then, and what
   * was claimed is back in the table.
   *
   * @throws what can never work (a permission, a bug); trouble of the database or the relay is waited out
   */
  async run(): Promise<PollEnd> {
    const presence = await this.#register();
    const pulse = setInterval(
      () => void this.#outage.guard(() => presence.pulse()),
      presence.heartbeat.intervalMs,
    );
    try {
      await this.#outage.guard(() => presence.rescue());
      let end: PollEnd | null = null;
      while (end === null) {
        end = this.#stopping ? 'stopped' : ((await this.#outage.guard(() => this.#look())) ?? null);
        if (this.#failure !== null) throw this.#failure;
        if (end === null) await this.#bell.wait(POLL_MS);
      }
      return end;
    } finally {
      for (const worker of this.#workers.values()) worker.stop('stopped');
      await Promise.all(this.#running);
      clearInterval(pulse);
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
        this.#bell.ring();
      },
      knows: (campaignId, claimId) => this.#workers.get(campaignId)?.knows(claimId) === true,
    });
    return this.#presence;
  }

  /** One look at the database: workers for what is due, an end to what is paused, finished or cancelled. */
  async #look(): Promise<PollEnd | null> {
    const { campaignId, until } = this.#options;
    const mine = [...this.#workers.keys(), ...(campaignId === null ? [] : [campaignId])];
    const all = await lookForDue(this.#db, mine);
    const campaigns =
      campaignId === null ? all : all.filter((campaign) => campaign.campaignId === campaignId);
    for (const campaign of campaigns) await this.#attend(campaign);
    if (this.#stopping) return 'stopped';
    if (until === 'finished') {
      const ended = campaigns.every(
        ({ status }) => status === 'finished' || status === 'paused' || status === 'cancelled',
      );
      if (ended && this.#workers.size === 0) return await this.#ended();
      if (this.#gate.misconfigured !== null && this.#workers.size === 0) return 'relay';
    }
    if (until === 'idle' && this.#workers.size === 0) {
      if (campaigns.some(({ due, status }) => due && status === 'running'))
        return this.#gate.waitMs > 0 ? 'relay' : null;
      return 'idle';
    }
    return null;
  }

  /** The state that was read may be older than what the last worker wrote: finished means finished now. */
  async #ended(): Promise<PollEnd | null> {
    const fresh = await lookForDue(
      this.#db,
      this.#options.campaignId === null ? [] : [this.#options.campaignId],
    );
    const own = fresh.find(({ campaignId }) => campaignId === this.#options.campaignId);
    return own === undefined || own.status !== 'running' ? 'ended' : null;
  }

  async #attend(campaign: DueCampaign): Promise<void> {
    const { campaignId, status, name } = campaign;
    const worker = this.#workers.get(campaignId);
    if (status === 'cancelled') {
      worker?.stop('cancelled');
      if (campaign.waiting + campaign.retrying > 0) await sweepCancelled(this.#db, campaignId);
    } else if (status !== 'running') {
      worker?.stop('paused');
    } else if (worker === undefined && !this.#stopping) {
      if (campaign.due && this.#gate.waitMs <= 0) await this.#start(campaignId);
      else if (
        campaign.waiting + campaign.retrying + campaign.claimed === 0 &&
        (await finishCampaign(this.#db, campaignId))
      ) {
        this.#emit({ kind: 'campaign', name, now: 'finished' });
        this.#bell.ring();
      }
    }
  }

  async #start(campaignId: number): Promise<void> {
    const [campaign] = await campaignsById(this.#db, [campaignId]);
    if (campaign === undefined) return;
    const composer = await this.#composer(campaign);
    if (composer === null) return;
    const { batch, window } = this.#options;
    if (this.#presence === null) throw new Error('the worker is not registered');
    const { heartbeat } = this.#presence;
    const worker = new Worker(
      this.#db,
      heartbeat.workerId,
      {
        campaignId,
        name: campaign.name,
        rate: campaign.rate,
        maxAttempts: campaign.maxAttempts,
        expiresAt: (campaign.startedAt ?? new Date()).getTime() + campaign.maxAgeSeconds * 1000,
        onUnconfirmed: campaign.onUnconfirmed,
      },
      composer,
      this.#gate,
      { batch, window, leaseValid: () => heartbeat.valid },
      {
        result: (result) => this.#emit({ kind: 'result', campaignId, result }),
        databaseLost: (error) => this.#outage.lost(error),
        databaseBack: () => this.#outage.back(),
        claimsLost: (ids) => this.#emit({ kind: 'claims-lost', name: campaign.name, claims: ids.length }),
        refused: (reason) => void this.#outage.guard(() => this.#refused(campaign.name, reason)),
      },
    );
    this.#workers.set(campaignId, worker);
    this.#emit({ kind: 'campaign', name: campaign.name, now: 'started' });
    const running = this.#finishWith(campaign, worker);
    this.#running.add(running);
    void running.then(() => this.#running.delete(running));
  }

  async #finishWith(campaign: Campaign, worker: Worker): Promise<void> {
    const { campaignId, name } = campaign;
    try {
      const reason = await worker.run();
      this.#emit({ kind: 'campaign', name, now: reason ?? 'idle' });
      const finished = await this.#outage.guard(
        async () => reason === null && (await finishCampaign(this.#db, campaignId)),
      );
      if (finished === true) this.#emit({ kind: 'campaign', name, now: 'finished' });
    } catch (error) {
      this.#failure = error;
    }
    this.#workers.delete(campaignId);
    // Who found nothing to claim, because somebody holds the waiting rows locked, looks again after the usual pause.
    if (worker.claims > 0 || this.#stopping || this.#failure !== null) this.#bell.ring();
  }

  /** Compiled once a campaign. A campaign whose message cannot be compiled is paused, with the reason. */
  async #composer(campaign: Campaign): Promise<Composer | null> {
    const known = this.#composers.get(campaign.campaignId);
    if (known !== undefined) return known;
    try {
      const composer = await this.#composerFor(campaign);
      this.#composers.set(campaign.campaignId, composer);
      return composer;
    } catch (error) {
      if (isTransient(error)) throw error;
      await this.#refused(campaign.name, `the message cannot be compiled: ${messageOf(error)}`);
      return null;
    }
  }

  async #refused(name: string, reason: string): Promise<void> {
    try {
      await pauseCampaign(this.#db, name, reason);
      this.#emit({ kind: 'refused', name, reason });
    } catch (error) {
      // Somebody has ended it meanwhile, which is better than a pause.
      if (!(error instanceof SendstateError && error.code === 'campaign-status')) throw error;
    }
    this.#bell.ring();
  }
}
