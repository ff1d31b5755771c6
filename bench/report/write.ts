import { existsSync } from 'node:fs';
import { readdir, readFile, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Raw } from '../raw.ts';
import { say } from '../server.ts';
import { chartsOf } from './charts.ts';
import { withMeasured } from './choosing.ts';
import { CLUSTERS_FILE, type Clusters } from './clusters.ts';
import { page } from './page.ts';
import { rowsOf } from './rows.ts';

const ROOT = fileURLToPath(new URL('../../', import.meta.url));
/** Where the repository has its report. */
export const HOME = path.join(ROOT, 'docs/benchmarks');

/** The clusters' figures beside the others; null where there are none. */
export async function readClusters(folder: string): Promise<Clusters | null> {
  const file = path.join(folder, CLUSTERS_FILE);
  return existsSync(file) ? (JSON.parse(await readFile(file, 'utf8')) as Clusters) : null;
}

/**
 * Writes the page and the charts of a benchmark beside its raw figures; for the repository's own report also the measured part of
 * docs/choosing.md. Charts of an earlier report that this one does not have are removed.
 */
export async function writeReport(raw: Raw, folder: string): Promise<void> {
  const rows = rowsOf(raw);
  const charts = await chartsOf(raw, rows);
  const kept = new Set(charts.map(({ file }) => file));
  for (const name of await readdir(folder))
    if (/^(campaign|distance|queue|bytes|growth)-[abc]\.svg$/.test(name) && !kept.has(name))
      await rm(path.join(folder, name));
  for (const { file, svg } of charts) await writeFile(path.join(folder, file), svg);
  await writeFile(path.join(folder, 'queues.md'), page(raw, rows, charts, await readClusters(folder)));
  say(`${path.join(folder, 'queues.md')} and ${charts.length} charts are written`);
  if (path.resolve(folder) !== path.resolve(HOME)) return;
  const file = path.join(ROOT, 'docs/choosing.md');
  await writeFile(file, withMeasured(await readFile(file, 'utf8'), raw, rows));
}
