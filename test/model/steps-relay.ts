import type { Guards } from './guards.ts';
import { replaced, type Table } from './table.ts';
import type { Result } from './transitions.ts';
import { type Held, type Process, type Step, spend, type World, withProcess } from './world.ts';

/** Handing over, and what the relay and the network make of it. */
export function* mailing(world: World, worker: number, process: Process, guards: Guards): Generator<Step> {
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
    ...(own ? {} : { broken: 'a row is handed over by a worker that does not own it' }),
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
      world: spend(
        told(world.table.onUnconfirmed === 'hold' ? 'unconfirmed' : 'doubt', { ...world, adrift }),
        'brokenConnections',
      ),
    };
  }
}
