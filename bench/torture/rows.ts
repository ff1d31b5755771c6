import type { Database } from '../../src/database/connect.ts';

/** A recipient with the claim that had it last. Times in milliseconds since the epoch. */
export interface Row {
  readonly campaign_id: number;
  readonly recipient_id: number;
  readonly address: string;
  readonly outcome: string | null;
  readonly maybe_sent: number;
  readonly reply: string | null;
  readonly claim_id: number | null;
}

/** Times in milliseconds since the epoch, by the database's clock, which is this machine's. */
export interface ClaimRow {
  readonly campaign_id: number;
  readonly claim_id: number;
  /** Of its worker. */
  readonly pid: number;
  readonly claimed: number;
  readonly closed: number | null;
  readonly rescued: boolean;
  readonly handed_through: number;
}

const ROWS = `
select campaign_id, recipient_id, address, outcome, maybe_sent, reply, claim_id
from recipient where campaign_id = any ($1) order by campaign_id, recipient_id`;

const CLAIMS = `
select c.campaign_id, c.claim_id, w.pid, extract(epoch from c.claimed_at)::float8 * 1000 as claimed,
  extract(epoch from c.closed_at)::float8 * 1000 as closed, c.rescued, c.handed_through
from claim c join worker w using (worker_id)`;

export async function readRows(database: Database, campaignIds: readonly number[]): Promise<Row[]> {
  return (await database.pool.query<Row>(ROWS, [campaignIds])).rows;
}

export async function readClaims(database: Database): Promise<ClaimRow[]> {
  return (await database.pool.query<ClaimRow>(CLAIMS)).rows;
}
