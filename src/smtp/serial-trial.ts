import type { Mode } from './capabilities.ts';
import { classify, type Verdict } from './classify.ts';
import type { Delivery } from './deliverer.ts';

/**
 * What follows when a relay does not understand us (500 to 504, or replies that are none): once, everything is spoken
 * in serial mode. When that helps it stays so; when it does not, pipelining was not to blame and comes back.
 *
 * Only the mails that called for it are evidence: any other would have been understood in either mode.
 */
export class SerialTrial {
  #state: 'not needed' | 'running' | 'helped' | 'useless' = 'not needed';

  /** New connections are to be serial. */
  get wanted(): boolean {
    return this.#state === 'running' || this.#state === 'helped';
  }

  /**
   * Looks at a delivery made in `mode`; true when the mail should be sent again over a serial connection.
   * @param called it has been sent again for that already
   */
  calls(mode: Mode, delivery: Delivery, called: boolean): boolean {
    const { kind } = classify(delivery);
    if (called) {
      this.#judge(mode, kind);
      return false;
    }
    if (mode === 'serial' || this.#state === 'helped' || this.#state === 'useless') return false;
    if (kind !== 'fallback') return false;
    this.#state = 'running';
    return true;
  }

  /** A mail that called for it found no connection. */
  noEvidence(): void {
    if (this.#state === 'running') this.#state = 'not needed';
  }

  /** One mail that serial mode saved outweighs one that it did not: that one may be odd itself. */
  #judge(mode: Mode, kind: Verdict['kind']): void {
    const understood = kind === 'sent' || kind === 'rejected' || kind === 'retry';
    if (understood && mode === 'serial') this.#state = 'helped';
    else if (kind !== 'fallback') this.noEvidence();
    else if (this.#state === 'running') this.#state = 'useless';
  }
}
