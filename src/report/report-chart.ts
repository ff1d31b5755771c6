import type { Outcome } from '../model/states.ts';
import type { CurvePoint } from './report.ts';

/** Size of the drawing, in its own units. */
const WIDTH = 720;
const HEIGHT = 200;
const LEFT = 56;
const BOTTOM = 24;
const TOP = 12;
/** Room beneath it for what the colours mean. */
const LEGEND = 20;

/** Colours that are told apart by people who see red and green alike (Okabe and Ito), on light and on dark. */
export const COLOURS: Readonly<Record<Outcome | 'open', string>> = {
  sent: '#0072b2',
  rejected: '#d55e00',
  expired: '#e69f00',
  invalid: '#cc79a7',
  unconfirmed: '#f0e442',
  suppressed: '#999999',
  cancelled: '#56b4e9',
  open: '#bbbbbb',
};

/** A number for an attribute: two decimals are finer than a screen. */
const n = (value: number) => String(Math.round(value * 100) / 100);

/** 0 and the "round" numbers up to `most`: 1, 2 or 5 times a power of ten apart. */
export function ticks(most: number): number[] {
  const rough = Math.max(most, 1e-9) / 4;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((factor) => factor * power).find((size) => size >= rough) ?? rough;
  return Array.from({ length: Math.floor(most / step + 1e-9) + 1 }, (_, index) => index * step);
}

const DAY_MS = 86_400_000;
/** A moment of a span: the day is named where there is more than one. */
const moment = (date: Date, span: number) =>
  span >= DAY_MS ? date.toISOString().slice(5, 16).replace('T', ' ') : date.toISOString().slice(11, 19);

/** What the colours of the rate mean, beneath the drawing. */
function legend(): string {
  const part = (x: number, colour: string, word: string) =>
    `<rect x="${x}" y="${HEIGHT + 4}" width="10" height="10" fill="${colour}"/>` +
    `<text x="${x + 15}" y="${HEIGHT + 13}" font-size="11" fill="currentColor">${word}</text>`;
  return part(LEFT, COLOURS.sent, 'sent') + part(LEFT + 70, COLOURS.rejected, 'failed');
}

/**
 * Mails per second over the campaign's time as an SVG drawing, without a script or a style sheet.
 * @param seconds width of a span
 */
export function rateChart(curve: readonly CurvePoint[], seconds: number): string {
  const first = curve[0];
  const last = curve.at(-1);
  if (first === undefined || last === undefined || seconds <= 0) return '';
  const span = last.at.getTime() - first.at.getTime() + seconds * 1000;
  const most = Math.max(...curve.map(({ sent, failed }) => (sent + failed) / seconds), 1e-9);
  const x = (at: number) => LEFT + ((at - first.at.getTime()) / span) * (WIDTH - LEFT);
  const y = (rate: number) => TOP + (1 - rate / most) * (HEIGHT - TOP - BOTTOM);
  const bars = curve.map((point) => {
    const from = x(point.at.getTime());
    const width = Math.max((seconds * 1000 * (WIDTH - LEFT)) / span - 0.5, 0.5);
    const sentTop = y(point.sent / seconds);
    const failedTop = y((point.sent + point.failed) / seconds);
    const sent = `<rect x="${n(from)}" y="${n(sentTop)}" width="${n(width)}" height="${n(y(0) - sentTop)}" fill="${COLOURS.sent}"/>`;
    const failed =
      point.failed === 0
        ? ''
        : `<rect x="${n(from)}" y="${n(failedTop)}" width="${n(width)}" height="${n(sentTop - failedTop)}" fill="${COLOURS.rejected}"/>`;
    return sent + failed;
  });
  const lines = ticks(most).map(
    (tick) =>
      `<line x1="${LEFT}" x2="${WIDTH}" y1="${n(y(tick))}" y2="${n(y(tick))}" stroke="currentColor" stroke-opacity="0.15"/>` +
      `<text x="${LEFT - 6}" y="${n(y(tick) + 4)}" text-anchor="end" font-size="11" fill="currentColor">${tick.toLocaleString('en-US', { maximumFractionDigits: 2 })}</text>`,
  );
  const times = [
    { part: 0, anchor: 'start' },
    { part: 0.5, anchor: 'middle' },
    { part: 1, anchor: 'end' },
  ].map(
    ({ part, anchor }) =>
      `<text x="${n(LEFT + part * (WIDTH - LEFT))}" y="${HEIGHT - 6}" text-anchor="${anchor}" font-size="11" fill="currentColor">${moment(new Date(first.at.getTime() + part * span), span)} UTC</text>`,
  );
  return `<svg viewBox="0 0 ${WIDTH} ${HEIGHT + LEGEND}" role="img" aria-label="Mails per second, up to ${n(most)}" xmlns="http://www.w3.org/2000/svg">${lines.join('')}${bars.join('')}${times.join('')}${legend()}</svg>`;
}

/** Shares of a whole as one horizontal bar. Empty parts are left out. */
export function shareChart(
  parts: readonly { readonly name: Outcome | 'open'; readonly recipients: number }[],
): string {
  const total = parts.reduce((sum, { recipients }) => sum + recipients, 0);
  if (total === 0) return '';
  let from = 0;
  const bars = parts
    .filter(({ recipients }) => recipients > 0)
    .map(({ name, recipients }) => {
      const width = (recipients / total) * WIDTH;
      const bar = `<rect x="${n(from)}" y="0" width="${n(Math.max(width, 1))}" height="28" fill="${COLOURS[name]}"><title>${name}: ${recipients}</title></rect>`;
      from += width;
      return bar;
    });
  return `<svg viewBox="0 0 ${WIDTH} 28" role="img" aria-label="Shares of the outcomes" xmlns="http://www.w3.org/2000/svg">${bars.join('')}</svg>`;
}
