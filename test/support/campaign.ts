import type { Database } from '../../src/database/connect.ts';
import type { Outcome, Result } from '../../src/model/states.ts';
import { Heartbeat } from '../../src/queue/heartbeat.ts';

export interface TestCampaign {
  readonly campaignId: number;
  readonly name: string;
}

let campaigns = 0;

/** A running campaign with `people` recipients, written straight into the tables, counters included. */
export async function runningCampaign(
  db: Database,
  people: number,
  set: Readonly<Record<string, unknown>> = {},
): Promise<TestCampaign> {
  const name = `test-${process.pid}-${++campaigns}`;
  const columns = {
    name,
    sender: 'News <news@example.com>',
    subject: 'Hello {{name}}',
    text: 'Dear {{name}}',
    status: 'running',
    ...set,
  };
  const keys = Object.keys(columns);
  const { rows } = await db.pool.query<{ campaign_id: number }>(
    `insert into campaign (${keys.join(', ')}, started_at) values (${keys.map((_, i) => `$${i + 1}`).join(', ')}, now()) returning campaign_id`,
    Object.values(columns),
  );
  const campaignId = (rows[0] as { campaign_id: number }).campaign_id;
  await addPeople(db, campaignId, 1, people);
  return { campaignId, name };
}

/** Adds persons `from`…`to` (person7@example.com) as an import would. */
export async function addPeople(db: Database, campaignId: number, from: number, to: number): Promise<void> {
  await db.pool.query(
    `with added as (
       insert into recipient (campaign_id, address, vars)
       select $1, 'person' || i || '@example.com', jsonb_build_object('name', 'Person ' || i) from generate_series($2::int, $3::int) i
       returning 1
     )
     insert into counter as c (campaign_id, worker_id, lane, waiting) select $1, 0, 0, count(*) from added
     on conflict (campaign_id, worker_id, lane) do update set waiting = c.waiting + excluded.waiting`,
    [campaignId, from, to],
  );
}

export async function registered(db: Database, leaseSeconds = 60): Promise<number> {
  return (await Heartbeat.register(db, 'test', leaseSeconds)).workerId;
}

export function result(
  claimId: number,
  recipientId: number,
  outcome: Outcome | null,
  more: Partial<Result> = {},
): Result {
  return {
    recipientId,
    claimId,
    outcome,
    replyCode: outcome === 'sent' ? 250 : null,
    reply: outcome === 'sent' ? '2.0.0 Ok' : null,
    retrySeconds: 0,
    charged: 1,
    maybeSent: 0,
    reason: outcome === 'sent' || outcome === null ? null : 'because',
    ...more,
  };
}

/** What the counters say must be what counting says, at every quiet moment. Returns the count. */
export async function countersAgree(db: Database, campaignId: number): Promise<Record<string, number>> {
  const { rows: counted } = await db.pool.query<Record<string, number>>(
    `select count(*) filter (where send_state = 0 and retry_at is null) as waiting,
       count(*) filter (where send_state = 0 and retry_at is not null) as retrying,
       count(*) filter (where send_state = 1) as claimed,
       ${outcomes.map((name) => `count(*) filter (where outcome = '${name}') as ${name}`).join(', ')}
     from recipient where campaign_id = $1`,
    [campaignId],
  );
  const names = ['waiting', 'retrying', 'claimed', ...outcomes];
  const { rows: summed } = await db.pool.query<Record<string, number>>(
    `select ${names.map((name) => `coalesce(sum(${name}), 0)::bigint as ${name}`).join(', ')} from counter where campaign_id = $1`,
    [campaignId],
  );
  const truth = counted[0] as Record<string, number>;
  if (JSON.stringify(truth) !== JSON.stringify(summed[0])) {
    throw new Error(`counters drifted: rows ${JSON.stringify(truth)}, counters ${JSON.stringify(summed[0])}`);
  }
  return truth;
}

const outcomes = ['sent', 'rejected', 'expired', 'invalid', 'unconfirmed', 'suppressed', 'cancelled'];
