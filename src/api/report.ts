import { findCampaign } from '../campaigns/campaigns.ts';
import { SendstateError } from '../errors.ts';
import { type Report, readReport } from '../report/report.ts';
import { maskedAll } from './mask.ts';
import type { Opened } from './open.ts';

export type { Report } from '../report/report.ts';

export interface ReportOptions {
  /** Addresses as k…@example.com, in examples and in what relays said. Default false. */
  readonly mask?: boolean | undefined;
}

/**
 * Everything that people ask about a campaign afterwards. Walks its recipients once; for a look every second there is `status`.
 * @throws SendstateError `campaign-unknown`
 */
export async function report(
  { database }: Opened,
  name: string,
  { mask = false }: ReportOptions = {},
): Promise<Report> {
  await findCampaign(database, name);
  const found = await readReport(database, name);
  if (found === null) throw new SendstateError('campaign-unknown', `Campaign "${name}" was deleted just now`);
  return mask ? maskedAll(found) : found;
}
