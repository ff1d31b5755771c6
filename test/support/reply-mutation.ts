import fc from 'fast-check';

/** What varies in a reply: other values for each kind of detail. */
export interface ReplyDetails {
  readonly host: string;
  readonly local: string;
  readonly ipv4: string;
  readonly ipv6: string;
  readonly number: string;
  /** Moves the letters and digits of ids. */
  readonly shift: number;
}

const label = fc.stringMatching(/^[a-z](?:[a-z0-9-]{0,12}[a-z0-9])?$/);
const host = fc
  .tuple(
    fc.array(label, { minLength: 1, maxLength: 3 }),
    fc.constantFrom('com', 'net', 'org', 'kr', 'co.kr', 'de', 'io', 'info'),
  )
  .map(([labels, end]) => [...labels, end].join('.'));
const group = fc.integer({ min: 0, max: 0xffff }).map((value) => value.toString(16));

/** Details of every shape that servers use. */
export const replyDetails: fc.Arbitrary<ReplyDetails> = fc.record({
  host,
  local: fc.stringMatching(/^[A-Za-z0-9](?:[a-z0-9._+=-]{0,20}[a-z0-9])?$/),
  ipv4: fc.ipV4(),
  ipv6: fc.oneof(
    fc.array(group, { minLength: 8, maxLength: 8 }).map((groups) => groups.join(':')),
    fc.array(group, { minLength: 2, maxLength: 5 }).map((groups) => `2001:db8::${groups.join(':')}`),
  ),
  number: fc.oneof(
    fc.nat(10_000_000).map(String),
    fc.nat(10_000_000).map((value) => value.toLocaleString('en-US')),
    fc.constantFrom('ten', 'One', 'twenty', 'hundred', 'fifty-five', 'thousand'),
  ),
  shift: fc.integer({ min: 1, max: 9 }),
});

/** Mail addresses, host names, IP addresses, ids and numbers of the corpus, in this order. */
const DETAIL =
  /(?<address>(?<=^\d{3}-|(?<![\w.+=-]))(?!\d{3}-)[\w.+=-]+@[\w-]+(?:\.[\w-]+)+)|(?<host>(?<=^\d{3}-|(?<![\w.-]))(?!\d{3}-)(?:[\w-]+\.)*example\.(?:com|net|org)\b)|(?<ipv4>\b192\.0\.2\.\d{1,3}\b)|(?<ipv6>\b2001:db8:[0-9a-f:]*[0-9a-f])|(?<id>(?<![\w./#=+-])(?=[a-z]*\d)(?=\d*[a-z])[a-z0-9]{8,}(?![\w./#=+-]))|(?<number>(?<=\p{L} )(?<!\b(?:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)\w* )\d{1,6}(?=[ ,;)](?!\d)))/gimu;

/** The reply with other details of the same shape. Codes stay. */
export function mutateReply(reply: string, details: ReplyDetails): string {
  return reply.replace(DETAIL, (found: string, ...rest: unknown[]) => {
    const groups = rest.at(-1) as Record<string, string | undefined>;
    if (groups.address !== undefined) return `${details.local}@${details.host}`;
    if (groups.host !== undefined) return details.host;
    if (groups.ipv4 !== undefined) return details.ipv4;
    if (groups.ipv6 !== undefined) return details.ipv6;
    if (groups.number !== undefined) return details.number;
    return shifted(found, details.shift);
  });
}

/** Every letter another letter of the same case, every digit another digit. */
function shifted(id: string, by: number): string {
  return id
    .replace(/\d/g, (digit) => String((Number(digit) + by) % 10))
    .replace(/[a-z]/gi, (letter) => {
      const first = letter === letter.toLowerCase() ? 97 : 65;
      return String.fromCharCode(((letter.charCodeAt(0) - first + by) % 26) + first);
    });
}
