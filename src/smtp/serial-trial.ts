import type { Mode } from './capabilities.ts';
import { classify } from './classify.ts';
import type { Delivery } from './deliverer.ts';

/**
 * What follows when a relay does not understand us (500 to 504, or replies that are none): once, everything is spoken
 * in serial mode. When that helps it stays so; when it does not, pipelining was not to blame and comes back.
 */
export class SerialTrial {
  #state: 'not needed' | 'running' | 'helped' | 'useless' = 'not needed';

  /** New connections are to be serial. */
  get wanted(): boolean {
    return this.#state === 'running' || this.#state === 'helped';
  }

  /** Looks at a delivery made in `mode`; true when the mail should be sent again over a serial connection. */
  calls(mode: Mode, delivery: Delivery): boolean {
    const misunderstood = classify(delivery).kind === 'fallback';
    if (mode !== 'serial') {
      if (!misunderstood || this.#state === 'helped' || this.#state === 'useless') return false;
      this.#state = 'running';
      return true;
    }
    if (this.#state === 'running' && misunderstood) this.#state = 'useless';
    if (this.#state === 'running' && delivery.kind === 'replied') this.#state = 'helped';
    return false;
  }
}
