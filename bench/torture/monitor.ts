import { setTimeout as wait } from 'node:timers/promises';
import type { Database } from '../../src/database/connect.ts';
import { isTransient } from '../../src/database/prepare.ts';
import type { CampaignName } from './campaigns.ts';

/** One look: rows and counters in one statement, and so in one snapshot. */
export interface Look {
  readonly status: string;
  readonly reason: string | null;
  readonly people: number;
  /** Rows in state 1. */
  readonly claimed: number;
  readonly waiting: number;
  readonly done: number;
  /** How far the counters are from the rows, added up over the states. */
  readonly drift: number;
  readonly openClaims: number;
}

const LOOK = `
with rows as (
  select count(*) as people, count(*) filter (where send_state = 1) as claimed, count(*) filter (where send_state = 0) as waiting,
    count(*) filter (where send_state = 2) as done, count(*) filter (where outcome = 'sent') as sent,
    count(*) filter (where outcome = 'unconfirmed') as unconfirmed
  from recipient where campaign_id = $1
), counters as (
  select coalesce(sum(claimed), 0) as claimed, coalesce(sum(waiting + retrying), 0) as waiting, coalesce(sum(sent), 0) as sent,
    coalesce(sum(unconfirmed), 0) as unconfirmed,
    coalesce(sum(sent + rejected + expired + invalid + unconfirmed + suppressed + cancelled), 0) as done
  from counter where campaign_id = $1
)
select m.status, m.status_reason as reason, r.people, r.claimed, r.waiting, r.done,
  (abs(r.claimed - c.claimed) + abs(r.waiting - c.waiting) + abs(r.done - c.done) + abs(r.sent - c.sent)
    + abs(r.unconfirmed - c.unconfirmed))::int as drift,
  (select count(*) from claim where campaign_id = $1 and closed_at is null) as "openClaims"
from campaign m, rows r, counters c where m.campaign_id = $1`;

export async function look(database: Database, campaignId: number): Promise<Look> {
  const { rows } = await database.pool.query<Look>(LOOK, [campaignId]);
  if (rows[0] === undefined) throw new Error('the campaign is gone');
  return rows[0];
}

const LOOK_EVERY_MS = 200;

/** What is looked at. */
export interface Watched {
  readonly name: CampaignName;
  readonly campaignId: number;
  /** How many people it will have in the end. */
  readonly people: number;
}

/** Looks at a campaign again and again, and keeps what must never have been seen. */
export class Monitor implements Watched {
  readonly name: CampaignName;
  readonly campaignId: number;
  readonly people: number;
  /** The campaign said finished while a recipient was waiting or claimed. */
  readonly finishedEarly: string[] = [];
  /** The largest distance between counters and rows that any look has found. */
  drift = 0;
  latest: Look | null = null;
  looks = 0;
  readonly #database: Database;
  #over = false;
  #failure: unknown = null;
  readonly #running: Promise<void>;

  constructor(database: Database, { name, campaignId, people }: Watched) {
    this.#database = database;
    this.name = name;
    this.campaignId = campaignId;
    this.people = people;
    this.#running = this.#run().catch((error: unknown) => {
      this.#failure = error;
    });
  }

  /** @throws what a look failed with, other than a database that is away */
  check(): void {
    if (this.#failure !== null) throw this.#failure;
  }

  async stop(): Promise<void> {
    this.#over = true;
    await this.#running;
  }

  async refresh(): Promise<void> {
    const seen = await look(this.#database, this.campaignId);
    this.latest = seen;
    this.looks++;
    this.drift = Math.max(this.drift, seen.drift);
    if (seen.status === 'finished' && seen.waiting + seen.claimed > 0)
      this.finishedEarly.push(
        `${this.name} finished with ${seen.waiting} waiting and ${seen.claimed} claimed`,
      );
  }

  async #run(): Promise<void> {
    while (!this.#over) {
      try {
        await this.refresh();
      } catch (error) {
        if (!isTransient(error)) throw error;
      }
      await wait(LOOK_EVERY_MS);
    }
  }
}
