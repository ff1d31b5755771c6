import type { Estimate } from '../statistics.ts';

/** A share, in size or rate, that is called the same: measurements of one design differ by as much from day to day. */
const SAME = 0.05;

/** The one test of whether two measurements are called the same: the smaller is at least 95% of the larger. */
export function within5(a: number, b: number): boolean {
  return Math.min(a, b) >= Math.max(a, b) * (1 - SAME);
}

/** More, and not within 5%. */
export function clearlyMore(a: number, b: number): boolean {
  return a > b && !within5(a, b);
}

/** Three digits that mean something. */
export function rounded(value: number): string {
  if (value === 0) return '0';
  if (Math.abs(value) >= 100) {
    const unit = 10 ** Math.max(0, Math.floor(Math.log10(Math.abs(value))) - 2);
    return (Math.round(value / unit) * unit).toLocaleString('en-US');
  }
  return value.toFixed(Math.abs(value) >= 10 ? 1 : 2);
}

export const orDash = (value: number | null | undefined): string =>
  value === null || value === undefined ? '–' : rounded(value);

/** `18,300 (17,900 to 18,600)` */
export function withInterval(estimate: Estimate | null): string {
  if (estimate === null) return '–';
  const { median, low, high, rounds } = estimate;
  return rounds === 1 ? rounded(median) : `${rounded(median)} (${rounded(low)} to ${rounded(high)})`;
}

export const bytes = (value: number | null): string => {
  if (value === null) return '–';
  if (Math.abs(value) < 10_000) return `${rounded(value)} B`;
  return Math.abs(value) < 10_000_000 ? `${rounded(value / 1e3)} kB` : `${rounded(value / 1e6)} MB`;
};

/** How `ours` stands to `theirs` in words, when more is better. */
export function compared(ours: number, theirs: number): string {
  const ratio = ours / theirs;
  if (ratio >= 2 || ratio <= 0.5)
    return ratio > 1 ? `${rounded(ratio)} times as much as` : `${rounded(1 / ratio)} times less than`;
  if (within5(ours, theirs)) return 'within 5% of';
  return ratio > 1
    ? `${Math.round((ratio - 1) * 100)}% more than`
    : `${Math.round((1 - ratio) * 100)}% less than`;
}

export function table(head: readonly string[], body: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]) => `| ${cells.join(' | ')} |`;
  return [line(head), line(head.map(() => '---')), ...body.map(line)].join('\n');
}

/** `a`, `a and b`, `a, b and c` */
export function listed(words: readonly string[]): string {
  return words.length < 2 ? (words[0] ?? '') : `${words.slice(0, -1).join(', ')} and ${words.at(-1)}`;
}

/** What a table's cell and a list's item can hold. */
export const oneLine = (text: string) => text.split('\n')[0]?.replaceAll('|', '\\|') ?? '';
