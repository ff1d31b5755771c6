import { describe, expect, test } from 'vitest';
import { wordsOf } from '../../src/commands/words.ts';
import { CLOSED } from '../../src/relays/breaker.ts';
import { perSecond } from '../../src/report/format.ts';

const OPEN = { ...CLOSED, state: 'open', reason: 'connection refused' } as const;
const relay = { kind: 'relay', label: 'mx1', misconfigured: null } as const;
const slowed = { kind: 'relay-slowed', label: 'mx1', words: '421 slow down' } as const;

describe('what people are told of a relay', () => {
  test.each([
    [false, /^The relay is in trouble: connection refused\. Waiting/],
    [true, /^The relay mx1 is in trouble: connection refused\. Others take over/],
  ])('its name where there are several: %s', (several, words) => {
    expect(wordsOf({ ...relay, several, breaker: OPEN })).toMatch(words);
  });

  test('that it works again, that it refuses us', () => {
    expect(wordsOf({ ...relay, several: true, breaker: CLOSED })).toBe('The relay mx1 works again.');
    expect(wordsOf({ ...relay, several: false, breaker: OPEN, misconfigured: '535 no' })).toMatch(
      /^The relay refuses us: 535 no\. No recipient fails for it/,
    );
  });

  test('that it asks for less, and takes everything again', () => {
    expect(wordsOf({ ...slowed, several: false, perSecond: 20 })).toBe(
      'The relay asks for less: 421 slow down. Slowing down to 20/s, more again while it is content.',
    );
    expect(wordsOf({ ...slowed, several: true, perSecond: null })).toBe(
      'The relay mx1 takes mails at full speed again.',
    );
  });

  test.each([
    [1234.5, '1,235/s'],
    [12.4, '12/s'],
    [2, '2/s'],
    [0.5, '30/min'],
    [2.5, '150/min'],
  ])('%f a second is %s', (rate, words) => {
    expect(perSecond(rate)).toBe(words);
  });
});
