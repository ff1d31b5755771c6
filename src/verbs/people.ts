import { findCampaign } from '../campaigns/campaigns.ts';
import { retryOutcome } from '../campaigns/sweep.ts';
import { type ImportOptions, type ImportReport, importRecipients } from '../recipients/import.ts';
import { rejectsPathFor } from '../recipients/rejects.ts';
import { reasonOf } from '../sending/retry.ts';
import type { Retryable } from '../sending/states.ts';
import type { Sendstate } from './open.ts';

export interface ImportPeopleOptions
  extends Omit<ImportOptions, 'campaignId' | 'campaignName' | 'source' | 'fileName' | 'rejects'> {
  /** A path, or a stream of bytes. */
  readonly from: string | AsyncIterable<Buffer>;
  /** For messages and the rejects file. Default: the path; for a stream `stdin.csv`. */
  readonly fileName?: string | undefined;
  /** Where rows go that were not taken. Default `FILE.rejects.csv`; null: nowhere. */
  readonly rejects?: string | null | undefined;
}

/**
 * Streams a CSV of people into a campaign: all of it or, after any error or kill, nothing.
 * @throws SendstateError `campaign-unknown`, `import-…`, `csv-…`, `encoding-…`
 */
export async function importPeople(
  { database }: Sendstate,
  name: string,
  options: ImportPeopleOptions,
): Promise<ImportReport> {
  const { campaignId } = await findCampaign(database, name);
  const { from, fileName, rejects, ...rest } = options;
  const shown = fileName ?? (typeof from === 'string' ? from : 'stdin.csv');
  return await importRecipients(database.pool, {
    ...rest,
    campaignId,
    campaignName: name,
    source: from,
    fileName: shown,
    rejects: rejects === undefined ? rejectsPathFor(shown) : rejects,
  });
}

/**
 * Puts everybody with this outcome back to waiting, attempts at zero. Returns how many. Start the campaign to send them.
 */
export async function retry({ database }: Sendstate, name: string, outcome: Retryable): Promise<number> {
  const { campaignId } = await findCampaign(database, name);
  return await retryOutcome(database, campaignId, outcome, reasonOf);
}
