import type { Case } from './verify.ts';

const ENDS = `
select m.name, extract(epoch from m.finished_at)::float8 * 1000 as finished, extract(epoch from max(r.done_at))::float8 * 1000 as done
from campaign m join recipient r using (campaign_id)
where m.campaign_id = any ($1) and m.finished_at is not null group by m.campaign_id`;

/** From a campaign's last row to its end, beyond the lease, seconds: a look of a worker that may just have been started. */
const MARGIN_SECONDS = 2;
/** The same for a few campaigns on a busy machine. */
const BUSY_MARGIN_SECONDS = 20;

/**
 * A campaign is finished when its last row is done, neither before (its monitor sees that) nor long after. Time without a
 * database counts for no worker.
 * @returns the longest, seconds
 */
export async function judgeEnds(the: Case, broken: string[]): Promise<number> {
  const { rows } = await the.database.pool.query<{ name: string; finished: number; done: number }>(ENDS, [
    the.campaigns.map(({ monitor }) => monitor.campaignId),
  ]);
  const most = the.leaseSeconds + (the.judgesTimes ? MARGIN_SECONDS : BUSY_MARGIN_SECONDS);
  let longest = 0;
  for (const { name, finished, done } of rows) {
    const away = the.absences.reduce(
      (sum, { from, to }) => sum + Math.max(Math.min(to, finished) - Math.max(from, done), 0),
      0,
    );
    const seconds = Math.round((finished - done - away) / 10) / 100;
    longest = Math.max(longest, seconds);
    if (seconds > most)
      broken.push(`${name} was finished ${seconds} s after its last row; ${most} s were promised`);
  }
  return longest;
}
