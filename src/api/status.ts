import { findCampaign } from '../campaigns/campaigns.ts';
import { SendstateError } from '../errors.ts';
import type { Outcome } from '../model/states.ts';
import {
  type Failure,
  type Progress,
  type RecipientRow,
  type RelayActivity,
  readFailures,
  readProgress,
  readRecipients,
  readWorkers,
  relayActivity,
  type WorkerActivity,
} from '../report/progress.ts';
import type { Opened } from './open.ts';

/** One campaign: progress, failures by reason, who works, and how the relays are. */
export interface Status {
  readonly progress: Progress;
  readonly failures: readonly Failure[];
  readonly workers: readonly WorkerActivity[];
  /** The relays of every worker that is alive, whatever it works on. */
  readonly relays: readonly RelayActivity[];
}

/** Where one campaign stands. Costs the same at 10 recipients and at 10 million. */
export async function status({ database }: Opened, name: string): Promise<Status> {
  // Says which campaigns there are when this one is not.
  await findCampaign(database, name);
  const [progress] = await readProgress(database, name);
  if (progress === undefined)
    throw new SendstateError('campaign-unknown', `Campaign "${name}" was deleted just now`);
  const failures = await readFailures(database, progress.campaignId);
  const workers = (await readWorkers(database)).filter(({ campaign }) => campaign === name);
  return { progress, failures, workers, relays: await relayActivity(database) };
}

/** Every campaign, the latest first. */
export async function campaigns({ database }: Opened): Promise<Progress[]> {
  return await readProgress(database);
}

/** The recipients of a campaign, all or those with one outcome, streamed in the order they were imported. */
export async function* recipients(
  { database }: Opened,
  name: string,
  outcome?: Outcome,
): AsyncGenerator<RecipientRow> {
  const { campaignId } = await findCampaign(database, name);
  yield* readRecipients(database, campaignId, outcome);
}
