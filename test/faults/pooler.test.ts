import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import { afterEach, describe, expect, test, vi } from 'vitest';
import { type CaptureServer, startCapture } from '../../src/capture/capture.ts';
import { countersAgree } from '../support/campaign.ts';
import { FLAGS } from '../support/crash.ts';
import { type FreshDatabase, freshDatabase } from '../support/database.ts';
import { type Pooler, poolerThere, startPooler } from '../support/pooler.ts';
import { endProcesses, runCli, startCli } from '../support/process.ts';
import { makeScratch, removeScratch } from '../support/scratch.ts';
import { truth } from '../support/truth.ts';

// Processes are started and leases run out: a few seconds, and many on a machine that does other things as well.
vi.setConfig({ testTimeout: 90_000 });

if (!poolerThere) {
  process.stderr.write(
    'Without the tests through PgBouncer: it is not installed, see test/support/install-peers.sh\n',
  );
}

let fresh: FreshDatabase;
let relay: CaptureServer;
let pooler: Pooler;
const folders: string[] = [];
afterEach(async () => {
  await endProcesses();
  await pooler?.end();
  await relay?.close();
  await fresh?.drop();
  for (const folder of folders.splice(0)) await removeScratch(folder);
});

const PEOPLE = 800;
const csv = `email,name\n${Array.from({ length: PEOPLE }, (_, i) => `person${i}@example.com,Person ${i}\n`).join('')}`;

describe.runIf(poolerThere)('PgBouncer in transaction mode', () => {
  test('the whole life of a campaign, its tables included, with the pooler killed in the middle', async () => {
    fresh = await freshDatabase({ migrated: false });
    relay = await startCapture();
    pooler = await startPooler(fresh.url);
    const env = { DATABASE_URL: pooler.through(fresh.url), SMTP_URL: `${relay.url}?connections=2` };
    const ok = async (...args: string[]) => {
      const ended = await runCli(args, { env, input: csv });
      expect(ended.code, `${args.join(' ')}: ${ended.stderr}`).toBe(0);
    };
    const scratch = await makeScratch('pooler-test');
    folders.push(scratch);
    const text = path.join(scratch, 'mail.txt');
    await writeFile(text, 'Dear {{name}}');
    await ok('migrate');
    await ok(
      'create',
      'spring',
      '--from',
      'News <news@example.com>',
      '--subject',
      'Hello {{name}}',
      '--text',
      text,
    );
    await ok('import', 'spring', '-');
    await fresh.pool.query('update campaign set rate = 200');
    const workers = [
      await startCli(['send', 'spring', ...FLAGS, '--lease', '20'], { env }),
      await startCli(['send', 'spring', ...FLAGS, '--lease', '20'], { env }),
    ];
    await relay.waitFor(200);
    await pooler.restart();
    for (const worker of workers) expect((await worker.ended).code).toBe(0);
    const { rows } = await fresh.pool.query<{ campaign_id: number }>('select campaign_id from campaign');
    const campaignId = rows[0]?.campaign_id ?? 0;
    expect(await truth(fresh.pool, campaignId, relay)).toMatchObject({
      status: 'finished',
      outcomes: { sent: PEOPLE },
      duplicates: 0,
      stuck: 0,
      open: 0,
    });
    expect(relay.accepted).toBe(PEOPLE);
    await countersAgree(fresh.database, campaignId);
    // Nothing of a session stays behind for the next client of the connection.
    const locks = await fresh.pool.query(
      `select 1 from pg_locks where locktype = 'advisory'
         and database = (select oid from pg_database where datname = current_database())`,
    );
    expect(locks.rowCount).toBe(0);
    const doctor = await runCli(['doctor'], { env });
    expect(doctor.stdout + doctor.stderr).not.toMatch(/✗|wrong/);
    expect(doctor.code).toBe(0);
  });
});
