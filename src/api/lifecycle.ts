import type { Campaign } from '../campaigns/campaigns.ts';
import {
  cancelCampaign,
  pauseCampaign,
  resumeCampaign,
  scheduleCampaign,
  startCampaign,
} from '../campaigns/life.ts';
import { SendstateError } from '../errors.ts';
import { leaveQueues } from '../queue/domain-limit.ts';
import { sweepCancelled } from '../queue/sweep.ts';
import type { Opened } from './open.ts';

/** Lets workers begin, now or at a time. */
export async function start({ database }: Opened, name: string, at?: Date): Promise<Campaign> {
  if (at === undefined) return await startCampaign(database, name);
  if (Number.isNaN(at.getTime())) {
    throw new SendstateError('start-at', 'The time to start at is not one', {
      hint: "Write it as 2026-12-24T09:00:00+09:00 (without an offset it is this machine's time).",
    });
  }
  return await scheduleCampaign(database, name, at);
}

/** Running workers stop claiming at once and release what they hold within about a second. */
export async function pause({ database }: Opened, name: string, reason?: string): Promise<Campaign> {
  const campaign = await pauseCampaign(database, name, reason ?? null);
  await leaveQueues(database, campaign.campaignId);
  return campaign;
}

/** Undoes `pause`. */
export async function resume({ database }: Opened, name: string): Promise<Campaign> {
  return await resumeCampaign(database, name);
}

/** No recipient that still waits gets this mail. What is being sent at this moment ends as it ends. */
export async function cancel(
  { database }: Opened,
  name: string,
): Promise<{ readonly campaign: Campaign; readonly cancelled: number }> {
  const campaign = await cancelCampaign(database, name);
  await leaveQueues(database, campaign.campaignId);
  return { campaign, cancelled: await sweepCancelled(database, campaign.campaignId) };
}
