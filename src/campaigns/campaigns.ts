import type { Database } from '../database/connect.ts';
import { SendstateError } from '../errors.ts';
import type { CampaignStatus } from '../model/states.ts';

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
  /** The first wait after a temporary failure, seconds; it doubles from there. */
  readonly retryAfterSeconds: number;
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
  readonly retryAfterSeconds: number;
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
    const { attachments, maxAgeSeconds, retryAfterSeconds } = campaign;
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
        retry_after: `${retryAfterSeconds} seconds`,
        attachments: attachments.length,
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

/** The columns of a campaign, as `Campaign` names them. */
export const COLUMNS = `campaign_id as "campaignId", name, status, status_reason as "statusReason", created_at as "createdAt",
  start_at as "startAt", started_at as "startedAt", finished_at as "finishedAt", sender, reply_to as "replyTo",
  bounce_to as "bounceTo", subject, html, text, headers, on_unconfirmed as "onUnconfirmed", max_attempts as "maxAttempts",
  extract(epoch from max_age)::float8 as "maxAgeSeconds", rate,
  extract(epoch from retry_after)::float8 as "retryAfterSeconds"`;

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
  const query = {
    text: `select ${COLUMNS} from campaign where campaign_id = any ($1)`,
    values: [ids],
    query_timeout: db.answerWithinMs,
  };
  const { rows } = await db.pool.query<Campaign>(query);
  return rows;
}

/**
 * The files of a campaign in the order they were given.
 * @throws SendstateError `attachment-missing` when one was deleted: a mail must not leave without it
 */
export async function attachmentsOf(db: Database, campaignId: number): Promise<Attachment[]> {
  const files = await db.kysely
    .selectFrom('attachment')
    .select(['filename', 'content_type as contentType', 'content_id as contentId', 'content'])
    .where('campaign_id', '=', campaignId)
    .orderBy('attachment_id')
    .execute();
  const made = await db.kysely
    .selectFrom('campaign')
    .select('attachments')
    .where('campaign_id', '=', campaignId)
    .executeTakeFirst();
  const expected = made?.attachments ?? 0;
  if (files.length >= expected) return files;
  throw new SendstateError(
    'attachment-missing',
    `${expected - files.length} of ${expected} attachments are gone`,
    {
      hint: 'Rows of the attachment table were deleted. Put them back, or make the campaign anew.',
    },
  );
}
