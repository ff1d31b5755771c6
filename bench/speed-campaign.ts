import { create } from '../src/api/create.ts';
import { importPeople } from '../src/api/recipients.ts';
import type { App } from '../src/api/sendstate.ts';
import { status } from '../src/api/status.ts';
import { peopleCsv, TEMPLATE } from './speed-people.ts';

/** A new campaign with so many people in it, and a quiet server: what importing leaves to do is done. */
export async function prepareCampaign(app: App, name: string, people: number): Promise<void> {
  await create(app, { name, ...TEMPLATE });
  const { imported } = await importPeople(app, name, { from: peopleCsv(people), rejects: null });
  if (imported !== people) throw new Error(`${imported} of ${people} people were imported`);
  await quiet(app);
}

/** Nothing is measured while the server still tidies up what was done before. */
export async function quiet({ database }: App): Promise<void> {
  await database.pool.query('vacuum (analyze) recipient');
  await database.pool.query('checkpoint');
}

/**
 * The table's own account of a finished campaign: every row is sent, the counters say the same, no claim is open.
 * Returns the seconds from its start to its end by the database's clock.
 *
 * @throws when anything in the table says otherwise
 */
export async function checkTable(app: App, name: string, people: number): Promise<number> {
  const { progress } = await status(app, name);
  const { rows } = await app.database.pool.query<{ sent: number; rest: number; open: number }>(
    `select (select count(*)::int from recipient where campaign_id = $1 and send_state = 2 and outcome = 'sent') as sent,
            (select count(*)::int from recipient where campaign_id = $1 and send_state <> 2) as rest,
            (select count(*)::int from claim where campaign_id = $1 and closed_at is null) as open`,
    [progress.campaignId],
  );
  const counted = { status: progress.status, counter: progress.outcomes.sent, ...rows[0] };
  const meant = { status: 'finished', counter: people, sent: people, rest: 0, open: 0 };
  if (JSON.stringify(counted) !== JSON.stringify(meant))
    throw new Error(`the table of ${name} says ${JSON.stringify(counted)}, not ${JSON.stringify(meant)}`);
  const { startedAt, finishedAt } = progress;
  if (startedAt === null || finishedAt === null) throw new Error(`${name} has no beginning or no end`);
  return (finishedAt.getTime() - startedAt.getTime()) / 1000;
}
