import { spawnSync } from 'node:child_process';
import process from 'node:process';
import { BARE, findProgram } from '../../bench/installed.ts';

/** Runs promtool of Debian's package prometheus. */
export function promtool(args: readonly string[], input = ''): { status: number | null; output: string } {
  const { status, stdout, stderr, error } = spawnSync('promtool', args, { encoding: 'utf8', input });
  if (error !== undefined) throw error;
  return { status, output: `${stdout}${stderr}` };
}

const installed = findProgram('promtool') !== null;

/** Where CI is set there is no way around it: what is checked nowhere is not checked. */
export const hasPromtool = installed || ((process.env.CI ?? '') !== '' && !BARE);
if (!installed) {
  process.stderr.write(
    'promtool is not installed (Debian package prometheus): rules and names are checked by their form alone\n',
  );
}
