import { findCampaign } from '../campaigns/campaigns.ts';
import { SendstateError } from '../errors.ts';
import { parseAddress } from '../import/address.ts';
import type { ComposedMessage } from '../message/compose.ts';
import type { DkimKey } from '../message/dkim.ts';
import { type Preview, previewOf } from '../message/preview.ts';
import { createDeliverer } from '../smtp/choose.ts';
import { classify } from '../smtp/classify.ts';
import type { Delivery } from '../smtp/deliverer.ts';
import type { RelayOptions } from '../smtp/relay.ts';
import { signingDeliverer } from '../smtp/signing.ts';
import { composerFor } from './create.ts';
import type { Opened } from './open.ts';

interface Sample {
  readonly recipientId: number;
  readonly address: string;
  readonly vars: Readonly<Record<string, string>>;
}

/** Whose row to render: an address of the campaign; default the first recipient. */
async function sampleOf(
  { database }: Opened,
  campaignId: number,
  name: string,
  address?: string,
): Promise<Sample> {
  const { rows } = await database.pool.query<Sample>(
    `select recipient_id as "recipientId", address, vars from recipient
     where campaign_id = $1 and ($2::text is null or lower(address) = lower($2::text collate "C"))
     order by recipient_id limit 1`,
    [campaignId, address ?? null],
  );
  if (rows[0] !== undefined) return rows[0];
  throw address === undefined
    ? new SendstateError('campaign-empty', `Campaign "${name}" has no recipients to render for`, {
        hint: `Import some first: sendstate import ${name} FILE.csv`,
      })
    : new SendstateError('recipient-unknown', `Campaign "${name}" has no recipient ${address}`, {
        hint: `See who is in it: sendstate recipients ${name}`,
      });
}

/** The mail that one recipient would get, whole and in its parts. Nothing is sent, no row changes. */
export async function preview(app: Opened, name: string, address?: string): Promise<Preview> {
  const campaign = await findCampaign(app.database, name);
  const sample = await sampleOf(app, campaign.campaignId, name, address);
  return previewOf(await composerFor(app, campaign), sample);
}

export interface TestResult {
  readonly to: string;
  /** Whose row it was rendered for. */
  readonly renderedFor: string;
  readonly delivery: Delivery;
  readonly sent: boolean;
}

export interface TestOptions {
  /** Where the mail goes. */
  readonly to: string;
  /** Whose row it is rendered for: an address of the campaign. Default: the first recipient. */
  readonly as?: string | undefined;
  readonly relay: RelayOptions;
  /** The mail is signed with each of these. Default: none. */
  readonly dkim?: readonly DkimKey[] | undefined;
}

/**
 * Sends one mail, rendered for a recipient's row, to another address. No row changes.
 * @throws SendstateError `test-address`, `campaign-unknown`, `campaign-empty`, `recipient-unknown`, `message-invalid`
 */
export async function sendTest(app: Opened, name: string, options: TestOptions): Promise<TestResult> {
  const to = parseAddress(options.to);
  if (!to.ok) {
    throw new SendstateError('test-address', `Nothing can be sent to ${options.to}: ${to.reason}`, {
      hint: 'Write the address alone, such as kim@example.com.',
    });
  }
  const campaign = await findCampaign(app.database, name);
  const sample = await sampleOf(app, campaign.campaignId, name, options.as);
  const message = (await composerFor(app, campaign)).compose({ ...sample, address: to.address });
  if ('kind' in message) {
    throw new SendstateError(
      'message-invalid',
      `The mail for ${sample.address} cannot be made: ${message.why}`,
      {
        hint: 'Correct the template or the row; see sendstate preview.',
      },
    );
  }
  const delivery = await deliverOne(options.relay, message, options.dkim ?? []);
  return { to: to.address, renderedFor: sample.address, delivery, sent: classify(delivery).kind === 'sent' };
}

async function deliverOne(
  relay: RelayOptions,
  message: ComposedMessage,
  dkim: readonly DkimKey[],
): Promise<Delivery> {
  const deliverer = signingDeliverer(createDeliverer({ ...relay, connections: 1 }), dkim);
  try {
    return await new Promise<Delivery>((resolve) => deliverer.deliver(message, resolve));
  } finally {
    await deliverer.close();
  }
}
