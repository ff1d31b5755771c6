import type { CrashRun } from './crash-run.ts';
import { crashFault, runCrash } from './crash-run.ts';
import { runProfile } from './queue-profile.ts';
import { runQueue } from './queue-run.ts';
import { ALWAYS, PATIENCE_MS, type Runs } from './runs.ts';
import { median, say } from './server.ts';
import type { Line } from './stage.ts';
import { tableBytes } from './table-bytes.ts';
import { runTell } from './tell-run.ts';

/** Seconds of a run against a distant relay. */
const FAR_SECONDS = 4;
/** People of the first look at a queue, and how long one round of it may take, seconds. */
const QUEUE_TRIAL = 10_000;
const QUEUE_SECONDS = 8;
/** Rounds of all designs, with and without mail; what goes on after them are the designs of the best tier. */
const COMMON_ROUNDS = 3;
/** Reply delays that leave a middle to kill in, and time to ask, milliseconds. */
const CRASH_DELAY_MS = 5;
const TELL_DELAY_MS = 10;
/** How long is waited for people who, by the design's own account, no consumer will ever take again, milliseconds. */
const STUCK_PATIENCE_MS = 15_000;
/** The table and its two rivals: what has to be measured at any size, however long it takes. */
const MAIN = ['postgres', 'rabbitmq', 'kafka'];

const shown = (value: number) => Math.round(value).toLocaleString('en-US');

/**
 * All figures of a benchmark, each line's runs verified: first every figure once, then rounds for as long as there is time. What
 * does not fit is written down as left out.
 */
export class Figures {
  readonly #runs: Runs;
  /** People per second through a queue without mail, as far as is known. */
  readonly #queueRates = new Map<string, number>();

  constructor(runs: Runs) {
    this.#runs = runs;
  }

  async measure(): Promise<void> {
    const quick = this.#runs.settings.profile === 'quick';
    if (!quick) {
      await this.#runs.trial();
      await this.#campaigns(0);
    }
    await this.#campaigns(1);
    await this.#failures();
    if (quick) await this.#queues(1);
    await this.#crashes();
    await this.#tells();
    await this.#latencies();
    if (!quick) {
      await this.#queues(0);
      await this.#queues(1);
    }
    await this.#rounds(2, COMMON_ROUNDS, () => true);
    await this.#profile();
    await this.#growth((line) => MAIN.includes(line.key));
    await this.#rounds(COMMON_ROUNDS + 1, Number.POSITIVE_INFINITY, (line) => this.#goesOn(line));
    await this.#growth((line) => !MAIN.includes(line.key));
  }

  /** Fast enough for the whole list, and what the table is compared with. */
  #goesOn(line: Line): boolean {
    return line.tier === 'A' && this.#runs.peopleOf(line) === this.#runs.settings.recipients;
  }

  async #rounds(from: number, to: number, which: (line: Line) => boolean): Promise<void> {
    const last = Math.min(to, this.#runs.settings.rounds);
    for (let round = from; round <= last; round++) {
      if (this.#runs.secondsLeft <= 0) {
        const { minutes } = this.#runs.settings;
        const why = `round ${round} and later: the ${minutes} minutes were over`;
        this.#runs.raw.leftOut.push({ design: 'every design', why });
        return;
      }
      await this.#campaigns(round, which);
      if (round <= COMMON_ROUNDS) await this.#queues(round);
    }
  }

  /** Round 0 warms up and is discarded. */
  async #campaigns(round: number, which: (line: Line) => boolean = () => true): Promise<void> {
    const runs = this.#runs;
    const words: string[] = [];
    for (const line of runs.order.filter(which)) {
      const inspect =
        round === 1 && line.design.name === 'postgres'
          ? {
              inspect: async (place: Parameters<typeof tableBytes>[0]) => {
                runs.raw.table = await tableBytes(place);
              },
            }
          : {};
      const options = { people: runs.peopleOf(line), delayMs: 0, ...inspect };
      const what = round === 0 ? 'the warm-up' : `round ${round} of the campaign`;
      const into = round > 0 ? runs.raw.campaign : null;
      const run = await runs.campaign(line, what, options, into, round < 2 ? ALWAYS : 0);
      if (run !== null) words.push(`${line.key} ${shown(run.mailsPerSecond)}`);
    }
    say(`${round === 0 ? 'warm-up' : `round ${round}`}: ${words.join(', ')} mails/s`);
  }

  async #failures(): Promise<void> {
    const { raw, settings, order } = this.#runs;
    for (const line of order) {
      const people = Math.max(50, Math.round(this.#runs.peopleOf(line) / 2));
      const options = { people, delayMs: 0, failures: settings.failures };
      await this.#runs.campaign(line, 'failures', options, raw.failures, ALWAYS);
    }
    say(`failures: ${raw.failures.map(({ line, seen }) => `${line} lost ${seen.lost}`).join(', ')}`);
  }

  /** Round 0 warms up with fewer people, and tells who is slow. */
  async #queues(round: number): Promise<void> {
    const { stage, settings, raw, order } = this.#runs;
    for (const line of order) {
      if (line.design.broker === 'none') continue;
      const most = (this.#queueRates.get(line.key) ?? Number.POSITIVE_INFINITY) * QUEUE_SECONDS;
      const all = round === 0 ? Math.min(QUEUE_TRIAL, settings.queuePeople) : settings.queuePeople;
      const people = Math.min(all, Number.isFinite(most) ? Math.ceil(most / 10_000) * 10_000 : all);
      const run = await this.#runs.try(
        line,
        `round ${round} of the queue alone`,
        () => runQueue(stage, line, people, PATIENCE_MS),
        round < 2 ? ALWAYS : 0,
      );
      if (run === null) continue;
      if (round === 0) this.#queueRates.set(line.key, run.bothPerSecond);
      else raw.queue.push(run);
      say(
        `queue only: ${line.key} in ${shown(run.publishPerSecond)}/s, out ${shown(run.consumePerSecond)}/s of ${shown(people)}`,
      );
    }
  }

  async #profile(): Promise<void> {
    const { stage, settings, raw, lines } = this.#runs;
    const line = lines.find(({ key }) => key === 'postgres');
    if (line === undefined) return;
    raw.profile = await this.#runs.try(line, 'profile of the queue alone', () =>
      runProfile(stage, line, settings.queuePeople, PATIENCE_MS),
    );
  }

  async #latencies(): Promise<void> {
    const { settings, raw } = this.#runs;
    const { latencies, connections } = settings;
    for (const delayMs of latencies.filter((one) => one > 0)) {
      const words: string[] = [];
      for (const line of this.#runs.order) {
        // Two round trips a mail and connection when commands are grouped; eight when one waits for each.
        const far =
          line.design.oneAtATime === true ? 1_000 / (8 * delayMs) : (connections * 1_000) / (2 * delayMs);
        const rate = Math.min(far, this.#runs.rateOf(line) ?? far);
        const people = Math.max(5, Math.min(settings.recipients, Math.round(rate * FAR_SECONDS)));
        const run = await this.#runs.campaign(line, `${delayMs} ms away`, { people, delayMs }, raw.latency);
        if (run !== null) words.push(`${line.key} ${shown(run.mailsPerSecond)}`);
      }
      say(`${delayMs} ms: ${words.join(', ')} mails/s`);
    }
  }

  async #crashes(): Promise<void> {
    const { settings, raw } = this.#runs;
    for (const killed of ['consumer', 'broker'] as const) {
      for (const line of this.#runs.order) {
        if (killed === 'broker' && line.design.broker === 'none') continue;
        const waits = line.design.afterConsumerKilled === 'stuck';
        if (settings.profile === 'quick' && (killed === 'broker' || waits)) {
          this.#runs.skip(line, `${killed} killed`, 'a quick run does not wait');
          continue;
        }
        const run = await this.#runs.try(line, `${killed} killed`, () => this.#crash(line, killed));
        if (run === null) continue;
        raw.crash.push(run);
        const fault = crashFault(line, run);
        if (fault !== null) raw.faults.push(fault);
        say(
          `${killed} killed: ${line.key} lost ${run.lost}, stuck ${run.stuck}, twice ${run.duplicated} of ${run.people}`,
        );
      }
    }
  }

  async #crash(line: Line, killed: CrashRun['killed']): Promise<CrashRun> {
    const { stage, settings } = this.#runs;
    const one = line.design.oneAtATime === true;
    const { afterConsumerKilled, afterBrokerKilled } = line.design;
    const after = killed === 'consumer' ? afterConsumerKilled : afterBrokerKilled;
    return await runCrash(stage, line, killed, {
      people: one ? 60 : settings.crashPeople,
      delayMs: one ? 1 : CRASH_DELAY_MS,
      patienceMs:
        after === 'stuck' ? Math.min(STUCK_PATIENCE_MS, settings.crashPatienceMs) : settings.crashPatienceMs,
    });
  }

  async #tells(): Promise<void> {
    const { stage, settings, raw } = this.#runs;
    for (const line of this.#runs.order) {
      const one = line.design.oneAtATime === true;
      const { tellPeople: people, failures } = settings;
      const options = one
        ? { people: 60, delayMs: 1, failures, patienceMs: PATIENCE_MS }
        : { people, delayMs: TELL_DELAY_MS, failures, patienceMs: PATIENCE_MS };
      const run = await this.#runs.try(line, 'asked while it runs', () => runTell(stage, line, options));
      if (run === null) continue;
      raw.tell.push(run);
      const words = (['progress', 'failures', 'stopOne', 'pause'] as const).map(
        (name) => `${name} ${run[name].yes ? 'yes' : 'no'}`,
      );
      say(`asked: ${line.key} ${words.join(', ')}`);
    }
  }

  /** The main lines at every size; others where it takes no longer than `growthSeconds`. */
  async #growth(which: (line: Line) => boolean): Promise<void> {
    const { settings, raw, lines } = this.#runs;
    for (const people of settings.growth) {
      for (const line of lines.filter(which)) {
        const rates = raw.growth.filter((run) => run.line === line.key).map((run) => run.mailsPerSecond);
        const rate = rates.length > 0 ? median(rates) : this.#runs.rateOf(line);
        const what = `${shown(people)} people`;
        const seconds = rate === null ? Number.POSITIVE_INFINITY : people / rate;
        if (seconds > settings.growthSeconds && !MAIN.includes(line.key)) {
          const why = rate === null ? 'its rate is not known' : `longer than ${settings.growthSeconds} s`;
          this.#runs.skip(line, what, why);
          continue;
        }
        const run = await this.#runs.campaign(line, what, { people, delayMs: 0 }, raw.growth, seconds);
        if (run !== null) say(`${what}: ${line.key} ${shown(run.mailsPerSecond)} mails/s`);
      }
    }
  }
}
