import type { Guards } from './guards.ts';
import type { Table } from './table.ts';
import { claim, claimable, record } from './transitions.ts';
import {
  type Process,
  putBack,
  type Scope,
  type Statement,
  type Step,
  spend,
  strayed,
  type World,
  withProcess,
} from './world.ts';

/** What the database makes of a statement. */
export function execute(
  world: World,
  statement: Statement,
  scope: Scope,
  guards: Guards,
): [Table, Statement] {
  if (statement.kind === 'record') {
    const { claim: number, results, mark, close } = statement;
    const { table, held } = record(world.table, results, [{ claim: number, mark, close }], guards);
    return [table, { ...statement, done: true, held: held.includes(number) }];
  }
  const rows = pickedBy(world, statement, scope);
  const table = claim(world.table, statement.worker, rows, guards);
  const number = table === world.table ? -1 : table.claims.length - 1;
  return [table, { ...statement, done: true, claim: number, rows }];
}

/** Rows that came back first, then fresh ones beyond the cursor. */
export function pickedBy({ table }: World, { cursor }: Statement, scope: Scope): number[] {
  const due = claimable(table, 'due', 0);
  return (due.length > 0 ? due : claimable(table, 'fresh', cursor)).slice(0, scope.batch);
}

export function* lateStatements(world: World, scope: Scope, guards: Guards): Generator<Step> {
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

export function* database(world: World, worker: number, scope: Scope, guards: Guards): Generator<Step> {
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
