/** What remains of the rate that a relay took when it first asks for less. Half, as TCP does: it works at once. */
export const FIRST_CUT = 0.5;
/** What remains when it asks again although it is slowed: near the right rate a smaller step finds it sooner. */
export const NEXT_CUT = 0.85;
/** The slowest, mails per second. One in five seconds: the first pause of the breaker, which takes over below. */
export const FLOOR = 0.2;
/**
 * What a relay does in a window of this many seconds is judged together. After a cut it rests for as long: who counts by
 * the second has begun a new one then, and what was in flight has been answered.
 */
export const WINDOW_SECONDS = 1;
/** Complaints in a window that count: one may be about one person or one connection. */
export const COMPLAINTS = 2;
/** … and their share of the answers: of a thousand mails a second, some are always answered so. */
export const COMPLAINING_SHARE = 0.02;
/** So many in a row count whatever their share: sooner than the breaker's five, which would stop everything. */
export const COMPLAINTS_IN_A_ROW = 3;
/** For a relay that is slowed already one complaint counts when it is this share of the answers: some take one mail a second. */
export const SLOWED_SHARE = 0.1;
/** What a content window adds at least, as a share of the rate at which the relay complained: a second's excess is small then. */
export const STEP = 0.02;
/** … and while that rate is far away, this share of the way there. */
export const APPROACH = 0.25;
/** Beyond the rate of the complaint the limit is unknown: each content window adds so many times what the last did. */
export const FASTER = 1.3;
/** The limit is history when the relay takes so many times the rate of its last complaint, … */
export const FORGOTTEN_AT = 4;
/** … or when no mail was held back and there was no complaint for so many seconds. */
export const FORGOTTEN_AFTER_SECONDS = 60;

/**
 * How fast a relay wants its mails, as a value: unlimited until it complains (421, 4.3.2, 4.7.x about rates), then cut
 * below what it was taking, then more again from second to second while it is content. Additive increase and
 * multiplicative decrease: several workers that share a relay come to fair shares without talking to each other.
 */
export interface Throttle {
  /** Mails per second at most; null: no limit. */
  readonly limit: number | null;
  /** What it took, mails per second, when it complained last. */
  readonly complainedAt: number;
  /** What the next content window adds at least, mails per second. */
  readonly step: number;
  /** Content windows in a row in which the limit held no mail back. */
  readonly idleSeconds: number;
  /** What it took in the window before, mails per second. */
  readonly before: number;
}

/** What one relay did since the window began. */
export interface Window {
  readonly seconds: number;
  /** Answers that show it at work, whatever they say about the recipient. */
  readonly taken: number;
  readonly complaints: number;
  /** The last answers were complaints: how many in a row. */
  readonly inARow: number;
  /** A mail had to wait for the limit. */
  readonly heldBack: boolean;
}

export const UNLIMITED: Throttle = {
  limit: null,
  complainedAt: 0,
  step: 0,
  idleSeconds: 0,
  before: 0,
};

/** Whether the complaints of a window are the relay's wish for less, and not about one person or one connection. */
export function wantsLess({ limit }: Throttle, { taken, complaints, inARow }: Window): boolean {
  if (inARow >= COMPLAINTS_IN_A_ROW) return true;
  const answers = taken + complaints;
  if (complaints >= COMPLAINTS) return complaints >= COMPLAINING_SHARE * answers;
  return limit !== null && complaints > 0 && complaints >= SLOWED_SHARE * answers;
}

/**
 * After complaints that count. Who takes nothing at all is not too fast but down, which is the breaker's business: the
 * same value then.
 */
export function slowed(throttle: Throttle, { seconds, taken }: Window): Throttle {
  const took = Math.max(taken / Math.max(seconds, WINDOW_SECONDS), throttle.before);
  const { limit } = throttle;
  if (limit === null && took === 0) return throttle;
  // Slowed already and in a pause: what it took says little, and one cut is at most to a third.
  const rate = limit === null ? took : Math.min(Math.max(took, limit / 2), limit);
  const next = Math.max(rate * (limit === null ? FIRST_CUT : NEXT_CUT), FLOOR);
  return { limit: next, complainedAt: rate, step: STEP * rate, idleSeconds: 0, before: 0 };
}

/** After a window without complaints that count. */
export function windowEnded(throttle: Throttle, window: Window): Throttle {
  const { seconds, taken, complaints, heldBack } = window;
  const before = taken / seconds;
  const { limit, complainedAt, step } = throttle;
  if (limit === null) return before === throttle.before ? throttle : { ...throttle, before };
  // A complaint that does not count says at least: not faster.
  if (complaints > 0) return { ...throttle, before, idleSeconds: 0 };
  if (!heldBack) {
    const idleSeconds = throttle.idleSeconds + seconds;
    return idleSeconds >= FORGOTTEN_AFTER_SECONDS
      ? { ...UNLIMITED, before }
      : { ...throttle, before, idleSeconds };
  }
  const next = limit + Math.max(step, APPROACH * (complainedAt - limit));
  if (next >= FORGOTTEN_AT * Math.max(complainedAt, 1)) return { ...UNLIMITED, before };
  return {
    limit: next,
    complainedAt,
    step: next > complainedAt ? step * FASTER : step,
    idleSeconds: 0,
    before,
  };
}
