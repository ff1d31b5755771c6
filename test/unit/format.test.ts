import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  bar,
  count,
  counted,
  duration,
  failureLines,
  outcomesLine,
  printable,
  progressLine,
} from '../../src/report/format.ts';
import type { Progress } from '../../src/report/progress.ts';

const progress = (more: Partial<Omit<Progress, 'outcomes'>> = {}, outcomes = {}): Progress => ({
  campaignId: 1,
  name: 'spring',
  status: 'running',
  statusReason: null,
  total: 0,
  waiting: 0,
  retrying: 0,
  claimed: 0,
  done: 0,
  perSecond: null,
  secondsLeft: null,
  startAt: null,
  startedAt: null,
  finishedAt: null,
  ...more,
  outcomes: {
    sent: 0,
    rejected: 0,
    expired: 0,
    invalid: 0,
    unconfirmed: 0,
    suppressed: 0,
    cancelled: 0,
    ...outcomes,
  },
});

describe('duration', () => {
  test.each([
    [-5, '0 s'],
    [0, '0 s'],
    [59.4, '59 s'],
    [59.5, '1 min 00 s'],
    [200, '3 min 20 s'],
    [3599.6, '1 h 00 min'],
    [7500, '2 h 05 min'],
    [86_399.9, '1 days 0 h'],
    [4 * 86_400 + 3 * 3600, '4 days 3 h'],
  ])('%d', (seconds, words) => expect(duration(seconds)).toBe(words));
});

describe('bar', () => {
  test('is as wide as it was asked to be, whatever the share', () => {
    fc.assert(
      fc.property(
        fc.double({ min: -2, max: 3, noNaN: true }),
        fc.integer({ min: 1, max: 80 }),
        (share, width) => {
          expect(bar(share, width)).toHaveLength(width);
        },
      ),
    );
    expect(bar(0.5, 4)).toBe('██░░');
  });
});

describe('progressLine', () => {
  test('an empty campaign, one in the middle, one at its end', () => {
    expect(progressLine(progress())).toMatch(/0% {2}0 of 0$/);
    expect(
      progressLine(progress({ total: 10_000, done: 4_999, perSecond: 1630.4, secondsLeft: 3.07 })),
    ).toMatch(/ 49% {2}4,999 of 10,000 {2}1,630\/s {2}3 s left$/);
    expect(progressLine(progress({ total: 10_000, done: 10_000, perSecond: 900, secondsLeft: 0 }))).toMatch(
      /100% {2}10,000 of 10,000 {2}900\/s$/,
    );
  });
  test('fits in 80 columns below ten million, and never says 100 % too early', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 9_999_999 }),
        fc.double({ min: 0, max: 1, noNaN: true }),
        fc.double({ min: 0, max: 99_999, noNaN: true }),
        fc.double({ min: 0, max: 400 * 86_400, noNaN: true }),
        (total, share, perSecond, secondsLeft) => {
          const done = Math.floor(total * share);
          const line = progressLine(progress({ total, done, perSecond, secondsLeft }));
          expect(line.length).toBeLessThanOrEqual(80);
          if (done < total) expect(line).not.toContain('100%');
        },
      ),
    );
  });
});

describe('outcomesLine', () => {
  test('names what occurs, in the order of the outcomes', () => {
    expect(outcomesLine(progress())).toBe('no recipients yet');
    expect(
      outcomesLine(
        progress({ claimed: 3, waiting: 1200, retrying: 7 }, { sent: 9981, invalid: 4, rejected: 15 }),
      ),
    ).toBe('9,981 sent, 15 rejected, 4 invalid, 3 claimed, 1,200 waiting (7 retrying)');
  });
});

describe('what comes from outside', () => {
  test('cannot speak to the terminal', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (text) => {
        expect(printable(text)).not.toMatch(/\p{Cc}|[\u202a-\u202e\u2066-\u2069]/u);
      }),
    );
    expect(printable('\u001b[2J안녕 \u202Eevil')).toBe('�[2J안녕 �evil');
  });
  test('failures are aligned, and their words are shown and not obeyed', () => {
    const lines = failureLines([
      {
        outcome: 'rejected',
        reason: '550 no \u001b[31muser',
        recipients: 1234,
        example: 'a@b.c',
        lastAt: new Date(),
      },
      { outcome: 'unconfirmed', reason: 'lost', recipients: 2, example: null, lastAt: new Date() },
    ]);
    expect(lines).toEqual(['  1,234  rejected    550 no �[31muser  e.g. a@b.c', '      2  unconfirmed lost']);
    expect(failureLines([])).toEqual([]);
  });
  test('counts are grouped', () => expect(count(1_234_567)).toBe('1,234,567'));
});

test('one is one, and more are many', () => {
  expect([0, 1, 2, 1234].map((value) => counted(value, 'worker'))).toEqual([
    '0 workers',
    '1 worker',
    '2 workers',
    '1,234 workers',
  ]);
});
