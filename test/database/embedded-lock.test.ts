import { spawn } from 'node:child_process';
import { once } from 'node:events';
import path from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { withLock } from '../../src/embedded/lock.ts';
import { makeScratch, removeScratch } from '../support/scratch.ts';

let directory: string;

beforeAll(async () => {
  directory = await makeScratch('lock');
});

afterAll(() => removeScratch(directory));

test('one at a time', async () => {
  let inside = 0;
  let most = 0;
  const work = async () => {
    most = Math.max(most, ++inside);
    await new Promise((resolve) => setImmediate(resolve));
    inside--;
  };
  await Promise.all(Array.from({ length: 5 }, () => withLock(directory, 10_000, work)));
  expect({ most, inside }).toEqual({ most: 1, inside: 0 });
});

test('another directory has another lock', async () => {
  const inner = withLock(directory, 1_000, () =>
    withLock(path.join(directory, 'other'), 0, async () => 'both'),
  );
  expect(await inner).toBe('both');
});

test('work that throws gives it back', async () => {
  await expect(withLock(directory, 0, () => Promise.reject(new Error('no')))).rejects.toThrow('no');
  expect(await withLock(directory, 0, async () => 'free')).toBe('free');
});

test('held by another process: a bounded wait with a message; a killed process holds nothing', async () => {
  const module = path.resolve(import.meta.dirname, '../../src/embedded/lock.ts');
  const program = `import { withLock } from ${JSON.stringify(module)};
    await withLock(${JSON.stringify(directory)}, 0, () => { console.log('held'); return new Promise(() => setInterval(() => {}, 1000)); });`;
  const child = spawn(process.execPath, ['--input-type=module', '-e', program], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  await once(child.stdout, 'data');
  await expect(withLock(directory, 100, async () => 'mine')).rejects.toMatchObject({
    code: 'embedded-locked',
  });
  child.kill('SIGKILL');
  await once(child, 'close');
  expect(await withLock(directory, 1_000, async () => 'mine')).toBe('mine');
});
