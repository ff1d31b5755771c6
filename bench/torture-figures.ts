import { mkdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { writeBetween } from './between.ts';
import { readMachine } from './machine.ts';
import { say } from './server.ts';
import { type Asked, type Run, runAll } from './torture/figures.ts';
import { type Figures, tableOf } from './torture/table.ts';

/*
 * npm run torture:figures -- --parallel 2
 *
 * Many seeds of `npm run torture`, so many at a time: the raw results in docs/benchmarks/torture.json and their table in
 * docs/benchmarks.md. Exits 1 when a promise was broken anywhere. Each run has a server, a relay, a scratch folder and a
 * mount of its own; what they share is the machine, and too many at once make rescues late.
 *
 *   --resend N --hold N        seeds of each policy, default 10
 *   --first N                  the first seed, default 1001; those that hold begin at 1000 more
 *   --kills N --recipients N   of each run, default 100 and 10000
 *   --parallel N               default 1
 *   --out FOLDER               torture.json and torture.md there, and the documentation stays as it is
 */
const { values } = parseArgs({
  options: {
    resend: { type: 'string', default: '10' },
    hold: { type: 'string', default: '10' },
    first: { type: 'string', default: '1001' },
    kills: { type: 'string', default: '100' },
    recipients: { type: 'string', default: '10000' },
    parallel: { type: 'string', default: '1' },
    out: { type: 'string' },
  },
});

function whole(name: Exclude<keyof typeof values, 'out'>, least: number): number {
  const value = Number(values[name]);
  if (!Number.isSafeInteger(value) || value < least)
    throw new Error(`--${name} must be a whole number from ${least}`);
  return value;
}

/** Seeds of the two policies are this far apart. */
const APART = 1_000;
const first = whole('first', 0);
const seeds = (policy: Asked['policy'], count: number, from: number): Asked[] =>
  Array.from({ length: count }, (_, n) => ({ policy, seed: from + n }));
const asked = [
  ...seeds('resend', whole('resend', 0), first),
  ...seeds('hold', whole('hold', 0), first + APART),
];
const options = {
  kills: whole('kills', 1),
  recipients: whole('recipients', 100),
  parallel: whole('parallel', 1),
};

const began = Date.now();
const runs = await runAll(asked, options, say);
/** Where the evidence of a broken run lies is said while it runs, and means nothing elsewhere. */
const promisesOnly = (run: Run): Run => ({
  ...run,
  brokenLines: run.brokenLines.filter((line) => !line.includes('evidence:')),
});
const figures: Figures = {
  kind: 'sendstate-torture',
  format: 1,
  measuredAt: new Date(began).toISOString(),
  seconds: Math.round((Date.now() - began) / 1000),
  machine: readMachine(),
  options,
  runs: runs.map(promisesOnly),
};
const docs = fileURLToPath(new URL('../docs', import.meta.url));
const folder = values.out ?? path.join(docs, 'benchmarks');
await mkdir(folder, { recursive: true });
await writeFile(path.join(folder, 'torture.json'), `${JSON.stringify(figures, null, 2)}\n`);
const table = tableOf(figures);
if (values.out === undefined) await writeBetween(path.join(docs, 'benchmarks.md'), 'torture', table);
else await writeFile(path.join(folder, 'torture.md'), `${table}\n`);
say(table);
if (runs.some(({ result, brokenLines }) => result === null || brokenLines.length > 0)) process.exitCode = 1;
