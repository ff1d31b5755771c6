import { mkdtemp, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import type { Database } from '../../src/database/connect.ts';
import type { WorkerLife } from './workers.ts';

/** What is needed to find out how a promise was broken: the sink's file, the tables, what each worker said. */
export async function keepEvidence(
  seed: number,
  database: Database,
  log: string,
  lives: readonly WorkerLife[],
): Promise<string> {
  const folder = await mkdtemp(path.join(tmpdir(), `sendstate-torture-broken-${seed}-`));
  await writeFile(path.join(folder, 'sink.log'), log);
  for (const table of ['worker', 'claim', 'recipient', 'campaign', 'counter', 'failure', 'attempt']) {
    const { rows } = await database.pool.query(`select * from ${table}`);
    await writeFile(
      path.join(folder, `${table}.jsonl`),
      rows.map((row) => `${JSON.stringify({ ...row, vars: undefined })}\n`).join(''),
    );
  }
  const said = lives.map(
    ({ name, pid, deaths, words }) =>
      `== ${name} pid ${pid} died at ${deaths.map(({ at }) => at).join(' ') || '-'}\n${words()}`,
  );
  await writeFile(path.join(folder, 'workers.txt'), said.join('\n'));
  return folder;
}
