import { finished } from 'node:stream/promises';
import type pg from 'pg';
import { from as copyFrom } from 'pg-copy-streams';
import { type Chunk, duplicateInFile, duplicateInTable } from './chunk.ts';

/** Makes the place where a chunk waits. Of this connection, gone at the end of the transaction, and never written to WAL. */
export async function createStaging(client: pg.ClientBase): Promise<void> {
  await client.query(`
    create temporary table import_chunk (n int not null, address text collate "C" not null, vars jsonb not null)
    on commit drop`);
}

/**
 * Puts a chunk into the recipient table, in file order; the rows that were there already are marked in the chunk.
 *
 * COPY parses in C and takes no round trip a row; `on conflict do nothing` is the only test for duplicates that holds
 * against other sessions as well, but it does not say which rows it left out. The addresses of a chunk differ, so the
 * ones that `returning` gives back and the ones that do not come back tell. Whether such a one is this file's or was in
 * the table before is in `xmin`, the transaction that wrote the row: a look-up that only duplicates pay for.
 *
 * Measured with 300,000 new rows in chunks of 5,000, a row: COPY 1.9 µs, this statement 8.3 µs, truncate 0.9 µs. The insert
 * alone, not asking what was left out: 8.8 µs, so asking is free within what can be measured. Looking for duplicates first
 * and inserting the others: 24 µs.
 */
export async function takeChunk(client: pg.ClientBase, campaignId: number, chunk: Chunk): Promise<void> {
  if (chunk.offered === 0) return;
  const copy = client.query(copyFrom('copy import_chunk (n, address, vars) from stdin'));
  copy.end(chunk.copyText);
  await finished(copy);
  const { rows } = await client.query<{ in_file: boolean; numbers: number[] }>(
    `with taken as (
       insert into recipient (campaign_id, address, vars)
       select $1::bigint, address, vars from import_chunk order by n
       on conflict (campaign_id, lower(address)) do nothing
       returning address),
     refused as (
       select chunk.n, coalesce(
         (select existing.xmin = pg_current_xact_id()::xid from recipient as existing
           where existing.campaign_id = $1 and lower(existing.address) = lower(chunk.address)), false) as in_file
       from import_chunk as chunk left join taken on taken.address = chunk.address
       where taken.address is null)
     select in_file, array_agg(n) as numbers from refused group by in_file`,
    [campaignId],
  );
  await client.query('truncate import_chunk');
  for (const { in_file, numbers } of rows) {
    for (const n of numbers) chunk.refuse(n, in_file ? duplicateInFile : duplicateInTable);
  }
}
