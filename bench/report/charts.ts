import { parse, View } from 'vega';
import { compile, type TopLevelSpec } from 'vega-lite';
import type { Raw } from '../raw.ts';
import { CLAIMED } from './answer.ts';
import type { ChartFile } from './page.ts';
import { type Row, TIERS, tiersOf } from './rows.ts';
import { rounded } from './words.ts';

/** A chart as text. */
export interface Chart extends ChartFile {
  readonly svg: string;
}

/** Readable on white and on black: the background stays transparent. */
const GREY = '#808080';
const OWN = '#3b82c4';
const OTHER = '#b0855a';

const STYLE = {
  background: 'transparent',
  padding: 8,
  font: 'sans-serif',
  view: { stroke: null },
  axis: {
    labelColor: GREY,
    titleColor: GREY,
    gridColor: GREY,
    gridOpacity: 0.25,
    domainColor: GREY,
    tickColor: GREY,
  },
  legend: { labelColor: GREY, titleColor: GREY },
  title: { color: GREY, subtitleColor: GREY, anchor: 'start', fontSize: 13, subtitleFontSize: 11 },
} as const;

async function draw(spec: object): Promise<string> {
  const full = { $schema: 'https://vega.github.io/schema/vega-lite/v6.json', config: STYLE, ...spec };
  const view = new View(parse(compile(full as TopLevelSpec).spec), { renderer: 'none' });
  try {
    return `${await view.toSVG()}\n`;
  } finally {
    view.finalize();
  }
}

const WIDTH = 560;
/** Height of a bar with its gap. */
const BAR = 24;

interface Bar {
  readonly design: string;
  readonly what: string;
  readonly value: number;
  readonly low: number;
  readonly high: number;
}

interface Line {
  readonly design: string;
  readonly at: number;
  readonly value: number;
}

function title(text: string, raw: Raw): object {
  return {
    text,
    subtitle: `${raw.machine.cores} cores for everything; the sink alone takes ${rounded(raw.sinkPerSecond)} mails/s`,
  };
}

/** Bars with their intervals, the longest first, one panel for each `what`. */
function bars(values: readonly Bar[], heading: object, axis: string, rules: readonly number[] = []): object {
  const order = [...new Set([...values].sort((a, b) => b.value - a.value).map(({ design }) => design))];
  const y = { field: 'design', type: 'nominal', sort: order, title: null };
  const panels = [...new Set(values.map(({ what }) => what))];
  const panel = (what: string) => ({
    ...(panels.length === 1 ? {} : { title: what }),
    width: panels.length === 1 ? WIDTH : WIDTH / 2 - 40,
    height: order.length * BAR,
    data: { values: values.filter((one) => one.what === what) },
    layer: [
      {
        mark: { type: 'bar', height: { band: 0.7 } },
        encoding: {
          y,
          x: { field: 'value', type: 'quantitative', title: axis },
          color: { condition: { test: "datum.design === 'postgres'", value: OWN }, value: OTHER },
        },
      },
      {
        mark: { type: 'rule', color: GREY },
        encoding: { y, x: { field: 'low', type: 'quantitative' }, x2: { field: 'high' } },
      },
      ...rules.map((at) => ({
        data: { values: [{ at }] },
        mark: { type: 'rule', strokeDash: [4, 4], color: GREY },
        encoding: { x: { field: 'at', type: 'quantitative' } },
      })),
    ],
  });
  return { title: heading, hconcat: panels.map(panel), resolve: { scale: { x: 'shared' } } };
}

/** Lines over a logarithmic axis. */
function lines(values: readonly Line[], heading: object, axis: string): object {
  return {
    title: heading,
    width: WIDTH - 120,
    height: 280,
    data: { values },
    mark: { type: 'line', point: true },
    encoding: {
      x: { field: 'at', type: 'quantitative', title: axis, scale: { type: 'log' } },
      y: { field: 'value', type: 'quantitative', title: 'mails/s', scale: { type: 'log' } },
      color: { field: 'design', type: 'nominal', title: null },
    },
  };
}

/** All charts of a report: one for each figure and tier, because tiers are never compared. */
export async function chartsOf(raw: Raw, rows: readonly Row[]): Promise<Chart[]> {
  const charts: Chart[] = [];
  const add = async (
    figure: string,
    tier: Row['tier'],
    text: string,
    spec: (heading: object) => object | null,
  ) => {
    const words = `${text}: tier ${tier}, ${TIERS[tier]}`;
    const made = spec(title(words, raw));
    if (made !== null)
      charts.push({
        figure,
        file: `${figure}-${tier.toLowerCase()}.svg`,
        title: words,
        svg: await draw(made),
      });
  };
  for (const tier of tiersOf(rows)) {
    const some = rows.filter((row) => row.tier === tier);
    await add('campaign', tier, 'The campaign, mails/s', (heading) =>
      barsOf(some, [['', (row) => row.mails]], heading, 'mails/s'),
    );
    await add('distance', tier, 'Mails/s by the relay’s delay', (heading) =>
      linesOf(some, (row) => row.byDelay, heading, 'milliseconds'),
    );
    await add('queue', tier, 'The queue alone; dashed: 20,000 and 100,000 as claimed', (heading) =>
      barsOf(
        some,
        [
          ['in', (row) => row.publish],
          ['out', (row) => row.consume],
        ],
        heading,
        'people/s',
        Object.values(CLAIMED),
      ),
    );
    await add('bytes', tier, 'Bytes written a mail', (heading) =>
      barsOf(some, [['', (row) => row.deviceBytes]], heading, 'bytes'),
    );
    await add('growth', tier, 'Mails/s by people', (heading) =>
      linesOf(some, (row) => row.byPeople, heading, 'people'),
    );
  }
  return charts;
}

function barsOf(
  rows: readonly Row[],
  panels: readonly (readonly [string, (row: Row) => Row['mails']])[],
  heading: object,
  axis: string,
  rules: readonly number[] = [],
): object | null {
  const values = panels.flatMap(([what, read]) =>
    rows.flatMap((row): Bar[] => {
      const found = read(row);
      return found === null
        ? []
        : [{ design: row.key, what, value: found.median, low: found.low, high: found.high }];
    }),
  );
  return values.length === 0 ? null : bars(values, heading, axis, rules);
}

function linesOf(
  rows: readonly Row[],
  read: (row: Row) => ReadonlyMap<number, number>,
  heading: object,
  axis: string,
): object | null {
  const values = rows.flatMap((row) => {
    // A logarithmic axis has no 0: next door is not on it. One point is no line.
    const points = [...read(row)].filter(([at]) => at > 0);
    return points.length < 2 ? [] : points.map(([at, value]): Line => ({ design: row.key, at, value }));
  });
  return new Set(values.map(({ at }) => at)).size < 2 ? null : lines(values, heading, axis);
}
