import addressparser from 'nodemailer/lib/addressparser';
import { SendstateError } from '../errors.ts';
import { oneLine } from './headers.ts';
import { mailbox, mailboxHeader, readAddress } from './mailbox.ts';
import { type Row, renderText, type Template, Unrenderable } from './rendering.ts';

/** One rendered address header. */
export interface SenderLine {
  /** Folded, without the final CRLF. */
  readonly header: string;
  /** Name and address as people read them. */
  readonly readable: string;
  /** The address for the envelope; of several, the first. */
  readonly address: string;
  /** Any of them is not ASCII before the @: the header is UTF-8. */
  readonly smtputf8: boolean;
}

/** From or Reply-To, compiled. */
export interface Sender {
  /** Set when it is the same for every recipient. */
  readonly fixed: SenderLine | null;
  /** @throws Unrenderable when the row makes no proper address of it */
  render(row: Row): SenderLine;
}

/** Characters of a display name. 1,000: clients show the first 40. */
const LONGEST_NAME = 1_000;

/** Characters of the option itself, columns and all. 5,000: far from where reading it would take time. */
const LONGEST_SENDER = 5_000;

/** Compiles a text into a template; `part` is named in errors. */
export type CompileText = (part: string, source: string) => Template;

/**
 * Compiles `Name <address>` or `address`. Without variables any RFC 5322 mailbox is understood. With variables the name and
 * the address are separate templates, so that a value in the name can never become an address, nor a second one.
 * @param several whether a comma-separated list is allowed (Reply-To, without variables)
 * @throws SendstateError `sender-invalid`
 */
export function compileSender(
  header: 'From' | 'Reply-To',
  source: string,
  several: boolean,
  compile: CompileText,
): Sender {
  const option = header === 'From' ? 'sender' : 'reply-to';
  if (source.length > LONGEST_SENDER) {
    throw new SendstateError('sender-invalid', `The ${option} has ${source.length} characters`, {
      hint: `Keep it below ${LONGEST_SENDER}; people see the first 40 of a name.`,
    });
  }
  if (!source.includes('{{')) {
    const fixed = fixedLine(header, option, source, several);
    return { fixed, render: () => fixed };
  }
  const bracketed = /^([\s\S]*)<([^<>]*)>\s*$/.exec(source);
  const name = compile(option, bracketed === null ? '' : nameSource(option, bracketed[1] ?? ''));
  const address = compile(option, (bracketed?.[2] ?? source).trim());
  const render = (row: Row): SenderLine => {
    const written = renderText(address, row).trim();
    const read = readAddress(written);
    if (read === null) throw new Unrenderable(`${quote(written)} is not an address (in the ${option})`);
    const shown = renderText(name, row);
    if (shown.length > LONGEST_NAME) throw new Unrenderable(`the name in the ${option} is too long`);
    return {
      header: mailboxHeader(header, shown, read.address),
      readable: readable(shown, read.address),
      ...read,
    };
  };
  return { fixed: null, render };
}

function fixedLine(header: string, option: string, source: string, several: boolean): SenderLine {
  const parsed = addressparser(source);
  const only = parsed.length === 1 || (several && parsed.length > 1);
  const read = parsed.map((entry) => (entry.address === undefined ? null : readAddress(entry.address)));
  const first = read[0];
  if (!only || first === null || first === undefined || /[\r\n\0]/.test(source)) {
    throw new SendstateError('sender-invalid', `The ${option} ${quote(source)} is not one address`, {
      hint: 'Write it as someone@example.com or "Some Name" <someone@example.com>.',
    });
  }
  const boxes = read.map((address, at) => {
    if (address === null) {
      throw new SendstateError(
        'sender-invalid',
        `The ${option} ${quote(source)} holds something that is no address`,
        {
          hint: 'Separate addresses by commas; names with commas need quotes.',
        },
      );
    }
    return mailbox(parsed[at]?.name ?? '', address.address, at === 0 ? header.length + 2 : 1);
  });
  const shown = parsed.map(({ name, address }) => readable(name, address ?? ''));
  return {
    header: `${header}: ${boxes.join(',\r\n ')}`,
    readable: shown.join(', '),
    address: first.address,
    smtputf8: read.some((address) => address?.smtputf8),
  };
}

/** The display name's template: quotes around the whole of it are syntax, not part of the name. */
function nameSource(option: string, text: string): string {
  const name = text.trim();
  const quoted = /^"((?:[^"\\]|\\[\s\S])*)"$/.exec(name);
  if (quoted !== null) return (quoted[1] ?? '').replace(/\\([\s\S])/g, '$1');
  if (/[@,;:"]/.test(name.replace(/\{\{[\s\S]*?\}\}/g, ''))) {
    throw new SendstateError('sender-invalid', `The name in the ${option} ${quote(text)} needs quotes`, {
      hint: 'Write it as "Name, with anything" <someone@example.com>; only one address is allowed.',
    });
  }
  return name;
}

function readable(name: string, address: string): string {
  const shown = oneLine(name);
  return shown === '' ? address : `${shown} <${address}>`;
}

function quote(text: string): string {
  return JSON.stringify(text.length > 100 ? `${text.slice(0, 100)}…` : text);
}
