import type { Result } from './transitions.ts';
import type { Held, Statement, World } from './world.ts';

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
    table.status,
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
