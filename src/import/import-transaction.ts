import { setTimeout } from 'node:timers/promises';
import pg from 'pg';
import { SendstateError } from '../errors.ts';
import { CommitUnknown } from './import-errors.ts';

/**
 * Lends a connection to `work`, which ends its transaction itself when all goes well; any failure rolls back.
 * @param onLost  told when the connection dies between two statements, which would otherwise end the process
 */
export async function withConnection<T>(
  pool: pg.Pool,
  onLost: (error: Error) => void,
  work: (client: pg.PoolClient) => Promise<T>,
): Promise<T> {
  const client = await pool.connect();
  client.on('error', onLost);
  let broken = false;
  try {
    return await work(client);
  } catch (error) {
    // A connection that cannot even roll back is closed, and the server rolls back.
    broken = await client.query('rollback').then(
      () => false,
      () => true,
    );
    throw error;
  } finally {
    client.off('error', onLost);
    client.release(broken);
  }
}

export interface BeginOptions {
  readonly campaignId: number;
  readonly campaignName: string;
  readonly pollMs: number;
  readonly onWaiting?: (() => void) | undefined;
  readonly signal: AbortSignal;
}

/**
 * Opens the transaction of an import and waits for its turn: two imports into one campaign would wait for each other's
 * addresses, in both directions when the files are ordered differently, which is a deadlock. Asked for again and again
 * instead of waited for, so that the wait can be stopped. The lock is the transaction's, so it ends with it and works
 * through a pooler in transaction mode.
 */
export async function beginImport(client: pg.ClientBase, options: BeginOptions): Promise<void> {
  // Read committed is what the insert relies on to see, not to fail on, what others committed meanwhile.
  await client.query('begin isolation level read committed read write');
  // A slow pipe is no reason for the server to end the session.
  await client.query('set local idle_in_transaction_session_timeout = 0');
  for (let asked = 0; ; asked += 1) {
    const { rows } = await client.query<{ locked: boolean }>(
      `select pg_try_advisory_xact_lock(hashtextextended('sendstate import ' || $1::bigint, 0)) as locked`,
      [options.campaignId],
    );
    if (rows[0]?.locked === true) break;
    if (asked === 0) options.onWaiting?.();
    await setTimeout(options.pollMs, undefined, { signal: options.signal });
  }
  const { rows } = await client.query<{ status: string }>(
    'select status from campaign where campaign_id = $1',
    [options.campaignId],
  );
  refuseCampaign(rows[0]?.status, options.campaignName);
}

export interface CommitOptions {
  readonly campaignId: number;
  readonly campaignName: string;
  readonly imported: number;
  readonly dryRun?: boolean | undefined;
}

/**
 * Counts the new recipients in, wakes a campaign that had finished (to paused: no command has started more mail yet), and commits.
 * Returns whether it had finished.
 *
 * The campaign row is locked first, as by every statement that changes its state: a session that wants to declare it finished waits for
 * this commit and then sees that people are waiting.
 */
export async function commitImport(client: pg.ClientBase, options: CommitOptions): Promise<boolean> {
  const { campaignId, campaignName, imported } = options;
  const { rows } = await client.query<{ status: string }>(
    'select status from campaign where campaign_id = $1 for no key update',
    [campaignId],
  );
  const status = rows[0]?.status;
  refuseCampaign(status, campaignName);
  const reopened = imported > 0 && status === 'finished';
  if (reopened) {
    const reason = `${imported} people were imported after it had finished. To send to them: sendstate send ${campaignName}`;
    await client.query(
      `update campaign set status = 'paused', status_reason = $2, finished_at = null where campaign_id = $1`,
      [campaignId, reason],
    );
  }
  if (imported > 0) {
    await client.query(
      `insert into counter (campaign_id, worker_id, lane, waiting) values ($1, 0, 0, $2)
       on conflict (campaign_id, worker_id, lane) do update set waiting = counter.waiting + excluded.waiting`,
      [campaignId, imported],
    );
  }
  if (options.dryRun === true) {
    await client.query('rollback');
    return reopened;
  }
  await client.query('commit').catch((error: unknown) => {
    // What the server answered is certain; a connection that broke is not.
    throw error instanceof pg.DatabaseError && error.code !== '57P01' ? error : new CommitUnknown(error);
  });
  return reopened;
}

function refuseCampaign(status: string | undefined, name: string): void {
  if (status === undefined) {
    throw new SendstateError('campaign-missing', `There is no campaign "${name}" any more.`, {
      hint: 'sendstate status lists the campaigns.',
    });
  }
  if (status === 'cancelled') {
    throw new SendstateError(
      'campaign-cancelled',
      `The campaign "${name}" is cancelled and takes no more people.`,
      {
        hint: 'Create another one: sendstate create',
      },
    );
  }
}
