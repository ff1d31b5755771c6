import type { SendEvent } from '../model/events.ts';

/** Results of a campaign that are judged together. */
export const RESULTS = 100;
/** This share of them ended without a mail: the campaign is failing. */
export const BAD_SHARE = 0.2;
/** Below this share it is well again, and may fail anew. */
export const GOOD_SHARE = 0.1;

/** What is failing, in words. `subject` is what it is said of once, until it is well again. */
export interface Failing {
  readonly subject: string;
  readonly campaign: string | null;
  readonly campaignId: number | null;
  readonly reason: string;
}

interface Share {
  results: number;
  bad: number;
  failing: boolean;
}

interface Trouble {
  readonly since: number;
  readonly reason: string;
  told: boolean;
}

/**
 * Decides when something is failing: a relay in trouble, or the database away, for longer than `afterMs`; or of a hundred
 * recipients of a campaign more than twenty ended without a mail. Once for each, until it is well again.
 */
export class FailingWatch {
  readonly #afterMs: number;
  readonly #shares = new Map<number, Share>();
  readonly #troubles = new Map<string, Trouble>();

  constructor(afterMs: number) {
    this.#afterMs = afterMs;
  }

  /** @returns a campaign that is failing since this event */
  event(event: SendEvent, now: number): Failing | null {
    if (event.kind === 'result') return this.#result(event);
    if (event.kind === 'relay') {
      const { label, breaker, misconfigured } = event;
      const well = breaker.state === 'closed' && misconfigured === null;
      this.#trouble(
        `relay ${label}`,
        well ? null : (misconfigured ?? breaker.reason ?? 'no reason given'),
        now,
      );
    } else if (event.kind === 'database-lost') this.#trouble('database', event.why, now);
    else if (event.kind === 'database-back') this.#trouble('database', null, now);
    return null;
  }

  /** What has been in trouble for too long; several times a minute. */
  tick(now: number): Failing[] {
    const failing: Failing[] = [];
    for (const [subject, trouble] of this.#troubles) {
      if (trouble.told || now - trouble.since < this.#afterMs) continue;
      trouble.told = true;
      failing.push({ subject, campaign: null, campaignId: null, reason: `${subject}: ${trouble.reason}` });
    }
    return failing;
  }

  #trouble(subject: string, reason: string | null, now: number): void {
    const known = this.#troubles.get(subject);
    if (reason === null) this.#troubles.delete(subject);
    else this.#troubles.set(subject, { since: known?.since ?? now, reason, told: known?.told ?? false });
  }

  #result({ campaignId, name, result }: Extract<SendEvent, { kind: 'result' }>): Failing | null {
    // Who waits again has not ended yet.
    if (result.outcome === null) return null;
    const share = this.#shares.get(campaignId) ?? { results: 0, bad: 0, failing: false };
    this.#shares.set(campaignId, share);
    share.results++;
    if (result.outcome !== 'sent') share.bad++;
    if (share.results < RESULTS) return null;
    const bad = share.bad / share.results;
    const reason = `${share.bad} of ${share.results} recipients ended without a mail, the last one: ${result.reason ?? 'sent'}`;
    share.results = share.bad = 0;
    const before = share.failing;
    share.failing = bad > (before ? GOOD_SHARE : BAD_SHARE);
    return share.failing && !before
      ? { subject: `campaign ${name}`, campaign: name, campaignId, reason }
      : null;
  }
}
