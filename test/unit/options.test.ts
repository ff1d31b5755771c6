import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { integer, pair, rate, retryable, seconds, several, time } from '../../src/commands/options.ts';

describe('integer', () => {
  test('takes whole numbers within its bounds and nothing else', () => {
    fc.assert(
      fc.property(fc.integer({ min: -50, max: 250 }), (n) => {
        if (n >= 2 && n <= 200) expect(integer(2, 200)(String(n))).toBe(n);
        else expect(() => integer(2, 200)(String(n))).toThrow('from 2 to 200');
      }),
    );
    for (const text of ['', ' 5', '5 ', '5.0', '1e2', '0x10', '٥', '５', '+5', 'NaN', 'Infinity'])
      expect(() => integer(0, 1000)(text)).toThrow('whole number');
  });
});

describe('rate', () => {
  test.each([
    ['50', 50],
    ['50/s', 50],
    ['0.5/s', 0.5],
    ['3000/min', 50],
    ['3000/m', 50],
    ['36000/h', 10],
  ])('%s', (text, perSecond) => expect(rate(text)).toBeCloseTo(perSecond));
  test.each(['', '0', '0/h', '-1/s', '50/d', '50 /s', '/s', '1e3/s', 'fast'])('not %j', (text) =>
    expect(() => rate(text)).toThrow('50/s'),
  );
});

describe('seconds', () => {
  test.each([
    ['90s', 90],
    ['30m', 1800],
    ['12h', 43_200],
    ['3d', 259_200],
  ])('%s', (text, value) => expect(seconds(text)).toBe(value));
  test.each(['', '0s', '3', '3 d', '1.5h', '-3d', '3w'])('not %j', (text) =>
    expect(() => seconds(text)).toThrow('90s'),
  );
});

describe('time', () => {
  test('with an offset it is that moment wherever we are', () => {
    expect(time('2026-12-24T09:00:00+09:00').toISOString()).toBe('2026-12-24T00:00:00.000Z');
    expect(time('2026-12-24T09:00+0900').toISOString()).toBe('2026-12-24T00:00:00.000Z');
    expect(time('2026-12-24 09:00:00.5Z').toISOString()).toBe('2026-12-24T09:00:00.500Z');
  });
  test('without one it is this machine’s time, also as a day alone', () => {
    expect(time('2026-12-24T09:30')).toEqual(new Date(2026, 11, 24, 9, 30));
    expect(time('2026-12-24')).toEqual(new Date(2026, 11, 24));
  });
  test('a day that exists is that day', () => {
    fc.assert(
      fc.property(
        fc.date({ min: new Date('1971-01-01'), max: new Date('2999-12-31'), noInvalidDate: true }),
        (date) => {
          expect(time(date.toISOString())).toEqual(date);
        },
      ),
    );
  });
  test.each([
    '2026-02-29T00:00Z',
    '2026-02-30',
    '2026-04-31T09:00:00Z',
    '2026-13-01',
    '2026-00-10',
    '2026-12-24T25:00Z',
    '2026-12-24T09',
    '2026-12-24T09:00:00+25:00',
    '24.12.2026',
    'tomorrow',
    '1798070400',
    '',
  ])('not %j', (text) => expect(() => time(text)).toThrow('Write it as'));
  test('a leap day is one in a leap year', () => {
    expect(time('2028-02-29T00:00Z').toISOString()).toBe('2028-02-29T00:00:00.000Z');
  });
});

describe('pair, several, retryable', () => {
  test('pairs are collected in their order, once each, and may hold the separator', () => {
    const header = pair(':');
    const both = header('X-B: https://x/{{id}}', header('X-A: 1'));
    expect(Object.entries(both)).toEqual([
      ['X-A', '1'],
      ['X-B', 'https://x/{{id}}'],
    ]);
    expect(() => header('X-A: 2', both)).toThrow('given twice');
    for (const text of ['X-A', ': 1', '']) expect(() => header(text)).toThrow('"Name: value"');
    expect(() => pair('=')('email')).toThrow('NAME=VALUE');
  });
  test('names that every object has are names like any other', () => {
    const found = pair('=')('__proto__=x', pair('=')('constructor=y'));
    expect(Object.entries(found)).toEqual([
      ['constructor', 'y'],
      ['__proto__', 'x'],
    ]);
    expect({}).not.toHaveProperty('x');
  });
  test('several keeps the order', () => expect(several('b', several('a'))).toEqual(['a', 'b']));
  test('who was sent a mail is never sent it again', () => {
    expect(retryable('expired')).toBe('expired');
    expect(() => retryable('sent')).toThrow('never sent it again');
    expect(() => retryable('toString')).toThrow();
  });
});
