import { expect } from 'vitest';
import { retry as retryPeople } from '../../src/api/recipients.ts';
import { cancelCampaign, finishCampaign, pauseCampaign, startCampaign } from '../../src/campaigns/life.ts';
import { importRecipients } from '../../src/import/import.ts';
import type { Retryable } from '../../src/model/states.ts';
import { sweepCancelled } from '../../src/queue/sweep.ts';
import { Both, happened, type Model, pick, type Real } from './beside.ts';
import { cancel, importRows, pause, resume, retry, suppress, sweep } from './decisions.ts';
import { ABSENT, rowsWhere } from './table.ts';
import { finish } from './transitions.ts';

/** What people decide about a campaign, and how it ends. */
export async function addPeople(model: Model, real: Real, people: number): Promise<void> {
  const from = model.table.rows.length;
  const added = Array.from({ length: people }, (_, index) => from + index);
  const csv = ['email', ...added.map((person) => `person${person}@example.com`)].join('\n');
  await importRecipients(real.db.pool, {
    campaignId: real.campaignId,
    campaignName: real.name,
    source: oneChunk(Buffer.from(csv)),
    fileName: 'people.csv',
    rejects: null,
  });
  const { rows } = await real.db.pool.query<{ id: number }>(
    'select recipient_id as id from recipient where campaign_id = $1 order by recipient_id',
    [real.campaignId],
  );
  real.ids.splice(0, real.ids.length, ...rows.map(({ id }) => id));
  const grown = { ...model.table, rows: [...model.table.rows, ...added.map(() => ABSENT)] };
  model.table = importRows(grown, added);
}

async function* oneChunk(bytes: Buffer): AsyncGenerator<Buffer> {
  yield bytes;
}

export class Import extends Both {
  readonly people: number;
  constructor(people: number) {
    super();
    this.people = people;
  }
  override check({ table }: Readonly<Model>): boolean {
    return table.status !== 'cancelled';
  }
  async step(model: Model, real: Real): Promise<void> {
    happened(real, 'import into a finished campaign', model.table.status === 'finished');
    await addPeople(model, real, this.people);
  }
  toString = () => `import ${this.people}`;
}

export class Suppress extends Both {
  readonly row: number;
  constructor(row: number) {
    super();
    this.row = row;
  }
  async step(model: Model, real: Real): Promise<void> {
    const row = this.row % model.table.rows.length;
    const waits = model.table.rows[row]?.state === 0;
    const { rows } = await real.db.pool.query<{ done: boolean }>(
      'select suppress($1, address) as done from recipient where campaign_id = $2 and recipient_id = $3',
      [real.name, real.campaignId, real.ids[row]],
    );
    expect(rows).toEqual([{ done: waits }]);
    happened(real, waits ? 'suppressed' : 'not suppressed, because claimed or done');
    model.table = suppress(model.table, row);
  }
  toString = () => `suppress ${this.row}`;
}

export class Pause extends Both {
  override check({ table }: Readonly<Model>): boolean {
    return table.status === 'running';
  }
  async step(model: Model, real: Real): Promise<void> {
    await pauseCampaign(real.db, real.name);
    model.table = pause(model.table);
  }
  toString = () => 'pause';
}

export class Start extends Both {
  override check({ table }: Readonly<Model>): boolean {
    const left = rowsWhere(table, ({ state }) => state !== 2);
    return table.status === 'paused' || (table.status !== 'running' && left.length > 0);
  }
  async step(model: Model, real: Real): Promise<void> {
    await startCampaign(real.db, real.name);
    model.table = resume(model.table);
  }
  toString = () => 'start';
}

export class Cancel extends Both {
  override check({ table }: Readonly<Model>): boolean {
    return table.status === 'running' || table.status === 'paused';
  }
  async step(model: Model, real: Real): Promise<void> {
    await cancelCampaign(real.db, real.name);
    model.table = cancel(model.table);
  }
  toString = () => 'cancel';
}

/** In whatever state the campaign is: a worker may be late with it. */
export class Sweep extends Both {
  async step(model: Model, real: Real): Promise<void> {
    const after = sweep(model.table);
    const count = after.counters.cancelled - model.table.counters.cancelled;
    expect(await sweepCancelled(real.db, real.campaignId)).toBe(count);
    happened(real, 'cancelled', count > 0);
    model.table = after;
  }
  toString = () => 'sweep';
}

export class Retry extends Both {
  readonly outcome: number;
  /** @param outcome an outcome that a recipient has, or of all when none failed: which */
  constructor(outcome: number) {
    super();
    this.outcome = outcome;
  }
  override check(model: Readonly<Model>): boolean {
    return failures(model).length > 0;
  }
  async step(model: Model, real: Real): Promise<void> {
    const outcome = pick(failures(model), this.outcome);
    const wasCancelled = model.table.status === 'cancelled';
    const sendstate = { database: real.db, embedded: false, close: () => real.db.close() };
    const count = await retryPeople(sendstate, real.name, outcome);
    const before = sweep(model.table).counters[outcome];
    expect(count).toBe(before);
    happened(real, 'retried', count > 0 && !wasCancelled);
    happened(real, 'retried after a cancel', count > 0 && wasCancelled);
    model.table = retry(model.table, outcome);
  }
  toString = () => `retry ${this.outcome}`;
}

function failures({ table }: Readonly<Model>): Retryable[] {
  const outcomes = table.rows.flatMap(({ outcome }) =>
    outcome === null || outcome === 'sent' ? [] : [outcome],
  );
  return [...new Set(outcomes)];
}

export class Finishing extends Both {
  async step(model: Model, real: Real): Promise<void> {
    const { counters, status } = model.table;
    const after = finish(model.table);
    const now = after.status === 'finished' && status === 'running';
    expect(await finishCampaign(real.db, real.campaignId)).toBe(now);
    const onlyHeld =
      status === 'running' && counters.waiting + counters.retrying === 0 && counters.claimed > 0;
    happened(real, 'finished with people', now);
    happened(real, 'not finished, because of a row in a worker’s hands', onlyHeld);
    model.table = after;
  }
  toString = () => 'finish';
}
