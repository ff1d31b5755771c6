/** After so long without a refusal one more connection is tried, milliseconds. */
const ONE_MORE_AFTER_MS = 60_000;

/** What a relay's refusals told about its limits. One instance for each relay of the process. */
export class LearntLimits {
  /** Mails on one connection. */
  mails = Number.POSITIVE_INFINITY;
  /** How often the connections were halved. */
  cuts = 0;
  readonly #configured: number;
  readonly #now: () => number;
  #connections: number;
  #since = 0;

  /** @param now a clock in milliseconds that never goes back */
  constructor(connections: number, now: () => number = () => performance.now()) {
    this.#configured = connections;
    this.#connections = connections;
    this.#now = now;
  }

  /** Connections at once: what is configured, or fewer, and one more a minute then. */
  get connections(): number {
    if (this.#connections === this.#configured) return this.#configured;
    const more = Math.floor((this.#now() - this.#since) / ONE_MORE_AFTER_MS);
    return Math.min(this.#connections + more, this.#configured);
  }

  /** A connection was refused further mails after it had sent so many. */
  mailsRefused(sent: number): void {
    if (sent > 0) this.mails = Math.min(this.mails, sent);
  }

  /**
   * One of `open` connections was one too many: half of them remain. `cuts` is what it was when the refused connection was
   * made: connections that are older than the last cut bring the same news, and halve nothing again.
   */
  connectionRefused(open: number, cuts: number): void {
    if (cuts !== this.cuts) return;
    this.#connections = Math.max(Math.floor(Math.min(open, this.connections) / 2), 1);
    this.#since = this.#now();
    this.cuts++;
  }
}
