import type { Machine } from '../raw.ts';
import type { Run, RunOptions } from './figures.ts';

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
  return [about, '', HEAD, ...lines].join('\n');
}
