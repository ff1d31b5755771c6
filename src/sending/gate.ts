import type { Verdict } from '../smtp/classify.ts';
import type { Deliverer } from '../smtp/deliverer.ts';
import { allowance, at, type Breaker, CLOSED, failed, succeeded } from './breaker.ts';

/** The part of a deliverer that a gate needs. */
type Relay = Pick<Deliverer, 'capacity' | 'deliver'>;

/**
 * One relay as every campaign of a worker sees it: how many mails may be in flight at once, shared fairly, and none
 * while the breaker is open.
 */
export class Gate {
  readonly relay: Relay;
  readonly #now: () => number;
  readonly #onChange: (breaker: Breaker) => void;
  #breaker: Breaker = CLOSED;
  #misconfigured: string | null = null;
  #inFlight = 0;
  #sharers = 0;

  /** @param now a clock in milliseconds that never goes back */
  constructor(
    relay: Relay,
    onChange: (breaker: Breaker) => void,
    now: () => number = () => performance.now(),
  ) {
    this.relay = relay;
    this.#onChange = onChange;
    this.#now = now;
  }

  /** A campaign begins or ends to use the relay. */
  join(): void {
    this.#sharers++;
  }
  leave(): void {
    this.#sharers--;
  }

  get breaker(): Breaker {
    return at(this.#breaker, this.#now());
  }

  /** The relay's words when it refuses the sender, not the mail (password, sender address); null: all is well. */
  get misconfigured(): string | null {
    return this.#misconfigured;
  }

  /** Milliseconds until a probe may go; 0 when mails may go now. */
  get waitMs(): number {
    return this.breaker.state === 'open' ? this.#breaker.until - this.#now() : 0;
  }

  /** Whether a campaign with `own` mails in flight may hand over one more. */
  mayHandOver(own: number): boolean {
    const capacity = allowance(this.breaker, this.relay.capacity);
    if (this.#inFlight >= capacity) return false;
    return own < Math.max(1, Math.floor(capacity / Math.max(1, this.#sharers)));
  }

  handedOver(): void {
    this.#inFlight++;
  }

  /** A mail came back. `words` says why, for people. */
  cameBack(verdict: Verdict, words: string): void {
    this.#inFlight--;
    const before = this.#breaker.state;
    const breaker = this.breaker;
    switch (verdict.kind) {
      case 'misconfigured':
      case 'fallback':
        this.#misconfigured = words;
        this.#breaker = failed({ ...breaker, state: 'half-open' }, words, this.#now());
        break;
      case 'backoff':
      case 'unconfirmed':
        this.#breaker = failed(breaker, words, this.#now());
        break;
      default:
        this.#breaker = succeeded(breaker);
        this.#misconfigured = null;
    }
    if (this.#breaker.state !== before) this.#onChange(this.#breaker);
  }
}
