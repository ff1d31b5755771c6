import { readdir, readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';

/** One mail that the capture server kept. */
export interface KeptMail {
  /** Whom it is addressed to. */
  readonly to: string;
  readonly eml: string;
  /** For a browser. Null: it has no html part. */
  readonly html: string | null;
}

/** Writes the html part of each kept N.eml beside it as N.html. The first one first. */
export async function unpackMails(directory: string): Promise<KeptMail[]> {
  const numbers = (await readdir(directory)).flatMap((name) => /^(\d+)\.eml$/.exec(name)?.[1] ?? []);
  const mails: KeptMail[] = [];
  for (const number of numbers.sort((a, b) => Number(a) - Number(b))) {
    const eml = path.join(directory, `${number}.eml`);
    const text = await readFile(eml, 'latin1');
    const body = htmlPartOf(text);
    const html = body === null ? null : path.join(directory, `${number}.html`);
    if (html !== null) await writeFile(html, body as Buffer);
    mails.push({ to: /^To: (.*)$/m.exec(text)?.[1]?.trim() ?? '', eml, html });
  }
  return mails;
}

/**
 * The bytes of the text/html part of a message, or null. Reads what this program composes (RFC 2045: parts with
 * boundaries, quoted-printable and base64), which is less than what a mail can be.
 *
 * @param message a whole message, a character a byte
 */
export function htmlPartOf(message: string): Buffer | null {
  const end = message.indexOf('\r\n\r\n');
  if (end < 0) return null;
  const head = message.slice(0, end).replace(/\r\n[ \t]+/g, ' ');
  const body = message.slice(end + 4);
  const type = /^content-type: *([^;\r\n]*)/im.exec(head)?.[1]?.trim().toLowerCase() ?? 'text/plain';
  if (type === 'text/html')
    return decode(body, /^content-transfer-encoding: *(\S+)/im.exec(head)?.[1] ?? '7bit');
  const boundary = /^content-type: *multipart\/.*boundary="?([^";\r\n]+)/im.exec(head)?.[1];
  if (boundary === undefined) return null;
  for (const part of `\r\n${body}`.split(`\r\n--${boundary}`).slice(1)) {
    const found = htmlPartOf(part.replace(/^[ \t]*\r\n/, ''));
    if (found !== null) return found;
  }
  return null;
}

function decode(body: string, encoding: string): Buffer {
  switch (encoding.toLowerCase()) {
    case 'base64':
      return Buffer.from(body, 'base64');
    case 'quoted-printable': {
      const bytes = body
        .replace(/[ \t]*=\r\n/g, (end) => end.slice(0, end.indexOf('=')))
        .replace(/=([0-9A-F]{2})/gi, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)));
      return Buffer.from(bytes, 'latin1');
    }
    default:
      return Buffer.from(body, 'latin1');
  }
}
