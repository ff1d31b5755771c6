import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Report } from '../../src/report/report.ts';
import { rateChart, shareChart, ticks } from '../../src/report/report-chart.ts';
import { escaped, reportHtml } from '../../src/report/report-html.ts';
import { facts, outcomeParts, reportMarkdown, reportRows } from '../../src/report/report-text.ts';

const START = Date.UTC(2026, 10, 23, 9, 0, 0);
const at = (seconds: number) => new Date(START + seconds * 1000);

function made(change: { name?: string; reason?: string; domain?: string } = {}): Report {
  const outcomes = {
    sent: 9000,
    rejected: 40,
    expired: 3,
    invalid: 2,
    unconfirmed: 0,
    suppressed: 5,
    cancelled: 0,
  };
  return {
    progress: {
      campaignId: 1,
      name: change.name ?? 'spring',
      status: 'finished',
      statusReason: null,
      total: 9050,
      waiting: 0,
      retrying: 0,
      claimed: 0,
      done: 9050,
      outcomes,
      perSecond: null,
      secondsLeft: null,
      startAt: null,
      startedAt: at(0),
      finishedAt: at(125),
    },
    readAt: at(200),
    seconds: 125,
    perSecond: 72,
    curve: [
      { at: at(0), sent: 400, failed: 0, retried: 0 },
      { at: at(5), sent: 500, failed: 45, retried: 7 },
    ],
    curveSeconds: 5,
    failures: [
      {
        outcome: 'rejected',
        reason: change.reason ?? '550 5.1.1 no such user',
        recipients: 40,
        example: 'kim@example.com',
        lastAt: at(90),
      },
    ],
    otherFailures: 5,
    domains: [{ domain: change.domain ?? 'example.com', recipients: 50, sent: 10, failed: 40, open: 0 }],
    otherDomains: 12,
    retriedRecipients: 7,
    maybeSent: 1,
  };
}

describe('a report', () => {
  test('says what happened, in every format the same numbers', () => {
    const report = made();
    expect(Object.fromEntries(facts(report))).toMatchObject({
      state: 'finished',
      recipients: '9,050',
      'accepted by the mail server': '9,000 (99.45%)',
      took: '2 min 05 s',
      'mails per second': '72',
      'needed more than one attempt': '7',
    });
    expect(outcomeParts(report).map(({ name }) => name)).toEqual([
      'sent',
      'rejected',
      'expired',
      'invalid',
      'suppressed',
    ]);
    for (const text of [reportHtml(report), reportMarkdown(report)]) {
      expect(text).toContain('9,000 (99.45%)');
      expect(text).toContain('550 5.1.1 no such user');
      expect(text).toContain('and 12 more domains');
      expect(text).toContain('other reasons');
    }
    expect(reportMarkdown(report)).toContain('| 2026-11-23 09:00:05 UTC | 500 | 45 | 7 |');
    const rows = reportRows(report);
    for (const row of [
      ['total', 'spring', 'finished', 9050],
      ['summary', 'seconds', '', 125],
      ['summary', 'mails per second', '', 72],
      ['summary', 'needed more than one attempt', '', 7],
      ['summary', 'in doubt', '', 1],
      ['outcome', 'sent', '', 9000],
      ['outcome', 'rejected', '', 40],
      ['reason', 'rejected', '550 5.1.1 no such user', 40],
      ['reason', '', 'other reasons', 5],
      ['domain', 'example.com', 'failed', 40],
      ['domain', 'example.com', 'open', 0],
      ['domain', '', 'more domains', 12],
      ['timeline', '2026-11-23T09:00:05.000Z', 'sent', 500],
      ['timeline', '2026-11-23T09:00:05.000Z', 'failed', 45],
      ['timeline', '2026-11-23T09:00:05.000Z', 'retried', 7],
    ])
      expect(rows).toContainEqual(row);
  });

  test('loads nothing and runs nothing', () => {
    const html = reportHtml(made());
    expect(html).not.toMatch(/<script|<link|<img|@import|url\(/i);
    expect([...html.matchAll(/https?:\/\/[^"\s]+/g)].map(([url]) => url)).toEqual(
      expect.arrayContaining(['http://www.w3.org/2000/svg']),
    );
    expect(html).not.toMatch(/(src|href)=/);
    expect(html).toContain(`default-src 'none'`);
  });

  test('a hostile name, reason or domain stays text in html and in Markdown', () => {
    const hostile = fc.stringMatching(/^[<>&"'`|\\*_[\]()#a-z\r\n =/]{1,40}$/);
    fc.assert(
      fc.property(hostile, (text) => {
        const quiet = made();
        const report = made({ name: text, reason: text, domain: text });
        // As many tags, table cells and lines as with harmless words.
        const tags = (html: string) => html.match(/<[^>]*>/g)?.length;
        expect(tags(reportHtml(report))).toBe(tags(reportHtml(quiet)));
        const lines = (markdown: string) => markdown.split('\n').length;
        expect(lines(reportMarkdown(report))).toBe(lines(reportMarkdown(quiet)));
        const bars = (markdown: string) => markdown.replace(/\\./g, '').match(/\|/g)?.length;
        expect(bars(reportMarkdown(report))).toBe(bars(reportMarkdown(quiet)));
      }),
    );
    expect(escaped(`<a href="x">'&`)).toBe('&lt;a href=&quot;x&quot;&gt;&#39;&amp;');
  });

  test('an empty campaign has a report without charts', () => {
    const base = made();
    const none = {
      sent: 0,
      rejected: 0,
      expired: 0,
      invalid: 0,
      unconfirmed: 0,
      suppressed: 0,
      cancelled: 0,
    };
    const empty: Report = {
      ...base,
      progress: {
        ...base.progress,
        total: 0,
        done: 0,
        outcomes: none,
        status: 'draft',
        startedAt: null,
        finishedAt: null,
      },
      seconds: null,
      perSecond: null,
      curve: [],
      curveSeconds: 0,
      failures: [],
      otherFailures: 0,
      domains: [],
      otherDomains: 0,
    };
    expect(reportHtml(empty)).not.toContain('<svg');
    expect(reportHtml(empty)).not.toMatch(/NaN|Infinity|undefined/);
    expect(reportMarkdown(empty)).toContain('nothing was sent yet');
  });
});

describe('charts', () => {
  test('ticks are round, begin at 0 and end within the scale', () => {
    expect(ticks(20_000)).toEqual([0, 5000, 10_000, 15_000, 20_000]);
    expect(ticks(3)).toEqual([0, 1, 2, 3]);
    fc.assert(
      fc.property(fc.double({ min: 1e-6, max: 1e9, noNaN: true }), (most) => {
        const list = ticks(most);
        expect(list[0]).toBe(0);
        expect(list.length).toBeGreaterThanOrEqual(2);
        expect(list.length).toBeLessThanOrEqual(6);
        expect(list.at(-1)).toBeLessThanOrEqual(most * (1 + 1e-6));
      }),
    );
  });

  test('bars stay inside the drawing and no number is one that a browser cannot read', () => {
    const point = fc.record({ sent: fc.nat(1_000_000), failed: fc.nat(1000) });
    fc.assert(
      fc.property(fc.array(point, { minLength: 1, maxLength: 60 }), (points) => {
        const svg = rateChart(
          points.map((one, index) => ({ ...one, at: at(index * 10), retried: 0 })),
          10,
        );
        expect(svg).not.toMatch(/NaN|Infinity|e[-+]\d/);
        const inside = Number(/viewBox="0 0 \d+ (\d+)"/.exec(svg)?.[1]);
        for (const [, y, height] of svg.matchAll(
          /<rect x="[\d.]+" y="([-\d.]+)" width="[\d.]+" height="([-\d.]+)"/g,
        )) {
          expect(Number(y)).toBeGreaterThanOrEqual(0);
          expect(Number(height)).toBeGreaterThanOrEqual(0);
          expect(Number(y) + Number(height)).toBeLessThanOrEqual(inside);
        }
      }),
    );
  });

  test('colours are explained, and a campaign of days has days beneath it', () => {
    const point = { sent: 1, failed: 1, retried: 0 };
    const short = rateChart([{ ...point, at: at(0) }], 5);
    expect(short).toContain('>sent</text>');
    expect(short).toContain('>failed</text>');
    expect(short).toContain('>09:00:00 UTC<');
    const days = [
      { ...point, at: at(0) },
      { ...point, at: at(3 * 86_400) },
    ];
    expect(rateChart(days, 3600)).toMatch(/>11-23 09:00 UTC<.*>11-24 21:30 UTC<.*>11-26 10:00 UTC</);
  });

  test('a long timeline is a short table with the same sums', () => {
    const curve = Array.from({ length: 120 }, (_, i) => ({
      at: at(i * 60),
      sent: 10,
      failed: 1,
      retried: 0,
    }));
    const rows = [
      ...reportMarkdown({ ...made(), curve, curveSeconds: 60 }).matchAll(/^\| 2026\S+ \S+ UTC \| (\d+) \|/gm),
    ];
    expect(rows).toHaveLength(24);
    expect(rows.reduce((sum, [, sent]) => sum + Number(sent), 0)).toBe(1200);
  });

  test('shares fill the bar', () => {
    const svg = shareChart([
      { name: 'sent', recipients: 3 },
      { name: 'rejected', recipients: 1 },
    ]);
    expect([...svg.matchAll(/width="(\d+)"/g)].map(([, width]) => Number(width))).toEqual([540, 180]);
    expect(shareChart([{ name: 'sent', recipients: 0 }])).toBe('');
  });
});
