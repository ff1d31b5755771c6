import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  dateHeader,
  encodedWords,
  headerNameProblem,
  holdsUris,
  oneLine,
  unstructured,
} from '../../src/message/headers.ts';
import { mailboxHeader, readAddress } from '../../src/message/mailbox.ts';
import { decodeWords } from '../message/encoded-words.ts';

const text = fc.oneof(
  fc.string({ unit: 'binary', maxLength: 200 }),
  fc.string({ unit: 'grapheme', maxLength: 100 }),
  fc.stringMatching(/^[ -~]{0,300}$/),
  fc.stringMatching(/^[가-힣 ]{0,100}$/),
  fc.constantFrom(
    '',
    ' ',
    '\r\nBcc: x@y',
    '=?utf-8?B?QQ==?=',
    '=?',
    'a =?utf-8?q?b c?= d',
    '👨‍👩‍👧'.repeat(30),
    'x'.repeat(2000),
    '\0',
    'a  b'.repeat(50),
    '\ud83d',
    'Zoë '.repeat(20),
  ),
);
const name = fc.constantFrom('Subject', 'X-Tag', `X-${'Long-'.repeat(11)}N`);

/** ASCII, folded, no line without text, no line that starts a header of its own. */
function expectFolded(field: string, longestLine: number): void {
  const lines = field.split('\r\n');
  expect(field.replaceAll('\r\n', '')).toMatch(/^[\x20-\x7e]*$/);
  for (const line of lines.slice(1)) expect(line).toMatch(/^ \S/);
  expect(Math.max(...lines.map((line) => line.length))).toBeLessThanOrEqual(longestLine);
}

describe('unstructured headers', () => {
  it('read as the text, on any number of folded lines', () => {
    const property = fc.property(name, text, (name, text) => {
      const field = unstructured(name, text) ?? 'refused';
      expectFolded(field, 998);
      expect(field.startsWith(`${name}: `) || field.startsWith(`${name}:\r\n`)).toBe(true);
      const read = decodeWords(field)
        .slice(name.length + 1)
        .trim();
      expect(read).toBe(oneLine(text));
    });
    fc.assert(property, { numRuns: 2000 });
  });

  it('stay plain ASCII as written, folded at 76 where words allow', () => {
    const property = fc.property(
      fc.array(fc.stringMatching(/^[!->@-~]{1,20}$/), { maxLength: 40 }),
      (words) => {
        const field = unstructured('X-Tag', words.join(' ')) ?? 'refused';
        expectFolded(field, 76);
        expect(field.replaceAll('\r\n', '')).toBe(`X-Tag: ${words.join(' ')}`);
      },
    );
    fc.assert(property);
  });

  it('encoded-words have at most 75 characters and hold whole characters', () => {
    const property = fc.property(text, fc.integer({ min: 10, max: 76 }), (text, room) => {
      for (const word of encodedWords(text, room).split('\r\n ')) {
        expect(word.length).toBeLessThanOrEqual(75);
        expect(decodeWords(word)).not.toContain(
          text.isWellFormed() && !text.includes('\ufffd') ? '\ufffd' : '\0\0',
        );
      }
    });
    fc.assert(property, { numRuns: 1000 });
  });

  it('URI headers keep their URIs and are never encoded', () => {
    expect(unstructured('List-Unsubscribe', '<https://x.kr/?u=1>, <mailto:off@x.kr?subject=a>')).toBe(
      'List-Unsubscribe: <https://x.kr/?u=1>, <mailto:off@x.kr?subject=a>',
    );
    const long = `<https://x.kr/${'a'.repeat(100)}>`;
    expect(unstructured('List-Unsubscribe', `${long}, ${long}`)).toBe(
      `List-Unsubscribe: ${long},\r\n ${long}`,
    );
    expect(unstructured('List-Unsubscribe', `<https://x.kr/${'a'.repeat(1000)}>`)).toBeNull();
    expect(unstructured('List-Unsubscribe', '<https://예시.kr>')).toBeNull();
    expect(['List-Unsubscribe', 'list-help', 'List-Unsubscribe-Post', 'List-Id'].map(holdsUris)).toEqual([
      true,
      true,
      false,
      false,
    ]);
  });

  it('a value is one line, whatever it holds', () => {
    expect(oneLine('a\r\nBcc: b\tc \n d\0e\u2028f')).toBe('a Bcc: b c de f');
    const property = fc.property(text, (text) => {
      expect(oneLine(text)).not.toMatch(/[\p{Cc}\p{Cs}\u2028\u2029]|^ | $/u);
      expect(oneLine(oneLine(text))).toBe(oneLine(text));
    });
    fc.assert(property);
  });
});

describe('names of extra headers', () => {
  it.each([
    'Bcc',
    'content-type',
    'MIME-Version',
    'Message-ID',
    'DATE',
    'To',
    'From',
    'Subject',
    'Reply-To',
    'Cc',
    'Sender',
    'Return-Path',
    'Received',
    'DKIM-Signature',
    'Resent-To',
    'ARC-Seal',
    'Content-Transfer-Encoding',
    'Authentication-Results',
  ])('%s is refused', (name) => {
    expect(headerNameProblem(name)).not.toBeNull();
  });

  it.each(['', ' ', 'X Tag', 'X-Tag:', 'X-Tag\r\nBcc', 'X-태그', '\0', 'x'.repeat(61)])(
    '%j is no name',
    (name) => {
      expect(headerNameProblem(name)?.problem).toBe('is not a header name');
    },
  );

  it.each(['X-Tag', 'List-Unsubscribe', 'List-Unsubscribe-Post', 'In-Reply-To', 'Feedback-ID', 'Precedence'])(
    '%s is allowed',
    (name) => {
      expect(headerNameProblem(name)).toBeNull();
    },
  );
});

describe('addresses', () => {
  it.each([
    ['kim@example.com', 'kim@example.com'],
    ['Kim.Chul-su+news@Example.COM', 'Kim.Chul-su+news@example.com'],
    ['kim@한국.kr', 'kim@xn--3e0b707e.kr'],
    ['김철수@example.com', '김철수@example.com'],
    ['"a@b"@example.com', '"a@b"@example.com'],
    ['"a\\"b"@example.com', '"a\\"b"@example.com'],
    ['root@localhost', 'root@localhost'],
    ['kim@[192.0.2.1]', 'kim@[192.0.2.1]'],
    ['kim@[IPv6:2001:db8::1]', 'kim@[IPv6:2001:db8::1]'],
  ])('%s', (text, address) => {
    expect(readAddress(text)).toEqual({ address, smtputf8: text.startsWith('김') });
  });

  it.each([
    '',
    '@',
    'kim',
    'kim@',
    '@example.com',
    'kim @example.com',
    'kim@example.com\r\n',
    'kim\0@example.com',
    '<kim@example.com>',
    'kim@exa<mple.com',
    'a,b@example.com',
    'a@b@example.com',
    '"a b"@example.com',
    '"a\r\nb"@example.com',
    '"<"@example.com',
    '.kim@example.com',
    'kim..x@example.com',
    'kim@-example.com',
    'kim@example..com',
    'kim@example.com.',
    `${'k'.repeat(250)}@example.com`,
    'kim@exam ple.com',
    'kim\u00a0@example.com',
    '\ud800@example.com',
    'kim@[a]',
    'kim@example.com> SIZE=1',
  ])('%j is refused', (text) => {
    expect(readAddress(text)).toBeNull();
  });

  it('what is taken is safe in an envelope', () => {
    const awkward = fc.array(
      fc.constantFrom(
        'a',
        '@',
        '.',
        '"',
        '\\',
        '<',
        '>',
        ' ',
        '\r',
        '\n',
        '\0',
        '\t',
        '한',
        '[',
        ']',
        '1',
        ':',
        ',',
        ';',
        '(',
        '\u200b',
        '\u2028',
        '。',
        '％',
      ),
      { maxLength: 12 },
    );
    const property = fc.property(
      fc.oneof(
        fc.string({ unit: 'binary' }),
        awkward.map((parts) => parts.join('')),
      ),
      (text) => {
        const read = readAddress(text);
        if (read === null) return;
        expect(read.address).not.toMatch(/[\s\p{Cc}\p{Cf}\p{Cs}<>]/u);
        expect(read.address).toMatch(/@[a-z0-9.[\]:A-Z-]+$/);
        expect(readAddress(read.address)).toEqual(read);
      },
    );
    fc.assert(property, { numRuns: 3000 });
  });

  it('a display name stays a name', () => {
    const property = fc.property(text, (text) => {
      const field = mailboxHeader('Reply-To', text, 'kim@example.com');
      expectFolded(field, 80);
      expect(field.endsWith('kim@example.com>') || oneLine(text) === '').toBe(true);
      const phrase = decodeWords(field).slice('Reply-To:'.length, -'<kim@example.com>'.length).trim();
      const unquoted =
        phrase.startsWith('"') && !field.includes('=?')
          ? phrase.slice(1, -1).replace(/\\(.)/g, '$1')
          : phrase;
      if (oneLine(text) !== '') expect(unquoted).toBe(oneLine(text));
    });
    fc.assert(property, { numRuns: 2000 });
    expect(mailboxHeader('From', '', '"a@b"@x.kr')).toBe('From: <"a@b"@x.kr>');
  });
});

it('dates are RFC 5322', () => {
  expect(dateHeader(new Date('2026-03-01T09:05:00Z'))).toBe('Date: Sun, 01 Mar 2026 09:05:00 +0000');
});
