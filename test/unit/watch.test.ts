import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  cut,
  type Look,
  overviewLines,
  sparkline,
  type WatchOptions,
  watchLines,
  width,
} from '../../src/report/progress-bar.ts';

const NOW = Date.UTC(2026, 10, 23, 9, 0, 0);
const options: WatchOptions = { columns: 80, rows: 50, colour: false, now: NOW, rates: [10, 20, 40] };

function look(name = '봄 소식', reason = '550 5.1.1 no such user'): Look {
  return {
    progress: {
      campaignId: 1,
      name,
      status: 'running',
      statusReason: null,
      total: 10_000,
      waiting: 3000,
      retrying: 12,
      claimed: 500,
      done: 6500,
      outcomes: {
        sent: 6400,
        rejected: 90,
        expired: 0,
        invalid: 10,
        unconfirmed: 0,
        suppressed: 0,
        cancelled: 0,
      },
      perSecond: 40,
      secondsLeft: 88,
      startAt: null,
      startedAt: new Date(NOW - 60_000),
      finishedAt: null,
    },
    failures: [
      { outcome: 'rejected', reason, recipients: 90, example: 'kim@example.com', lastAt: new Date(NOW) },
    ],
    workers: [
      {
        workerId: 7,
        host: 'mailer',
        pid: 1,
        state: 'alive',
        campaign: name,
        holds: 500,
        doneLastMinute: 2400,
        startedAt: new Date(NOW - 65_000),
        heartbeatAt: new Date(NOW),
      },
    ],
    relays: [
      {
        label: 'smtp.example.com:25',
        workerId: 7,
        host: 'mailer',
        pid: 1,
        state: 'slowed',
        words: '421 4.7.0 too fast',
        slowedTo: 20,
        weight: 1,
        rate: null,
        inFlight: 3,
        accepted: 10,
        changedAt: new Date(NOW),
      },
    ],
  };
}

describe('status --watch', () => {
  test('shows bars by outcome, the rate, workers, relays and failures', () => {
    const lines = watchLines(look(), options);
    const all = lines.join('\n');
    expect(lines[0]).toBe('봄 소식 is running');
    expect(all).toContain('6,500 of 10,000  1 min 28 s left');
    expect(all).toMatch(/40\/s ▃▅█|40\/s ▂▄█/);
    expect(all).toMatch(/^sent +6,400 +64\.0% █+$/m);
    expect(all).toMatch(/^waiting +3,000 +30\.0% █+ \(12 retrying\)$/m);
    expect(all).toContain('90 rejected    550 5.1.1 no such user');
    expect(all).toContain('7 on mailer: alive since 1 min 05 s, holds 500, 40/s');
    expect(all).toContain('smtp.example.com:25, worker 7: slowed to 20/s: 421 4.7.0 too fast');
    expect(all).not.toContain('\u001b');
    expect(watchLines(look(), { ...options, colour: true }).join('')).toContain('\u001b[34m');
  });

  test('no line is longer than the terminal, and no more lines than it has', () => {
    const words = fc.oneof(fc.string({ maxLength: 200 }), fc.string({ unit: 'grapheme', maxLength: 200 }));
    fc.assert(
      fc.property(
        words,
        words,
        fc.integer({ min: 40, max: 200 }),
        fc.integer({ min: 2, max: 60 }),
        (name, reason, columns, rows) => {
          const lines = watchLines(look(name, reason), { ...options, columns, rows });
          expect(lines.length).toBeLessThanOrEqual(rows);
          for (const line of lines) expect(width(line)).toBeLessThanOrEqual(columns);
        },
      ),
    );
  });

  test('what comes from outside cannot move the cursor', () => {
    const lines = watchLines(look('a\u001b[2Jb', '550 \u001b]0;x\u0007'), options);
    expect(lines.join('')).not.toMatch(/\p{Cc}/u);
  });
});

describe('widths', () => {
  test('Hangul takes two columns, a combining mark none', () => {
    expect(width('가나')).toBe(4);
    expect(width('e\u0301')).toBe(1);
    expect(cut('가나다라', 5)).toBe('가나…');
    expect(cut('abc', 3)).toBe('abc');
  });

  test('a sparkline is as long as what it shows and its highest bar is full', () => {
    expect(sparkline([], 5)).toBe('');
    expect(sparkline([0, 0], 5)).toBe('▁▁');
    expect(sparkline([1, 2, 4, 8], 3)).toBe('▃▅█');
  });
});

test('all campaigns fit the terminal, those being sent first, and what does not fit is counted', () => {
  const { progress } = look('봄 소식'.repeat(30));
  const all = Array.from({ length: 40 }, (_, i) => ({
    ...progress,
    name: `${i} ${progress.name}`,
    status: i === 39 ? ('running' as const) : ('finished' as const),
  }));
  const lines = overviewLines(all, { ...options, rows: 23 });
  expect(lines.length).toBeLessThanOrEqual(23);
  for (const line of lines) expect(width(line)).toBeLessThanOrEqual(80);
  expect(lines[0]).toContain('39 봄');
  expect(lines[1]).toMatch(/^█+░+ +65%$/);
  expect(lines.at(-1)).toBe('and 29 more: sendstate status');
  expect(overviewLines([], options)).toEqual(['There is no campaign yet.']);
});
