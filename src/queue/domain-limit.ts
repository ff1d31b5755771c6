import { type Database, inTransaction } from '../database/connect.ts';
import { prepare } from '../database/prepare.ts';

/** The name of the limit that every domain without one of its own has, each by itself. */
export const EVERY_OTHER_DOMAIN = '*';

/** How often a worker asks which domains are limited, milliseconds: a new limit holds within a second. */
const READ_EVERY_MS = 1_000;

const READ = prepare('select domain from domain_limit');

/** Which recipient domains are limited, as a worker knows it. Without any limit it costs one small query a second. */
export class DomainLimits {
  readonly #db: Database;
  #domains = new Set<string>();
  #everyDomain = false;
  #readAt = -Infinity;

  constructor(db: Database) {
    this.#db = db;
  }

  /** Reads them again when it is time. */
  async refresh(): Promise<void> {
    if (performance.now() - this.#readAt < READ_EVERY_MS) return;
    const rows = await READ<[domain: string]>(this.#db, []);
    this.#domains = new Set(rows.map(([domain]) => domain));
    this.#everyDomain = this.#domains.has(EVERY_OTHER_DOMAIN);
    this.#readAt = performance.now();
  }

  /** There is none: nothing has to be looked at. */
  get none(): boolean {
    return this.#domains.size === 0;
  }

  /** The domain of an address when it is limited, else null. */
  limitedDomain(address: string): string | null {
    const domain = address.slice(address.lastIndexOf('@') + 1);
    return this.#everyDomain || this.#domains.has(domain) ? domain : null;
  }
}

/** A limit as `sendstate limit` lists it. */
export interface DomainLimit {
  /** In A-labels and lower case, or `*`. */
  readonly domain: string;
  /** Mails per second over all workers and campaigns. */
  readonly rate: number;
  readonly setAt: Date;
  /** When the last of those who wait for their turn gets it; null: none waits. Of `*`: the longest queue. */
  readonly queuedUntil: Date | null;
}

/** Every limit, `*` first, then by domain. */
export async function readLimits(db: Database): Promise<DomainLimit[]> {
  const { rows } = await db.pool.query<DomainLimit>(
    `select l.domain, l.rate, l.set_at as "setAt", max(p.queued_until) filter (where p.queued_until > now()) as "queuedUntil"
     from domain_limit l
     left join domain_pace p on case when l.domain = '${EVERY_OTHER_DOMAIN}'
       then not exists (select from domain_limit own where own.domain = p.domain) else p.domain = l.domain end
     group by l.domain, l.rate, l.set_at order by l.domain`,
  );
  return rows;
}

/** Limits a domain to `rate` mails a second. Who waits for a turn by the old rate gets a new one. */
export async function writeLimit(db: Database, domain: string, rate: number): Promise<void> {
  await db.pool.query(
    `insert into domain_limit (domain, rate) values ($1, $2)
     on conflict (domain) do update set rate = excluded.rate, set_at = now()`,
    [domain, rate],
  );
  await forgetTurns(db, domain);
}

/** Takes a domain's limit away. False: there was none. */
export async function deleteLimit(db: Database, domain: string): Promise<boolean> {
  const { rowCount } = await db.pool.query('delete from domain_limit where domain = $1', [domain]);
  await forgetTurns(db, domain);
  return rowCount !== 0;
}

/** Rows in one statement: short enough that no claim waits behind it. */
const ROWS_PER_STATEMENT = 10_000;

/** Who waits for a turn is who was never tried and is due later: others that come back without a reply are due at once. */
const WAITS = 'r.retry_at > now() and r.send_state = 0 and r.attempts = 0 and r.reply_code is null';

/** Recipients that wait for a turn of these domains are due now, and draw by the limit and in the queue that are there now. */
const FREE = `
with picked as materialized (
  select r.campaign_id, r.ctid as tid from recipient r
  where r.campaign_id = $1 and ${WAITS}
    and (split_part(r.address, '@', 2) = any ($2::text[])
      or '${EVERY_OTHER_DOMAIN}' = any ($2::text[]) and not exists (select from domain_limit l where l.domain = split_part(r.address, '@', 2)))
  limit ${ROWS_PER_STATEMENT} for no key update skip locked
)
update recipient r set retry_at = now() from picked p
where r.ctid = p.tid and r.campaign_id = $1 and r.send_state = 0`;

async function forgetTurns(db: Database, domain: string): Promise<void> {
  await db.pool.query(
    `delete from domain_pace p where p.domain = $1
     or $1 = '${EVERY_OTHER_DOMAIN}' and not exists (select from domain_limit l where l.domain = p.domain)`,
    [domain],
  );
  await freeTurns(db, [domain]);
}

/** The buckets are locked in the order of their names, as a draw from them locks them. */
const LEAVE = `
with queued as materialized (
  select p.domain from domain_pace p
  where p.queued_until > now()
    and p.domain in (select split_part(r.address, '@', 2) from recipient r where r.campaign_id = $1 and ${WAITS})
  order by p.domain for no key update
)
update domain_pace p set queued_until = now() from queued q where p.domain = q.domain returning p.domain`;

/**
 * A campaign that was paused or cancelled leaves the queues of its domains: they end now, and every recipient that waits in them
 * gets a new turn. Else others would wait for the turns that are never used. To be called after its state has changed.
 */
export async function leaveQueues(db: Database, campaignId: number): Promise<void> {
  const { rows } = await db.pool.query<{ domain: string }>(LEAVE, [campaignId]);
  if (rows.length > 0)
    await freeTurns(
      db,
      rows.map(({ domain }) => domain),
    );
}

async function freeTurns(db: Database, domains: readonly string[]): Promise<void> {
  const { rows } = await db.pool.query<{ id: number }>(
    `select campaign_id as id from campaign where status in ('running', 'paused', 'scheduled')`,
  );
  for (const { id } of rows) {
    let freed = ROWS_PER_STATEMENT;
    while (freed === ROWS_PER_STATEMENT) {
      freed = await inTransaction(
        db,
        async ({ client }) => (await client.query(FREE, [id, domains])).rowCount ?? 0,
      );
    }
  }
}
