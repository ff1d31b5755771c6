import { createWriteStream } from 'node:fs';
import { readdir } from 'node:fs/promises';
import path from 'node:path';
import { finished } from 'node:stream/promises';
import { pathToFileURL } from 'node:url';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { type Shell, startShell } from '../support/cli.ts';

// Processes are started and leases run out: a few seconds, and many on a machine that does other things as well.
vi.setConfig({ testTimeout: 90_000 });

let shell: Shell;
beforeEach(async () => {
  shell = await startShell();
  await shell.write('t.txt', 'Hello');
  await shell.run(['create', 'big', '--from', 'n@example.com', '--subject', 'Hi', '--text', 't.txt']);
});
afterEach(() => shell.end());

/** Writes a list of people, each row so many bytes long. */
async function list(people: number, bytes: number): Promise<number> {
  const file = createWriteStream(path.join(shell.directory, 'people.csv'));
  file.write('email,note\n');
  const note = 'n'.repeat(bytes);
  for (let from = 0; from < people; from += 1000) {
    let text = '';
    for (let n = from; n < from + 1000; n++) text += `person${n}@example.com,${n}${note}\n`;
    if (!file.write(text)) await new Promise<void>((resolve) => file.once('drain', () => resolve()));
  }
  file.end();
  await finished(file);
  return file.bytesWritten;
}

const people = async () =>
  (await shell.fresh.pool.query<{ n: number }>('select count(*) as n from recipient')).rows[0]?.n;

describe('an import without much memory', () => {
  test('a file of more than the heap: it takes every row', async () => {
    const heap = 64;
    const bytes = await list(48_000, 1600);
    expect(bytes).toBeGreaterThan(heap * 1_100_000);
    const env = { NODE_OPTIONS: `--max-old-space-size=${heap}` };
    const imported = await shell.run(['import', 'big', 'people.csv'], { env });
    expect(imported.stderr).not.toContain('heap');
    expect(imported.code).toBe(0);
    expect(await people()).toBe(48_000);
  });

  test('that runs out of heap in the middle: the program crashes, no row is there, and the next import takes every row', async () => {
    await list(2_000, 100);
    // The program bounds what it reads, so something else beside it takes the heap, once it is told to.
    const hog =
      'process.once("SIGUSR2", () => { for (const all = []; ; ) all.push(new Array(100_000).fill(all)); });';
    const file = path.join(shell.directory, await shell.write('hog.mjs', hog));
    const env = { NODE_OPTIONS: `--max-old-space-size=64 --import=${pathToFileURL(file).href}` };
    const client = await shell.fresh.pool.connect();
    try {
      // Rows are in the table, and what follows them in the same transaction has to wait.
      await client.query('begin; lock table counter in share mode');
      const crashing = await shell.start(['import', 'big', 'people.csv'], { env });
      const waiting = `select 1 from pg_stat_activity where datname = current_database() and backend_xid is not null
        and wait_event_type = 'Lock' and application_name = 'sendstate'`;
      await expect
        .poll(async () => (await shell.fresh.pool.query(waiting)).rowCount, { timeout: 30_000, interval: 20 })
        .toBe(1);
      crashing.signal('SIGUSR2');
      const { signal, stderr } = await crashing.ended;
      expect(stderr).toContain('heap out of memory');
      expect(signal).toBe('SIGABRT');
    } finally {
      client.release(true);
    }
    expect(await people()).toBe(0);
    expect((await shell.run(['import', 'big', 'people.csv'])).code).toBe(0);
    expect(await people()).toBe(2_000);
  });

  test('ended by the kernel (SIGKILL) while rows are refused: no row and, after the next import, no half-written file', async () => {
    await shell.write('wrong.csv', `email,note\n${'nobody,x\nkim@example.com,y\n'.repeat(60_000)}`);
    const killed = await shell.start(['import', 'big', 'wrong.csv']);
    const partial = async () => (await readdir(shell.directory)).filter((name) => name.endsWith('.partial'));
    await expect.poll(partial, { timeout: 30_000, interval: 5 }).toHaveLength(1);
    killed.signal('SIGKILL');
    expect((await killed.ended).signal).toBe('SIGKILL');
    expect(await people()).toBe(0);
    expect(await partial()).toHaveLength(1);
    await shell.write('wrong.csv', 'email,note\nnobody,x\nkim@example.com,y\n');
    expect((await shell.run(['import', 'big', 'wrong.csv'])).code).toBe(0);
    expect(await partial()).toEqual([]);
    expect(await shell.read('wrong.rejects.csv')).toContain('nobody');
    expect(await people()).toBe(1);
  });
});
