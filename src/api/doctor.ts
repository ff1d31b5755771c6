import { schemaVersion } from '../database/migrate.ts';
import { COUNTED, OUTCOMES } from '../model/states.ts';
import { deliveryWords } from '../smtp/deliverer.ts';
import { probeRelay } from '../smtp/probe.ts';
import type { RelayOptions } from '../smtp/relay.ts';
import { type Diagnosis, fine, wrong } from './diagnosis.ts';
import { checkHorizon } from './horizon.ts';
import type { Opened } from './open.ts';

export type { Diagnosis } from './diagnosis.ts';

/** A transaction older than this, seconds, keeps dead versions from being pruned: the table grows and slows down. */
const OLD_TRANSACTION_SECONDS = 300;

type Check = (app: Opened) => Promise<Diagnosis>;

export interface DoctorOptions {
  /** Seconds after which an open transaction is too old. Default 300. */
  readonly oldTransactionSeconds?: number | undefined;
}

/**
 * Looks at everything that can be wrong, and says what to do. Counts every recipient: seconds at millions of rows.
 * @param relay null: the relay is not looked at
 */
export async function doctor(
  app: Opened,
  relay: RelayOptions | readonly RelayOptions[] | null = [],
  options: DoctorOptions = {},
): Promise<Diagnosis[]> {
  const relays = relay !== null && 'host' in relay ? [relay] : relay;
  const found = [await checkServer(app), await checkTables(app)];
  if (found.every(({ ok }) => ok)) {
    for (const check of [checkCounters, checkOrphans, checkDeadRows]) found.push(await check(app));
    found.push(await checkHorizon(app.database, options.oldTransactionSeconds ?? OLD_TRANSACTION_SECONDS));
  }
  if (relays === null) return found;
  if (relays.length === 0)
    found.push(wrong('relay', 'SMTP_URL is not set', 'Set it to smtp://USER:PASSWORD@HOST:PORT'));
  found.push(...(await Promise.all(relays.map((relay) => checkRelay(relay, relays.length > 1)))));
  return found;
}

const checkServer: Check = async ({ database, embedded }) => {
  const { rows } = await database.pool.query<{ version: string; number: number; standby: boolean }>(
    `select current_setting('server_version') as version, current_setting('server_version_num')::int as number, pg_is_in_recovery() as standby`,
  );
  const { version = '?', number = 0, standby = false } = rows[0] ?? {};
  const found = `PostgreSQL ${version}${embedded ? ' (embedded)' : ''} at ${database.url}`;
  if (number < 140_000) return wrong('database', found, 'Use PostgreSQL 14 or later.');
  return standby
    ? wrong('database', `${found}, a read-only standby`, 'Point DATABASE_URL at the primary.')
    : fine('database', found);
};

const checkTables: Check = async ({ database }) => {
  const version = await schemaVersion(database);
  return version === null
    ? wrong('tables', 'there are none', 'Make them: sendstate migrate')
    : fine('tables', `at ${version}`);
};

const checkCounters: Check = async ({ database }) => {
  const { rows } = await database.pool.query<{ name: string }>(`
    with counted as (
      select campaign_id,
        count(*) filter (where send_state = 0 and retry_at is null) as waiting,
        count(*) filter (where send_state = 0 and retry_at is not null) as retrying,
        count(*) filter (where send_state = 1) as claimed,
        ${OUTCOMES.map((name) => `count(*) filter (where outcome = '${name}') as ${name}`).join(', ')}
      from recipient group by campaign_id
    ), summed as (
      select campaign_id, ${COUNTED.map((name) => `sum(${name})::bigint as ${name}`).join(', ')} from counter group by campaign_id
    )
    select name from campaign left join counted c using (campaign_id) left join summed s using (campaign_id)
    where (${COUNTED.map((name) => `coalesce(c.${name}, 0)`).join(', ')}) is distinct from (${COUNTED.map((name) => `coalesce(s.${name}, 0)`).join(', ')})`);
  const drifted = rows.map(({ name }) => name);
  return drifted.length === 0
    ? fine('counters', 'equal to count(*) in every campaign')
    : wrong(
        'counters',
        `differ from count(*) in: ${drifted.join(', ')}`,
        'Recipient rows were changed by hand. Nothing is lost; please report it if they were not.',
      );
};

const checkOrphans: Check = async ({ database }) => {
  const { rows } = await database.pool.query<{ claims: number }>(
    `select count(*) as claims from claim c join worker w using (worker_id)
     where c.closed_at is null and (w.stopped_at is not null or w.heartbeat_at < now() - w.lease)`,
  );
  const claims = rows[0]?.claims ?? 0;
  return claims === 0
    ? fine('claims', 'every open claim has a living worker')
    : wrong(
        'claims',
        `${claims} open claims of workers that are gone`,
        'Any worker takes them back within seconds: sendstate work --drain',
      );
};

const checkDeadRows: Check = async ({ database }) => {
  const { rows } = await database.pool.query<{ live: number; dead: number }>(
    `select n_live_tup as live, n_dead_tup as dead from pg_stat_user_tables where relid = to_regclass('recipient')`,
  );
  const { live = 0, dead = 0 } = rows[0] ?? {};
  const found = `${live} rows, ${dead} dead versions in the recipient table`;
  return dead > 100_000 && dead > live
    ? wrong(
        'dead rows',
        found,
        'Autovacuum does not keep up: vacuum recipient; and look for old transactions.',
      )
    : fine('dead rows', found);
};

async function checkRelay(relay: RelayOptions, several: boolean): Promise<Diagnosis> {
  const what = several ? `relay ${relay.label}` : 'relay';
  const report = await probeRelay(relay);
  if (report.ok) return fine(what, `${report.relay} is ready for mails (${report.mode}: ${report.why})`);
  const { failure } = report;
  const words = deliveryWords(failure);
  const advice = 'Correct SMTP_URL, or start the relay. No recipient fails meanwhile: workers wait for it.';
  return wrong(what, `${report.relay}: ${words}`, advice);
}
