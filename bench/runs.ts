import { messageOf } from '../src/errors.ts';
import { type CampaignOptions, type CampaignRun, faultOf, runCampaign } from './campaign-run.ts';
import { now } from './clock.ts';
import type { Measuring } from './raw.ts';
import { median, say } from './server.ts';
import type { Settings } from './settings.ts';
import type { Line, Stage } from './stage.ts';
import { randomFrom, shuffled } from './statistics.ts';

/** People of the run that tells how fast a line is before anything is measured. */
const TRIAL = 500;
/** A line that needs longer than this for all people gets so many people as it takes in the second, seconds. */
const TOO_SLOW_SECONDS = 20;
const SLOW_SECONDS = 8;
/** A single run that takes longer is given up, milliseconds. */
export const PATIENCE_MS = 180_000;

/** In place of the seconds that a run needs: it is made, however late it is. */
export const ALWAYS = Number.NEGATIVE_INFINITY;

/** Runs one thing after the other, and writes down what failed and what was left out. */
export class Runs {
  readonly stage: Stage;
  readonly settings: Settings;
  readonly lines: readonly Line[];
  readonly raw: Measuring;
  readonly #random: () => number;
  readonly #deadline: number;
  /** Mails per second of a line, as far as is known. */
  readonly #rates = new Map<string, number>();

  constructor(stage: Stage, settings: Settings, lines: readonly Line[], raw: Measuring) {
    this.stage = stage;
    this.settings = settings;
    this.lines = lines;
    this.raw = raw;
    this.#random = randomFrom(settings.seed);
    this.#deadline = now() + settings.minutes * 60_000;
  }

  /** What is left of the time, seconds; negative when it is over. */
  get secondsLeft(): number {
    return (this.#deadline - now()) / 1_000;
  }

  /** The lines in an order that is new every time. */
  get order(): Line[] {
    return shuffled(this.lines, this.#random);
  }

  /** Nothing is left out without a word. */
  skip(line: Line, what: string, why: string): void {
    this.raw.leftOut.push({ design: line.key, why: `${what}: ${why}` });
  }

  /** Runs one thing of a line unless the time is over; an error is written down and the others go on. */
  async try<T>(line: Line, what: string, run: () => Promise<T>, seconds = 0): Promise<T | null> {
    if (this.secondsLeft < seconds) {
      const why =
        seconds === 0 || this.secondsLeft <= 0
          ? `the ${this.settings.minutes} minutes were over`
          : `would have taken ${Math.round(seconds)} s, longer than what was left of ${this.settings.minutes} minutes`;
      this.skip(line, what, why);
      return null;
    }
    try {
      return await run();
    } catch (error) {
      const fault = `${line.key}, ${what}: ${messageOf(error)}`;
      this.raw.faults.push(fault);
      say(`  ${fault}`);
      return null;
    }
  }

  /** How fast each line is, so that the hopelessly slow get fewer people; warms the brokers up. */
  async trial(): Promise<void> {
    for (const line of this.lines) {
      const people = line.design.oneAtATime === true ? TRIAL / 5 : Math.min(TRIAL, this.settings.recipients);
      const options = { people, delayMs: 0, patienceMs: PATIENCE_MS };
      const trial = () => this.try(line, 'trial', () => runCampaign(this.stage, line, options), ALWAYS);
      let run = await trial();
      // A broker that has never been asked anything is slow the first time, and is not measured at another size for that.
      if (run !== null && this.#tooSlow(run.mailsPerSecond)) run = await trial();
      if (run !== null) this.#rates.set(line.key, run.mailsPerSecond);
    }
  }

  /** The rate of a line's campaigns so far, or of its trial; null: nothing is known. */
  rateOf(line: Line): number | null {
    const rates = this.raw.campaign.filter((run) => run.line === line.key).map((run) => run.mailsPerSecond);
    return rates.length > 0 ? median(rates) : (this.#rates.get(line.key) ?? null);
  }

  /** All people, but fewer for lines that would take too long. */
  peopleOf(line: Line): number {
    const { recipients } = this.settings;
    // A trial of a cold process is no reason to measure a design at another size; a loop without a queue is.
    const rate =
      this.#rates.get(line.key) ?? (line.design.oneAtATime === true ? 20 : Number.POSITIVE_INFINITY);
    if (!this.#tooSlow(rate)) return recipients;
    return Math.min(recipients, Math.max(50, Math.round((rate * SLOW_SECONDS) / 50) * 50));
  }

  #tooSlow(rate: number): boolean {
    return this.settings.recipients / rate > TOO_SLOW_SECONDS;
  }

  /** A campaign, its faults written down. */
  async campaign(
    line: Line,
    what: string,
    options: Omit<CampaignOptions, 'patienceMs'>,
    into: CampaignRun[] | null,
    seconds = 0,
  ): Promise<CampaignRun | null> {
    const patienceMs = Math.max(PATIENCE_MS, 4_000 * seconds);
    const run = await this.try(
      line,
      what,
      () => runCampaign(this.stage, line, { ...options, patienceMs }),
      seconds,
    );
    if (run === null) return null;
    const fault = faultOf(run);
    // The loop loses the people who are deferred; that is what it is here to show.
    const promised = run.seen.wrong > 0 || run.refusedForGood === 0 || line.design.broker !== 'none';
    if (fault !== null && promised) this.raw.faults.push(fault);
    into?.push(run);
    return run;
  }
}
