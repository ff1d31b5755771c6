import type { Guards } from './guards.ts';
import { replaced } from './table.ts';
import {
  forget,
  type Held,
  NO_RECORD,
  type Process,
  putBack,
  type Scope,
  type Statement,
  type Step,
  spend,
  type World,
  withProcess,
} from './world.ts';

/** Leases and deaths. */
export function* living(world: World, worker: number, process: Process, guards: Guards): Generator<Step> {
  const known = world.table.alive[worker] === true;
  if (!process.lease) {
    // Who hears from the database that it was buried lets go of everything. (A process that registers anew is another worker.)
    const after =
      known || !guards.buriedStaysBuried
        ? withProcess(
            { ...world, table: { ...world.table, alive: replaced(world.table.alive, worker, true) } },
            worker,
            { lease: true },
          )
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

export function* claiming(world: World, worker: number, process: Process, guards: Guards): Generator<Step> {
  const { statement, held, lease, results } = process;
  if (
    held === null &&
    statement === null &&
    results.length === 0 &&
    lease &&
    world.table.status === 'running'
  ) {
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

export function* recording(
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
  // Rows of a claim that was taken away: their results are dropped, what is on the wire is unowned from then on.
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
