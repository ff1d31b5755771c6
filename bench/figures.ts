import { messageOf } from '../src/errors.ts';
import { type CampaignRun, faultOf, runCampaign } from './campaign-run.ts';
import { now } from './clock.ts';
import { type CrashRun, runCrash } from './crash-run.ts';
import { NO_FAILURES } from './fate.ts';
import { runQueue } from './queue-run.ts';
import type { Measuring } from './raw.ts';
import { median, say } from './server.ts';
import type { Settings } from './settings.ts';
import type { Line, Stage } from './stage.ts';
import { randomFrom, shuffled } from './statistics.ts';
import { tableBytes } from './table-bytes.ts';
import { runTell } from './tell-run.ts';

/** People of the run that tells how fast a line is before anything is measured. */
const TRIAL = 500;
/** Seconds that one run of a slow line may take; it is measured with fewer people instead. */
const SLOW_SECONDS = 6;
/** Seconds of a run against a distant relay. */
const FAR_SECONDS = 4;
/** A single run that takes longer is given up, milliseconds. */
const PATIENCE_MS = 180_000;
/** Reply delays that leave a middle to kill in, and time to ask, milliseconds. */
const CRASH_DELAY_MS = 5;
const TELL_DELAY_MS = 10;

const shown = (value: number) => Math.round(value).toLocaleString('en-US');

/** All figures of a benchmark, the most important first; each line's runs verified. */
export class Figures {
  readonly #stage: Stage;
  readonly #settings: Settings;
  readonly #lines: readonly Line[];
  readonly #raw: Measuring;
  readonly #random: () => number;
  readonly #deadline: number;
  /** Mails per second of a line, as far as is known. */
  readonly #rates = new Map<string, number>();

  constructor(stage: Stage, settings: Settings, lines: readonly Line[], raw: Measuring) {
    this.#stage = stage;
    this.#settings = settings;
    this.#lines = lines;
    this.#raw = raw;
    this.#random = randomFrom(settings.seed);
    this.#deadline = now() + settings.minutes * 60_000;
  }

  async measure(): Promise<void> {
    await this.#trial();
    await this.#campaigns();
    await this.#failures();
    await this.#queues();
    await this.#latencies();
    await this.#crashes();
    await this.#tells();
    await this.#growth();
  }

  get #late(): boolean {
    return now() > this.#deadline;
  }

  get #order(): Line[] {
    return shuffled(this.#lines, this.#random);
  }

  /** Runs one thing of a line; an error is written down and the others go on. */
  async #try<T>(line: Line, what: string, run: () => Promise<T>): Promise<T | null> {
    try {
      return await run();
    } catch (error) {
      const fault = `${line.key}, ${what}: ${messageOf(error)}`;
      this.#raw.faults.push(fault);
      say(`  ${fault}`);
      return null;
    }
  }

  /** How fast each line is, so that slow ones get fewer people; warms the brokers up. */
  async #trial(): Promise<void> {
    if (this.#settings.profile === 'quick') return;
    for (const line of this.#lines) {
      const people = line.design.oneAtATime === true ? TRIAL / 5 : Math.min(TRIAL, this.#settings.recipients);
      const options = { people, delayMs: 0, patienceMs: PATIENCE_MS };
      const run = await this.#try(line, 'trial', () => runCampaign(this.#stage, line, options));
      if (run !== null) this.#rates.set(line.key, run.mailsPerSecond);
    }
  }

  #peopleOf(line: Line): number {
    // One at a time: a tenth of what is said of the others when nothing is known yet.
    const most = (this.#rates.get(line.key) ?? (line.design.oneAtATime === true ? 20 : 1_000)) * SLOW_SECONDS;
    const { recipients } = this.#settings;
    return recipients <= most ? recipients : Math.max(50, Math.round(most / 100) * 100);
  }

  #campaign(run: CampaignRun | null, into: CampaignRun[] | null): void {
    if (run === null) return;
    const fault = faultOf(run);
    const promised = run.seen.wrong > 0 || run.refusedForGood === 0 || !this.#losesByItself(run.line);
    if (fault !== null && promised) this.#raw.faults.push(fault);
    into?.push(run);
  }

  /** The loop loses whoever is refused for now; that is what it is here to show. */
  #losesByItself(key: string): boolean {
    return this.#lines.some((line) => line.key === key && line.design.broker === 'none');
  }

  async #campaigns(): Promise<void> {
    const { rounds, profile } = this.#settings;
    for (let round = profile === 'quick' ? 1 : 0; round <= rounds; round++) {
      const words: string[] = [];
      for (const line of this.#order) {
        const last = round === rounds && line.design.name === 'postgres';
        const run = await this.#try(line, 'campaign', () =>
          runCampaign(this.#stage, line, {
            people: this.#peopleOf(line),
            delayMs: 0,
            patienceMs: PATIENCE_MS,
            ...(last
              ? {
                  inspect: async (place) => {
                    this.#raw.table = await tableBytes(place);
                  },
                }
              : {}),
          }),
        );
        this.#campaign(run, round > 0 ? this.#raw.campaign : null);
        if (run !== null) words.push(`${line.key} ${shown(run.mailsPerSecond)}`);
      }
      say(`${round === 0 ? 'warm-up' : `round ${round}`}: ${words.join(', ')} mails/s`);
    }
    for (const line of this.#lines) {
      const rates = this.#raw.campaign.filter((run) => run.line === line.key);
      if (rates.length > 0) this.#rates.set(line.key, median(rates.map((run) => run.mailsPerSecond)));
    }
  }

  async #failures(): Promise<void> {
    for (const line of this.#order) {
      const people = Math.max(50, Math.round(this.#peopleOf(line) / 2));
      const { failures } = this.#settings;
      const options = { people, delayMs: 0, failures, patienceMs: PATIENCE_MS };
      const run = await this.#try(line, 'failures', () => runCampaign(this.#stage, line, options));
      this.#campaign(run, this.#raw.failures);
    }
    say(`failures: ${this.#raw.failures.map(({ line, seen }) => `${line} lost ${seen.lost}`).join(', ')}`);
  }

  async #queues(): Promise<void> {
    const { queuePeople, rounds, profile } = this.#settings;
    const times = profile === 'quick' ? 1 : Math.min(3, rounds);
    for (let round = 1; round <= times; round++) {
      if (round > 1 && this.#late) return;
      for (const line of this.#order) {
        if (line.design.broker === 'none') continue;
        const run = await this.#try(line, 'queue only', () =>
          runQueue(this.#stage, line, queuePeople, PATIENCE_MS),
        );
        if (run === null) continue;
        this.#raw.queue.push(run);
        say(
          `queue only: ${line.key} in ${shown(run.publishPerSecond)}/s, out ${shown(run.consumePerSecond)}/s`,
        );
      }
    }
  }

  async #latencies(): Promise<void> {
    const { latencies, connections } = this.#settings;
    for (const delayMs of latencies.filter((one) => one > 0)) {
      if (this.#late) return;
      const words: string[] = [];
      for (const line of this.#order) {
        // Two round trips a mail and connection when commands are grouped; eight when one waits for each.
        const far =
          line.design.oneAtATime === true ? 1_000 / (8 * delayMs) : (connections * 1_000) / (2 * delayMs);
        const rate = Math.min(far, this.#rates.get(line.key) ?? far);
        const people = Math.max(5, Math.min(this.#settings.recipients, Math.round(rate * FAR_SECONDS)));
        const options = { people, delayMs, failures: NO_FAILURES, patienceMs: PATIENCE_MS };
        const run = await this.#try(line, `${delayMs} ms`, () => runCampaign(this.#stage, line, options));
        this.#campaign(run, this.#raw.latency);
        if (run !== null) words.push(`${line.key} ${shown(run.mailsPerSecond)}`);
      }
      say(`${delayMs} ms: ${words.join(', ')} mails/s`);
    }
  }

  async #crashes(): Promise<void> {
    const { profile } = this.#settings;
    for (const killed of ['consumer', 'broker'] as const) {
      for (const line of this.#order) {
        if (this.#late) return;
        if (killed === 'broker' && line.design.broker === 'none') continue;
        // A quick look waits for nobody who never comes.
        if (profile === 'quick' && (killed === 'broker' || line.design.afterConsumerKilled === 'stuck'))
          continue;
        const run = await this.#try(line, `${killed} killed`, () => this.#crash(line, killed));
        if (run === null) continue;
        this.#raw.crash.push(run);
        if (run.lost > 0 && line.tier === 'A')
          this.#raw.faults.push(`${line.key}: ${run.lost} lost after the ${killed} was killed`);
        say(
          `${killed} killed: ${line.key} lost ${run.lost}, stuck ${run.stuck}, twice ${run.duplicated} of ${run.people}`,
        );
      }
    }
  }

  async #crash(line: Line, killed: CrashRun['killed']): Promise<CrashRun> {
    const one = line.design.oneAtATime === true;
    return await runCrash(this.#stage, line, killed, {
      people: one ? 60 : this.#settings.crashPeople,
      delayMs: one ? 1 : CRASH_DELAY_MS,
      patienceMs: this.#settings.crashPatienceMs,
    });
  }

  async #tells(): Promise<void> {
    for (const line of this.#order) {
      if (this.#late) return;
      const one = line.design.oneAtATime === true;
      const { tellPeople: people, failures } = this.#settings;
      const options = one
        ? { people: 60, delayMs: 1, failures, patienceMs: PATIENCE_MS }
        : { people, delayMs: TELL_DELAY_MS, failures, patienceMs: PATIENCE_MS };
      const run = await this.#try(line, 'asked', () => runTell(this.#stage, line, options));
      if (run === null) continue;
      this.#raw.tell.push(run);
      const words = (['progress', 'failures', 'stopOne', 'pause'] as const).map(
        (name) => `${name} ${run[name].yes ? 'yes' : 'no'}`,
      );
      say(`asked: ${line.key} ${words.join(', ')}`);
    }
  }

  async #growth(): Promise<void> {
    const { growth, growthSeconds } = this.#settings;
    for (const people of growth) {
      for (const line of this.#lines) {
        const rate = this.#rates.get(line.key) ?? 0;
        if (this.#late || people / rate > growthSeconds) continue;
        const options = { people, delayMs: 0, patienceMs: 4 * growthSeconds * 1_000 };
        const run = await this.#try(line, `${people} people`, () => runCampaign(this.#stage, line, options));
        this.#campaign(run, this.#raw.growth);
        if (run !== null) say(`${shown(people)} people: ${line.key} ${shown(run.mailsPerSecond)} mails/s`);
      }
    }
  }
}
