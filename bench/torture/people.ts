/** The people of the torture bench, known by number (from 1), so that the sink can tell whose body a mail must have. */
export function addressOf(number: number): string {
  return `person${number}@mail${number % 50}.example.com`;
}

/** A line of the body that only this person's mail has. */
export function greetingOf(address: string): string {
  return `Dear Person ${/^person(\d+)@/.exec(address)?.[1] ?? '?'},`;
}

export const TEXT = 'Dear Person {{number}},\n\nthis mail is yours alone.\n';

/** Bytes of a CSV at least: an import reads 128 KB before it begins, and a part of the file must hold more than that. */
const SMALLEST_CSV = 400_000;

/** Persons `from` to `to` as a CSV. */
export function csv(from: number, to: number): string {
  const filler = 'x'.repeat(Math.ceil(SMALLEST_CSV / (to - from + 1)));
  let text = 'email,number,filler\n';
  for (let number = from; number <= to; number++) text += `${addressOf(number)},${number},${filler}\n`;
  return text;
}
