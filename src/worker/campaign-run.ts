import type { Database } from '../database/connect.ts';
import { isTransient } from '../database/prepare.ts';
import { messageOf } from '../errors.ts';
import type { ComposedMessage } from '../message/compose.ts';
import type { CampaignRunEvents, StopReason } from '../model/events.ts';
import type { ClaimedRecipient, Result } from '../model/states.ts';
import type { Gate } from '../relays/gate.ts';
import type { Relays } from '../relays/router.ts';
import { classify, ofWorkingRelay, spareRecipient } from '../smtp/classify.ts';
import { type Delivery, deliveryWords } from '../smtp/deliverer.ts';
import type { CampaignRunOptions, RunCampaign } from './campaign-run-options.ts';
import { Claimer } from './claimer.ts';
import { ClaimLedger, type Next } from './ledger.ts';
import type { Meter, OutcomeCounts } from './meter.ts';
import { Recorder } from './recorder.ts';
import { decide, invalid, REFUSALS_IN_A_ROW, reasonOf, released } from './retry.ts';
import { Condition } from './wake.ts';

/** What the worker needs of a composer: one message, or why there can be none. */
export interface Composer {
  compose(recipient: ClaimedRecipient): ComposedMessage | { readonly kind: 'invalid'; readonly why: string };
}

/** How often what changes by the passing of time alone is looked at (lease, breaker), milliseconds. */
const TICK_MS = 100;
/** Wait after a claim that the database refused, milliseconds. */
const CLAIM_RETRY_MS = 500;
/** Who is due is looked for again after so long while the last answers are waited for, milliseconds: as often as a poller looks. */
const LOOK_AGAIN_MS = 1_000;

/**
 * One campaign in one process: claim, compose, deliver, record, until nothing is due.
 *
 * Claims are made one ahead, so that connections never wait for the database. Mails are handed over from callbacks, not
 * promises: at 20,000 a second each promise would cost more than its mail's share of the database.
 */
export class CampaignRun {
  readonly #campaign: RunCampaign;
  readonly #composer: Composer;
  readonly #relays: Relays;
  readonly #options: CampaignRunOptions;
  readonly #events: CampaignRunEvents;
  readonly #ledger: ClaimLedger;
  readonly #recorder: Recorder;
  readonly #claimer: Claimer;
  #inFlight = 0;
  #refusals = 0;
  #stopReason: StopReason | null = null;
  #broken: unknown = null;
  #pumping = false;
  #aborted = false;
  readonly #condition = new Condition();
  readonly #meter: Meter | null;
  readonly #counts: OutcomeCounts | null;
  /** What the relays know this campaign by. */
  readonly #wake = () => this.#pump();

  constructor(
    db: Database,
    workerId: number,
    campaign: RunCampaign,
    composer: Composer,
    relays: Relays,
    options: CampaignRunOptions,
    events: CampaignRunEvents,
  ) {
    this.#campaign = campaign;
    this.#composer = composer;
    this.#relays = relays;
    this.#options = options;
    this.#events = events;
    this.#meter = options.meter;
    this.#counts = options.meter?.counts(campaign.name) ?? null;
    this.#ledger = new ClaimLedger(options.window, this.#wake);
    this.#claimer = new Claimer(db, workerId, campaign);
    this.#recorder = new Recorder(db, campaign.campaignId, workerId, this.#ledger, {
      recorded: () => this.#pump(),
      lostClaims: (ids) => events.claimsLost(ids),
      troubled: (error) => events.databaseLost(error),
      recovered: () => events.databaseBack(),
      broken: (error) => this.#break(error),
      wrote: (ms) => this.#meter?.record.observe(ms),
    });
  }

  /**
   * Works until nothing is due, or until `stop`. Returns why it ended (null: nothing more is due now); by then
   * everything that was in flight is answered and recorded, and what was not handed over is back in the table.
   *
   * @throws the database's error when a statement can never work (a bug, a missing permission)
   */
  async run(): Promise<StopReason | null> {
    this.#relays.join(this.#wake);
    const ticks = setInterval(() => this.#tick(), TICK_MS);
    let failure: unknown = null;
    try {
      while (this.#stopReason === null) {
        if (!(await this.#roomForAClaim())) continue;
        // What is in flight is finished and recorded all the same.
        const claimed = await this.#claim().catch((error: unknown) => {
          failure = error;
          this.stop('stopped');
        });
        if (claimed !== 'nothing' || this.#stopReason !== null) continue;
        // A slow reply does not delay other recipients.
        await this.#pause(LOOK_AGAIN_MS, () => this.#idle);
        if (this.#idle) break;
      }
      this.#release();
      await this.#condition.until(() => this.#broken !== null || this.#aborted || this.#idle);
      failure ??= this.#broken;
      if (failure !== null) throw failure;
      return this.#stopReason;
    } finally {
      clearInterval(ticks);
      this.#relays.leave(this.#wake);
      this.#ledger.leave();
    }
  }

  /** No more claims; what is in flight is finished, the rest goes back. The first reason given stays. */
  stop(reason: StopReason): void {
    this.#stopReason ??= reason;
    if (reason === 'presumed-dead') this.#ledger.forgetAll();
    else this.#release();
    this.#condition.signal();
  }

  /** Gives up waiting for the database too. What is in flight stays claimed and is rescued by others. */
  abort(): void {
    this.#aborted = true;
    this.#recorder.abort();
    this.#ledger.forgetAll();
    this.#stopReason ??= 'stopped';
    this.#condition.signal();
  }

  /** Recipients were just rescued from a worker that died. */
  lookForDue(): void {
    this.#claimer.lookForDue();
  }

  /** Claims made so far. */
  get claims(): number {
    return this.#claimer.made;
  }

  /** Whether a claim is in its hands; true also while one is being made, whose number is not known yet. */
  knows(claimId: number): boolean {
    return this.#claimer.busy || this.#ledger.has(claimId);
  }

  /** Room for one more claim ahead of what is being sent; false when something else changed and the loop must look. */
  async #roomForAClaim(): Promise<boolean> {
    const enough = Math.max(this.#relays.claimLimit(this.#options.batch) / 2, 1);
    await this.#condition.until(
      () => this.#stopReason !== null || (this.#ledger.unhanded < enough && !this.#recorder.troubled),
    );
    return this.#stopReason === null;
  }

  /** One claim, or the news that there is nothing to claim now. */
  async #claim(): Promise<'claimed' | 'nothing' | 'later'> {
    const limit = this.#relays.claimLimit(this.#options.batch);
    const asked = performance.now();
    try {
      const claimed = await this.#claimer.next(limit, (claim) => this.#ledger.add(claim));
      if (claimed === 'claimed') this.#meter?.claim.observe(performance.now() - asked);
      if (claimed === 'paced') {
        await this.#pause(this.#claimer.waitMs);
        return 'later';
      }
      if (claimed === 'nothing') return 'nothing';
      if (this.#stopReason !== null) this.#release();
      this.#pump();
      return 'claimed';
    } catch (error) {
      if (!isTransient(error)) throw error;
      this.#events.databaseLost(error);
      await this.#pause(CLAIM_RETRY_MS);
      return 'later';
    }
  }

  /** Hands over what may be handed over: within the durable mark, within the lease, within what the relays take. */
  #pump(): void {
    if (this.#pumping) return;
    this.#pumping = true;
    while (this.#options.leaseValid()) {
      const gate = this.#relays.next(this.#wake, this.#inFlight);
      if (gate === null && this.#ledger.mayHandOver) this.#relays.wanted(this.#wake, this.#inFlight);
      const next = gate === null ? null : this.#ledger.takeNext();
      if (gate === null || next === null) break;
      const begun = this.#meter === null ? 0 : performance.now();
      const message = this.#compose(next.recipient);
      const composed = this.#meter === null ? 0 : performance.now();
      this.#meter?.compose.observe(composed - begun);
      if ('kind' in message)
        this.#finish(invalid(next.claimId, next.recipient.recipientId, message.why), next.recipient);
      else this.#handOver(next, gate, message, composed);
    }
    this.#pumping = false;
    this.#recorder.nudge();
    this.#condition.signal();
  }

  /** A template that throws costs one recipient, not the process: a crash would be repeated by the worker that rescues it. */
  #compose(recipient: ClaimedRecipient): ReturnType<Composer['compose']> {
    try {
      return this.#composer.compose(recipient);
    } catch (error) {
      return { kind: 'invalid', why: `the message could not be made: ${messageOf(error)}` };
    }
  }

  #handOver(next: Next, gate: Gate, message: ComposedMessage, at: number): void {
    this.#inFlight++;
    this.#relays.handedOver(this.#wake, gate);
    gate.deliver(message, (delivery) => this.#answered(next, gate, delivery, at));
  }

  /** @param at when it was handed over, milliseconds of performance.now(); meaningful while there is a meter */
  #answered(next: Next, gate: Gate, delivery: Delivery, at: number): void {
    this.#inFlight--;
    const accepted = gate.accepted > 0;
    const first = spareRecipient(classify(delivery), delivery, accepted);
    const verdict = accepted ? ofWorkingRelay(first, delivery) : first;
    // The ordinary case makes no words for people: at 20,000 a second every string counts.
    const words = verdict.kind === 'sent' ? '' : deliveryWords(delivery);
    const unwanted = this.#relays.cameBack(this.#wake, gate, verdict, words, delivery.kind === 'replied');
    if (unwanted) this.#events.refused(`the relay refuses the sender: ${reasonOf(null, words)}`);
    const now = performance.now();
    this.#meter?.deliver.observe(now - at);
    const { recipient } = next;
    const result = decide(next.claimId, recipient, delivery, verdict, this.#campaign, now, Math.random());
    this.#finish(verdict.kind === 'sent' ? result : { ...result, relay: gate.label }, recipient);
    if (verdict.kind === 'sent') this.#refusals = 0;
    else if (verdict.kind === 'rejected' && verdict.policy && ++this.#refusals === REFUSALS_IN_A_ROW) {
      this.#events.refused(reasonOf(null, words));
    }
    this.#pump();
  }

  #finish(result: Result, recipient: ClaimedRecipient): void {
    if (this.#counts !== null) this.#counts[result.outcome ?? 'deferred']++;
    if (this.#ledger.addResult(result)) this.#events.result(result, recipient);
  }

  /** Puts back what was claimed and not handed over. */
  #release(): void {
    for (const { claimId, recipient } of this.#ledger.takeUnhanded()) {
      this.#ledger.addResult(released(claimId, recipient.recipientId, this.#stopReason === 'cancelled'));
    }
    this.#recorder.nudge();
  }

  #break(error: unknown): void {
    this.#broken = error;
    this.stop('stopped');
  }

  /** While every relay is paused nothing stays claimed: it goes back, for relays that others can reach. */
  #tick(): void {
    if (this.#relays.waitMs > 0) this.stop('relay');
    this.#pump();
  }

  /** Everything is answered and recorded. */
  get #idle(): boolean {
    return this.#ledger.empty && this.#inFlight === 0;
  }

  /** So long, or until there is a reason to stop, or to go on sooner. */
  async #pause(ms: number, sooner: () => boolean = () => false): Promise<void> {
    const end = performance.now() + ms;
    const over = () => this.#stopReason !== null || performance.now() >= end || sooner();
    // A timer may be early by less than a millisecond.
    const timer = setTimeout(() => this.#condition.signal(), ms + 1);
    await this.#condition.until(over).finally(() => clearTimeout(timer));
  }
}
