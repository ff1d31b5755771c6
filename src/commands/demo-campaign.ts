import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { create } from '../api/create.ts';
import { cancel } from '../api/lifecycle.ts';
import type { App } from '../api/sendstate.ts';
import { campaigns, status } from '../api/status.ts';
import { SendstateError } from '../errors.ts';

/** examples/ of the package, seen from src/commands/ and from dist/commands/ alike. */
const EXAMPLES = path.join(import.meta.dirname, '..', '..', 'examples');
/** A demo that runs for longer than this without a worker was killed, milliseconds. */
const ABANDONED_MS = 60_000;

/** Demos that were killed in the middle must not wait for a worker with a real relay. */
export async function cancelAbandoned(app: App): Promise<void> {
  for (const { name, startedAt, status: now } of await campaigns(app)) {
    if (!/^demo-\d+$/.test(name) || now !== 'running' || startedAt === null) continue;
    if (Date.now() - startedAt.getTime() < ABANDONED_MS) continue;
    const { workers } = await status(app, name);
    if (!workers.some(({ state }) => state === 'alive')) await cancel(app, name);
  }
}

/** A campaign under the first free name of demo-1, demo-2 … */
export async function createDemo(app: App): Promise<string> {
  const html = await readFile(path.join(EXAMPLES, 'points.hbs'), 'utf8');
  const numbers = (await campaigns(app)).map(({ name }) => Number(/^demo-(\d{1,9})$/.exec(name)?.[1] ?? 0));
  for (let number = Math.max(0, ...numbers) + 1; ; number++) {
    const name = `demo-${number}`;
    try {
      await create(app, {
        name,
        html,
        from: '예시책방 <news@shop.example.com>',
        subject: '{{이름}}님, {{포인트}}포인트가 {{만료일}}에 사라집니다',
        headers: {
          'List-Unsubscribe': '<https://shop.example.com/unsubscribe/{{email}}>',
          'List-Unsubscribe-Post': 'List-Unsubscribe=One-Click',
        },
      });
      return name;
    } catch (error) {
      // Another demo took the name at this moment.
      if (!(error instanceof SendstateError) || error.code !== 'campaign-exists') throw error;
    }
  }
}

/** The first `limit` people of people.csv. No cell of it holds a line break. */
export async function* firstPeople(limit: number): AsyncGenerator<Buffer> {
  const lines = (await readFile(path.join(EXAMPLES, 'people.csv'), 'utf8')).split('\n');
  yield Buffer.from(`${lines.slice(0, limit + 1).join('\n')}\n`);
}
