import { findCampaign } from '../campaigns/campaigns.ts';
import { reopenCampaign } from '../campaigns/life.ts';
import { type ImportOptions, type ImportReport, importRecipients } from '../import/import.ts';
import { rejectsPathFor } from '../import/rejects-place.ts';
import type { Retryable } from '../model/states.ts';
import { retryOutcome, sweepCancelled } from '../queue/sweep.ts';
import { readProgress } from '../report/progress.ts';
import { reasonOf } from '../worker/retry.ts';
import type { Opened } from './open.ts';

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
  { database }: Opened,
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
 * Puts every recipient with this outcome back to waiting, attempts at zero. Returns how many. Start the campaign to send them; one
 * that is finished or cancelled is paused by it.
 */
export async function retry({ database }: Opened, name: string, outcome: Retryable): Promise<number> {
  const { campaignId, status } = await findCampaign(database, name);
  if (status === 'finished' || status === 'cancelled') {
    // First every waiting recipient is cancelled, as was asked; then the requeued ones are not cancelled again.
    if (status === 'cancelled') await sweepCancelled(database, campaignId);
    const [progress] = await readProgress(database, name);
    if (progress !== undefined && progress.outcomes[outcome] > 0)
      await reopenCampaign(database, campaignId, status);
  }
  const put = await retryOutcome(database, campaignId, outcome, reasonOf);
  // A worker that saw no recipient left may have finished it a moment before.
  if (put > 0) await reopenCampaign(database, campaignId, 'finished');
  return put;
}
