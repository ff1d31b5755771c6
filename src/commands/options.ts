import { InvalidArgumentError } from 'commander';
import { OUTCOMES, type Outcome, RETRYABLE, type Retryable } from '../model/states.ts';

/** A whole number within bounds; anything else is wrong usage. */
export function integer(low: number, high: number): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (/^\d+$/.test(text) && value >= low && value <= high) return value;
    throw new InvalidArgumentError(`It must be a whole number from ${low} to ${high}.`);
  };
}

/** `50`, `50/s`, `3000/min`, `10000/h` as mails per second. */
export function rate(text: string): number {
  const match = /^(\d+(?:\.\d+)?)(?:\/(s|min|m|h))?$/.exec(text);
  const value =
    Number(match?.[1]) / { s: 1, m: 60, min: 60, h: 3600 }[(match?.[2] ?? 's') as 's' | 'm' | 'min' | 'h'];
  if (match !== null && value > 0) return value;
  throw new InvalidArgumentError('Write it as 50/s, 3000/min or 10000/h.');
}

/** `90s`, `30m`, `12h`, `3d` as seconds. */
export function seconds(text: string): number {
  const match = /^(\d+)(s|m|h|d)$/.exec(text);
  const value =
    Number(match?.[1]) * { s: 1, m: 60, h: 3600, d: 86_400 }[(match?.[2] ?? 's') as 's' | 'm' | 'h' | 'd'];
  if (match !== null && value > 0) return value;
  throw new InvalidArgumentError('Write it as 90s, 30m, 12h or 3d.');
}

/** The same, at most so long, itself written so. */
export function secondsUpTo(most: string): (text: string) => number {
  const bound = seconds(most);
  return (text) => {
    const value = seconds(text);
    if (value <= bound) return value;
    throw new InvalidArgumentError(`It must be at most ${most}.`);
  };
}

/** A point in time as ISO 8601; without an offset, and as a day alone, it is this machine's time. */
export function time(text: string): Date {
  const match = /^(\d{4})-(\d\d)-(\d\d)(?:[T ](\d\d:\d\d(?::\d\d(?:\.\d+)?)?)(Z|[+-]\d\d:?\d\d)?)?$/.exec(
    text,
  );
  const [, year, month, day, clock = '00:00', offset = ''] = match ?? [];
  const at = new Date(`${year}-${month}-${day}T${clock}${offset}`);
  // A thirtieth of February would silently become the second of March.
  const exists =
    new Date(Date.UTC(Number(year), Number(month) - 1, Number(day))).getUTCDate() === Number(day);
  if (match !== null && exists && !Number.isNaN(at.getTime())) return at;
  throw new InvalidArgumentError(
    "Write it as 2026-12-24T09:00:00+09:00; without an offset it is this machine's time.",
  );
}

export function outcome(text: string): Outcome {
  const found = OUTCOMES.find((name) => name === text);
  if (found !== undefined) return found;
  throw new InvalidArgumentError(`It must be one of: ${OUTCOMES.join(', ')}.`);
}

export function retryable(text: string): Retryable {
  const found = RETRYABLE.find((name) => name === text);
  if (found !== undefined) return found;
  throw new InvalidArgumentError(
    `It must be one of: ${RETRYABLE.join(', ')}. Who was sent a mail is never sent it again.`,
  );
}

/** Collects `NAME=VALUE` and `NAME: VALUE` options. */
export function pair(separator: '=' | ':') {
  return (text: string, before: Readonly<Record<string, string>> = {}): Record<string, string> => {
    const at = text.indexOf(separator);
    if (at < 1)
      throw new InvalidArgumentError(
        separator === '=' ? 'Write it as NAME=VALUE.' : 'Write it as "Name: value".',
      );
    const name = text.slice(0, at).trim();
    if (Object.hasOwn(before, name)) throw new InvalidArgumentError(`${name} is given twice.`);
    return Object.assign(Object.create(null), before, { [name]: text.slice(at + 1).trim() });
  };
}

/** Collects an option that may be given several times. */
export function several(text: string, before: readonly string[] = []): string[] {
  return [...before, text];
}
