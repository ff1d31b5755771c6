/* Numbers and times as people read them. */
import { language } from './dom.js';

const whole = new Intl.NumberFormat(language, { maximumFractionDigits: 0 });
const tenth = new Intl.NumberFormat(language, { maximumFractionDigits: 1 });
// As the chart's axis: one clock on a page.
const hourCycle = 'h23';
const clock = new Intl.DateTimeFormat(language, { timeStyle: 'medium', hourCycle });
const day = new Intl.DateTimeFormat(language, { dateStyle: 'medium', timeStyle: 'short', hourCycle });

export const count = (n) => whole.format(n);

export const rate = (n) => (n < 10 ? tenth : whole).format(n);

/** 0.999 is 99%: a hundred means every recipient. */
export const percent = (share) => `${Math.floor(share * 100)}%`;

const UNITS =
  language === 'ko' ? { d: '일', h: '시간', m: '분', s: '초' } : { d: ' d', h: ' h', m: ' min', s: ' s' };

/** Seconds as "8 s", "3 min 20 s", "2 h 5 min", "4 d 3 h". */
export function duration(seconds) {
  const s = Math.max(0, Math.round(seconds));
  const two = (n, large, m, small) => (m === 0 ? `${n}${large}` : `${n}${large} ${m}${small}`);
  if (s < 60) return `${s}${UNITS.s}`;
  if (s < 3600) return two(Math.floor(s / 60), UNITS.m, s % 60, UNITS.s);
  if (s < 86_400) return two(Math.floor(s / 3600), UNITS.h, Math.floor((s % 3600) / 60), UNITS.m);
  return two(Math.floor(s / 86_400), UNITS.d, Math.floor((s % 86_400) / 3600), UNITS.h);
}

/** A moment: today only the time. */
export function time(ms) {
  const at = new Date(ms);
  return at.toDateString() === new Date().toDateString() ? clock.format(at) : day.format(at);
}
