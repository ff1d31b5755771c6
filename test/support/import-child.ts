/**
 * An import in a process of its own, for tests that kill it: `node import-child.ts DATABASE_URL CAMPAIGN_ID`, the list on
 * standard input. Writes the number of rows that the database has taken, a line a chunk.
 */
import { openDatabase } from '../../src/database/connect.ts';
import { importRecipients } from '../../src/import/import.ts';

const [url = '', campaignId = ''] = process.argv.slice(2);
const database = await openDatabase(url, { max: 1 });
try {
  await importRecipients(database.pool, {
    campaignId: Number(campaignId),
    campaignName: 'the campaign',
    source: process.stdin as AsyncIterable<Buffer>,
    fileName: 'standard input',
    rejects: null,
    bounds: { chunkRows: 500 },
    onProgress: (progress) => process.stdout.write(`${progress.imported}\n`),
  });
} finally {
  await database.close();
}
