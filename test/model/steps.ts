import { importRows } from './decisions.ts';
import type { Guards } from './guards.ts';
import { database, lateStatements } from './steps-database.ts';
import { mailing } from './steps-relay.ts';
import { claiming, living, recording } from './steps-worker.ts';
import { replaced } from './table.ts';
import { bury, finish, rescue } from './transitions.ts';
import { type Process, type Scope, type Step, type World, withProcess } from './world.ts';

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
  if (scope.late.some((row) => table.rows[row]?.there === false) && table.status === 'running') {
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
  if (table.status === 'running' && table.rows.every(({ there }) => there)) {
    const after = finish(table, guards);
    if (after.status === 'finished')
      yield { what: 'the campaign is finished', world: { ...world, table: after } };
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
