import { spawn } from 'node:child_process';
import { randomInt } from 'node:crypto';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import { beforeAll, describe, expect, test } from 'vitest';
import { tinyDisk } from '../../bench/torture/disk.ts';

const program = fileURLToPath(new URL('../../bench/torture.ts', import.meta.url));

/** Two seeds: one that is always the same, and one that is new each time, printed so that it can be run again. */
const FIXED_SEED = 20_260;
const RANDOM_SEED = randomInt(2 ** 31);

interface Run {
  readonly result: unknown;
  readonly stderr: string;
}

async function torture(...args: string[]): Promise<Run> {
  const child = spawn(process.execPath, [program, '--json', ...args], { stdio: ['ignore', 'pipe', 'pipe'] });
  const exited = once(child, 'exit');
  const [stdout, stderr] = await Promise.all([text(child.stdout), text(child.stderr)]);
  process.stderr.write(`torture ${args.join(' ')}: ${stdout}`);
  // Everything that happened, when it is not as it must be.
  expect(await exited, stderr).toEqual([0, null]);
  return { result: JSON.parse(stdout.trimEnd().split('\n').at(-1) ?? ''), stderr };
}

/** Where a file system can be mounted a full disk belongs to the torture. */
let leftOut: readonly string[];

beforeAll(async () => {
  const folder = await mkdtemp(path.join(tmpdir(), 'sendstate-mount-'));
  const disk = await tinyDisk(path.join(folder, 'disk'), 1, null);
  leftOut = typeof disk === 'string' ? ['fill-disk'] : [];
  if (typeof disk !== 'string') disk.remove();
  await rm(folder, { recursive: true });
});

test('an outage of the database costs its time and nothing else', { timeout: 300_000 }, async () => {
  const args = ['--outage', '6', '--quick', '--recipients', '500', '--seed', `${FIXED_SEED}`];
  const { result, stderr } = await torture(...args);
  expect(result, stderr).toMatchObject({ outageSeconds: 6, lost: 0, duplicated: 0, broken: 0 });
  expect(stderr).toContain('stop-database: 6 s');
});

/**
 * Its own server, its own sink, real processes: ten of them die in each run. One campaign resends, the other one holds. Both at
 * once, for they mostly wait: for leases, and for a relay that is slow on purpose.
 */
describe.concurrent.each([FIXED_SEED, RANDOM_SEED])('torture with seed %i', (seed) => {
  test('no recipient is lost, and no more are doubled than was promised', { timeout: 300_000 }, async () => {
    const { result, stderr } = await torture('--quick', '--seed', `${seed}`, '--on-unconfirmed', 'mixed');
    expect(result, stderr).toMatchObject({
      ...{ seed, kills: 10, lost: 0, stuck: 0, counterDrift: 0, broken: 0, faultsLeftOut: leftOut },
      faults: { 'kill-worker': 6, 'freeze-worker': 1, 'term-worker': 1 },
    });
    expect(stderr).toContain(`seed ${seed}`);
    expect(stderr).toMatch(/kill-worker: w\d+, which held [1-9]/);
  });
});
