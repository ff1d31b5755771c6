import { findCampaign } from '../campaigns/campaigns.ts';
import { SendstateError } from '../errors.ts';
import { readProgress } from '../progress/queries.ts';
import { type Report, readReport } from '../progress/report.ts';
import type { Sendstate } from './open.ts';

export type { Report } from '../progress/report.ts';

/**
 * Everything that people ask about a campaign afterwards. Walks its recipients once; for a look every second there is `status`.
 * @throws SendstateError `campaign-unknown`
 */
export async function report({ database }: Sendstate, name: string): Promise<Report> {
  await findCampaign(database, name);
  const [progress] = await readProgress(database, name);
  if (progress === undefined)
    throw new SendstateError('campaign-unknown', `Campaign "${name}" was deleted just now`);
  return await readReport(database, progress);
}
