import type { Share } from '../cpu-profile.ts';
import type { Raw } from '../raw.ts';
import type { Row } from './rows.ts';
import { orDash, rounded, table, withInterval } from './words.ts';

export function queueText(raw: Raw): string {
  return [
    `${raw.settings.queuePeople.toLocaleString('en-US')} people, fewer where that takes too long, no mail: durably in, then out with an answer at once. One clock for all: in, from the publisher’s first connection until it has closed its last; out, from the consumer’s first connection until everything is settled at the broker. Settled is the last result committed (the table, pg-boss, graphile-worker), RabbitMQ’s reply to a cancellation behind the last acknowledgement, Kafka’s last committed offset, an empty BullMQ queue, memcached’s last counter. What is checked after that is not in it.`,
    'For the table, out is 0→1→2 with claim rows, marks, counters and timeline, over two connections: claims of 500 and all results of a claim in one statement, as its worker does it. The others have 100 people in flight at once.',
  ].join('\n\n');
}

export function queueTable(rows: readonly Row[]): string {
  const measured = rows.filter((row) => row.publish !== null);
  if (measured.length === 0) return '';
  return table(
    ['', 'people', 'in, people/s', 'out, people/s', 'in and out, people/s', 'cores of the consumer'],
    measured.map((row) => [
      row.key,
      row.queuePeople?.toLocaleString('en-US') ?? '–',
      withInterval(row.publish),
      withInterval(row.consume),
      withInterval(row.both),
      orDash(row.consumerCores),
    ]),
  );
}

/** What limits the table, and why another command has another figure. */
export function limitText({ profile, machine }: Raw): string {
  if (profile === null) return 'Not measured in this run.';
  const { people, consumePerSecond, nodeCores, postgresCores, waits, functions, ways } = profile;
  return [
    `One more round of the table, out, with ${people.toLocaleString('en-US')} people and all processes watched: ${rounded(consumePerSecond)} people a second. Of ${machine.cores} cores the processes of Postgres kept ${rounded(postgresCores)} busy, Node ${rounded(nodeCores)}. ${limit(waits)}`,
    'What the two connections were doing, looked up in `pg_stat_activity` every 10 ms (`CPU`: at work or waiting for a processor), and the functions of Node by their own time:',
    sharesTable('Postgres', waits),
    sharesTable('Node', functions),
    '`npm run bench:dispatch` measures the same statements in another way: rows with fewer variables that were made in SQL, vacuumed and followed by a checkpoint, in a process that has done a round before. Here people come straight from the import, and the process is new. All ways in turn, on this server:',
    table(
      ['', 'rows/s'],
      ways.map(({ name, rowsPerSecond }) => [name, rounded(rowsPerSecond)]),
    ),
  ].join('\n\n');
}

function limit(waits: readonly Share[]): string {
  const of = (test: (name: string) => boolean) =>
    waits.filter(({ name }) => test(name)).reduce((sum, { share }) => sum + share, 0);
  const cpu = of((name) => name === 'CPU');
  const wal = of((name) => /WAL/i.test(name));
  const node = of((name) => name.startsWith('idle') || name.startsWith('Client'));
  const [largest] = [
    ['Postgres’ own work on the rows', cpu] as const,
    ['the WAL, which has to be on disk before a commit counts', wal] as const,
    ['Node, whose next statement is waited for', node] as const,
  ].sort(([, a], [, b]) => b - a);
  return `The limit is ${largest?.[0]}: work ${rounded(cpu * 100)}%, WAL ${rounded(wal * 100)}%, waiting for Node ${rounded(node * 100)}% of the time.`;
}

const sharesTable = (head: string, shares: readonly Share[]) =>
  table(
    [head, '%'],
    shares.slice(0, 8).map(({ name, share }) => [`\`${name}\``, rounded(share * 100)]),
  );
