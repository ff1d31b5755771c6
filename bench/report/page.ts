import type { Raw } from '../raw.ts';
import { answer, severalTiers } from './answer.ts';
import { caveats, faultsText, leftOutText } from './caveats.ts';
import { type Clusters, clustersText } from './clusters.ts';
import { losses } from './losses.ts';
import { measuredOn } from './measured-on.ts';
import { limitText, queueTable, queueText } from './queue.ts';
import type { Row } from './rows.ts';
import { TIERS, tiersOf } from './rows.ts';
import { crashTable, failuresTable, promises, tellTable } from './tables.ts';
import { bytes, orDash, rounded, table, withInterval } from './words.ts';

/** A chart beside the page: its file and what it shows. */
export interface ChartFile {
  readonly file: string;
  readonly title: string;
  readonly figure: string;
}

/** docs/benchmarks/queues.md, from the raw figures alone. */
export function page(
  raw: Raw,
  rows: readonly Row[],
  charts: readonly ChartFile[],
  clusters: Clusters | null = null,
): string {
  return `${[
    '# A table or a queue?',
    quickText(raw),
    ...answer(raw, rows),
    lossesText(rows),
    faultsText(raw),
    caveats(raw, rows),
    '## The campaign',
    campaignText(raw),
    ...charted(charts, 'campaign'),
    ...perTier(rows, campaignTable),
    '### Processor and memory',
    'CPU seconds for 10,000 mails by part, and memory in 10^6 bytes: peaks while people went in and out, the broker’s looked up every 200 ms.',
    ...perTier(rows, cpuTable),
    '## Distance',
    'Mails a second of a campaign against a relay that answers each group of commands so many milliseconds later.',
    ...charted(charts, 'distance'),
    ...(raw.latency.length === 0
      ? [NOTHING]
      : perTier(rows, (some) => byKey(raw.settings.latencies, some, (row) => row.byDelay, 'ms'))),
    '## The queue alone',
    queueText(raw),
    ...charted(charts, 'queue'),
    ...perTier(rows, queueTable),
    '### What limits the table',
    limitText(raw),
    '## What is written',
    `Bytes a mail: what the device below took while the campaign ran and was flushed (the writes of all processes, so only a quiet machine’s figure means something), what the kernel ascribes to the broker’s processes (\`/proc/PID/io\`; it counts a touched page again after each fsync, and a large page whole), WAL, and what is more on disk afterwards. Postgres’ \`pg_wal\` is not in the last: its files are kept and used again whatever happens in the tables. The logs of RabbitMQ and Kafka are in it, because they are where the messages are.`,
    ...charted(charts, 'bytes'),
    ...perTier(rows, bytesTable),
    tableText(raw),
    '## kill -9 in the middle',
    `${raw.settings.crashPeople.toLocaleString('en-US')} people; killed after a third of the mails, then the dead process is started again. Lost: no mail, and the design says that it has finished. Stuck: no mail, and the design waits for something that does not come within ${raw.settings.crashPatienceMs / 1000} s, or 15 s when it says itself that no further person will come.`,
    ...perTier(rows, crashTable),
    '### Three nodes, one killed',
    clustersText(clusters),
    '## What it tells while it runs',
    'Each was really asked: for one recipient to be stopped before a consumer started, for progress and a pause in the middle, for the list of failures at the end. The table is asked to stop one recipient by `select suppress(…)`, its documented SQL interface; its library has no verb for it.',
    tellTable(raw),
    '## Growth',
    'Mails a second of a campaign of so many people.',
    ...charted(charts, 'growth'),
    ...(raw.growth.length === 0 ? [NOTHING] : perTier(rows, (some) => growthTable(raw, some))),
    '## Temporary and permanent failures',
    `${rounded(raw.settings.failures.temporary * 100)}% of the people are refused once for now, ${rounded(raw.settings.failures.permanent * 100)}% for good. Lost are those who were refused once and never got a mail.`,
    failuresTable(raw),
    '## What each promises',
    promises(rows),
    '## Left out',
    leftOutText(raw),
    '## Measured on',
    measuredOn(raw),
  ]
    .filter((part) => part !== '')
    .join('\n\n')}\n`;
}

/** What stands in a section that this run has nothing for. */
const NOTHING = 'Not measured in this run.';

function quickText({ settings }: Raw): string {
  if (settings.profile !== 'quick') return '';
  return 'A quick run, which shows that everything works: its figures mean nothing. `npm run bench -- --profile full --report` makes this page anew.';
}

function lossesText(rows: readonly Row[]): string {
  const found = losses(rows);
  if (found.length === 0)
    return 'Nowhere in this run was another design of its durability more than 5% better than the table.';
  return `Where the table loses to another design of its durability, by more than 5%:\n\n${found.map((one) => `- ${one}`).join('\n')}`;
}

function campaignText(raw: Raw): string {
  return `All people in (the process that publishes), then all people out (the process that consumes) into the sink, which counts by recipient and reads the bodies. The rate is people with a mail by the seconds of both. ${raw.settings.connections} connections. A design that would need more than 20 s for all people gets fewer people; how many is in the table.`;
}

function perTier(rows: readonly Row[], make: (rows: readonly Row[]) => string): string[] {
  const found = tiersOf(rows).flatMap((tier) => {
    const made = make(rows.filter((row) => row.tier === tier));
    if (made === '') return [];
    return severalTiers(rows) ? [`Tier ${tier}, ${TIERS[tier]}:`, made] : [made];
  });
  return found.length === 0 ? [NOTHING] : found;
}

function charted(charts: readonly ChartFile[], figure: string): string[] {
  return charts.filter((chart) => chart.figure === figure).map(({ title, file }) => `![${title}](${file})`);
}

const campaignTable = (rows: readonly Row[]) =>
  table(
    ['', 'people', 'mails/s', 'in, people/s', 'out, mails/s', 'lost', 'twice'],
    rows.map((row) => [
      row.key,
      row.people?.toLocaleString('en-US') ?? '–',
      withInterval(row.mails),
      withInterval(row.enqueue),
      withInterval(row.drain),
      String(row.lost),
      String(row.duplicated),
    ]),
  );

const cpuTable = (rows: readonly Row[]) =>
  table(
    ['', 'CPU: publisher', 'consumer', 'broker', 'sink', 'memory: publisher', 'consumer', 'broker'],
    rows.map(({ key, cpu, memoryMb }) => [
      key,
      ...[cpu.publisher, cpu.consumer, cpu.broker, cpu.sink].map(orDash),
      ...[memoryMb.publisher, memoryMb.consumer, memoryMb.broker].map(orDash),
    ]),
  );

function byKey(
  keys: readonly number[],
  rows: readonly Row[],
  read: (row: Row) => ReadonlyMap<number, number>,
  unit: string,
): string {
  const measured = keys.filter((one) => rows.some((row) => read(row).has(one)));
  if (measured.length === 0) return '';
  return table(
    ['', ...measured.map((one) => `${one.toLocaleString('en-US')} ${unit}`.trim())],
    rows.map((row) => [row.key, ...measured.map((one) => orDash(read(row).get(one)))]),
  );
}

function growthTable(raw: Raw, rows: readonly Row[]): string {
  const sizes = [raw.settings.recipients, ...raw.settings.growth];
  const grown = rows.filter(({ byPeople }) => sizes.filter((size) => byPeople.has(size)).length > 1);
  return byKey(sizes, grown, (row) => row.byPeople, '');
}

function bytesTable(rows: readonly Row[]): string {
  const measured = rows.filter((row) => row.deviceBytes !== null);
  if (measured.length === 0) return '';
  return table(
    ['', 'device', 'processes', 'WAL', 'left on disk'],
    measured.map((row) => [
      row.key,
      withInterval(row.deviceBytes),
      orDash(row.processBytes),
      orDash(row.walBytes),
      orDash(row.diskLeft),
    ]),
  );
}

function tableText(raw: Raw): string {
  if (raw.table === null) return '';
  const { people, deadShare, tableBytes, indexBytes, afterVacuum, afterDelete, dataBytes } = raw.table;
  return [
    `The product’s table after a campaign of ${people.toLocaleString('en-US')} people:`,
    '',
    table(
      ['', ''],
      [
        ['the people’s own data', bytes(dataBytes)],
        ['table', bytes(tableBytes)],
        ['indexes', bytes(indexBytes)],
        ['dead row versions', `${rounded(deadShare * 100)}%`],
        ['table and indexes after `vacuum`', bytes(afterVacuum)],
        ['after the campaign is deleted and `vacuum`', bytes(afterDelete)],
      ],
    ),
  ].join('\n');
}
