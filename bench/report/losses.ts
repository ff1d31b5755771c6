import { bestOther, TABLE } from './answer.ts';
import type { Row } from './rows.ts';
import { clearlyMore, rounded } from './words.ts';

/** Where the table is worse than another design of its tier by more than 5%, each with the figure. */
export function losses(rows: readonly Row[]): string[] {
  const own = rows.find(({ key }) => key === TABLE);
  if (own === undefined) return [];
  const peers = rows.filter((row) => row.tier === own.tier);
  const found: string[] = [];
  const more = (what: string, read: (row: Row) => number | null, unit: string) => {
    const ours = read(own);
    const other = bestOther(peers, read);
    if (ours === null || other === null || !clearlyMore(other.value, ours)) return;
    found.push(`${what}: ${rounded(ours)}${unit}; ${other.row.key} ${rounded(other.value)}${unit}`);
  };
  const less = (what: string, read: (row: Row) => number | null, unit: string) => {
    const ours = read(own);
    const other = bestOther(peers, (row) => negative(read(row)));
    if (ours === null || other === null || !clearlyMore(ours, -other.value)) return;
    found.push(`${what}: ${rounded(ours)}${unit}; ${other.row.key} ${rounded(-other.value)}${unit}`);
  };
  more('mails a second, end to end', (row) => row.mails?.median ?? null, '');
  for (const size of own.byPeople.keys())
    if (size !== own.people)
      more(
        `mails a second, ${size.toLocaleString('en-US')} people`,
        (row) => row.byPeople.get(size) ?? null,
        '',
      );
  for (const delay of own.byDelay.keys())
    if (delay > 0) more(`mails a second, ${delay} ms away`, (row) => row.byDelay.get(delay) ?? null, '');
  more('people taken in a second', (row) => row.publish?.median ?? null, '');
  more('people handed out a second, without mail', (row) => row.consume?.median ?? null, '');
  more('people in and out a second, without mail', (row) => row.both?.median ?? null, '');
  less('bytes written a mail', (row) => row.deviceBytes?.median ?? null, '');
  less('bytes left on disk a mail', (row) => row.diskLeft, '');
  less('CPU of broker and consumer for 10,000 mails', cpuOf, ' s');
  less('memory of the broker', (row) => row.memoryMb.broker, ' MB');
  less(
    'time from a killed consumer to the last mail',
    (row) => afterKill(row)?.recoverySeconds ?? null,
    ' s',
  );
  less('mails sent twice after a killed consumer', (row) => afterKill(row)?.duplicated ?? null, '');
  return found;
}

const negative = (value: number | null) => (value === null ? null : -value);

/** A design that left people without a mail has won nothing by being quick, or by sending nothing twice. */
function afterKill({ crash: { consumer } }: Row): Row['crash']['consumer'] {
  return consumer === null || consumer.lost + consumer.stuck > 0 ? null : consumer;
}

function cpuOf(row: Row): number | null {
  const { broker, consumer } = row.cpu;
  return broker === null || consumer === null ? null : broker + consumer;
}
