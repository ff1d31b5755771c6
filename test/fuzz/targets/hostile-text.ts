import fc from 'fast-check';

/** What an attacker writes into a field to be more than a value there, whatever that field becomes. */
const PIECES: readonly string[] = [
  ...[
    '\r\n',
    '\n',
    '\r',
    '\r\n\r\n',
    '.',
    '..',
    '\r\n.\r\n',
    '\n.\n',
    '\r.\r',
    '\n.\r\n',
    '\r\n.\n',
    '\r.\n',
  ],
  ...[
    '\0',
    ' ',
    '\t',
    '\v',
    '\f',
    '"',
    "'",
    '`',
    '\\',
    '<',
    '>',
    '@',
    ',',
    ';',
    ':',
    '(',
    ')',
    '=',
    '_',
    '%',
  ],
  ...['Bcc: evil@evil.example', 'To: evil@evil.example', 'Content-Type: text/html', '<evil@evil.example>'],
  ...['MAIL FROM:<>', 'RCPT TO:<evil@evil.example>', 'DATA\r\n', 'QUIT\r\n', 'BDAT 5 LAST\r\n', 'SIZE=1'],
  ...['=?utf-8?B?DQpCY2M6IHg=?=', '=?utf-8?Q?=0D=0A?=', '=?', '?=', '--=_-', '=_', '%0d%0a', '%00'],
  ...['{{v}}', '{{/if}}', '{{', '}}', '{{{', '{{#each this}}', '{{constructor}}', '{{__proto__}}'],
  ...["'; drop table recipient; --", '$1', '$$', '\\N', '\\.', 'null', '0', '-1', "E'\\x00'", '/*', '--'],
  ...['\u001b[2J', '\u001b]0;x\u0007', '\u009b31m', '\u0007', '\b', '\u007f', '\u0085', '\u2028', '\u2029'],
  ...[
    '\u202e',
    '\u2066',
    '\u200f',
    '\u200b',
    '\ufeff',
    '\ufffd',
    '\ud83d',
    '\ude00',
    '😀',
    '👨‍👩‍👧',
    '김',
    'é',
    'e\u0301',
  ],
  ...['=cmd()', '+1', '-1', '@SUM(1)', '＝1', '../../etc/passwd', '/dev/stdin', 'file:///x', '--json', '-'],
  ...['a'.repeat(70), 'b'.repeat(1_000), '가'.repeat(80), ' '.repeat(80), 'kim', 'example.com'],
];

/** Text that is hostile to every language at once. */
export const hostileText: fc.Arbitrary<string> = fc.oneof(
  { weight: 5, arbitrary: fc.array(fc.constantFrom(...PIECES), { maxLength: 7 }).map((all) => all.join('')) },
  fc.string({ unit: 'binary', maxLength: 30 }),
  fc
    .array(fc.integer({ min: 0, max: 0xffff }), { maxLength: 12 })
    .map((units) => String.fromCharCode(...units)),
);

/** The same, as an argument of a process or a value in a database can be: without NUL, well formed. */
export const storableText = hostileText.map((text) => text.toWellFormed().replaceAll('\0', ''));

/** Bytes from anywhere, as Latin-1. */
export const anyBytes = fc
  .uint8Array({ maxLength: 40 })
  .map((bytes) => Buffer.from(bytes).toString('latin1'));
