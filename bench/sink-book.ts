import type { CaptureReply } from '../src/capture/capture.ts';
import type { CaptureSink } from '../src/capture/capture-session.ts';
import { endsWithoutMail, type Failures, type Fate, fateOf, NO_FAILURES, REFUSALS } from './fate.ts';
import { codeOf, numberOf, wrongMail } from './list.ts';

/** What the sink has to expect of a run. */
export interface Expected {
  readonly run: string;
  readonly people: number;
  readonly failures: Failures;
  /** False: prebuilt mails to one person, which only measure the sink itself. */
  readonly check: boolean;
}

/** What it saw. */
export interface Seen {
  readonly accepted: number;
  /** Different recipients with a mail. */
  readonly recipients: number;
  /** Recipients who should have a mail and have none. */
  readonly lost: number;
  /** The first few of them, by number. */
  readonly lostNumbers: readonly number[];
  /** Mails beyond the first to a recipient. */
  readonly duplicated: number;
  /** Mails that do not say what they should, or go to no person of this run, and the first one's fault. */
  readonly wrong: number;
  readonly why: string | null;
  /** Bodies that were read letter by letter; of all others the code was looked for. */
  readonly read: number;
  /** Attempts that were refused. */
  readonly temporary: number;
  readonly permanent: number;
  /** Milliseconds of the machine's monotonic clock, as `now()` of clock.ts; NaN when there was none. */
  readonly firstAt: number;
  readonly lastAt: number;
}

/** Mails that are kept to be read letter by letter when the run is over: 50 MB at most. */
const KEPT = 20_000;
const EXAMPLES = 5;

/** Counts by recipient and looks at every mail; as little as possible while the run goes on, the rest when asked. */
export class SinkBook implements CaptureSink {
  #expected: Expected = { run: '', people: 0, failures: NO_FAILURES, check: false };
  #taken = new Uint16Array(1);
  #named = new Uint16Array(1);
  #kept: { readonly to: string; readonly raw: Buffer }[] = [];
  #accepted = 0;
  #wrong = 0;
  #why: string | null = null;
  #refused = { temporary: 0, permanent: 0 };
  #firstAt = Number.NaN;
  #lastAt = Number.NaN;
  readonly #now: () => number;

  constructor(now: () => number) {
    this.#now = now;
  }

  /** Forgets the run before. */
  begin(expected: Expected): void {
    this.#expected = expected;
    this.#taken = new Uint16Array(expected.people + 1);
    this.#named = new Uint16Array(expected.people + 1);
    this.#kept = [];
    this.#accepted = 0;
    this.#wrong = 0;
    this.#why = null;
    this.#refused = { temporary: 0, permanent: 0 };
    this.#firstAt = Number.NaN;
    this.#lastAt = Number.NaN;
  }

  get accepted(): number {
    return this.#accepted;
  }

  judge(recipient: string): CaptureReply | null {
    const { check, failures, people } = this.#expected;
    if (!check) return null;
    const number = numberOf(recipient);
    if (number === 0 || number > people) return null;
    const nth = (this.#named[number] ?? 0) + 1;
    this.#named[number] = nth;
    const fate: Fate = fateOf(failures, number);
    if (fate === 'accepted' || (fate === 'temporary' && nth > 1)) return null;
    const refusal = fate === 'permanent' ? 'permanent' : 'temporary';
    this.#refused[refusal]++;
    return { at: 'rcpt', reply: REFUSALS[refusal] };
  }

  accept(_from: string, to: readonly string[], raw: Buffer): void {
    this.#accepted++;
    const { check, run } = this.#expected;
    if (!check) return;
    this.#lastAt = this.#now();
    if (this.#accepted === 1) this.#firstAt = this.#lastAt;
    const [recipient = ''] = to;
    const number = numberOf(recipient);
    if (to.length !== 1 || number === 0 || number >= this.#taken.length) {
      this.#fault(`a mail to ${to.join(', ')}, who is not of this run`);
      return;
    }
    this.#taken[number] = (this.#taken[number] ?? 0) + 1;
    // latin1: the code is ASCII, and the search does not have to decode anything.
    if (!raw.includes(codeOf(run, recipient), 0, 'latin1'))
      this.#fault(`the mail to ${recipient} lacks its code`);
    // The bytes are valid only during this call.
    if (this.#kept.length < KEPT) this.#kept.push({ to: recipient, raw: Buffer.from(raw) });
  }

  /** Reads what was kept and adds up. */
  seen(): Seen {
    const { people, failures, run } = this.#expected;
    const read = this.#kept.length;
    for (const { to, raw } of this.#kept.splice(0)) {
      const fault = wrongMail(raw, run, to);
      if (fault !== null) this.#fault(fault);
    }
    const lost: number[] = [];
    let lostCount = 0;
    let recipients = 0;
    let duplicated = 0;
    for (let number = 1; number <= people; number++) {
      const times = this.#taken[number] ?? 0;
      if (times > 0) recipients++;
      if (times > 1) duplicated += times - 1;
      if (times > 0 || endsWithoutMail(fateOf(failures, number))) continue;
      lostCount++;
      if (lost.length < EXAMPLES) lost.push(number);
    }
    return {
      accepted: this.#accepted,
      recipients,
      lost: lostCount,
      lostNumbers: lost,
      duplicated,
      wrong: this.#wrong,
      why: this.#why,
      read,
      ...this.#refused,
      firstAt: this.#firstAt,
      lastAt: this.#lastAt,
    };
  }

  /** Whether this recipient has a mail. */
  has(number: number): boolean {
    return (this.#taken[number] ?? 0) > 0;
  }

  #fault(why: string): void {
    this.#wrong++;
    this.#why ??= why;
  }
}
