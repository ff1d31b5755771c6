import type { Breaker } from '../model/events.ts';
import type { Verdict } from '../smtp/classify.ts';
import type { Deliverer } from '../smtp/deliverer.ts';
import { allowance, at, CLOSED, failed, succeeded } from './breaker.ts';
import {
  slowed,
  type Throttle,
  UNLIMITED,
  WINDOW_SECONDS,
  type Window,
  wantsLess,
  windowEnded,
} from './throttle.ts';

/** Milliseconds without an answer after which a full relay is not waited for while others take mails. */
export const STALLED_MS = 1_000;
/** … and after which it counts as one that takes none, so that stand-bys are used. Longer: a tarpit is no outage. */
export const STUCK_MS = 10_000;
/** What the limit of a slowed relay may save up, seconds: one tick late is no loss, and there is no burst. */
const BUDGET_SECONDS = 0.25;

/** One relay as a worker is given it. */
export interface NamedRelay {
  /** Its name in states and logs; unique. */
  readonly label: string;
  /** Its share where there are several; 0: a stand-by. */
  readonly weight: number;
  /** Mails per second over all workers, or null. */
  readonly rate: number | null;
  readonly deliverer: Pick<Deliverer, 'capacity' | 'deliver' | 'connections'>;
}

/** Permission to hand over, one a mail, shared with every other worker. */
export interface Tokens {
  readonly any: boolean;
  take(): void;
  /** A mail waits for one. */
  wanted(): void;
}

export const RELAY_STATES = ['working', 'slowed', 'half-open', 'open', 'misconfigured'] as const;
export type RelayState = (typeof RELAY_STATES)[number];

export interface GateEvents {
  /** The breaker opened or closed. */
  changed(gate: Gate): void;
  /** The relay asked for less for the first time, or is not held back any more. */
  paced(gate: Gate): void;
}

/** One relay as every campaign of a worker sees it: whether it takes another mail now, and how it answered. */
export class Gate {
  readonly label: string;
  readonly weight: number;
  readonly rate: number | null;
  readonly deliver: Deliverer['deliver'];
  /** Mails that it has taken. */
  accepted = 0;
  inFlight = 0;
  /** What fairness owes it: for the choice among several. */
  credit = 0;
  readonly #deliverer: NamedRelay['deliverer'];
  readonly #tokens: Tokens | null;
  readonly #events: GateEvents;
  readonly #now: () => number;
  #breaker: Breaker = CLOSED;
  #misconfigured: string | null = null;
  #throttle: Throttle = UNLIMITED;
  #complaint: string | null = null;
  #taken = 0;
  #complaints = 0;
  #heldBack = false;
  #windowFrom: number;
  #settledAt = 0;
  #budget = 0;
  #budgetAt = 0;
  #moved = true;
  #movedAt: number;

  /** @param now a clock in milliseconds that never goes back */
  constructor(
    relay: NamedRelay,
    tokens: Tokens | null,
    events: GateEvents,
    now: () => number = () => performance.now(),
  ) {
    this.label = relay.label;
    this.weight = relay.weight;
    this.rate = relay.rate;
    this.#deliverer = relay.deliverer;
    this.deliver = (mail, done) => relay.deliverer.deliver(mail, done);
    this.#tokens = tokens;
    this.#events = events;
    this.#now = now;
    this.#windowFrom = this.#movedAt = now();
  }

  get breaker(): Breaker {
    // The ordinary case asks no clock: this is looked at several times a mail.
    return this.#breaker.state === 'closed' ? this.#breaker : at(this.#breaker, this.#now());
  }

  /** The relay's words when it refuses us, not the mail (password, address, protocol); null: all is well. */
  get misconfigured(): string | null {
    return this.#misconfigured;
  }

  /** Mails per second that it wants at most; null: it has not asked for less. */
  get slowedTo(): number | null {
    return this.#throttle.limit;
  }

  get state(): RelayState {
    if (this.#misconfigured !== null) return 'misconfigured';
    const { state } = this.breaker;
    if (state !== 'closed') return state;
    return this.slowedTo === null ? 'working' : 'slowed';
  }

  /** Why it is in that state, in the relay's words; null: it works. */
  get words(): string | null {
    return this.#misconfigured ?? (this.breaker.state === 'closed' ? this.#complaint : this.breaker.reason);
  }

  /** Milliseconds until a probe may go; 0 when mails may go now. */
  get waitMs(): number {
    return this.breaker.state === 'open' ? this.#breaker.until - this.#now() : 0;
  }

  /** Mails that may be in flight. */
  get allowance(): number {
    return allowance(this.breaker, this.#deliverer.capacity);
  }

  /** Mails that may usefully be in flight. */
  get capacity(): number {
    return this.#deliverer.capacity;
  }

  /** Connections that are open; undefined: unknown. */
  get connections(): number | undefined {
    return this.#deliverer.connections;
  }

  /** Mails per second that it may get at most, by its rate and its own wish. */
  get perSecond(): number {
    return Math.min(this.rate ?? Number.POSITIVE_INFINITY, this.slowedTo ?? Number.POSITIVE_INFINITY);
  }

  /** It takes nothing: in trouble, or silent with everything in flight. */
  get inTrouble(): boolean {
    return this.breaker.state !== 'closed' || (this.#full && this.#silentFor(STUCK_MS));
  }

  /**
   * Whether it takes one more mail. `later`: all its connections are busy, and its next answer makes room. `no`: it may
   * not, for a time; others take the mail.
   */
  get room(): 'yes' | 'later' | 'no' {
    const { state } = this.breaker;
    if (state === 'open') return 'no';
    if (this.inFlight >= this.allowance) {
      return state === 'half-open' || this.#silentFor(STALLED_MS) ? 'no' : 'later';
    }
    if (this.#throttle.limit !== null && !this.#withinLimit(this.#throttle.limit)) return 'no';
    return this.#tokens === null || this.#tokens.any ? 'yes' : 'no';
  }

  /** A mail waits and this relay had no room. */
  wanted(): void {
    if (this.breaker.state === 'open') return;
    if (this.#throttle.limit !== null && this.#budget < 1) this.#heldBack = true;
    else if (this.#tokens?.any === false) this.#tokens.wanted();
  }

  handedOver(): void {
    this.inFlight++;
    this.#tokens?.take();
    if (this.#throttle.limit !== null) this.#budget--;
  }

  /** A mail came back. `words` says why, for people; `replied`: the relay said so, not the network. */
  cameBack(verdict: Verdict, words: string, replied: boolean): void {
    this.inFlight--;
    this.#moved = true;
    const before = this.#breaker.state;
    const breaker = this.breaker;
    switch (verdict.kind) {
      case 'misconfigured':
      case 'fallback':
        this.#misconfigured = words;
        // The first one is enough; what was in flight then says nothing new.
        this.#breaker = failed(
          breaker.state === 'closed' ? { ...breaker, state: 'half-open' } : breaker,
          words,
          this.#now(),
        );
        break;
      case 'backoff':
      case 'unconfirmed':
        // While it rests, the answers are to what was in flight when it asked for less: they say nothing new.
        if (replied && before === 'closed' && this.#now() < this.#settledAt) break;
        this.#breaker = failed(breaker, words, this.#now());
        if (replied && before === 'closed') this.#complained(words);
        break;
      default:
        if (verdict.kind === 'sent') this.accepted++;
        this.#taken++;
        if (breaker.state !== 'closed') this.#newWindow();
        this.#breaker = succeeded(breaker);
        this.#misconfigured = null;
    }
    if (this.#breaker.state !== before) this.#events.changed(this);
  }

  /** Lets time pass; several times a second. */
  tick(): void {
    const now = this.#now();
    if (this.#moved || !this.#full) this.#movedAt = now;
    this.#moved = false;
    // The rest is no window: nothing goes then.
    if (now < this.#settledAt) this.#windowFrom = now;
    if (now - this.#windowFrom < WINDOW_SECONDS * 1000) return;
    const closed = this.breaker.state === 'closed';
    const window = this.#window();
    this.#newWindow();
    if (closed && !wantsLess(this.#throttle, window)) this.#pace(windowEnded(this.#throttle, window));
  }

  get #full(): boolean {
    return this.inFlight > 0 && this.inFlight >= this.#deliverer.capacity;
  }

  /** By the last tick: an answer asks no clock. */
  #silentFor(ms: number): boolean {
    return !this.#moved && this.#now() - this.#movedAt >= ms;
  }

  #withinLimit(limit: number): boolean {
    const now = this.#now();
    const saved = this.#budget + (limit * (now - this.#budgetAt)) / 1000;
    this.#budget = Math.min(saved, Math.max(limit * BUDGET_SECONDS, 1));
    this.#budgetAt = now;
    return this.#budget >= 1;
  }

  #complained(words: string): void {
    this.#complaints++;
    const window = this.#window();
    if (!wantsLess(this.#throttle, window)) return;
    const next = slowed(this.#throttle, window);
    if (next === this.#throttle || next.limit === null) return;
    const now = this.#now();
    this.#settledAt = now + WINDOW_SECONDS * 1000;
    this.#newWindow();
    this.#complaint = words;
    [this.#budget, this.#budgetAt] = [-next.limit * WINDOW_SECONDS, now];
    this.#pace(next);
  }

  #pace(next: Throttle): void {
    const before = this.#throttle;
    this.#throttle = next;
    if (next.limit === null) this.#complaint = null;
    if ((next.limit === null) !== (before.limit === null)) this.#events.paced(this);
  }

  #window(): Window {
    const seconds = (this.#now() - this.#windowFrom) / 1000;
    const inARow = this.#complaints === 0 ? 0 : this.#breaker.failures;
    return { seconds, taken: this.#taken, complaints: this.#complaints, inARow, heldBack: this.#heldBack };
  }

  #newWindow(): void {
    this.#windowFrom = this.#now();
    [this.#taken, this.#complaints, this.#heldBack] = [0, 0, false];
  }
}
