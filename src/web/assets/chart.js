/* Mails a second over time. uPlot draws; it is loaded when there is something to draw. */
import { ask, data, find, language, show, t } from './dom.js';
import { rate } from './format.js';

/** Seconds of a span of the table. */
const SPAN = 5;
/** Points beyond which the server is asked for longer ones. */
const MOST = 450;
/** Milliseconds between two looks at the whole when points are longer than a span. */
const AGAIN_MS = 10_000;

let step = SPAN;
let points = new Map();
let askedAt = 0;
let loaded = false;
let plot = null;
let drawn = '';

async function load() {
  askedAt = Date.now();
  const timeline = await ask(`/api/campaigns/${encodeURIComponent(data.name)}/timeline`);
  step = timeline.step;
  points = new Map(timeline.points.map(([at, sent, failed]) => [at / 1000, [sent, failed]]));
  loaded = true;
}

/** Takes the last spans of the stream and draws. */
export async function drawChart(spans, running) {
  try {
    const again = step > SPAN ? running && Date.now() - askedAt > AGAIN_MS : points.size > MOST;
    if ((!loaded && askedAt === 0) || again) await load();
  } catch {
    // The banner says why; the next change of the numbers tries again.
    askedAt = 0;
    return;
  }
  if (!loaded) return;
  if (step === SPAN) for (const [at, sent, failed] of spans) points.set(at / 1000, [sent, failed]);
  await draw(running);
}

/** Columns of times, sent a second and failed a second; times at which nothing was done are zeros. */
function columns(running) {
  const times = [...points.keys()].sort((a, b) => a - b);
  // What is still being filled looks like a fall.
  if (running && times.length > 1) times.pop();
  const [first, last] = [times[0], times.at(-1)];
  const x = [];
  for (let at = first; at <= last; at += step) x.push(at);
  const of = (which) => x.map((at) => (points.get(at)?.[which] ?? 0) / step);
  return [x, of(0), of(1)];
}

async function draw(running) {
  const element = find('chart');
  show(find('chart-none'), points.size === 0);
  show(element, points.size > 0);
  if (points.size === 0) return;
  const table = columns(running);
  const now = JSON.stringify(table);
  if (now === drawn) return;
  drawn = now;
  const most = table[1].reduce((a, b) => Math.max(a, b), 0);
  element.setAttribute('aria-label', t('chartLabel', { now: rate(table[1].at(-1)), most: rate(most) }));
  // One point is no line.
  const shown =
    table[0].length > 1 ? table : table.map((column, i) => [i === 0 ? column[0] - step : 0, ...column]);
  if (plot === null) await makePlot(element, shown);
  else plot.setData(shown);
  // Below stand the latest numbers, or those under the pointer.
  if (plot.cursor.idx === null || plot.cursor.idx === undefined) plot.setLegend({ idx: shown[0].length - 1 });
}

async function makePlot(element, table) {
  const { default: UPlot } = await import('./uplot.js');
  const make = (rows) => {
    plot?.destroy();
    plot = new UPlot(optionsOf(element), rows, element);
  };
  make(table);
  const again = () => make(plot.data);
  matchMedia('(prefers-color-scheme: dark)').addEventListener('change', again);
  new ResizeObserver(() => plot.setSize(sizeOf(element))).observe(element);
}

const sizeOf = (element) => ({ width: Math.max(200, element.clientWidth), height: 220 });

function optionsOf(element) {
  const style = getComputedStyle(document.documentElement);
  const colour = (name) => style.getPropertyValue(name).trim();
  const axis = {
    stroke: colour('--quiet'),
    grid: { stroke: colour('--line'), width: 1 },
    ticks: { stroke: colour('--line'), width: 1 },
    font: `12px ${style.getPropertyValue('--font')}`,
  };
  const clock = new Intl.DateTimeFormat(language, {
    hour: '2-digit',
    minute: '2-digit',
    second: '2-digit',
    hourCycle: 'h23',
  });
  const when = (s) => clock.format(new Date(s * 1000));
  return {
    ...sizeOf(element),
    padding: [12, 28, 0, 0],
    // The line of the third column, failed, is dashed below as it is above.
    legend: { markers: { dash: (_, i) => (i === 2 ? 'dashed' : 'solid') } },
    cursor: { drag: { x: false, y: false }, points: { size: 7 } },
    axes: [
      { ...axis, values: (_, ticks) => ticks.map(when), space: 90 },
      { ...axis, values: (_, ticks) => ticks.map(rate), size: 60 },
    ],
    scales: { y: { range: (_, _min, max) => [0, Math.max(1, max * 1.1)] } },
    series: [
      { label: t('chartTime'), value: (_, s) => (s === null ? '–' : when(s)) },
      {
        label: t('chartSent'),
        stroke: colour('--sent'),
        fill: colour('--sent-soft'),
        width: 2,
        points: { show: false },
        value: (_, n) => (n === null ? '–' : t('perSecond', { n: rate(n) })),
      },
      {
        label: t('chartFailed'),
        stroke: colour('--rejected'),
        width: 2,
        dash: [5, 4],
        points: { show: false },
        value: (_, n) => (n === null ? '–' : t('perSecond', { n: rate(n) })),
      },
    ],
  };
}
