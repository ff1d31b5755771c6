import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { detectMimeType } from 'nodemailer/lib/mime-funcs';
import { type Attachment, attachmentsOf, type Campaign, insertCampaign } from '../campaigns/campaigns.ts';
import { messageOf, SendstateError } from '../errors.ts';
import { type Composer, compileMessage } from '../message/compose.ts';
import { FIRST_RETRY_SECONDS, LONGEST_RETRY_SECONDS } from '../worker/retry.ts';
import type { Opened } from './open.ts';

/** A file to attach: a path, or bytes with a name. */
export type AttachmentSource =
  | { readonly path: string; readonly contentId?: string | undefined }
  | Attachment;

export interface CreateOptions {
  readonly name: string;
  /** The From header, a template: `News <news@example.com>`. */
  readonly from: string;
  readonly subject: string;
  readonly html?: string | undefined;
  /** Default: made from the html. */
  readonly text?: string | undefined;
  readonly replyTo?: string | undefined;
  /** Envelope sender, where bounces go. Default: the address in `from`. */
  readonly bounceTo?: string | undefined;
  /** Extra headers: name to template. */
  readonly headers?: Readonly<Record<string, string>> | undefined;
  readonly attachments?: readonly AttachmentSource[] | undefined;
  /** What becomes of a mail whose reply was never seen. Default `resend`: better two than none. */
  readonly onUnconfirmed?: 'resend' | 'hold' | undefined;
  /** Temporary failures until a recipient is expired (1…100). Default 5: 75 minutes of greylisting and outages. */
  readonly maxAttempts?: number | undefined;
  /** Seconds since the start after which a temporary failure is expired. Default 3 days, as mail servers do. */
  readonly maxAgeSeconds?: number | undefined;
  /** Mails per second over all workers. Default: no limit. */
  readonly rate?: number | undefined;
  /** Seconds until a recipient with a temporary failure is tried again (1…14,400); each further wait is twice as long. Default 5 minutes. */
  readonly retryAfterSeconds?: number | undefined;
}

/** Bytes of all attachments of a campaign. Relays commonly refuse more than 25 MB a mail, base64 included. */
export const MAX_ATTACHMENT_BYTES = 18 * 1024 * 1024;

/**
 * Makes a campaign (draft). The templates are compiled to check them: errors name the part and the line.
 * @returns its id
 * @throws SendstateError `campaign-exists`, `campaign-name`, `template-…`, `attachment-…`, `option-…`
 */
export async function create({ database }: Opened, options: CreateOptions): Promise<number> {
  const maxAttempts = bounded('max-attempts', options.maxAttempts ?? 5, 1, 100);
  const maxAgeSeconds = bounded('max-age', options.maxAgeSeconds ?? 3 * 86_400, 1, 365 * 86_400);
  const rate = options.rate === undefined ? null : bounded('rate', options.rate, 1e-6, 1e6);
  const retryAfterSeconds = bounded(
    'retry-after',
    options.retryAfterSeconds ?? FIRST_RETRY_SECONDS,
    1,
    LONGEST_RETRY_SECONDS,
  );
  const campaign = {
    name: options.name,
    sender: options.from,
    subject: options.subject,
    html: options.html ?? null,
    text: options.text ?? null,
    replyTo: options.replyTo ?? null,
    bounceTo: options.bounceTo ?? null,
    headers: options.headers ?? {},
    attachments: await readAttachments(options.attachments ?? []),
    onUnconfirmed: options.onUnconfirmed ?? 'resend',
    maxAttempts,
    maxAgeSeconds,
    rate,
    retryAfterSeconds,
  } as const;
  compose({ ...campaign, campaignId: 0 }, campaign.attachments);
  return await insertCampaign(database, campaign);
}

function bounded(name: string, value: number, low: number, high: number): number {
  if (value >= low && value <= high) return value;
  throw new SendstateError(`option-${name}`, `--${name} must be between ${low} and ${high}, not ${value}`);
}

async function readAttachments(sources: readonly AttachmentSource[]): Promise<Attachment[]> {
  const files: Attachment[] = [];
  let bytes = 0;
  for (const source of sources) {
    const file = 'content' in source ? source : await readAttachment(source.path, source.contentId ?? null);
    bytes += file.content.length;
    if (bytes > MAX_ATTACHMENT_BYTES) {
      throw new SendstateError(
        'attachment-size',
        `The attachments are larger than ${MAX_ATTACHMENT_BYTES / 1024 / 1024} MB`,
        {
          hint: 'Relays refuse mails beyond 25 MB. Put the file on a web server and link to it.',
        },
      );
    }
    files.push(file);
  }
  return files;
}

async function readAttachment(file: string, contentId: string | null): Promise<Attachment> {
  const filename = path.basename(file);
  try {
    return { filename, contentType: detectMimeType(filename), contentId, content: await readFile(file) };
  } catch (error) {
    throw new SendstateError(
      'attachment-unreadable',
      `The attachment ${file} cannot be read: ${messageOf(error)}`,
      {
        hint: 'It must be a file that you may read; the path is relative to the working directory.',
        cause: error,
      },
    );
  }
}

type Template = Pick<
  Campaign,
  'campaignId' | 'subject' | 'html' | 'text' | 'sender' | 'replyTo' | 'headers' | 'bounceTo'
>;

function compose(campaign: Template, attachments: readonly Attachment[]): Composer {
  const { campaignId, bounceTo } = campaign;
  return compileMessage({ campaignId, source: campaign, attachments, bounceTo, messageIdDomain: null });
}

/** A campaign's compiled message, with its attachments out of the table. */
export async function composerFor(
  { database }: Pick<Opened, 'database'>,
  campaign: Campaign,
): Promise<Composer> {
  return compose(campaign, await attachmentsOf(database, campaign.campaignId));
}
