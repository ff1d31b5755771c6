import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { readMachine } from './machine.ts';
import type { Machine } from './raw.ts';
import { say } from './server.ts';

/*
 * The figures of the page and of the metrics: what they have to be, and the section of docs/benchmarks.md that is made of them.
 */

/** `npm run bench:web` */
export interface PageFigures {
  readonly firstPaintMs: number;
  readonly assetsKb: number;
  /** From a commit to its words on an open page. */
  readonly changeMs: { readonly median: number; readonly p99: number; readonly most: number };
  readonly viewers: number;
  /** The share of the send rate that the viewers take: 1 - median over the pairs of (rate with / rate without). */
  readonly viewersCost: number;
  /** Mails a second, medians. */
  readonly rates: { readonly with: number; readonly without: number };
  readonly pairs: number;
}

/** `npm run bench:metrics` */
export interface MetricsFigures {
  readonly metricsCost: number;
  readonly rates: { readonly with: number; readonly without: number };
  readonly pairs: number;
}

interface Measured<T> {
  readonly measuredAt: string;
  readonly machine: Machine;
  readonly figures: T;
}

interface Recorded {
  readonly page?: Measured<PageFigures>;
  readonly metrics?: Measured<MetricsFigures>;
}

interface Row {
  readonly what: string;
  readonly value: number;
  readonly limit: number;
  readonly shown: (value: number) => string;
}

const ms = (value: number) => `${Math.round(value)} ms`;
const share = (value: number) => `${(100 * value).toFixed(2)}%`;

export function pageRows(found: PageFigures): Row[] {
  return [
    { what: 'first paint, median', value: found.firstPaintMs, limit: 300, shown: ms },
    {
      what: 'all assets',
      value: found.assetsKb,
      limit: 150,
      shown: (value) => `${value.toFixed(1)} KB`,
    },
    { what: 'a change is on the page, 99 of 100', value: found.changeMs.p99, limit: 1_000, shown: ms },
    { what: 'a change is on the page, the slowest', value: found.changeMs.most, limit: 1_000, shown: ms },
    {
      what: `of the send rate, ${found.viewers} viewers`,
      value: found.viewersCost,
      limit: 0.03,
      shown: share,
    },
  ];
}

export function metricsRows({ metricsCost }: MetricsFigures): Row[] {
  return [
    { what: 'of the send rate, metrics scraped every second', value: metricsCost, limit: 0.01, shown: share },
  ];
}

/** Says which of the aims were missed, and makes the program end with 1 if any was. */
export function judge(rows: readonly Row[]): void {
  for (const { what, value, limit, shown } of rows) {
    // What is no number was not measured, and reaches nothing.
    if (value <= limit) continue;
    say(`MISSED: ${what}: ${shown(value)}, at most ${shown(limit)}`);
    process.exitCode = 1;
  }
}

const RECORD = fileURLToPath(new URL('../docs/benchmarks/web.json', import.meta.url));
const PAGE = fileURLToPath(new URL('../docs/benchmarks.md', import.meta.url));
const BEGIN = '<!-- made by npm run bench:web and bench:metrics -->\n';
const END = '<!-- to here -->';

/** Keeps the figures with their machine and writes the section, where `--record` is given. */
export function record(part: Partial<{ page: PageFigures; metrics: MetricsFigures }>): void {
  if (!process.argv.includes('--record')) return;
  const about = { measuredAt: new Date().toISOString().slice(0, 10), machine: readMachine() };
  const before: Recorded = existsSync(RECORD) ? JSON.parse(readFileSync(RECORD, 'utf8')) : {};
  const now: Recorded = {
    ...before,
    ...(part.page === undefined ? {} : { page: { ...about, figures: part.page } }),
    ...(part.metrics === undefined ? {} : { metrics: { ...about, figures: part.metrics } }),
  };
  writeFileSync(RECORD, `${JSON.stringify(now, null, 2)}\n`);
  const text = readFileSync(PAGE, 'utf8');
  const [from, to] = [text.indexOf(BEGIN), text.indexOf(END)];
  if (from < 0 || to < from) throw new Error(`${PAGE} has no place for the figures of the page`);
  writeFileSync(PAGE, text.slice(0, from + BEGIN.length) + sectionOf(now) + text.slice(to));
  say(`Wrote ${RECORD} and the section of ${PAGE}.`);
}

const whole = (value: number) => Math.round(value).toLocaleString('en-US');

function sectionOf({ page, metrics }: Recorded): string {
  const table = (rows: readonly Row[]) => [
    '| what | measured | at most |',
    '| --- | --- | --- |',
    ...rows.map(({ what, value, limit, shown }) => `| ${what} | ${shown(value)} | ${shown(limit)} |`),
  ];
  const about = ({ measuredAt, machine }: Measured<unknown>, pairs: number, rates: PageFigures['rates']) =>
    `${measuredAt}, ${machine.cpu}, ${machine.cores} cores, Node.js ${machine.node}; ${pairs} pairs, ${whole(rates.with)} mails/s with and ${whole(rates.without)} without.`;
  const lines: string[] = [];
  if (page !== undefined) {
    const { figures } = page;
    lines.push('', ...table(pageRows(figures)), '', about(page, figures.pairs, figures.rates));
  }
  if (metrics !== undefined) {
    const { figures } = metrics;
    lines.push('', ...table(metricsRows(figures)), '', about(metrics, figures.pairs, figures.rates));
  }
  return `${lines.join('\n')}\n\n`;
}
