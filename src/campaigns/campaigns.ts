import type { Database } from '../database/connect.ts';
import { inTransaction } from '../database/connect.ts';
import { prepare } from '../database/prepare.ts';
import { SendstateError } from '../errors.ts';
import type { CampaignStatus } from '../sending/states.ts';

/** A campaign as its row says; ids and options, no counts (see progress/). Times as Date. */
export interface Campaign {
  readonly campaignId: number;
  readonly name: string;
  readonly status: CampaignStatus;
  readonly statusReason: string | null;
  readonly createdAt: Date;
  readonly startAt: Date | null;
  readonly startedAt: Date | null;
  readonly finishedAt: Date | null;
  readonly sender: string;
  readonly replyTo: string | null;
  readonly bounceTo: string | null;
  readonly subject: string;
  readonly html: string | null;
  readonly text: string | null;
  readonly headers: Readonly<Record<string, string>>;
  readonly onUnconfirmed: 'resend' | 'hold';
  readonly maxAttempts: number;
  /** Seconds. */
  readonly maxAgeSeconds: number;
  /** Mails per second over all workers; null: no limit. */
  readonly rate: number | null;
}

/** A file that every mail of the campaign carries. `contentId` makes it an inline picture. */
export interface Attachment {
  readonly filename: string;
  readonly contentType: string;
  readonly contentId: string | null;
  readonly content: Buffer;
}

/** What a new campaign says; templates are checked by the caller (message/). */
export interface NewCampaign {
  readonly name: string;
  readonly sender: string;
  readonly subject: string;
  readonly html: string | null;
  readonly text: string | null;
  readonly replyTo: string | null;
  readonly bounceTo: string | null;
  readonly headers: Readonly<Record<string, string>>;
  readonly attachments: readonly Attachment[];
  readonly onUnconfirmed: 'resend' | 'hold';
  readonly maxAttempts: number;
  readonly maxAgeSeconds: number;
  readonly rate: number | null;
}

/** Letters of any script, digits, and . _ - after the first: what survives in a shell, a URL and a file name. */
const NAME = /^[\p{L}\p{N}][\p{L}\p{N}\p{M}._-]{0,99}$/u;

/** @throws SendstateError `campaign-name` */
export function checkName(name: string): void {
  if (NAME.test(name)) return;
  throw new SendstateError('campaign-name', `"${name.slice(0, 120)}" cannot be the name of a campaign`, {
    hint: 'Use letters, digits, dots, dashes and underscores, at most 100, beginning with a letter or digit: spring-news.',
  });
}

/** Writes a campaign (draft) and its attachments. @throws SendstateError `campaign-name`, `campaign-exists` */
export async function insertCampaign(db: Database, campaign: NewCampaign): Promise<number> {
  checkName(campaign.name);
  return await db.kysely.transaction().execute(async (tx) => {
    const { attachments, maxAgeSeconds } = campaign;
    const row = await tx
      .insertInto('campaign')
      .values({
        name: campaign.name,
        sender: campaign.sender,
        subject: campaign.subject,
        html: campaign.html,
        text: campaign.text,
        reply_to: campaign.replyTo,
        bounce_to: campaign.bounceTo,
        headers: JSON.stringify(campaign.headers),
        on_unconfirmed: campaign.onUnconfirmed,
        max_attempts: campaign.maxAttempts,
        max_age: `${maxAgeSeconds} seconds`,
        rate: campaign.rate,
      })
      .onConflict((conflict) => conflict.column('name').doNothing())
      .returning('campaign_id')
      .executeTakeFirst();
    if (row === undefined) {
      throw new SendstateError('campaign-exists', `There is a campaign "${campaign.name}" already`, {
        hint: `Choose another name, or look at it: sendstate status ${campaign.name}`,
      });
    }
    if (attachments.length > 0) {
      await tx
        .insertInto('attachment')
        .values(
          attachments.map((file, index) => ({
            campaign_id: row.campaign_id,
            attachment_id: index + 1,
            filename: file.filename,
            content_type: file.contentType,
            content_id: file.contentId,
            content: file.content,
          })),
        )
        .execute();
    }
    return row.campaign_id;
  });
}

const COLUMNS = `campaign_id as "campaignId", name, status, status_reason as "statusReason", created_at as "createdAt",
  start_at as "startAt", started_at as "startedAt", finished_at as "finishedAt", sender, reply_to as "replyTo",
  bounce_to as "bounceTo", subject, html, text, headers, on_unconfirmed as "onUnconfirmed", max_attempts as "maxAttempts",
  extract(epoch from max_age)::float8 as "maxAgeSeconds", rate`;

/** @throws SendstateError `campaign-unknown`, naming the nearest that exist */
export async function findCampaign(db: Database, name: string): Promise<Campaign> {
  const { rows } = await db.pool.query<Campaign>(`select ${COLUMNS} from campaign where name = $1`, [name]);
  if (rows[0] !== undefined) return rows[0];
  const others = await db.kysely
    .selectFrom('campaign')
    .select('name')
    .orderBy('campaign_id', 'desc')
    .limit(5)
    .execute();
  const known = others.map((other) => other.name).join(', ');
  throw new SendstateError('campaign-unknown', `There is no campaign "${name.slice(0, 120)}"`, {
    hint:
      known === ''
        ? 'Make one first: sendstate create NAME --from … --subject … --html FILE'
        : `The latest are: ${known}. See them all: sendstate status`,
  });
}

/** Campaigns by id, as they are now. */
export async function campaignsById(db: Database, ids: readonly number[]): Promise<Campaign[]> {
  const { rows } = await db.pool.query<Campaign>(
    `select ${COLUMNS} from campaign where campaign_id = any ($1)`,
    [ids],
  );
  return rows;
}

/** The files of a campaign in the order they were given. */
export async function attachmentsOf(db: Database, campaignId: number): Promise<Attachment[]> {
  return await db.kysely
    .selectFrom('attachment')
    .select(['filename', 'content_type as contentType', 'content_id as contentId', 'content'])
    .where('campaign_id', '=', campaignId)
    .orderBy('attachment_id')
    .execute();
}

/** One step in the life of a campaign: from which states, to which, and what to say when it is in another. */
interface Step {
  readonly verb: string;
  readonly from: readonly CampaignStatus[];
  readonly to: CampaignStatus;
}

const NEXT: Record<CampaignStatus, (name: string) => string> = {
  draft: (name) => `Start it: sendstate send ${name}`,
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
  const people = await waitingOf(db, (await findCampaign(db, name)).campaignId);
  if (people.total === 0) {
    throw new SendstateError('campaign-empty', `Campaign "${name}" has no recipients yet`, {
      hint: `Import them first: sendstate import ${name} FILE.csv`,
    });
  }
  const from: CampaignStatus[] = ['draft', 'scheduled', 'paused', 'running'];
  if (people.left > 0) from.push('finished', 'cancelled');
  return await step(db, name, { verb: 'started', from, to: 'running' }, STARTED);
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

/** Undoes `pause`. */
export async function resumeCampaign(db: Database, name: string): Promise<Campaign> {
  return await step(db, name, { verb: 'resumed', from: ['paused', 'running'], to: 'running' }, STARTED);
}

/** Nobody else gets this campaign's mail. What is in flight ends as it ends; see `sweepCancelled` for the rows. */
export async function cancelCampaign(db: Database, name: string): Promise<Campaign> {
  const from: CampaignStatus[] = ['draft', 'scheduled', 'running', 'paused', 'cancelled'];
  return await step(
    db,
    name,
    { verb: 'cancelled', from, to: 'cancelled' },
    'finished_at = coalesce(finished_at, now())',
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
 * Marks a running campaign finished if nobody is waiting or claimed. True: it is finished now.
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
