import fc from 'fast-check';
import validator from 'validator';
import { describe, expect, test } from 'vitest';
import { parseAddress } from '../../src/import/address.ts';

describe('an address is taken', () => {
  test.each([
    ['kim@example.com', 'kim@example.com'],
    ['Kim.Lee+tag@Example.COM', 'Kim.Lee+tag@example.com'],
    ["o'brien/sales@example.co.kr", "o'brien/sales@example.co.kr"],
    ['  kim@example.com\t', 'kim@example.com'],
    ['\u3000kim@example.com\u00a0\u200b\ufeff', 'kim@example.com'],
    ['kim@한글.kr', 'kim@xn--bj0bj06e.kr'],
    ['kim@한글.kr'.normalize('NFD'), 'kim@xn--bj0bj06e.kr'],
    ['kim@한글。한국', 'kim@xn--bj0bj06e.xn--3e0b707e'],
    ['kim@ＥＸＡＭＰＬＥ．com', 'kim@example.com'],
    ['kim@xn--bj0bj06e.kr', 'kim@xn--bj0bj06e.kr'],
    ['kim@straße.de', 'kim@xn--strae-oqa.de'],
    [`${'a'.repeat(64)}@example.com`, `${'a'.repeat(64)}@example.com`],
  ])('%j', (raw, address) => {
    expect(parseAddress(raw)).toEqual({ ok: true, address, smtputf8: false });
  });

  test('with a local part that is not ASCII, marked as such', () => {
    const parsed = { ok: true, address: '김철수@example.com', smtputf8: true };
    expect(parseAddress('김철수@example.com')).toEqual(parsed);
    expect(parseAddress('김철수@Example.com'.normalize('NFD'))).toEqual(parsed);
  });
});

describe('an address is refused', () => {
  test.each([
    ['', 'the address is empty'],
    ['  \u3000 ', 'the address is empty'],
    ['kim', 'no @'],
    ['kim＠example.com', 'full-width @'],
    ['ｋｉｍ@example.com', 'full-width letters'],
    ['kim@lee@example.com', 'more than one @'],
    ['kim@example.com;lee@example.com', 'more than one @'],
    ['@example.com', 'nothing before'],
    ['kim@', 'nothing after'],
    ['Kim <kim@x.kr>', 'without a name and angle brackets'],
    ['<kim@x.kr>', 'without a name and angle brackets'],
    ['kim@x.kr\r\nBcc: lee@x.kr', 'line break or control character'],
    ['kim@x.kr\n', 'line break or control character'],
    ['\0kim@x.kr', 'line break or control character'],
    ['kim\u2028@x.kr', 'line break or control character'],
    ['kim\u0085@x.kr', 'line break or control character'],
    ['ki m@x.kr', 'space or an invisible'],
    ['ki\u200bm@x.kr', 'space or an invisible'],
    ['k\u202eim@x.kr', 'space or an invisible'],
    ['"kim lee"@x.kr', 'quotation marks'],
    ['kim(work)@x.kr', 'quotation marks, backslashes and comments'],
    ['kim\\@x.kr', 'quotation marks, backslashes'],
    ['.kim@x.kr', 'not a valid address'],
    ['kim..lee@x.kr', 'not a valid address'],
    ['kim,lee@x.kr', 'not a valid address'],
    ['kim@localhost', 'the domain'],
    ['kim@x', 'the domain'],
    ['kim@127.0.0.1', 'the domain'],
    ['kim@[127.0.0.1]', 'the domain'],
    ['kim@0x7f.1', 'the domain'],
    ['kim@１２７.0.0.1', 'the domain'],
    ['kim@ex%61mple.com', 'the domain'],
    ['kim@-x.kr', 'the domain'],
    ['kim@x-.kr', 'the domain'],
    ['kim@x..kr', 'the domain'],
    ['kim@x.kr.', 'the domain'],
    ['kim@x_y.kr', 'the domain'],
    ['kim@x.k', 'the domain'],
    ['kim@x.kr:25', 'the domain'],
    ['kim@x.kr/a', 'the domain'],
    ['kim@xn--a.kr', 'the domain'],
    [`kim@${'a'.repeat(64)}.kr`, 'the domain'],
    [`${'a'.repeat(65)}@x.kr`, 'more than 64 bytes'],
    [`${'한'.repeat(22)}@x.kr`, 'more than 64 bytes'],
    [
      `${'a'.repeat(60)}@${'b'.repeat(60)}.${'c'.repeat(60)}.${'d'.repeat(60)}.${'e'.repeat(10)}.kr`,
      'longer than 254',
    ],
  ])('%j', (raw, words) => {
    const parsed = parseAddress(raw);
    expect(parsed.ok).toBe(false);
    if (!parsed.ok) expect(parsed.reason).toContain(words);
  });
});

test('ten megabytes are no address, and do not take long to say so', () => {
  for (const letter of ['x', ' ', '@', '한']) {
    expect(parseAddress(letter.repeat(10_000_000))).toMatchObject({ ok: false });
  }
});

describe('whatever is written', () => {
  const part = fc.string({
    unit: fc.constantFrom('a', 'Z', '9', '.', '-', '_', '+', '@', '--', 'xn--', ' ', '한', '<', '"'),
  });
  const address = fc.oneof(
    fc.tuple(part, part).map(([local, domain]) => `${local}@${domain}.com`),
    fc.emailAddress(),
    fc.emailAddress().map((text) => text.toUpperCase()),
    fc.string({ unit: 'binary', maxLength: 40 }),
    fc.string({ unit: 'binary', maxLength: 20 }).map((text) => `${text}@example.com`),
  );

  test('what is taken is an address, safe in an SMTP command, and stays what it is when parsed again', () => {
    let taken = 0;
    fc.assert(
      fc.property(address, (raw) => {
        const parsed = parseAddress(raw);
        if (!parsed.ok) {
          expect(parsed.reason).not.toBe('');
          return;
        }
        taken += 1;
        expect(validator.isEmail(parsed.address, { allow_utf8_local_part: true })).toBe(true);
        expect(parsed.address).not.toMatch(/[\s<>\p{C}]/u);
        expect(parsed.address).toMatch(/@[a-z0-9.-]+$/);
        expect(parsed.smtputf8).toBe(/[^ -~]/.test(parsed.address));
        expect(parseAddress(parsed.address)).toEqual(parsed);
      }),
      { numRuns: 3000 },
    );
    expect(taken).toBeGreaterThan(300);
  });

  test.each(['\u09b3@example.com', '\ue000@example.com', 'kim\u0378@example.com', 'kim\ufffe@example.com'])(
    'a code point without a character is refused: %j',
    (raw) => {
      expect(parseAddress(raw)).toEqual({
        ok: false,
        reason: 'a space or an invisible character in the address',
      });
    },
  );

  test('the short way takes only what the long way takes, with the same result', () => {
    const ordinary = fc.tuple(
      fc.stringMatching(/^[a-zA-Z0-9_+.-]{1,12}$/),
      fc.stringMatching(/^[a-zA-Z0-9.-]{1,12}$/),
      fc.constantFrom('com', 'kr', 'Museum', 'c0m', 'xn--p1ai'),
    );
    let taken = 0;
    fc.assert(
      fc.property(ordinary, ([local, domain, top]) => {
        const raw = `${local}@${domain}.${top}`;
        const parsed = parseAddress(raw);
        // A space in front sends it the long way, which cuts the space off.
        expect(parseAddress(` ${raw}`)).toEqual(parsed);
        if (parsed.ok) taken += 1;
      }),
      { numRuns: 3000 },
    );
    expect(taken).toBeGreaterThan(300);
  });
});
