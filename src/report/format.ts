import { OUTCOMES } from '../model/states.ts';
import type { Failure, Progress } from './progress.ts';

/** 1234567 → "1,234,567" */
export function count(value: number): string {
  return value.toLocaleString('en-US', { maximumFractionDigits: 0 });
}

/** "1 worker", "2 workers" */
export function counted(value: number, one: string): string {
  return `${count(value)} ${one}${value === 1 ? '' : 's'}`;
}

/** 1234.5 → "1,235/s", 0.2 → "12/min": a rate in whole mails where it can be. */
export function perSecond(rate: number): string {
  return rate >= 10 || rate === Math.round(rate) ? `${count(rate)}/s` : `${count(rate * 60)}/min`;
}

/** Seconds as "8 s", "3 min 20 s", "2 h 05 min", "4 days 3 h". */
export function duration(seconds: number): string {
  const s = Math.max(0, Math.round(seconds));
  if (s < 60) return `${s} s`;
  if (s < 3600) return `${Math.floor(s / 60)} min ${String(s % 60).padStart(2, '0')} s`;
  if (s < 86_400)
    return `${Math.floor(s / 3600)} h ${String(Math.floor((s % 3600) / 60)).padStart(2, '0')} min`;
  return `${Math.floor(s / 86_400)} days ${Math.floor((s % 86_400) / 3600)} h`;
}

/** A share of 1 as a bar of `width` characters. */
export function bar(share: number, width: number): string {
  const filled = Math.round(Math.min(Math.max(share, 0), 1) * width);
  return '█'.repeat(filled) + '░'.repeat(width - filled);
}

/** One line: bar, share, counts, rate, time left. At most 80 columns for counts below ten million and less than 1,000 days. */
export function progressLine(progress: Progress): string {
  const { done, total, perSecond, secondsLeft } = progress;
  const share = total === 0 ? 0 : done / total;
  const parts = [
    `${bar(share, 20)} ${String(Math.floor(share * 100)).padStart(3)}%`,
    `${count(done)} of ${count(total)}`,
  ];
  if (perSecond !== null && perSecond > 0) parts.push(`${count(perSecond)}/s`);
  if (secondsLeft !== null && secondsLeft > 0 && done < total) parts.push(`${duration(secondsLeft)} left`);
  return parts.join('  ');
}

/** "9,981 sent, 15 rejected, 4 invalid": the outcomes that occur. */
export function outcomesLine({ outcomes, waiting, retrying, claimed }: Progress): string {
  const parts: string[] = OUTCOMES.filter((outcome) => outcomes[outcome] > 0).map(
    (outcome) => `${count(outcomes[outcome])} ${outcome}`,
  );
  if (claimed > 0) parts.push(`${count(claimed)} claimed`);
  if (waiting > 0)
    parts.push(`${count(waiting)} waiting${retrying > 0 ? ` (${count(retrying)} retrying)` : ''}`);
  return parts.length === 0 ? 'no recipients yet' : parts.join(', ');
}

/** Failures by reason, as aligned lines. Control characters in a relay's words are shown, not obeyed. */
export function failureLines(failures: readonly Failure[]): string[] {
  const width = Math.max(0, ...failures.map(({ recipients }) => count(recipients).length));
  return failures.map(({ outcome, reason, recipients, example }) => {
    const who = example === null ? '' : `  e.g. ${printable(example)}`;
    return `  ${count(recipients).padStart(width)}  ${outcome.padEnd(11)} ${printable(reason)}${who}`;
  });
}

/** A text from outside, safe for a terminal: control characters become visible ones. */
export function printable(text: string): string {
  return text.replace(/[\p{Cc}\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]/gu, '�');
}
