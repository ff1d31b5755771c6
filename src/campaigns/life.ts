import type { Database } from '../database/connect.ts';
import { inTransaction } from '../database/connect.ts';
import { prepare } from '../database/prepare.ts';
import { SendstateError } from '../errors.ts';
import type { CampaignStatus } from '../model/states.ts';
import { type Campaign, COLUMNS, findCampaign } from './campaigns.ts';

/** One step in the life of a campaign: from which states, to which, and what to say when it is in another. */
interface Step {
  readonly verb: string;
  readonly from: readonly CampaignStatus[];
  readonly to: CampaignStatus;
}

const NEXT: Record<CampaignStatus, (name: string) => string> = {
  draft: (name) => `Nothing of a draft is being sent. To begin: sendstate send ${name}`,
  scheduled: (name) => `Start it now: sendstate start ${name}, or stop it: sendstate cancel ${name}`,
  running: (name) => `Stop it for now: sendstate pause ${name}`,
  paused: (name) => `Let it go on: sendstate resume ${name}`,
  finished: (name) =>
    `Send what failed again: sendstate retry ${name} --outcome rejected, or import more people`,
  cancelled: (name) => `Put its people back first: sendstate retry ${name} --outcome cancelled`,
};

async function step(
  db: Database,
  name: string,
  { verb, from, to }: Step,
  set: string,
  values: unknown[] = [],
): Promise<Campaign> {
  const { rows } = await db.pool.query<Campaign>(
    `update campaign set status = $2, ${set} where name = $1 and status = any ($3::campaign_status[]) returning ${COLUMNS}`,
    [name, to, from, ...values],
  );
  if (rows[0] !== undefined) return rows[0];
  const campaign = await findCampaign(db, name);
  throw new SendstateError(
    'campaign-status',
    `Campaign "${name}" is ${campaign.status}; it cannot be ${verb}`,
    {
      hint: NEXT[campaign.status](name),
    },
  );
}

const STARTED = 'status_reason = null, started_at = coalesce(started_at, now()), finished_at = null';

/** Lets workers begin, now. A campaign that runs already stays as it is; a finished or cancelled one with people waiting runs again. */
export async function startCampaign(db: Database, name: string): Promise<Campaign> {
  const { campaignId, startAt } = await findCampaign(db, name);
  const people = await waitingOf(db, campaignId);
  if (people.total === 0) {
    throw new SendstateError('campaign-empty', `Campaign "${name}" has no recipients yet`, {
      hint: `Import them first: sendstate import ${name} FILE.csv`,
    });
  }
  const from: CampaignStatus[] = ['draft', 'scheduled', 'paused', 'running'];
  if (people.left > 0) from.push('finished', 'cancelled');
  // A time that is still to come has been overtaken: no `resume` may wait for it.
  const overtaken = startAt !== null && startAt.getTime() > Date.now();
  const set = overtaken ? `${STARTED}, start_at = null` : STARTED;
  return await step(db, name, { verb: 'started', from, to: 'running' }, set);
}

/** Lets workers begin at a time. */
export async function scheduleCampaign(db: Database, name: string, at: Date): Promise<Campaign> {
  const to = { verb: 'scheduled', from: ['draft', 'scheduled', 'paused'], to: 'scheduled' } as const;
  return await step(db, name, to, 'status_reason = null, start_at = $4', [at]);
}

/** Workers stop claiming at once and release what they hold within about a second. */
export async function pauseCampaign(
  db: Database,
  name: string,
  reason: string | null = null,
): Promise<Campaign> {
  return await step(
    db,
    name,
    { verb: 'paused', from: ['running', 'scheduled', 'paused'], to: 'paused' },
    'status_reason = $4',
    [reason],
  );
}

/** The same by a worker that cannot go on, which of several only the first does. */
export async function pauseRunning(db: Database, name: string, reason: string): Promise<Campaign> {
  return await step(db, name, { verb: 'paused', from: ['running'], to: 'paused' }, 'status_reason = $4', [
    reason,
  ]);
}

/** Undoes `pause`: what was to start at a time that is still to come, by the database's clock, waits for it again. */
export async function resumeCampaign(db: Database, name: string): Promise<Campaign> {
  const { rows } = await db.pool.query<Campaign>(
    `update campaign set status = 'scheduled', status_reason = null
     where name = $1 and status = 'paused' and start_at > now() returning ${COLUMNS}`,
    [name],
  );
  if (rows[0] !== undefined) return rows[0];
  return await step(db, name, { verb: 'resumed', from: ['paused', 'running'], to: 'running' }, STARTED);
}

/** No other recipient gets this campaign's mail. What is in flight ends as it ends; see `sweepCancelled` for the rows. */
export async function cancelCampaign(db: Database, name: string): Promise<Campaign> {
  const from: CampaignStatus[] = ['draft', 'scheduled', 'running', 'paused', 'cancelled'];
  return await step(
    db,
    name,
    { verb: 'cancelled', from, to: 'cancelled' },
    'finished_at = coalesce(finished_at, now())',
  );
}

/**
 * A campaign that has ended and some of whose people are put back is paused: no mail is sent before an operator starts
 * it. While it is cancelled, every worker that looks at it would cancel them again; while it is finished, they could
 * neither be sent nor taken back.
 */
export async function reopenCampaign(
  db: Database,
  campaignId: number,
  ended: 'finished' | 'cancelled',
): Promise<void> {
  await db.pool.query(
    `update campaign set status = 'paused', finished_at = null,
       status_reason = 'people were put back after it was ' || $2::text || '. To send to them: sendstate send ' || name
     where campaign_id = $1 and status = $2::campaign_status`,
    [campaignId, ended],
  );
}

const LEFT = prepare(`
select coalesce(sum(waiting + retrying), 0)::bigint, coalesce(sum(claimed), 0)::bigint,
  coalesce(sum(waiting + retrying + claimed + sent + rejected + expired + invalid + unconfirmed + suppressed + cancelled), 0)::bigint
from counter where campaign_id = $1`);

export interface People {
  readonly waiting: number;
  readonly claimed: number;
  /** waiting + claimed */
  readonly left: number;
  readonly total: number;
}

/** How many people a campaign has and how many are not done, from its counters. */
export async function waitingOf(db: Database, campaignId: number): Promise<People> {
  const [row] = await LEFT<[number, number, number]>(db, [campaignId]);
  const [waiting, claimed, total] = row ?? [0, 0, 0];
  return { waiting, claimed, left: waiting + claimed, total };
}

/**
 * Marks a running campaign finished if no recipient is waiting or claimed. True: it is finished now.
 *
 * The row is locked first and the counters are summed by a second statement, whose snapshot begins after the lock: an
 * import that commits meanwhile either comes before and is counted, or waits for the lock and finds the campaign finished.
 */
export async function finishCampaign(db: Database, campaignId: number): Promise<boolean> {
  if ((await waitingOf(db, campaignId)).left > 0) return false;
  return await inTransaction(db, async ({ client }) => {
    const locked = await client.query(
      `select from campaign where campaign_id = $1 and status = 'running' for no key update`,
      [campaignId],
    );
    if (locked.rowCount === 0) return false;
    const done = await client.query(
      `update campaign set status = 'finished', finished_at = now()
       where campaign_id = $1 and (select coalesce(sum(waiting + retrying + claimed), 0) from counter where campaign_id = $1) = 0`,
      [campaignId],
    );
    return done.rowCount === 1;
  });
}
