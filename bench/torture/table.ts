import type { Machine } from '../raw.ts';
import { median } from '../server.ts';
import type { Result, Run, RunOptions } from './figures.ts';

/** docs/benchmarks/torture.json. */
export interface Figures {
  readonly kind: 'sendstate-torture';
  readonly format: 1;
  readonly measuredAt: string;
  /** All runs together. */
  readonly seconds: number;
  readonly machine: Machine;
  readonly options: RunOptions;
  readonly runs: readonly Run[];
}

const HEAD = `| seed | policy | deaths | lost | duplicates | unconfirmed | stuck | drift | rescue: back in the table / sent: first, median, last | to finish | broken |
| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |`;

/** What docs/benchmarks.md shows of the raw results. */
export function tableOf({ measuredAt, seconds, machine, options, runs }: Figures): string {
  const { kills, recipients, parallel } = options;
  const minutes = (all: number) => (all / 60).toFixed(1);
  const about =
    `Measured on ${measuredAt.slice(0, 10)} on ${machine.cores} cores (${machine.cpu}), Node ${machine.node}: ` +
    `\`--kills ${kills} --recipients ${recipients}\`, ${parallel} at a time, ${minutes(seconds)} minutes in all.`;
  const lines = runs.map(({ seed, policy, result, brokenLines }) => {
    if (result === null) return `| ${seed} | ${policy} | failed: ${brokenLines[0]} | | | | | | | | |`;
    const { secondsToReturn, secondsToFirst, secondsToRescue, secondsToLast } = result;
    const sent = [secondsToFirst, secondsToRescue, secondsToLast].map((value) => value ?? '–').join(', ');
    const cells = [
      ...[seed, policy, result.kills, result.lost, `${result.duplicated} of at most ${result.bound}`],
      ...[result.unconfirmed, result.stuck, result.counterDrift],
      ...[`${secondsToReturn ?? '–'} s / ${sent} s`, `${result.secondsToFinish} s`, result.broken],
    ];
    return `| ${cells.join(' | ')} |`;
  });
  const broken = runs.flatMap(({ brokenLines }) => brokenLines.filter((line) => line.startsWith('BROKEN')));
  return [about, '', HEAD, ...lines, together(runs), ...brokenList(broken)].join('\n');
}

/** The last line of the table: sums, and the median of the runs' medians. */
function together(runs: readonly Run[]): string {
  const results = runs.flatMap(({ result }) => (result === null ? [] : [result]));
  const sum = (value: (result: Result) => number) => results.reduce((all, one) => all + value(one), 0);
  const middle = (value: (result: Result) => number | null) => {
    const values = results.flatMap((one) => value(one) ?? []);
    return values.length === 0 ? '–' : Number(median(values).toFixed(2));
  };
  const [first, half, last] = [
    middle((one) => one.secondsToFirst),
    middle((one) => one.secondsToRescue),
    middle((one) => one.secondsToLast),
  ];
  const cells = [
    ...['all', '', sum((one) => one.kills), sum((one) => one.lost)],
    `${sum((one) => one.duplicated)} of at most ${sum((one) => one.bound)}`,
    ...[sum((one) => one.unconfirmed), sum((one) => one.stuck), sum((one) => one.counterDrift)],
    `${middle((one) => one.secondsToReturn)} s / ${first}, ${half}, ${last} s (medians)`,
    ...[`${middle((one) => one.secondsToFinish)} s`, sum((one) => one.broken)],
  ];
  return `| ${cells.join(' | ')} |`;
}

function brokenList(lines: readonly string[]): string[] {
  return lines.length === 0
    ? []
    : ['', 'What was broken:', '', ...lines.map((line) => `- ${line.slice('BROKEN '.length)}`)];
}
