import { counted } from './table.ts';
import type { World } from './world.ts';

/** What must be true in every state. The first that is not. */
export function brokenIn({ table, mails, processes }: World): string | null {
  const truth = counted(table.rows);
  if (JSON.stringify(truth) !== JSON.stringify(table.counters))
    return 'the counters are not what counting gives';
  for (const [index, row] of table.rows.entries()) {
    const copies = mails[index] as number;
    if (copies > 1 + row.maybeSent) return 'a second mail whose row does not say so';
    if (row.outcome === 'sent' && copies === 0) return 'lost: the row says sent and the relay took nothing';
    if (row.state === 2 && row.outcome !== 'sent' && row.maybeSent === 0 && copies > 0) {
      return 'the row says not sent and the relay took it';
    }
    if (table.onUnconfirmed === 'hold' && copies > 1) return 'a second mail although the campaign holds';
    if (table.status === 'finished' && row.state !== 2) return 'finished while a recipient is not done';
    if (row.state === 1 && table.claims[row.claim]?.open !== true)
      return 'a claimed row without an open claim';
  }
  return ownedTwice(processes) ? 'a row is on the wire of two workers whose leases hold' : null;
}

/** Two workers that may both hand over, and both have the same row on the wire. */
function ownedTwice(processes: World['processes']): boolean {
  const rows = processes.flatMap(({ lease, wire }) => (lease ? Object.keys(wire) : []));
  return new Set(rows).size < rows.length;
}
