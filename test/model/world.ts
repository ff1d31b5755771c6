import {
  bury,
  claim,
  claimable,
  finish,
  type Guards,
  importRows,
  type Result,
  record,
  rescue,
  type Table,
} from './table.ts';

/**
 * Workers, their statements on the way to the database and back, the relay, and everything that may happen between any
 * two of their steps. A worker that is frozen is one that nobody lets take a step; so there is no event for it.
 *
 * A statement is issued, then done by the database or lost on the way, then its answer is heard or lost. All three may lie
 * far apart: a statement can be done after its worker has died, after its rows were given to somebody else.
 */

/** What a worker holds: one claim. Real workers hold two, one ahead; the window over both is kept by holding.ts. */
interface Held {
  readonly claim: number;
  readonly rows: readonly number[];
  /** How many rows of the claim were handed over or released. */
  readonly next: number;
  /** The mark as far as the worker knows that it is durable. */
  readonly mark: number;
  /** Results that it knows to be durable. */
  readonly recorded: number;
}

/** A statement of a worker that is on its way. */
interface Statement {
  readonly worker: number;
  readonly cursor: number;
  readonly kind: 'claim' | 'record';
  readonly done: boolean;
  readonly results: readonly Result[];
  readonly claim: number;
  readonly mark: number;
  readonly close: boolean;
  readonly held: boolean;
  /** For a claim that was done: its rows. */
  readonly rows: readonly number[];
}

interface Process {
  readonly life: 'unborn' | 'up' | 'gone';
  /** As the process itself sees it. */
  readonly lease: boolean;
  readonly cursor: number;
  readonly held: Held | null;
  readonly results: readonly Result[];
  readonly statement: Statement | null;
  /** Rows on the wire: 1 bytes are out, 2 the relay has taken it and its reply is on the way. */
  readonly wire: Readonly<Record<number, 1 | 2>>;
}

/** How often each thing may happen in one history. Each must be bounded or the search has no end. */
export interface Budget {
  /** Deaths of processes, and leases that run out while a process lives. */
  readonly deaths: number;
  /** Connections to the database that break while a statement is on its way. */
  readonly lostAnswers: number;
  readonly brokenConnections: number;
  readonly deferrals: number;
  readonly releases: number;
}

export interface World {
  readonly table: Table;
  readonly processes: readonly Process[];
  /** Copies that the relay took, by row. */
  readonly mails: readonly number[];
  /** Bytes of a mail without an owner, which the relay may still take: by row. */
  readonly adrift: readonly number[];
  /** Statements that nobody waits for any more and that the database may still do. */
  readonly astray: readonly Statement[];
  readonly left: Budget;
}

export interface Scope {
  readonly workers: number;
  readonly rows: number;
  /** Rows whose import commits later, although their ids are smaller than others'. */
  readonly late: readonly number[];
  readonly batch: number;
  readonly window: number;
  readonly onUnconfirmed: Table['onUnconfirmed'];
  readonly budget: Budget;
}

/** A step: what happened, what the world is now, and the promise that was broken by it, if any. */
export interface Step {
  readonly what: string;
  readonly world: World;
  readonly broken?: string;
}

const NO_RECORD = {
  done: false,
  results: [],
  claim: -1,
  mark: 0,
  close: false,
  held: false,
  rows: [],
} as const;
const NOTHING_HELD = { cursor: 0, held: null, results: [], statement: null, wire: {} } as const;

export function begin(scope: Scope): World {
  const rows = Array.from({ length: scope.rows }, () => ({
    there: false,
    state: 0 as const,
    claim: -1,
    back: false,
    maybeSent: 0,
    outcome: null,
  }));
  const empty: Table = {
    rows,
    claims: [],
    alive: Array.from({ length: scope.workers }, () => false),
    counters: { waiting: 0, retrying: 0, claimed: 0, sent: 0, unconfirmed: 0 },
    finished: false,
    onUnconfirmed: scope.onUnconfirmed,
  };
  const early = rows.map((_, index) => index).filter((index) => !scope.late.includes(index));
  return {
    table: importRows(empty, early),
    processes: Array.from({ length: scope.workers }, () => ({
      life: 'unborn' as const,
      lease: false,
      ...NOTHING_HELD,
    })),
    mails: rows.map(() => 0),
    astray: [],
    adrift: rows.map(() => 0),
    left: scope.budget,
  };
}

const replaced = <T>(list: readonly T[], index: number, value: T): readonly T[] =>
  list.map((one, at) => (at === index ? value : one));

function withProcess(world: World, worker: number, change: Partial<Process>): World {
  const process = { ...(world.processes[worker] as Process), ...change };
  return { ...world, processes: replaced(world.processes, worker, process) };
}

function spend(world: World, what: keyof Budget): World {
  return { ...world, left: { ...world.left, [what]: world.left[what] - 1 } };
}

/** A process loses everything that it knew: what is on the wire and not taken yet goes adrift, its statement astray. */
function forget(world: World, worker: number, change: Pick<Process, 'life' | 'lease'>): World {
  const { wire } = world.processes[worker] as Process;
  const adrift = world.adrift.map((count, row) => count + (wire[row] === 1 ? 1 : 0));
  return withProcess({ ...strayed(world, worker), adrift }, worker, { ...NOTHING_HELD, ...change });
}

function strayed(world: World, worker: number): World {
  const { statement } = world.processes[worker] as Process;
  return statement === null || statement.done ? world : { ...world, astray: [...world.astray, statement] };
}

/** Everything that may happen next. */
export function* steps(world: World, scope: Scope, guards: Guards): Generator<Step> {
  yield* common(world, scope, guards);
  for (let worker = 0; worker < scope.workers; worker++) {
    const process = world.processes[worker] as Process;
    // Workers are alike, so they are born in order.
    if (process.life === 'unborn' && world.processes[worker - 1]?.life !== 'unborn') {
      const table = { ...world.table, alive: replaced(world.table.alive, worker, true) };
      yield {
        what: `worker ${worker} registers`,
        world: withProcess({ ...world, table }, worker, { life: 'up', lease: true }),
      };
    }
    yield* database(world, worker, scope, guards);
    if (process.life !== 'up') continue;
    yield* living(world, worker, process, guards);
    yield* claiming(world, worker, process, guards);
    yield* recording(world, worker, process, scope, guards);
    yield* mailing(world, worker, process, guards);
  }
}

/** What needs no particular worker. */
function* common(world: World, scope: Scope, guards: Guards): Generator<Step> {
  const { table } = world;
  if (scope.late.some((row) => table.rows[row]?.there === false) && !table.finished) {
    yield { what: 'a late import commits', world: { ...world, table: importRows(table, scope.late) } };
  }
  yield* lateStatements(world, scope, guards);
  for (const [row, count] of world.adrift.entries()) {
    if (count === 0) continue;
    const adrift = replaced(world.adrift, row, count - 1);
    const mails = replaced(world.mails, row, (world.mails[row] as number) + 1);
    yield { what: `bytes of row ${row} vanish`, world: { ...world, adrift } };
    yield { what: `the relay takes bytes of row ${row} after all`, world: { ...world, adrift, mails } };
  }
  if (!world.processes.some(({ life }) => life === 'up')) return;
  if (!table.finished && table.rows.every(({ there }) => there)) {
    const after = finish(table, guards);
    if (after.finished) yield { what: 'the campaign is finished', world: { ...world, table: after } };
  }
  yield* rescues(world, scope, guards);
}

function* rescues(world: World, scope: Scope, guards: Guards): Generator<Step> {
  const { table } = world;
  for (const [worker, process] of world.processes.entries()) {
    const others = world.processes.some(({ life }, index) => life === 'up' && index !== worker);
    const silent = !process.lease || !guards.buryAfterLease;
    if (others && table.alive[worker] === true && silent && process.life !== 'unborn') {
      yield { what: `worker ${worker} is presumed dead`, world: { ...world, table: bury(table, worker) } };
    }
  }
  for (const [number, { worker, open }] of table.claims.entries()) {
    if (!open) continue;
    const owner = world.processes[worker] as Process;
    const knows = owner.held?.claim === number || owner.statement?.kind === 'claim';
    const unknown = guards.rescueUnknown && owner.life === 'up' && !knows;
    if (table.alive[worker] === true && !unknown) continue;
    const { table: after, ambiguous } = rescue(table, number, guards);
    const broken = ambiguous.length > scope.window ? 'more rows are in doubt than the window allows' : null;
    yield {
      what: `claim ${number} is taken apart`,
      world: { ...world, table: after },
      ...(broken === null ? {} : { broken }),
    };
  }
}

/** What the database makes of a statement. */
function execute(world: World, statement: Statement, scope: Scope, guards: Guards): [Table, Statement] {
  if (statement.kind === 'record') {
    const { claim: number, results, mark, close } = statement;
    const { table, held } = record(world.table, number, results, mark, close, guards);
    return [table, { ...statement, done: true, held }];
  }
  const rows = pickedBy(world, statement, scope);
  const table = claim(world.table, statement.worker, rows);
  const number = table === world.table ? -1 : table.claims.length - 1;
  return [table, { ...statement, done: true, claim: number, rows }];
}

/** Rows that came back first, then fresh ones beyond the cursor. */
function pickedBy({ table }: World, { cursor }: Statement, scope: Scope): number[] {
  const due = claimable(table, 'due', 0);
  return (due.length > 0 ? due : claimable(table, 'fresh', cursor)).slice(0, scope.batch);
}

function* database(world: World, worker: number, scope: Scope, guards: Guards): Generator<Step> {
  const { statement } = world.processes[worker] as Process;
  if (statement === null || statement.done) return;
  const [table, done] = execute(world, statement, scope, guards);
  yield {
    what: `worker ${worker}'s ${statement.kind} commits`,
    world: withProcess({ ...world, table }, worker, { statement: done }),
  };
  if (world.left.lostAnswers === 0) return;
  const without = withProcess(putBack(strayed(world, worker), worker), worker, { statement: null });
  const rows = pickedBy(world, statement, scope);
  // Without the guard it sends what it saw in a transaction that was never committed.
  const uncommitted = { claim: -1, rows, next: 0, mark: (rows.at(-1) ?? 0) + 1, recorded: 0 };
  const early = statement.kind === 'claim' && !guards.claimFirst;
  yield {
    what: `worker ${worker} loses its connection while its ${statement.kind} is on the way`,
    world: spend(early ? withProcess(without, worker, { held: uncommitted }) : without, 'lostAnswers'),
  };
}

function* lateStatements(world: World, scope: Scope, guards: Guards): Generator<Step> {
  for (const [index, statement] of world.astray.entries()) {
    const astray = world.astray.filter((_, at) => at !== index);
    const [table] = execute(world, statement, scope, guards);
    yield {
      what: `a late ${statement.kind} of worker ${statement.worker} commits`,
      world: { ...world, astray, table },
    };
    yield {
      what: `a late ${statement.kind} of worker ${statement.worker} is lost`,
      world: { ...world, astray },
    };
  }
}

/** Leases and deaths. */
function* living(world: World, worker: number, process: Process, guards: Guards): Generator<Step> {
  const known = world.table.alive[worker] === true;
  if (!process.lease) {
    // Who hears from the database that it was buried lets go of everything. (A process that registers anew is another worker.)
    const after = known
      ? withProcess(world, worker, { lease: true })
      : forget(world, worker, { life: 'gone', lease: false });
    yield { what: `worker ${worker} beats${known ? '' : ' and learns that it was buried'}`, world: after };
  } else if (!known && !guards.buryAfterLease) {
    yield {
      what: `worker ${worker} learns that it was buried`,
      world: forget(world, worker, { life: 'gone', lease: false }),
    };
  }
  if (world.left.deaths === 0) return;
  if (process.lease) {
    yield {
      what: `worker ${worker}'s lease runs out`,
      world: spend(withProcess(world, worker, { lease: false }), 'deaths'),
    };
  }
  const dead = forget(world, worker, { life: 'gone', lease: false });
  yield { what: `worker ${worker} is killed`, world: spend(dead, 'deaths') };
}

function* claiming(world: World, worker: number, process: Process, guards: Guards): Generator<Step> {
  const { statement, held, lease, results } = process;
  if (held === null && statement === null && results.length === 0 && lease && !world.table.finished) {
    const asked: Statement = { ...NO_RECORD, kind: 'claim', worker, cursor: process.cursor };
    yield {
      what: `worker ${worker} asks for a claim`,
      world: withProcess(world, worker, { statement: asked }),
    };
  }
  if (statement?.kind !== 'claim' || !statement.done) return;
  const heard = { statement: null };
  if (statement.claim < 0) {
    const cursor = guards.cursorIsAHint ? 0 : process.cursor;
    yield {
      what: `worker ${worker} hears of nothing`,
      world: withProcess(world, worker, { ...heard, cursor }),
    };
    return;
  }
  const { rows } = statement;
  const last = rows.at(-1) ?? 0;
  const taken: Held = {
    claim: statement.claim,
    rows,
    next: 0,
    mark: guards.durableMark ? 0 : last + 1,
    recorded: 0,
  };
  yield {
    what: `worker ${worker} hears of claim ${statement.claim}`,
    world: withProcess(world, worker, { ...heard, held: taken, cursor: Math.max(process.cursor, last + 1) }),
  };
  if (world.left.lostAnswers > 0) {
    yield {
      what: `the answer to worker ${worker}'s claim is lost`,
      world: spend(withProcess(world, worker, heard), 'lostAnswers'),
    };
  }
}

/** The results of a statement of which nobody knows whether it was done come first in the next one. */
function putBack(world: World, worker: number): World {
  const { statement, results } = world.processes[worker] as Process;
  return withProcess(world, worker, { results: [...(statement?.results ?? []), ...results] });
}

function* recording(
  world: World,
  worker: number,
  process: Process,
  scope: Scope,
  guards: Guards,
): Generator<Step> {
  const { statement, held } = process;
  if (statement === null && held !== null) {
    const wanted = statementOf(worker, process, held, scope, guards);
    if (wanted !== null) {
      yield {
        what: `worker ${worker} records ${wanted.results.length} and moves its mark to ${wanted.mark}`,
        world: withProcess(world, worker, { statement: wanted, results: [] }),
      };
    }
  }
  if (statement?.kind !== 'record' || !statement.done) return;
  const recorded = (held?.recorded ?? 0) + statement.results.length;
  const after =
    held === null || !statement.held || statement.close
      ? null
      : { ...held, mark: Math.max(held.mark, statement.mark), recorded };
  // Rows of a claim that was taken away: their results are dropped, what is on the wire is nobody's any more.
  const lost = held !== null && !statement.held;
  yield {
    what: `worker ${worker} hears that its record was done`,
    world: lost
      ? forget(world, worker, { life: 'up', lease: process.lease })
      : withProcess(world, worker, { statement: null, held: after }),
  };
  if (world.left.lostAnswers > 0) {
    yield {
      what: `the answer to worker ${worker}'s record is lost`,
      world: spend(withProcess(putBack(world, worker), worker, { statement: null }), 'lostAnswers'),
    };
  }
}

/** As holding.ts does it: results as they are, and the mark as far ahead as the window allows. */
function statementOf(
  worker: number,
  process: Process,
  held: Held,
  scope: Scope,
  guards: Guards,
): Statement | null {
  const { results } = process;
  if (held.claim < 0) return null;
  const marked = held.rows.filter((row) => row < held.mark).length;
  const durable = held.recorded + results.filter(({ row }) => row < held.mark).length;
  const spare = guards.window ? scope.window - (marked - durable) : held.rows.length;
  const unhanded = held.next < held.rows.length ? held.rows.length - marked : 0;
  const room = Math.max(Math.min(spare, unhanded), 0);
  if (results.length === 0 && (room === 0 || held.next < marked)) return null;
  const last = held.rows[marked + room - 1];
  const mark = room > 0 && last !== undefined ? last + 1 : held.mark;
  const close = held.recorded + results.length >= held.rows.length;
  return { ...NO_RECORD, kind: 'record', worker, cursor: 0, results, claim: held.claim, mark, close };
}

/** Handing over, and what the relay and the network make of it. */
function* mailing(world: World, worker: number, process: Process, guards: Guards): Generator<Step> {
  const { held, lease, wire } = process;
  if (held !== null && held.next < held.rows.length) {
    const row = held.rows[held.next] as number;
    if (row < held.mark && (lease || !guards.ownLease)) yield handOver(world, worker, process, held, row);
    if (world.left.releases > 0) {
      const rest = held.rows.slice(held.next);
      const results = rest.map((one): Result => ({ row: one, claim: held.claim, kind: 'released' }));
      yield {
        what: `worker ${worker} releases rows ${rest.join(', ')}`,
        world: spend(
          withProcess(world, worker, {
            held: { ...held, next: held.rows.length },
            results: [...process.results, ...results],
          }),
          'releases',
        ),
      };
    }
  }
  for (const [key, stage] of Object.entries(wire)) yield* answers(world, worker, process, Number(key), stage);
}

function handOver(world: World, worker: number, process: Process, held: Held, row: number): Step {
  const { state, claim: of } = world.table.rows[row] as Table['rows'][number];
  const own = state === 1 && of === held.claim && world.table.alive[worker] === true;
  return {
    what: `worker ${worker} hands row ${row} over`,
    world: withProcess(world, worker, {
      held: { ...held, next: held.next + 1 },
      wire: { ...process.wire, [row]: 1 },
    }),
    ...(own ? {} : { broken: 'a row is handed over by somebody who does not own it' }),
  };
}

function* answers(
  world: World,
  worker: number,
  process: Process,
  row: number,
  stage: 1 | 2,
): Generator<Step> {
  const { [row]: _, ...wire } = process.wire;
  const mails = replaced(world.mails, row, (world.mails[row] as number) + 1);
  const told = (kind: Result['kind'], from: World = world): World => {
    // What belongs to a claim that was let go is dropped.
    const number = process.held?.claim ?? -1;
    const results = number < 0 ? process.results : [...process.results, { row, claim: number, kind }];
    return withProcess(from, worker, { wire, results });
  };
  if (stage === 1) {
    yield {
      what: `the relay takes row ${row}`,
      world: withProcess({ ...world, mails }, worker, { wire: { ...wire, [row]: 2 } }),
    };
    if (world.left.deferrals > 0) {
      yield { what: `the relay defers row ${row}`, world: spend(told('deferred'), 'deferrals') };
    }
  } else yield { what: `worker ${worker} hears that row ${row} was taken`, world: told('sent') };
  if (world.left.brokenConnections > 0) {
    const adrift = replaced(world.adrift, row, (world.adrift[row] as number) + (stage === 1 ? 1 : 0));
    yield {
      what: `the connection with row ${row} breaks`,
      world: spend(told('doubt', { ...world, adrift }), 'brokenConnections'),
    };
  }
}

/**
 * What tells two worlds apart, and nothing else: of a closed claim only that it is closed, of a row that is not claimed
 * not who held it. Worlds with the same key have the same future.
 */
export function keyOf({ table, processes, mails, adrift, astray, left }: World): string {
  const rows = table.rows.map(
    ({ there, state, claim: of, back, maybeSent, outcome }) =>
      `${there ? state : '-'}${state === 1 ? of : ''}${back ? 'b' : ''}${maybeSent}${outcome ?? ''}`,
  );
  const claims = table.claims.map(({ worker, rows: held, mark, open }) =>
    open ? `${worker}:${held}:${mark}` : '',
  );
  const statements = (list: readonly (Statement | null)[]) =>
    list.map((one) => (one === null ? '' : statementKey(one)));
  const workers = processes.map(
    (one, index) =>
      `${one.life}${one.lease}${table.alive[index]}${one.cursor}${heldKey(one.held)}${one.results.map(resultKey)}${JSON.stringify(one.wire)}`,
  );
  return [
    rows,
    claims,
    workers,
    statements(processes.map(({ statement }) => statement)),
    statements(astray),
    Object.values(table.counters),
    table.finished,
    mails,
    adrift,
    Object.values(left),
  ].join('|');
}

const heldKey = (held: Held | null) =>
  held === null ? '' : `${held.claim}:${held.rows}:${held.next}:${held.mark}:${held.recorded}`;
const resultKey = ({ row, claim: of, kind }: Result) => `${row}${of}${kind}`;
const statementKey = (one: Statement) =>
  `${one.kind}${one.worker}${one.done}${one.cursor}:${one.claim}:${one.mark}${one.close}${one.held}${one.rows}${one.results.map(resultKey)}`;
