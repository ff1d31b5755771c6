import type { Raw } from '../raw.ts';
import { type Row, tiersOf } from './rows.ts';
import { compared, listed, rounded, SAME } from './words.ts';

/** What the note that started it ascribes to the queues, messages per second. */
export const CLAIMED = { rabbitmq: 20_000, kafka: 100_000 } as const;

const TABLE = 'postgres';

const of = (rows: readonly Row[], key: string): Row | null => rows.find((row) => row.key === key) ?? null;

/** Who has most of something among rows other than the table. */
function bestOther(
  rows: readonly Row[],
  read: (row: Row) => number | null,
): { row: Row; value: number } | null {
  let best: { row: Row; value: number } | null = null;
  for (const row of rows) {
    const value = row.key === TABLE ? null : read(row);
    if (value !== null && (best === null || value > best.value)) best = { row, value };
  }
  return best;
}

/** The first paragraphs of the page: every sentence follows from the figures, whoever wins. */
export function answer(raw: Raw, rows: readonly Row[]): string[] {
  const own = of(rows, TABLE);
  if (own === null || own.mails === null)
    return ['The table was not measured in this run, so there is no answer here.'];
  const peers = rows.filter((row) => row.tier === own.tier);
  return [
    endToEnd(raw, own, peers),
    distance(raw, own, peers),
    queueOnly(own, rows),
    written(raw, own, peers),
    crashes(peers),
  ].filter((paragraph) => paragraph !== '');
}

function endToEnd(raw: Raw, own: Row, peers: readonly Row[]): string {
  const ours = own.mails?.median ?? 0;
  const other = bestOther(peers, (row) => row.mails?.median ?? null);
  const people = own.people?.toLocaleString('en-US') ?? '';
  const begin = `${people} personalised mails from the table take ${rounded((own.people ?? 0) / ours)} s, ${rounded(ours)} a second`;
  if (other === null) return `${begin}. Nothing else of its durability was measured.`;
  const { row, value } = other;
  const enough = ours >= value * (1 - SAME);
  const verdict = enough
    ? 'Up to here a table is enough, because the mail costs more than the queue'
    : `${row.key} is faster here`;
  const sink = `the sink alone takes ${rounded(raw.sinkPerSecond)}`;
  return `${verdict}: ${begin}, ${compared(ours, value)} ${row.key}, the fastest other design that survives loss of power as it does (${rounded(value)}; ${sink}).`;
}

function distance(raw: Raw, own: Row, peers: readonly Row[]): string {
  const found: string[] = [];
  for (const delay of raw.settings.latencies.filter((one) => one > 0)) {
    const ours = own.byDelay.get(delay);
    const other = bestOther(peers, (row) => row.byDelay.get(delay) ?? null);
    if (ours === undefined || other === null) continue;
    found.push(
      `${delay} ms: ${rounded(ours)} mails/s, ${compared(ours, other.value)} the fastest other (${other.row.key})`,
    );
  }
  return found.length === 0
    ? ''
    : `Real relays are not next door. With a relay that answers after ${listed(found)}.`;
}

function queueOnly(own: Row, rows: readonly Row[]): string {
  if (own.consume === null) return '';
  const words = [`the table moves ${rounded(own.consume.median)} people a second from waiting to done`];
  for (const name of ['rabbitmq', 'kafka'] as const) {
    const row = of(rows, name);
    if (row === null || row.publish === null || row.consume === null) continue;
    words.push(
      `${name} takes ${rounded(row.publish.median)} and hands out ${rounded(row.consume.median)} (the note says ${CLAIMED[name].toLocaleString('en-US')})`,
    );
  }
  const kafka = own.consume.median >= CLAIMED.kafka * (1 - SAME) ? 'reaches' : 'does not reach';
  return `Without mail, durably, on this machine: ${words.join('; ')}. The table ${kafka} the ${CLAIMED.kafka.toLocaleString('en-US')} that the note ascribes to Kafka.`;
}

function written(raw: Raw, own: Row, peers: readonly Row[]): string {
  if (own.deviceBytes === null) return '';
  const others = peers.filter((row) => row.key !== own.key && row.deviceBytes !== null);
  const less = others.filter((row) => (row.deviceBytes?.median ?? 0) < (own.deviceBytes?.median ?? 0));
  const place =
    less.length === 0
      ? 'the least of its tier'
      : `more than ${listed(less.map((row) => `${row.key} (${rounded(row.deviceBytes?.median ?? 0)})`))}`;
  const dead =
    raw.table === null
      ? ''
      : ` Of its row versions ${rounded(raw.table.deadShare * 100)}% were dead when the campaign was over, before any vacuum.`;
  return `"A table wastes disk and updates": a mail caused ${rounded(own.deviceBytes.median)} bytes to be written, ${place}.${dead}`;
}

function crashes(peers: readonly Row[]): string {
  const asked = peers.filter((row) => row.crash.consumer !== null || row.crash.broker !== null);
  if (asked.length === 0) return '';
  const losing = asked.filter((row) => (row.crash.consumer?.lost ?? 0) + (row.crash.broker?.lost ?? 0) > 0);
  const stuck = asked.filter((row) => (row.crash.consumer?.stuck ?? 0) + (row.crash.broker?.stuck ?? 0) > 0);
  const lost =
    losing.length === 0
      ? 'no design of that tier lost anybody after a kill -9'
      : `${listed(losing.map(({ key }) => key))} lost people after a kill -9`;
  const left =
    stuck.length === 0
      ? ''
      : `; ${listed(stuck.map(({ key }) => key))} left people behind that somebody has to put back by hand`;
  return `${lost[0]?.toUpperCase()}${lost.slice(1)}${left}.`;
}

/** Where the table is worse than another design of its tier by more than 5%, each with the figure. */
export function losses(rows: readonly Row[]): string[] {
  const own = of(rows, TABLE);
  if (own === null) return [];
  const peers = rows.filter((row) => row.tier === own.tier);
  const found: string[] = [];
  const more = (what: string, read: (row: Row) => number | null, unit: string) => {
    const ours = read(own);
    const other = bestOther(peers, read);
    if (ours === null || other === null || other.value <= ours * (1 + SAME)) return;
    found.push(`${what}: ${rounded(ours)}${unit}; ${other.row.key} ${rounded(other.value)}${unit}`);
  };
  const less = (what: string, read: (row: Row) => number | null, unit: string) => {
    const ours = read(own);
    const other = bestOther(peers, (row) => negative(read(row)));
    if (ours === null || other === null || -other.value >= ours * (1 - SAME)) return;
    found.push(`${what}: ${rounded(ours)}${unit}; ${other.row.key} ${rounded(-other.value)}${unit}`);
  };
  more('mails a second, end to end', (row) => row.mails?.median ?? null, '');
  for (const delay of own.byDelay.keys())
    if (delay > 0) more(`mails a second, ${delay} ms away`, (row) => row.byDelay.get(delay) ?? null, '');
  more('people taken in a second', (row) => row.publish?.median ?? null, '');
  more('people handed out a second, without mail', (row) => row.consume?.median ?? null, '');
  less('bytes written a mail', (row) => row.deviceBytes?.median ?? null, '');
  less('bytes left on disk a mail', (row) => row.diskLeft, '');
  less('CPU of broker and consumer for 10,000 mails', cpuOf, ' s');
  less('memory of the broker', (row) => row.memoryMb.broker, ' MB');
  less(
    'time from a killed consumer to the last mail',
    (row) => row.crash.consumer?.recoverySeconds ?? null,
    ' s',
  );
  less('mails sent twice after a killed consumer', (row) => row.crash.consumer?.duplicated ?? null, '');
  return found;
}

const negative = (value: number | null) => (value === null ? null : -value);

export function cpuOf(row: Row): number | null {
  const { broker, consumer } = row.cpu;
  return broker === null || consumer === null ? null : broker + consumer;
}

/** Whether more than the best tier was measured. */
export const severalTiers = (rows: readonly Row[]): boolean => tiersOf(rows).length > 1;
