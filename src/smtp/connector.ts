import { DELIVERY_CODES, type Delivery } from './deliverer.ts';
import { type Established, establish, type HandshakeSetup } from './handshake.ts';
import { HandshakeFailure } from './handshake-failure.ts';
import { type RelayOptions, tlsOptions } from './relay.ts';

/** First and longest pause before another connection is tried beside those that work, in milliseconds. */
const HOLD_OFF_MS = { first: 1000, longest: 60_000 } as const;

/** The caller that wants connections. Exactly one of these is called for each attempt. */
export interface ConnectorUser {
  connected(established: Established): void;
  /** `delivery`: what that means for a mail that waited for the connection. */
  connectFailed(delivery: Delivery): void;
}

/**
 * Makes connections to one relay, and remembers between them what TLS needs. After a failure no further ones are tried
 * for a while as long as others work: a relay that allows five connections would otherwise be asked for a sixth with
 * every mail.
 */
export class Connector {
  readonly #setup: HandshakeSetup;
  readonly #user: ConnectorUser;
  readonly #attempts = new Set<AbortController>();
  #holdUntil = 0;
  /** When the hold-off was last doubled: attempts that had begun by then bring the same news. */
  #countedAt = Number.NEGATIVE_INFINITY;
  #holdOff: number = HOLD_OFF_MS.first;

  /** Throws SendstateError `RELAY_CA`. */
  constructor(relay: RelayOptions, user: ConnectorUser) {
    this.#setup = { relay, tls: tlsOptions(relay), memory: { tlsSession: null, sawTls: false } };
    this.#user = user;
  }

  /** Connections that are being made. */
  get pending(): number {
    return this.#attempts.size;
  }

  /** Another connection beside `others` had better wait. */
  holdsOff(others: number): boolean {
    return others > 0 && performance.now() < this.#holdUntil;
  }

  /** @param alone no other connection is open: one that is made then ends an outage, and with it the hold-off */
  connect(alone: boolean): void {
    const attempt = new AbortController();
    const begunAt = performance.now();
    this.#attempts.add(attempt);
    establish(this.#setup, attempt.signal).then(
      (established) => {
        this.#attempts.delete(attempt);
        if (attempt.signal.aborted) {
          established.wire.end('aborted', DELIVERY_CODES.aborted);
          this.#user.connectFailed({ kind: 'not-sent', why: 'aborted', code: DELIVERY_CODES.aborted });
          return;
        }
        this.#holdOff = HOLD_OFF_MS.first;
        if (alone) this.#holdUntil = 0;
        this.#user.connected(established);
      },
      (error: unknown) => {
        this.#attempts.delete(attempt);
        if (!(error instanceof HandshakeFailure)) throw error;
        this.failed(begunAt);
        this.#user.connectFailed(error.delivery);
      },
    );
  }

  /**
   * A connection that was begun at `begunAt` (performance.now()) was of no use: the next one beside others has to wait, twice
   * as long each time. Ten that were begun together and are refused together are one failure.
   */
  failed(begunAt: number): void {
    if (begunAt <= this.#countedAt) return;
    this.#countedAt = performance.now();
    this.#holdUntil = this.#countedAt + this.#holdOff;
    this.#holdOff = Math.min(2 * this.#holdOff, HOLD_OFF_MS.longest);
  }

  abort(): void {
    for (const attempt of this.#attempts) attempt.abort();
  }
}
