import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import type { Policy } from './campaigns.ts';
import type { TortureResult } from './run.ts';

/** One run that is wanted. */
export interface Asked {
  readonly seed: number;
  readonly policy: Policy;
}

export interface RunOptions {
  readonly kills: number;
  readonly recipients: number;
  readonly parallel: number;
}

/** The last line of a run. */
export type Result = Omit<TortureResult, 'broken'> & { readonly seed: number; readonly broken: number };

export interface Run extends Asked {
  /** Null: the run itself failed. */
  readonly result: Result | null;
  /** Promises that were not kept, or the last words of a run that failed. */
  readonly brokenLines: readonly string[];
}

const program = fileURLToPath(new URL('../torture.ts', import.meta.url));

/** All that are asked for, so many at a time, in their order. */
export async function runAll(
  asked: readonly Asked[],
  options: RunOptions,
  say: (line: string) => void,
): Promise<Run[]> {
  const runs: Run[] = [];
  let next = 0;
  const work = async () => {
    for (let at = next++; at < asked.length; at = next++) {
      const one = asked[at];
      if (one === undefined) return;
      say(`${one.policy}, seed ${one.seed}: begins (${at + 1} of ${asked.length})`);
      const run = await runOne(one, options);
      runs[at] = run;
      say(`${one.policy}, seed ${one.seed}: ${JSON.stringify(run.result)}`);
      for (const line of run.brokenLines) say(line);
    }
  };
  await Promise.all(Array.from({ length: options.parallel }, work));
  return runs;
}

async function runOne({ seed, policy }: Asked, { kills, recipients }: RunOptions): Promise<Run> {
  const numbers = Object.entries({ seed, kills, recipients }).flatMap(([name, n]) => [`--${name}`, `${n}`]);
  const args = [program, '--json', '--on-unconfirmed', policy, ...numbers];
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'pipe'] });
  const end = () => child.kill('SIGTERM');
  process.once('exit', end);
  const exited = once(child, 'exit');
  const [stdout, stderr] = await Promise.all([text(child.stdout), text(child.stderr)]);
  const [code, signal] = await exited;
  process.off('exit', end);
  const lines = stderr.trimEnd().split('\n');
  const last = stdout.trimEnd().split('\n').at(-1) ?? '';
  if (last === '')
    return { seed, policy, result: null, brokenLines: [`ended with ${signal ?? code}`, ...lines.slice(-10)] };
  const result = JSON.parse(last) as Result;
  return { seed, policy, result, brokenLines: lines.filter((line) => /BROKEN|evidence:/.test(line)) };
}
