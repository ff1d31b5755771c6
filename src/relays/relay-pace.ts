import type { Database } from '../database/connect.ts';
import { prepare } from '../database/prepare.ts';
import { REFILLED } from '../queue/pace.ts';
import type { Tokens } from './gate.ts';

/**
 * How much of a second's worth the bucket may hold, and a worker may draw ahead, seconds. A quarter: a worker that is
 * busy for a moment loses nothing, and after an idle hour there is no burst.
 */
export const RELAY_BURST_SECONDS = 0.25;
/** Shortest time between two draws of a worker, milliseconds: twenty statements a second, whatever the rate. */
const DRAW_MS = 50;
/** Longest wait for a token, milliseconds: others may have given theirs back. */
const LONGEST_WAIT_MS = 1_000;
/** Tokens that were not used for so long go back to the bucket, milliseconds. */
const UNUSED_MS = 1_000;

/*
 * Draws from the relay's bucket as drawTokens does from a campaign's: one row, the database's clock, the lock held for
 * this statement alone. One token more than the burst fits in, or a rate below 4/s would lose what comes between draws.
 * The first draw ever makes the row and gets nothing, so that a new relay begins without a burst.
 */
const FILLED = `least($2::float8 * ${RELAY_BURST_SECONDS} + 1,
    p.tokens + $2::float8 * greatest(extract(epoch from now() - p.refilled_at), 0))`;
const DRAW = prepare(`
with opened as (
  insert into relay_pace (label, tokens, granted, refilled_at) values ($1, 0, 0, now()) on conflict (label) do nothing
)
update relay_pace p set
  tokens = ${FILLED} - least(floor(${FILLED}), $3::float8),
  granted = least(floor(${FILLED}), $3::float8),
  refilled_at = ${REFILLED}
where p.label = $1
returning p.granted, p.tokens`);

const GIVE_BACK = prepare(`update relay_pace set tokens = tokens + $2 where label = $1`);

/** Runs a statement and says so when the database does not answer; undefined then. */
export type Guard = <T>(work: () => Promise<T>) => Promise<T | undefined>;

/** One worker's tokens for one relay with a rate: drawn a moment ahead, because a mail cannot wait for the database. */
export class RelayPace implements Tokens {
  readonly #db: Database;
  readonly #label: string;
  readonly #rate: number;
  readonly #guard: Guard;
  readonly #arrived: () => void;
  #tokens = 0;
  /** Tokens used since the last draw, and what that one asked for. */
  #used = 0;
  #ahead = 1;
  #drawing: Promise<void> | null = null;
  #drawAt = 0;
  #timer: NodeJS.Timeout | null = null;
  #usedAt = 0;
  #closed = false;

  constructor(db: Database, label: string, rate: number, guard: Guard, arrived: () => void) {
    this.#db = db;
    this.#label = label;
    this.#rate = rate;
    this.#guard = guard;
    this.#arrived = arrived;
  }

  get any(): boolean {
    return this.#tokens >= 1;
  }

  take(): void {
    this.#tokens--;
    this.#used++;
    if (this.#tokens < this.#ahead / 2) this.wanted();
  }

  wanted(): void {
    if (this.#closed || this.#drawing !== null || this.#timer !== null) return;
    const wait = this.#drawAt - performance.now();
    if (wait > 0) {
      this.#timer = setTimeout(() => {
        this.#timer = null;
        this.#draw();
      }, wait);
    } else this.#draw();
  }

  /** Lets time pass: what is not needed is for others. */
  async tick(): Promise<void> {
    if (this.#tokens >= 1 && this.#drawing === null && performance.now() - this.#usedAt > UNUSED_MS)
      await this.#giveBack();
  }

  async close(): Promise<void> {
    this.#closed = true;
    if (this.#timer !== null) clearTimeout(this.#timer);
    await this.#drawing;
    await this.#giveBack();
  }

  #draw(): void {
    if (this.#closed || this.#drawing !== null) return;
    this.#drawing = this.#ask().finally(() => {
      this.#drawing = null;
    });
  }

  /**
   * Twice what was used since the last draw, and no less than what the whole rate gives between two draws: what lies in a
   * worker's hands is missing elsewhere, and goes out later.
   */
  async #ask(): Promise<void> {
    const most = Math.max(1, Math.floor(this.#rate * RELAY_BURST_SECONDS));
    const least = Math.ceil((this.#rate * DRAW_MS) / 1000);
    this.#ahead = Math.min(Math.max(2 * this.#used, least), most);
    this.#used = 0;
    const wanted = Math.max(1, this.#ahead - this.#tokens);
    const rows = await this.#guard(() =>
      DRAW<[granted: number, left: number]>(this.#db, [this.#label, this.#rate, wanted]),
    );
    const [granted, left] = rows?.[0] ?? [0, 0];
    // A first draw, or a database that is away: again after a moment.
    const untilNext = granted > 0 ? 0 : (1000 * (1 - left)) / this.#rate;
    this.#drawAt = performance.now() + Math.min(Math.max(untilNext, DRAW_MS), LONGEST_WAIT_MS);
    if (granted === 0) return;
    this.#tokens += granted;
    this.#usedAt = performance.now();
    if (!this.#closed) this.#arrived();
  }

  async #giveBack(): Promise<void> {
    const tokens = this.#tokens;
    this.#tokens = 0;
    if (tokens > 0) await this.#guard(() => GIVE_BACK(this.#db, [this.#label, tokens]));
  }
}
