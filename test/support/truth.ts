import type pg from 'pg';
import type { CaptureServer } from '../../src/capture/capture.ts';

/** The table beside what the relay really took. */
export interface Truth {
  readonly status: string;
  /** Addresses that no mail reached although the table says `sent` or nothing at all. */
  readonly lost: string[];
  /** Mails beyond the first, over all addresses. */
  readonly duplicates: number;
  /** Addresses with more than one mail whose row does not say so (maybe_sent 0). */
  readonly unnamed: string[];
  /** Addresses that got a mail although their row says that they got none for certain. */
  readonly denied: string[];
  /** Rows in send_state 1. */
  readonly stuck: number;
  /** Claims that were not closed. */
  readonly open: number;
  /** Rows in doubt: handed over once or more without a reply. */
  readonly doubtful: number;
  readonly outcomes: Readonly<Record<string, number>>;
}

interface Row {
  readonly address: string;
  readonly send_state: number;
  readonly outcome: string | null;
  readonly maybe_sent: number;
}

export async function truth(
  pool: pg.Pool,
  campaignId: number,
  relay: Pick<CaptureServer, 'recipients'>,
): Promise<Truth> {
  const { rows } = await pool.query<Row>(
    'select address, send_state, outcome, maybe_sent from recipient where campaign_id = $1 order by recipient_id',
    [campaignId],
  );
  const { rows: facts } = await pool.query<{ status: string; open: number }>(
    `select status, (select count(*) from claim c where c.campaign_id = m.campaign_id and closed_at is null) as open
     from campaign m where campaign_id = $1`,
    [campaignId],
  );
  const took = (row: Row) => relay.recipients.get(row.address) ?? 0;
  const addresses = (which: (row: Row) => boolean) => rows.filter(which).map(({ address }) => address);
  const outcomes: Record<string, number> = {};
  for (const { outcome } of rows) {
    const name = outcome ?? 'waiting';
    outcomes[name] = (outcomes[name] ?? 0) + 1;
  }
  return {
    status: facts[0]?.status ?? 'gone',
    lost: addresses((row) => took(row) === 0 && (row.outcome === 'sent' || row.outcome === null)),
    duplicates: rows.reduce((sum, row) => sum + Math.max(took(row) - 1, 0), 0),
    unnamed: addresses((row) => took(row) > 1 && row.maybe_sent < took(row) - 1),
    denied: addresses(
      (row) => took(row) > 0 && row.outcome !== 'sent' && row.maybe_sent === 0 && row.send_state === 2,
    ),
    stuck: rows.filter(({ send_state }) => send_state === 1).length,
    open: facts[0]?.open ?? 0,
    doubtful: rows.filter(({ maybe_sent }) => maybe_sent > 0).length,
    outcomes,
  };
}
