import { open } from '../src/api/sendstate.ts';
import { status } from '../src/api/status.ts';
import { type DispatchRun, dispatch, fillCampaign } from './dispatch-table.ts';
import { textbook } from './dispatch-textbook.ts';
import { measureImport } from './import.ts';
import { flag, median, say, startBenchServer } from './server.ts';

/*
 * How fast the table itself is: 0→1→2 without mail, against the textbook table, in one run, in turn.
 *
 *   npm run bench:dispatch                            a few minutes
 *   npm run bench:dispatch -- --json                  the last line is JSON
 *   npm run bench:dispatch -- --rows 20000 --large 100000 --import 50000 --rounds 1      a quick look
 */
const rows = flag('rows', 200_000);
const large = flag('large', 5_000_000);
const imported = flag('import', 1_000_000);
const rounds = flag('rounds', 3);
const clients = flag('clients', 2);
const batch = flag('batch', 500);

const shown = (n: number) => Math.round(n).toLocaleString('en-US');

async function statusMs(url: string): Promise<number> {
  const app = await open({ databaseUrl: url });
  try {
    const times: number[] = [];
    for (let i = 0; i < 21; i++) {
      const start = performance.now();
      await status(app, 'dispatch');
      times.push(performance.now() - start);
    }
    return median(times);
  } finally {
    await app.close();
  }
}

const server = await startBenchServer();
try {
  say(
    `PostgreSQL: ${server.source}; ${rows} rows, ${clients} clients, claims of ${batch}, ${rounds} rounds after a warm-up`,
  );
  const ours: DispatchRun[] = [];
  const theirs: number[] = [];
  for (let round = 0; round <= rounds; round++) {
    const url = await server.database();
    const run = await dispatch(url, await fillCampaign(url, rows), clients, batch);
    const plain = await textbook(await server.database({ migrated: false }), rows, clients, batch);
    say(
      `${round === 0 ? 'warm-up' : `round ${round}`}: ${shown(run.rowsPerSecond)} rows/s (${shown(run.walBytesPerRow)} bytes of WAL a row, ${run.nodeCpu.toFixed(2)} cores of Node), textbook ${shown(plain)} rows/s`,
    );
    if (round > 0) {
      ours.push(run);
      theirs.push(plain);
    }
  }
  const rowsPerSecond = median(ours.map((run) => run.rowsPerSecond));
  const textbookRowsPerSecond = median(theirs);
  say(`${(rowsPerSecond / textbookRowsPerSecond).toFixed(1)} times the textbook table`);

  const largeUrl = await server.database();
  say(`Filling ${shown(large)} rows …`);
  const largeRun = await dispatch(largeUrl, await fillCampaign(largeUrl, large), clients, batch);
  const growthRatio = rowsPerSecond / largeRun.rowsPerSecond;
  say(
    `${shown(large)} rows: ${shown(largeRun.rowsPerSecond)} rows/s; a row costs ${growthRatio.toFixed(2)} times what it costs at ${shown(rows)}`,
  );
  const statusMedian = await statusMs(largeUrl);
  say(`status of ${shown(large)} recipients: ${statusMedian.toFixed(1)} ms`);

  const { importRowsPerSecond, importRssMb } = await measureImport(await server.database(), imported);
  say(
    `import of ${shown(imported)} rows: ${shown(importRowsPerSecond)} rows/s, ${Math.round(importRssMb)} MB resident at most`,
  );
  const result = {
    rowsPerSecond: Math.round(rowsPerSecond),
    textbookRowsPerSecond: Math.round(textbookRowsPerSecond),
    growthRatio: Number(growthRatio.toFixed(3)),
    importRowsPerSecond: Math.round(importRowsPerSecond),
    importRssMb: Math.round(importRssMb),
    statusMs: Number(statusMedian.toFixed(2)),
  };
  if (process.argv.includes('--json')) process.stdout.write(`${JSON.stringify(result)}\n`);
} finally {
  await server.stop();
}
