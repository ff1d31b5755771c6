import { printable } from '../report/format.ts';

/** Lines for people: what a stranger wrote into a name, a file or a reply is shown and never obeyed. */
export function legible(text: string): string {
  return text.replace(/[^\n\t]+/g, printable);
}

/** JSON for programs that a terminal may show: the same data, with what a terminal would obey spelled as \\uXXXX. */
export function legibleJson(json: string): string {
  return json.replace(
    /[\u007f-\u009f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]/g,
    (letter) => `\\u${letter.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}

/** https://no-color.org: present and not empty means no colour. */
export function useColour(): boolean {
  return (process.env.NO_COLOR ?? '') === '' && process.env.TERM !== 'dumb';
}

/** To stdout as it is, for what is a file's content; waits when the reader is slower. */
export async function writeOut(text: string): Promise<void> {
  if (process.stdout.write(text)) return;
  await new Promise((resolve) => process.stdout.once('drain', resolve));
}
