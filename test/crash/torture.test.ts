import { spawn } from 'node:child_process';
import { randomInt } from 'node:crypto';
import { once } from 'node:events';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';

const program = fileURLToPath(new URL('../../bench/torture.ts', import.meta.url));

/** Two seeds: one that is always the same, and one that nobody has seen; who wants to see it again finds it in the output. */
const FIXED_SEED = 20_260;
const RANDOM_SEED = randomInt(2 ** 31);

/** Its own server, its own sink, real processes: more than ten of them die in each run. */
describe.each([
  { seed: FIXED_SEED, policy: 'hold' },
  { seed: RANDOM_SEED, policy: 'resend' },
])('torture with seed $seed, $policy', ({ seed, policy }) => {
  test('nobody is lost, and no more are doubled than was promised', { timeout: 300_000 }, async () => {
    const args = ['--quick', '--json', '--seed', String(seed), '--on-unconfirmed', policy];
    const child = spawn(process.execPath, [program, ...args], { stdio: ['ignore', 'pipe', 'pipe'] });
    const exited = once(child, 'exit');
    const [stdout, stderr] = await Promise.all([text(child.stdout), text(child.stderr)]);
    process.stderr.write(`torture, ${policy}: ${stdout}`);
    // Everything that happened, when it is not as it must be.
    expect(await exited, stderr).toEqual([0, null]);
    const result: unknown = JSON.parse(stdout.trimEnd().split('\n').at(-1) ?? '');
    expect(result, stderr).toMatchObject({
      seed,
      kills: 10,
      lost: 0,
      stuck: 0,
      counterDrift: 0,
      broken: 0,
      ...(policy === 'hold' ? { duplicated: 0 } : { unconfirmed: 0 }),
    });
    expect(stderr).toContain(`seed ${seed}`);
    expect(stderr).toMatch(/kill-worker: w\d+, which held [1-9]/);
  });
});
