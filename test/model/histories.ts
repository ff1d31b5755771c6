import fc from 'fast-check';
import type { Database } from '../../src/database/connect.ts';
import { writeLimit } from '../../src/queue/domain-limit.ts';
import { runningCampaign } from '../support/campaign.ts';
import type { Event, Model, Real } from './beside.ts';
import {
  addPeople,
  Cancel,
  Finishing,
  Import,
  Pause,
  Retry,
  Start,
  Suppress,
  Sweep,
} from './commands-people.ts';
import { Beat, Goodbye, Register, Rescue, register, Silence, Unknown } from './commands-presence.ts';
import { Claiming, Drawing, Recording, type Word, WorkOff } from './commands-work.ts';
import { emptyTable, type Table } from './table.ts';
import type { Kind } from './transitions.ts';

/** Random histories of commands that drive the model and the database side by side. */
const number = fc.nat({ max: 11 });
const rarely = fc.integer({ min: 0, max: 5 }).map((of) => of === 0);

const ORDINARY = ['sent', 'deferred', 'doubt', 'doubt', 'released'] as const;
const OTHERS = ['rejected', 'expired', 'invalid', 'unconfirmed', 'cancelled'] as const;
const kind = fc.constantFrom<Kind[]>(...ORDINARY, ...OTHERS);
const word: fc.Arbitrary<Word> = fc.record({
  row: number,
  stale: fc.integer({ min: 0, max: 3 }).map((of) => of === 0),
  kind,
});

const claiming = (of: 'due' | 'fresh', after: fc.Arbitrary<number>) =>
  fc
    .tuple(number, rarely, fc.integer({ min: 1, max: 5 }), after)
    .map(([worker, any, limit, from]) => new Claiming(of, worker, any, limit, from));
const recording = fc
  .tuple(number, rarely, fc.array(word, { maxLength: 3 }), fc.option(number, { freq: 4 }), rarely)
  .map((told) => new Recording(...told));
const ofWorker = <T>(make: new (worker: number, any: boolean) => T) =>
  fc.tuple(number, rarely).map(([worker, any]) => new make(worker, any));

/** Weights, so that claims and records are many, what ends a history is rare, and each of the others comes to pass. */
const COMMANDS = fc.oneof(
  { weight: 6, arbitrary: claiming('fresh', fc.oneof(fc.constant(0), fc.constant(0), number)) },
  { weight: 10, arbitrary: claiming('due', fc.constant(0)) },
  { weight: 16, arbitrary: recording },
  {
    weight: 3,
    arbitrary: fc
      .tuple(fc.nat({ max: 3 }), fc.constantFrom<(0 | 1)[]>(0, 1))
      .map((told) => new Drawing(...told)),
  },
  { weight: 1, arbitrary: ofWorker(WorkOff) },
  { weight: 2, arbitrary: fc.constant(new Finishing()) },
  { weight: 2, arbitrary: fc.constant(new Register()) },
  { weight: 3, arbitrary: ofWorker(Silence) },
  { weight: 2, arbitrary: fc.tuple(number, fc.boolean()).map((told) => new Beat(...told)) },
  {
    weight: 5,
    arbitrary: fc
      .tuple(number, rarely, rarely)
      .map(([worker, any, hasty]) => new Rescue(worker, any, !hasty)),
  },
  { weight: 1, arbitrary: fc.tuple(number, rarely, number).map((told) => new Unknown(...told)) },
  { weight: 1, arbitrary: ofWorker(Goodbye) },
  { weight: 2, arbitrary: fc.integer({ min: 1, max: 3 }).map((people) => new Import(people)) },
  { weight: 1, arbitrary: number.map((row) => new Suppress(row)) },
  { weight: 1, arbitrary: fc.constant(new Pause()) },
  { weight: 10, arbitrary: fc.constant(new Start()) },
  { weight: 2, arbitrary: fc.constant(new Cancel()) },
  { weight: 1, arbitrary: fc.constant(new Sweep()) },
  { weight: 4, arbitrary: number.map((outcome) => new Retry(outcome)) },
);

const HISTORIES = fc.record({
  people: fc.integer({ min: 5, max: 8 }),
  first: claiming('fresh', fc.constant(0)),
  commands: fc.commands([COMMANDS], { size: 'max', maxCommands: 80 }),
});

export interface Run {
  readonly seed?: number;
  readonly histories: number;
  readonly onUnconfirmed: Table['onUnconfirmed'];
}

export interface Ran {
  readonly failure: unknown;
  /** The history that failed, and by which seed it comes again. */
  readonly report: string;
  readonly seen: ReadonlyMap<Event, number>;
}

const MAX_ATTEMPTS = 2;

/** Each history begins with five to eight people, two workers and a claim. Stops at the first that fails. */
export async function runHistories(db: Database, run: Run): Promise<Ran> {
  const seen = new Map<Event, number>();
  await writeLimit(db, 'example.com', 0.001);
  const property = fc.asyncProperty(HISTORIES, async ({ people, first, commands }) => {
    const { onUnconfirmed } = run;
    const set = { on_unconfirmed: onUnconfirmed, max_attempts: MAX_ATTEMPTS };
    const campaign = await runningCampaign(db, 0, set);
    const model: Model = { table: emptyTable({ onUnconfirmed, maxAttempts: MAX_ATTEMPTS }), silent: [] };
    const real: Real = { db, ...campaign, ids: [], claims: [], workers: [], seen };
    await addPeople(model, real, people);
    await register(model, real);
    await register(model, real);
    await first.run(model, real);
    await fc.asyncModelRun(() => ({ model, real }), commands);
  });
  const details = await fc.check(property, {
    numRuns: run.histories,
    endOnFailure: true,
    ...(run.seed === undefined ? {} : { seed: run.seed }),
  });
  return {
    failure: details.failed ? details.errorInstance : null,
    report: details.failed ? ((await fc.asyncDefaultReportMessage(details)) ?? '') : '',
    seen,
  };
}
