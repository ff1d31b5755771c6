import Handlebars from 'handlebars';
import { compileMessage } from '../src/message/compose.ts';

/** A person of the bench's list, known by number (from 1), so that the receiver of a mail can tell what it must say. */
export interface Person {
  readonly address: string;
  readonly vars: Readonly<Record<'이름' | '회사' | '번호', string>>;
}

const NAMES = [
  '김민준',
  '이서연',
  '박도윤',
  '최지우',
  '정하은',
  '강시우',
  '조수아',
  '윤예준',
  '장지호',
  '임하윤',
];

export function person(number: number): Person {
  return {
    address: `person${number}@mail${number % 100}.example.com`,
    vars: {
      이름: NAMES[number % NAMES.length] as string,
      // The ampersand is there for the html, where it has to be escaped.
      회사: `주식회사 한빛 & 파트너 ${number % 1000}`,
      번호: `M-${1_000_000 + number}`,
    },
  };
}

/** The person that an address of the list belongs to; null for an address that is not of the list. */
export function personAt(address: string): Person | null {
  const found = person(Number(/^person(\d{1,9})@/.exec(address)?.[1] ?? Number.NaN));
  return found.address === address ? found : null;
}

/** The list as a CSV. */
export async function* peopleCsv(count: number): AsyncGenerator<Buffer> {
  let piece = 'email,이름,회사,번호\r\n';
  for (let number = 1; number <= count; number++) {
    const { address, vars } = person(number);
    piece += `${address},${vars.이름},${vars.회사},${vars.번호}\r\n`;
    if (piece.length < 65_536 && number < count) continue;
    yield Buffer.from(piece);
    piece = '';
  }
}

/** A newsletter: with its headers, encoded, about 2.5 KB on the wire. */
export const TEMPLATE = {
  from: 'Example News <news@example.com>',
  subject: 'Your spring catalogue, {{이름}}',
  text: `Dear {{이름}},

the spring catalogue is here, with everything that you asked for at {{회사}}
and some things that you did not.

Your number is {{번호}}. Please have it ready when you call: it tells us what
you ordered last year, and which of the new things will go with it. Orders
that reach us before the end of the month are sent without charge.

  https://www.example.com/catalogue/spring?member={{번호}}

With kind regards,
Example Ltd., 1 Example Street, Example City
Unsubscribe: https://www.example.com/unsubscribe?member={{번호}}
`,
  html: `<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><title>Spring catalogue</title></head>
<body style="font-family: sans-serif; color: #222222">
<p>Dear {{이름}},</p>
<p>the <b>spring catalogue</b> is here, with everything that you asked for at
{{회사}} and some things that you did not.</p>
<p>Your number is <b>{{번호}}</b>. Please have it ready when you call: it tells
us what you ordered last year, and which of the new things will go with it.
Orders that reach us before the end of the month are sent without charge.</p>
<p><a href="https://www.example.com/catalogue/spring?member={{번호}}">Open the
catalogue</a></p>
<p>With kind regards,<br>Example Ltd., 1 Example Street, Example City</p>
<p style="font-size: small"><a
href="https://www.example.com/unsubscribe?member={{번호}}">Unsubscribe</a></p>
</body>
</html>
`,
} as const;

/** The templates as every design compiles them. */
export const rendered = {
  subject: Handlebars.compile<Person['vars']>(TEMPLATE.subject, { strict: true, noEscape: true }),
  text: Handlebars.compile<Person['vars']>(TEMPLATE.text, { strict: true, noEscape: true }),
  html: Handlebars.compile<Person['vars']>(TEMPLATE.html, { strict: true }),
} as const;

/** One finished mail of this campaign, for those who send without a database. */
export function preBuilt(): Buffer {
  const { address, vars } = person(1);
  const composer = compileMessage({
    campaignId: 1,
    source: {
      subject: TEMPLATE.subject,
      html: TEMPLATE.html,
      text: TEMPLATE.text,
      sender: TEMPLATE.from,
      replyTo: null,
      headers: {},
    },
    attachments: [],
    bounceTo: null,
    messageIdDomain: null,
  });
  const mail = composer.compose({ recipientId: 1, address, vars });
  if ('kind' in mail) throw new Error(mail.why);
  return mail.raw;
}

/**
 * Whether a received mail says what was meant for this address: both bodies, decoded here and not by what is measured,
 * letter by letter. Returns what is wrong, or null.
 */
export function wrongIn(raw: Buffer, to: string): string | null {
  const meant = personAt(to);
  if (meant === null) return `${to} is not of the list`;
  return otherThan(raw, to, { text: rendered.text(meant.vars), html: rendered.html(meant.vars) });
}

/** Whether a mail says in both bodies what was meant; what is wrong with it, or null. */
export function otherThan(
  raw: Buffer,
  to: string,
  meant: { readonly text: string; readonly html: string },
): string | null {
  const parts = partsOf(raw.toString('latin1'));
  for (const [type, part] of [
    ['text/plain', 'text'],
    ['text/html', 'html'],
  ] as const) {
    const found = parts.filter((one) => one.type === type);
    if (found.length !== 1) return `the mail to ${to} has ${found.length} parts of ${type}`;
    if (plain(found[0]?.body ?? '') !== plain(meant[part]))
      return `the mail to ${to} has another ${type} than was meant for it`;
  }
  return null;
}

const plain = (text: string) => text.replaceAll('\r\n', '\n').trimEnd();

interface Part {
  readonly type: string;
  readonly body: string;
}

/** The leaves of a multipart message of one level. */
function partsOf(message: string): Part[] {
  const boundary = /\bboundary="?([^";\r\n]+)/i.exec(message)?.[1];
  if (boundary === undefined) return [];
  return message
    .split(`\r\n--${boundary}`)
    .slice(1, -1)
    .map((part) => {
      const end = part.indexOf('\r\n\r\n');
      const headers = part.slice(0, end);
      const encoding = /^content-transfer-encoding:\s*(\S+)/im.exec(headers)?.[1]?.toLowerCase();
      return {
        type: /^content-type:\s*([^;\s]+)/im.exec(headers)?.[1]?.toLowerCase() ?? '',
        body: decoded(part.slice(end + 4), encoding ?? '7bit').toString('utf8'),
      };
    });
}

/** RFC 2045 sections 6.7 and 6.8. */
function decoded(body: string, encoding: string): Buffer {
  if (encoding === 'base64') return Buffer.from(body, 'base64');
  if (encoding !== 'quoted-printable') return Buffer.from(body, 'latin1');
  const octets = body
    .replaceAll('=\r\n', '')
    .replace(/=([0-9A-F]{2})/gi, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)));
  return Buffer.from(octets, 'latin1');
}
