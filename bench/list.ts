import { hash } from 'node:crypto';
import Handlebars from 'handlebars';
import type { Person } from './contract.ts';
import { otherThan, person, TEMPLATE } from './speed-people.ts';

/*
 * The people of a run and the mail that each must get. Every mail carries a code that follows from the run and the address,
 * so that the sink knows by itself what each recipient's mail has to say, and knows a mail of an earlier run.
 */

/** The message of every run: that of the speed bench, with the code in both bodies, on a line short enough to stay whole. */
export const MESSAGE = {
  from: TEMPLATE.from,
  subject: TEMPLATE.subject,
  text: `${TEMPLATE.text}\nCode: {{code}}\n`,
  html: TEMPLATE.html.replace('</body>', '<p>Code: {{code}}</p>\n</body>'),
} as const;

/** The templates as every design compiles them. */
export const RENDERED = {
  subject: Handlebars.compile<Person['vars']>(MESSAGE.subject, { strict: true, noEscape: true }),
  text: Handlebars.compile<Person['vars']>(MESSAGE.text, { strict: true, noEscape: true }),
  html: Handlebars.compile<Person['vars']>(MESSAGE.html, { strict: true }),
} as const;

/** People in one piece of the list. */
const PIECE = 1_000;

/** 80 bits: no two mails of a benchmark share one. */
export function codeOf(run: string, address: string): string {
  return hash('sha256', `${run} ${address}`).slice(0, 20);
}

export function personOf(run: string, number: number): Person {
  const { address, vars } = person(number);
  return { id: number, address, vars: { ...vars, code: codeOf(run, address) } };
}

/** All people of a run, in pieces. */
export async function* peopleOf(run: string, count: number): AsyncGenerator<readonly Person[]> {
  for (let from = 1; from <= count; from += PIECE) {
    yield Array.from({ length: Math.min(PIECE, count - from + 1) }, (_, at) => personOf(run, from + at));
  }
}

/** The list as the CSV that it comes from; no value of it needs quotes. */
export async function* csvOf(people: AsyncIterable<readonly Person[]>): AsyncGenerator<Buffer> {
  let head: readonly string[] | null = null;
  for await (const piece of people) {
    let text = '';
    for (const { address, vars } of piece) {
      if (head === null) {
        head = Object.keys(vars);
        text += `email,${head.join(',')}\r\n`;
      }
      text += address;
      for (const name of head) text += `,${vars[name] ?? ''}`;
      text += '\r\n';
    }
    yield Buffer.from(text);
  }
}

/** The number of an address of the list; 0 for any other. */
export function numberOf(address: string): number {
  if (!address.startsWith('person')) return 0;
  const at = address.indexOf('@', 6);
  const number = Number(address.slice(6, at));
  const right = Number.isInteger(number) && number > 0 && at > 6;
  return right && address.slice(at) === `@mail${number % 100}.example.com` ? number : 0;
}

/** What is wrong with a received mail, read letter by letter; null when nothing is. */
export function wrongMail(raw: Buffer, run: string, to: string): string | null {
  const number = numberOf(to);
  if (number === 0) return `${to} is not of the list`;
  const { vars } = personOf(run, number);
  return otherThan(raw, to, { text: RENDERED.text(vars), html: RENDERED.html(vars) });
}
