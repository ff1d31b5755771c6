import { expect } from 'vitest';
import type { Claim, Result } from '../../src/model/states.ts';
import { claimDue, claimFresh } from '../../src/queue/claim.ts';
import { DomainLimits } from '../../src/queue/domain-limit.ts';
import { drawTurns } from '../../src/queue/domain-pace.ts';
import { record as recordRows } from '../../src/queue/record.ts';
import { reasonOf } from '../../src/worker/retry.ts';
import { Both, happened, idOfMark, type Model, OfWorker, pick, type Real } from './beside.ts';
import { Finishing } from './commands-people.ts';
import { type Row, rowsWhere } from './table.ts';
import {
  claim,
  claimable,
  type Kind,
  outcomeOf,
  putBackForTurns,
  record,
  type Result as Said,
} from './transitions.ts';

/** What a worker does with a campaign: claims, turns, records. */
export class Claiming extends OfWorker {
  readonly kind: 'due' | 'fresh';
  readonly limit: number;
  readonly after: number;
  constructor(kind: 'due' | 'fresh', worker: number, any: boolean, limit: number, after: number) {
    super(worker, any);
    this.kind = kind;
    this.limit = limit;
    this.after = after;
  }
  async step(model: Model, real: Real): Promise<void> {
    const worker = this.which(model);
    const refused = this.refused(model, real, worker);
    await claimed(model, real, worker, this.kind, this.limit, this.after % model.table.rows.length, refused);
  }
  toString = () => `claim ${this.kind} by ${this.worker} ${this.any}, ${this.limit} after ${this.after}`;
}

async function claimed(
  model: Model,
  real: Real,
  worker: number,
  kind: 'due' | 'fresh',
  limit: number,
  after: number,
  refused: boolean,
): Promise<number> {
  const { db, campaignId } = real;
  const request = { campaignId, workerId: real.workers[worker]?.workerId as number, limit };
  const made =
    kind === 'due'
      ? await claimDue(db, request)
      : await claimFresh(db, { ...request, after: idOfMark(real, after) });
  const taken = made?.recipients.map(({ recipientId }) => real.ids.indexOf(recipientId)) ?? [];
  const allowed = refused ? [] : claimable(model.table, kind, after);
  // Fresh ones in order of id; of those that are due at the same moment any.
  if (kind === 'fresh') expect(taken).toEqual(allowed.slice(0, limit));
  else {
    expect(taken).toHaveLength(Math.min(allowed.length, limit));
    expect(allowed).toEqual(expect.arrayContaining(taken));
  }
  if (made !== null) real.claims.push(made);
  happened(real, 'claim of fresh rows', kind === 'fresh' && made !== null);
  happened(real, 'claim of rows that came back', kind === 'due' && made !== null);
  model.table = claim(model.table, worker, taken);
  return taken.length;
}

/** What the relay said, or that it said nothing, about a row, as worker/retry.ts makes a result of it. */
function toReal({ row, claim: number, kind }: Said, real: Real): Result {
  const outcome = outcomeOf(kind);
  const code = { sent: 250, rejected: 550, expired: 451, deferred: 451 }[kind as string] ?? null;
  const reply =
    kind === 'released' || kind === 'cancelled' || kind === 'doubt' ? null : `the relay says ${kind}`;
  const failed = outcome !== null && outcome !== 'sent' && outcome !== 'cancelled';
  return {
    recipientId: real.ids[row] as number,
    claimId: real.claims[number]?.claimId as number,
    outcome,
    replyCode: code,
    reply,
    retrySeconds: 0,
    charged: code === null ? 0 : 1,
    maybeSent: kind === 'doubt' || kind === 'unconfirmed' ? 1 : 0,
    reason: failed ? reasonOf(code, reply ?? '') : null,
  };
}

/** One thing that a record says. A stale one is about a row that its claim does not hold, or not any more. */
export interface Word {
  readonly row: number;
  readonly stale: boolean;
  readonly kind: Kind;
}

export class Recording extends Both {
  readonly claim: number;
  readonly closed: boolean;
  readonly words: readonly Word[];
  readonly mark: number | null;
  readonly twice: boolean;
  /** @param closed also claims that are over; otherwise an open one, if there is any */
  constructor(claim: number, closed: boolean, words: readonly Word[], mark: number | null, twice: boolean) {
    super();
    this.claim = claim;
    this.closed = closed;
    this.words = words;
    this.mark = mark;
    this.twice = twice;
  }
  override check({ table }: Readonly<Model>): boolean {
    return table.claims.length > 0;
  }
  async step(model: Model, real: Real): Promise<void> {
    const { table } = model;
    const all = [...table.claims.keys()];
    const open = all.filter((number) => table.claims[number]?.open);
    const number = pick(this.closed || open.length === 0 ? all : open, this.claim);
    const { rows, mark: before, open: isOpen } = pick(table.claims, number);
    const mark = this.mark === null ? 0 : pick(rows, this.mark) + 1;
    happened(real, 'mark that would have gone back', isOpen && mark > 0 && mark < before);
    happened(real, 'record on a closed claim', !isOpen);
    await said(model, real, number, this.resultsOf(model, number), mark, this.twice);
  }
  resultsOf({ table }: Model, number: number): Said[] {
    const holds = ({ state, claim: of }: Row) => state === 1 && of === number;
    const own = rowsWhere(table, holds);
    const others = rowsWhere(table, (row) => !holds(row));
    const words = this.words.flatMap(({ row, stale, kind }): [number, Kind][] => {
      const from = stale ? others : own;
      return from.length === 0 ? [] : [[pick(from, row), kind]];
    });
    return [...new Map(words)].map(([row, kind]) => ({ row, claim: number, kind }));
  }
  toString = () =>
    `record ${JSON.stringify(this.words)} of claim ${this.claim} ${this.closed}, mark ${this.mark}, twice ${this.twice}`;
}

/** Says results, and closes the claim when nothing is left in it. */
async function said(
  model: Model,
  real: Real,
  number: number,
  results: readonly Said[],
  mark: number,
  twice: boolean,
): Promise<void> {
  const { rows } = model.table;
  const left = rowsWhere(model.table, (row) => row.state === 1 && row.claim === number);
  const close = left.every((row) => results.some((one) => one.row === row));
  const of = results.map(({ row }) => rows[row] as Row);
  happened(
    real,
    'row fenced by the number of another claim',
    of.some((row) => row.state === 1 && row.claim !== number),
  );
  happened(
    real,
    'row fenced by its state',
    of.some((row) => row.state !== 1 && row.claim === number),
  );
  const marks = [
    { claimId: real.claims[number]?.claimId as number, handedThrough: idOfMark(real, mark), close },
  ];
  const workerId = real.workers[model.table.claims[number]?.worker ?? -1]?.workerId as number;
  const write = () =>
    recordRows(
      real.db,
      real.campaignId,
      workerId,
      results.map((one) => toReal(one, real)),
      marks,
    );
  const answer = await write();
  const expected = record(model.table, results, [{ claim: number, mark, close }]);
  expect(answer).toEqual({
    written: expected.written,
    held: new Set(expected.held.map((one) => real.claims[one]?.claimId)),
  });
  happened(real, 'rows recorded', expected.written > 0);
  model.table = expected.table;
  // The answer was lost, and it is said again: nothing may change.
  if (twice) expect((await write()).written).toBe(0);
  happened(real, 'record said twice', twice && expected.written > 0);
}

/** Claimed recipients are sent, then waiting ones are claimed and sent, until none is left and the campaign is finished. */
export class WorkOff extends OfWorker {
  override check({ table }: Readonly<Model>): boolean {
    return table.status === 'running';
  }
  async step(model: Model, real: Real): Promise<void> {
    for (const [number, { open }] of model.table.claims.entries())
      if (open) await allSent(model, real, number);
    const worker = this.which(model);
    for (const kind of ['due', 'fresh'] as const) {
      const refused = this.refused(model, real, worker);
      while ((await claimed(model, real, worker, kind, 4, 0, refused)) > 0) {
        await allSent(model, real, model.table.claims.length - 1);
      }
    }
    await new Finishing().step(model, real);
  }
  toString = () => `${this.worker} works everything off`;
}

async function allSent(model: Model, real: Real, number: number): Promise<void> {
  const held = rowsWhere(model.table, ({ state, claim: of }) => state === 1 && of === number);
  const results = held.map((row): Said => ({ row, claim: number, kind: 'sent' }));
  await said(model, real, number, results, Math.max(0, ...held.map((row) => row + 1)), false);
}

/** A domain's limit lets one recipient of a claim go, or none. */
export class Drawing extends Both {
  readonly claim: number;
  readonly tokens: 0 | 1;
  constructor(claim: number, tokens: 0 | 1) {
    super();
    this.claim = claim;
    this.tokens = tokens;
  }
  override check({ table }: Readonly<Model>): boolean {
    return table.claims.length > 0;
  }
  async step(model: Model, real: Real): Promise<void> {
    // Mostly the youngest: turns are drawn right after a claim, or late.
    const number = Math.max(model.table.claims.length - 1 - this.claim, 0);
    const { worker, rows, open } = pick(model.table.claims, number);
    const made = real.claims[number] as Claim;
    await real.db.pool.query(
      `insert into domain_pace (domain, rate, tokens, wanted, granted, turns_from, refilled_at, queued_until)
       values ('example.com', 0.001, $1, 0, 0, now(), now(), '-infinity')
       on conflict (domain) do update set tokens = $1, refilled_at = now(), queued_until = '-infinity'`,
      [this.tokens],
    );
    const limits = new DomainLimits(real.db);
    await limits.refresh();
    const workerId = real.workers[worker]?.workerId as number;
    const { recipients } = await drawTurns(real.db, workerId, made, limits, true);
    const kept = recipients.map(({ recipientId }) => real.ids.indexOf(recipientId));
    const put = rows.filter((row) => !kept.includes(row));
    const owned = rows.filter((row) => {
      const { state, claim: of } = model.table.rows[row] as Row;
      return state === 1 && of === number;
    });
    expect(owned).toEqual(expect.arrayContaining(put));
    expect(put.length).toBeGreaterThanOrEqual(owned.length - this.tokens);
    happened(real, 'rows put back for their turn', put.length > 0);
    happened(real, 'claim of whom all wait for their turn', open && put.length === rows.length);
    happened(real, 'late draw of turns', owned.length < rows.length);
    model.table = putBackForTurns(model.table, number, put);
    // Their turn comes.
    await real.db.pool.query(
      'update recipient set retry_at = now() where campaign_id = $1 and retry_at > now()',
      [real.campaignId],
    );
  }
  toString = () => `draw turns of claim -${this.claim}, ${this.tokens} tokens`;
}
