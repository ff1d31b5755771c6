import fc from 'fast-check';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { finishCampaign } from '../../src/campaigns/life.ts';
import { claimDue, claimFresh } from '../../src/sending/claim.ts';
import { record as recordRows } from '../../src/sending/record.ts';
import { rescue as rescueDead, rescueUnknown } from '../../src/sending/rescue.ts';
import type { Claim, Result } from '../../src/sending/states.ts';
import { addPeople, countersAgree, registered, runningCampaign } from '../support/campaign.ts';
import { type FreshDatabase, freshDatabase } from '../support/database.ts';
import type { Result as Said } from './table.ts';
import { bury, claim, claimable, finish, importRows, record, rescue, type Table } from './table.ts';

/**
 * The real statements against the model's, step by step: random histories of claims, records (also late ones and ones that
 * are said twice), deaths and rescues. After each step the tables must be what the model says. So the two cannot drift.
 */
let fresh: FreshDatabase;
beforeAll(async () => {
  fresh = await freshDatabase();
});
afterAll(() => fresh.drop());

/** The database under test: which row, claim and worker of the model is which of Postgres. */
interface Real {
  readonly campaignId: number;
  readonly ids: number[];
  readonly claimIds: number[];
  readonly workerIds: number[];
}
interface Model {
  table: Table;
}
type Command = fc.AsyncCommand<Model, Real>;

const STRONG = { reply: null, replyCode: null, retrySeconds: 0, charged: 0, reason: null } as const;

/** A result as sending/retry.ts makes it of what happened. */
function toReal(said: Said, real: Real, hold: boolean): Result {
  const base = {
    ...STRONG,
    recipientId: real.ids[said.row] as number,
    claimId: real.claimIds[said.claim] as number,
  };
  if (said.kind === 'sent') return { ...base, outcome: 'sent', replyCode: 250, reply: 'Ok', maybeSent: 0 };
  if (said.kind === 'doubt') return { ...base, outcome: hold ? 'unconfirmed' : null, maybeSent: 1 };
  return { ...base, outcome: null, maybeSent: 0 };
}

/** The tables as the model knows them. */
async function tableOf(real: Real): Promise<Pick<Table, 'rows' | 'claims' | 'counters' | 'finished'>> {
  const { pool } = fresh;
  const rows = await pool.query<{
    id: number;
    s: 0 | 1 | 2;
    claim: number;
    back: boolean;
    m: number;
    o: string;
  }>(
    `select recipient_id as id, send_state as s, claim_id as claim, retry_at is not null as back, maybe_sent as m, outcome as o
     from recipient where campaign_id = $1 order by recipient_id`,
    [real.campaignId],
  );
  const claims = await pool.query<{ id: number; worker: number; mark: number; open: boolean }>(
    `select claim_id as id, worker_id as worker, handed_through as mark, closed_at is null as open
     from claim where campaign_id = $1 order by claim_id`,
    [real.campaignId],
  );
  const counted = await countersAgree(fresh.database, real.campaignId);
  const status = await pool.query<{ status: string }>('select status from campaign where campaign_id = $1', [
    real.campaignId,
  ]);
  const held = (number: number) =>
    rows.rows.flatMap(({ claim: of }, index) => (of === real.claimIds[number] ? [index] : []));
  return {
    rows: rows.rows.map((row) => ({
      there: true,
      state: row.s,
      claim: row.claim === null ? -1 : real.claimIds.indexOf(row.claim),
      back: row.back,
      maybeSent: row.m,
      outcome: row.o as Table['rows'][number]['outcome'],
    })),
    claims: claims.rows.map((row, number) => ({
      worker: real.workerIds.indexOf(row.worker),
      rows: held(number),
      mark: real.ids.filter((id) => id <= row.mark).length,
      open: row.open,
    })),
    counters: {
      waiting: counted.waiting as number,
      retrying: counted.retrying as number,
      claimed: counted.claimed as number,
      sent: counted.sent as number,
      unconfirmed: counted.unconfirmed as number,
    },
    finished: status.rows[0]?.status === 'finished',
  };
}

async function compare({ table }: Model, real: Real): Promise<void> {
  const { rows, claims, counters, finished } = await tableOf(real);
  expect(rows).toEqual(table.rows);
  expect(counters).toEqual(table.counters);
  expect(finished).toBe(table.finished);
  const facts = (list: Table['claims']) => list.map(({ worker, mark, open }) => ({ worker, mark, open }));
  expect(facts(claims)).toEqual(facts(table.claims));
}

/** A step of both. Which row, claim or worker is meant is a number that is taken modulo how many there are. */
abstract class Both implements Command {
  check({ table }: Readonly<Model>): boolean {
    return !table.finished;
  }
  async run(model: Model, real: Real): Promise<void> {
    await this.step(model, real);
    await compare(model, real);
  }
  abstract step(model: Model, real: Real): Promise<void>;
  abstract toString(): string;
}

class Import extends Both {
  readonly people: number;
  constructor(people: number) {
    super();
    this.people = people;
  }
  async step(model: Model, real: Real): Promise<void> {
    const from = real.ids.length + 1;
    await addPeople(fresh.database, real.campaignId, from, real.ids.length + this.people);
    const { rows } = await fresh.pool.query<{ id: number }>(
      'select recipient_id as id from recipient where campaign_id = $1 order by recipient_id',
      [real.campaignId],
    );
    real.ids.splice(0, real.ids.length, ...rows.map(({ id }) => id));
    const empty = { there: false, state: 0, claim: -1, back: false, maybeSent: 0, outcome: null } as const;
    const added = Array.from({ length: this.people }, () => empty);
    const grown = { ...model.table, rows: [...model.table.rows, ...added] };
    model.table = importRows(
      grown,
      added.map((_, index) => from - 1 + index),
    );
  }
  toString = () => `import ${this.people}`;
}

class Register extends Both {
  async step(model: Model, real: Real): Promise<void> {
    real.workerIds.push(await registered(fresh.database));
    model.table = { ...model.table, alive: [...model.table.alive, true] };
  }
  toString = () => 'register';
}

class Claiming extends Both {
  readonly kind: 'due' | 'fresh';
  readonly worker: number;
  readonly limit: number;
  readonly after: number;
  constructor(kind: 'due' | 'fresh', worker: number, limit: number, after: number) {
    super();
    this.kind = kind;
    this.worker = worker;
    this.limit = limit;
    this.after = after;
  }
  override check(model: Readonly<Model>): boolean {
    return super.check(model) && model.table.alive.length > 0;
  }
  async step(model: Model, real: Real): Promise<void> {
    const worker = this.worker % real.workerIds.length;
    const after = this.after % (real.ids.length + 1);
    const request = {
      campaignId: real.campaignId,
      workerId: real.workerIds[worker] as number,
      limit: this.limit,
    };
    const made: Claim | null =
      this.kind === 'due'
        ? await claimDue(fresh.database, request)
        : await claimFresh(fresh.database, {
            ...request,
            after: after === 0 ? 0 : (real.ids[after - 1] as number),
          });
    const taken = made?.recipients.map(({ recipientId }) => real.ids.indexOf(recipientId)) ?? [];
    const allowed = model.table.alive[worker] === true ? claimable(model.table, this.kind, after) : [];
    // Fresh ones in order of id; of those that are due at the same moment any.
    if (this.kind === 'fresh') expect(taken).toEqual(allowed.slice(0, this.limit));
    else {
      expect(taken).toHaveLength(Math.min(allowed.length, this.limit));
      expect(allowed).toEqual(expect.arrayContaining(taken));
    }
    if (made !== null) real.claimIds.push(made.claimId);
    model.table = claim(model.table, worker, taken);
  }
  toString = () => `claim ${this.kind} by ${this.worker}, ${this.limit} after ${this.after}`;
}

const KINDS = ['sent', 'deferred', 'doubt', 'released'] as const;

class Recording extends Both {
  readonly claim: number;
  readonly rows: readonly number[];
  readonly kind: Said['kind'];
  readonly mark: number;
  readonly twice: boolean;
  constructor(number: number, rows: readonly number[], kind: Said['kind'], mark: number, twice: boolean) {
    super();
    this.claim = number;
    this.rows = rows;
    this.kind = kind;
    this.mark = mark;
    this.twice = twice;
  }
  override check(model: Readonly<Model>): boolean {
    return super.check(model) && model.table.claims.length > 0;
  }
  async step(model: Model, real: Real): Promise<void> {
    const number = this.claim % real.claimIds.length;
    const held = model.table.claims[number] as Table['claims'][number];
    // Any rows that the claim ever held: also those that others hold now, and those that are done.
    const rows = [...new Set(this.rows.map((row) => held.rows[row % held.rows.length] as number))];
    const said = rows.map((row): Said => ({ row, claim: number, kind: this.kind }));
    const mark = this.mark % (model.table.rows.length + 1);
    const leaves = (row: number) =>
      rows.includes(row) || model.table.rows[row]?.state !== 1 || model.table.rows[row]?.claim !== number;
    const close = held.rows.every(leaves);
    const results = said.map((one) => toReal(one, real, model.table.onUnconfirmed === 'hold'));
    const marks = [
      {
        claimId: real.claimIds[number] as number,
        handedThrough: mark === 0 ? 0 : (real.ids[mark - 1] as number),
        close,
      },
    ];
    const workerId = real.workerIds[held.worker] as number;
    const write = () => recordRows(fresh.database, real.campaignId, workerId, results, marks);
    const answer = await write();
    const expected = record(model.table, number, said, mark, close);
    expect(answer).toEqual({
      written: expected.written,
      held: new Set(expected.held ? [real.claimIds[number]] : []),
    });
    model.table = expected.table;
    // The answer was lost, and it is said again: nothing may change.
    if (this.twice) expect((await write()).written).toBe(0);
  }
  toString = () =>
    `record ${this.kind} of ${this.rows.join(',')} in claim ${this.claim}, mark ${this.mark}, twice ${this.twice}`;
}

class Death extends Both {
  readonly worker: number;
  constructor(worker: number) {
    super();
    this.worker = worker;
  }
  override check(model: Readonly<Model>): boolean {
    return super.check(model) && model.table.alive.length > 0;
  }
  async step(model: Model, real: Real): Promise<void> {
    const worker = this.worker % real.workerIds.length;
    await fresh.pool.query(
      `update worker set lease = interval '0', heartbeat_at = '-infinity' where worker_id = $1`,
      [real.workerIds[worker]],
    );
    await rescueDead(fresh.database);
    model.table = bury(model.table, worker);
    for (const [number, { worker: owner }] of model.table.claims.entries()) {
      if (owner === worker) model.table = rescue(model.table, number).table;
    }
  }
  toString = () => `worker ${this.worker} dies and is rescued`;
}

class Unknown extends Both {
  readonly worker: number;
  readonly known: number;
  constructor(worker: number, known: number) {
    super();
    this.worker = worker;
    this.known = known;
  }
  override check(model: Readonly<Model>): boolean {
    return super.check(model) && model.table.alive.length > 0;
  }
  async step(model: Model, real: Real): Promise<void> {
    const worker = this.worker % real.workerIds.length;
    const known = real.claimIds.length === 0 ? -1 : this.known % real.claimIds.length;
    await rescueUnknown(
      fresh.database,
      real.workerIds[worker] as number,
      (_, id) => id === real.claimIds[known],
    );
    for (const [number, { worker: owner, open }] of model.table.claims.entries()) {
      if (open && owner === worker && number !== known) model.table = rescue(model.table, number).table;
    }
  }
  toString = () => `worker ${this.worker} knows only claim ${this.known}`;
}

class Finishing extends Both {
  async step(model: Model, real: Real): Promise<void> {
    const before = model.table.finished;
    model.table = finish(model.table);
    expect(await finishCampaign(fresh.database, real.campaignId)).toBe(model.table.finished && !before);
  }
  toString = () => 'finish';
}

const small = fc.nat({ max: 11 });
const commands = fc.commands(
  [
    fc.integer({ min: 1, max: 5 }).map((people) => new Import(people)),
    fc.constant(new Register()),
    fc
      .tuple(fc.constantFrom('due' as const, 'fresh' as const), small, fc.integer({ min: 1, max: 6 }), small)
      .map((told) => new Claiming(...told)),
    fc
      .tuple(small, fc.array(small, { maxLength: 5 }), fc.constantFrom(...KINDS), small, fc.boolean())
      .map((told) => new Recording(...told)),
    small.map((worker) => new Death(worker)),
    fc.tuple(small, small).map((told) => new Unknown(...told)),
    fc.constant(new Finishing()),
  ],
  { size: 'large', maxCommands: 40 },
);

test.each([
  ['resend', 20261123],
  ['hold', 20261124],
  ['resend', undefined],
  ['hold', undefined],
] as const)(
  'the statements do what the model does: %s, seed %s',
  { timeout: 120_000 },
  async (onUnconfirmed, seed) => {
    const begin = async (): Promise<{ model: Model; real: Real }> => {
      const { campaignId } = await runningCampaign(fresh.database, 0, {
        on_unconfirmed: onUnconfirmed,
        max_attempts: 100,
      });
      const counters = { waiting: 0, retrying: 0, claimed: 0, sent: 0, unconfirmed: 0 };
      return {
        model: { table: { rows: [], claims: [], alive: [], counters, finished: false, onUnconfirmed } },
        real: { campaignId, ids: [], claimIds: [], workerIds: [] },
      };
    };
    await fc.assert(
      fc.asyncProperty(commands, async (list) => {
        const start = await begin();
        await fc.asyncModelRun(() => start, list);
      }),
      { numRuns: 25, ...(seed === undefined ? {} : { seed }) },
    );
  },
);
