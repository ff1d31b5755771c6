import type { Database } from '../database/connect.ts';
import { type Diagnosis, fine, wrong } from './diagnosis.ts';

/** What keeps dead row versions from being removed, of whatever kind: the oldest first. */
interface Holder {
  /** What it is, in words. */
  readonly who: string;
  readonly seconds: number;
  /** The statement that ends it. */
  readonly remedy: string;
}

/*
 * Sessions with an open transaction, transactions that were prepared and never ended, and replication slots that no standby
 * reads: each pins the oldest row version that must be kept (xmin), in every table of the server.
 */
const HOLDERS = `
select format('process %s (%s, %s)', pid, coalesce(nullif(application_name, ''), 'no name'), state) as who,
  extract(epoch from now() - xact_start)::float8 as seconds, format('select pg_terminate_backend(%s)', pid) as remedy
from pg_stat_activity
where xact_start < now() - make_interval(secs => $1) and pid <> pg_backend_pid() and backend_type = 'client backend'
union all
select format('the prepared transaction %L', gid), extract(epoch from now() - prepared)::float8,
  format('rollback prepared %L (in database %s)', gid, database)
from pg_prepared_xacts where prepared < now() - make_interval(secs => $1)
union all
select format('the replication slot %L, which no standby reads,', slot_name), null, format('select pg_drop_replication_slot(%L)', slot_name)
from pg_replication_slots where not active and (xmin is not null or catalog_xmin is not null)
order by seconds desc nulls last limit 5`;

/** Sessions of others whose transactions this user may not see. */
const HIDDEN = `select count(*) as sessions from pg_stat_activity where query = '<insufficient privilege>'`;

/** Whether anything keeps dead row versions, so that the table grows and sending slows down. */
export async function checkHorizon(database: Database, oldSeconds: number): Promise<Diagnosis> {
  const { rows } = await database.pool.query<Holder & { seconds: number | null }>(HOLDERS, [oldSeconds]);
  const [oldest] = rows;
  if (oldest === undefined) {
    const hidden = await database.pool.query<{ sessions: number }>(HIDDEN);
    const unseen = hidden.rows[0]?.sessions ?? 0;
    const found = `none older than ${oldSeconds < 60 ? `${oldSeconds} seconds` : `${Math.round(oldSeconds / 60)} minutes`}`;
    return fine(
      'transactions',
      unseen === 0
        ? found
        : `${found}; ${unseen} sessions of others are hidden: grant pg_read_all_stats to see them`,
    );
  }
  const since = oldest.seconds === null ? '' : ` since ${Math.round(oldest.seconds / 60)} minutes`;
  const others = rows.length === 1 ? '' : `, and ${rows.length - 1} more`;
  return wrong(
    'transactions',
    `${oldest.who} holds one${since}${others}`,
    `Dead row versions cannot be removed while it lives, and sending slows down. End it: ${oldest.remedy}`,
  );
}
