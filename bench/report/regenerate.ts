import { readFile } from 'node:fs/promises';
import path from 'node:path';
import type { Raw } from '../raw.ts';
import { HOME, writeReport } from './write.ts';

/*
 * The report anew from the raw figures that there are.
 *
 *   npm run bench:report               docs/benchmarks/
 *   npm run bench:report -- FOLDER     a folder with another queues.json
 */
const folder = process.argv[2] ?? HOME;
const raw = JSON.parse(await readFile(path.join(folder, 'queues.json'), 'utf8')) as Raw;
if (raw.kind !== 'sendstate-bench' || raw.format !== 2)
  throw new Error(`${folder}/queues.json is not what this version of the benchmark writes: measure again`);
await writeReport(raw, folder);
