import { OUTCOMES, type Outcome } from '../model/states.ts';
import { bar, count, duration, outcomesLine, perSecond, printable } from './format.ts';
import type { Failure, Progress, RelayActivity, WorkerActivity } from './progress.ts';

/** What a look at a campaign gives; the same as the verb `status`. */
export interface Look {
  readonly progress: Progress;
  readonly failures: readonly Failure[];
  readonly workers: readonly WorkerActivity[];
  readonly relays: readonly RelayActivity[];
}

export interface WatchOptions {
  /** Columns of the terminal. */
  readonly columns: number;
  /** Lines of the terminal; what does not fit is left out and counted. */
  readonly rows: number;
  readonly colour: boolean;
  /** Milliseconds since the epoch. */
  readonly now: number;
  /** Mails per second at each look so far, the latest last. */
  readonly rates: readonly number[];
}

/** Narrower than this nothing can be read, and nothing is promised. */
const NARROWEST = 40;
/** Failures shown at most: the reasons that matter are few. */
const MOST_FAILURES = 8;
/** Width of a time of day. */
const CLOCK = 8;
const SPARKS = '▁▂▃▄▅▆▇█';

/** SGR colours by outcome (ECMA-48 section 8.3.117): those of the page and the report, as near as sixteen colours get. */
const COLOURS: Readonly<Record<Outcome | 'waiting' | 'claimed', number>> = {
  sent: 34,
  rejected: 31,
  expired: 33,
  invalid: 35,
  unconfirmed: 93,
  suppressed: 90,
  cancelled: 36,
  claimed: 94,
  waiting: 37,
};

/** Letters of East Asia take two columns of a terminal (Unicode Standard Annex 11, W and F). */
const WIDE =
  /[\u1100-\u115f\u2e80-\u303e\u3041-\u33ff\u3400-\u4dbf\u4e00-\u9fff\ua000-\ua4cf\ua960-\ua97f\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60\uffe0-\uffe6\u{1f300}-\u{1faff}\u{20000}-\u{3fffd}]/u;
/** Marks on the letter before (variation selectors are among them), and what joins letters. */
const ZERO_WIDTH = /\p{Mn}|\p{Me}|\u200b|\u200c|\u200d/u;

/** Columns that a text takes. */
export function width(text: string): number {
  let columns = 0;
  for (const letter of text) columns += ZERO_WIDTH.test(letter) ? 0 : WIDE.test(letter) ? 2 : 1;
  return columns;
}

/** At most `columns` columns of a text, with … at the end when something is missing. */
export function cut(text: string, columns: number): string {
  if (width(text) <= columns) return text;
  let kept = '';
  let used = 0;
  for (const letter of text) {
    used += width(letter);
    if (used > columns - 1) break;
    kept += letter;
  }
  return `${kept}…`;
}

/** Numbers as a row of small bars, the latest last; the highest fills its cell. */
export function sparkline(values: readonly number[], columns: number): string {
  const shown = values.slice(-columns);
  const most = Math.max(...shown, 0);
  if (most === 0) return SPARKS.charAt(0).repeat(shown.length);
  return shown.map((value) => SPARKS.charAt(Math.min(Math.floor((value / most) * 8), 7))).join('');
}

/** The campaign as lines of a terminal, none longer than its columns. */
export function watchLines(look: Look, options: WatchOptions): string[] {
  const columns = Math.max(options.columns, NARROWEST);
  const lines = [
    ...head(look.progress, columns, options),
    '',
    ...outcomeLines(look.progress, columns, options),
    ...section('Last failures', failureRows(look.failures, columns)),
    ...section('Workers', workerRows(look.workers, columns, options.now)),
    ...section('Relays', relayRows(look.relays, columns)),
  ];
  if (lines.length <= options.rows) return lines;
  const shown = Math.max(options.rows - 1, 1);
  return [...lines.slice(0, shown), cut(`… ${lines.length - shown} more lines`, columns)];
}

/** All campaigns, two lines each, those being sent first; none longer than the terminal's columns. */
export function overviewLines(all: readonly Progress[], options: WatchOptions): string[] {
  const columns = Math.max(options.columns, NARROWEST);
  if (all.length === 0) return ['There is no campaign yet.'];
  const running = (one: Progress) => (one.status === 'running' ? 0 : 1);
  const sorted = all.toSorted((a, b) => running(a) - running(b));
  const shown = sorted.slice(0, Math.max(Math.floor((options.rows - 1) / 2), 1));
  const lines = shown.flatMap((progress) => {
    const { name, status, done, total } = progress;
    const share = total === 0 ? 0 : done / total;
    const percent = `${String(Math.floor(share * 100)).padStart(3)}%`;
    return [
      cut(printable(`${name} is ${status}: ${outcomesLine(progress)}`), columns),
      cut(`${bar(share, Math.max(columns - 6, 10))} ${percent}`, columns),
    ];
  });
  const more = sorted.length - shown.length;
  return more > 0 ? [...lines, `and ${more} more: sendstate status`] : lines;
}

function head(progress: Progress, columns: number, { rates }: WatchOptions): string[] {
  const { name, status, statusReason, done, total, secondsLeft } = progress;
  const why = statusReason === null ? '' : `: ${statusReason}`;
  const share = total === 0 ? 0 : done / total;
  const percent = `${String(Math.floor(share * 100)).padStart(3)}%`;
  const counts = `${count(done)} of ${count(total)}`;
  const left =
    secondsLeft !== null && secondsLeft > 0 && done < total ? `  ${duration(secondsLeft)} left` : '';
  const rate = rates.at(-1) ?? 0;
  const speed = `${perSecond(rate)}`.padStart(9);
  return [
    cut(printable(`${name} is ${status}${why}`), columns),
    cut(`${bar(share, Math.max(columns - 6, 10))} ${percent}`, columns),
    cut(`${counts}${left}`, columns),
    ...(rates.length > 1 ? [cut(`${speed} ${sparkline(rates, columns - 10)}`, columns)] : []),
  ];
}

function outcomeLines(progress: Progress, columns: number, { colour }: WatchOptions): string[] {
  const counts: [Outcome | 'waiting' | 'claimed', number][] = [
    ...OUTCOMES.map((outcome): [Outcome, number] => [outcome, progress.outcomes[outcome]]),
    ['claimed', progress.claimed],
    ['waiting', progress.waiting],
  ];
  const shown = counts.filter(([, n]) => n > 0);
  const digits = Math.max(0, ...shown.map(([, n]) => count(n).length));
  const room = Math.max(columns - 12 - digits - 9, 0);
  return shown.map(([name, n]) => {
    const share = progress.total === 0 ? 0 : n / progress.total;
    const filled = Math.max(Math.round(share * room), 1);
    const part = '█'.repeat(Math.min(filled, room));
    const painted = colour ? `\u001b[${COLOURS[name]}m${part}\u001b[39m` : part;
    const note = name === 'waiting' && progress.retrying > 0 ? ` (${count(progress.retrying)} retrying)` : '';
    const numbers = `${name.padEnd(12)}${count(n).padStart(digits)} ${(share * 100).toFixed(1).padStart(5)}% `;
    const rest = columns - width(numbers) - Math.min(filled, room);
    return `${numbers}${painted}${cut(note, Math.max(rest, 0))}`;
  });
}

function section(title: string, rows: readonly string[]): string[] {
  return rows.length === 0 ? [] : ['', title, ...rows];
}

/** The reasons that came up last, each with when that was. */
function failureRows(failures: readonly Failure[], columns: number): string[] {
  const shown = failures.toSorted((a, b) => b.lastAt.getTime() - a.lastAt.getTime()).slice(0, MOST_FAILURES);
  const digits = Math.max(0, ...shown.map(({ recipients }) => count(recipients).length));
  const rows = shown.map(({ recipients, outcome, reason, lastAt }) => {
    const last = lastAt.toTimeString().slice(0, CLOCK);
    return cut(
      printable(`  ${last} ${count(recipients).padStart(digits)} ${outcome.padEnd(11)} ${reason}`),
      columns,
    );
  });
  const more = failures.length - shown.length;
  return more > 0 ? [...rows, `  and ${more} more reasons`] : rows;
}

function workerRows(workers: readonly WorkerActivity[], columns: number, now: number): string[] {
  return workers
    .filter(({ state }) => state === 'alive' || state === 'silent')
    .map(({ workerId, host, state, holds, doneLastMinute, startedAt }) => {
      const since = duration((now - startedAt.getTime()) / 1000);
      const rate = perSecond(doneLastMinute / 60);
      return cut(
        printable(`  ${workerId} on ${host}: ${state} since ${since}, holds ${count(holds)}, ${rate}`),
        columns,
      );
    });
}

function relayRows(relays: readonly RelayActivity[], columns: number): string[] {
  return relays.map(({ label, workerId, state, words, slowedTo }) => {
    const limit = slowedTo === null ? '' : ` to ${perSecond(slowedTo)}`;
    return cut(
      printable(`  ${label}, worker ${workerId}: ${state}${limit}${words === null ? '' : `: ${words}`}`),
      columns,
    );
  });
}
