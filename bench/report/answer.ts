import type { Raw } from '../raw.ts';
import { type Row, tiersOf } from './rows.ts';
import { clearlyMore, compared, listed, rounded, within5 } from './words.ts';

/** What the note that started it ascribes to the queues, messages per second. */
export const CLAIMED = { rabbitmq: 20_000, kafka: 100_000 } as const;

export const TABLE = 'postgres';

const whole = (value: number) => value.toLocaleString('en-US');
const of = (rows: readonly Row[], key: string): Row | null => rows.find((row) => row.key === key) ?? null;
const names = (rows: readonly Row[]) => listed(rows.map(({ key }) => key));

/** Who has most of something among rows other than the table. */
export function bestOther(
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

/** The first paragraphs of the page: every sentence follows from the figures, whichever design wins. */
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

/** People whom the table left without a mail, in whatever run. */
function missed({ lost, crash }: Row): number {
  const after = [crash.consumer, crash.broker].map((run) => (run === null ? 0 : run.lost + run.stuck));
  return after.reduce((sum, count) => sum + count, lost);
}

/** The largest size, and all below it, at which no design of its tier was more than 5% faster; null: not even at the smallest. */
function enoughUpTo(own: Row, peers: readonly Row[]): number | null {
  let most: number | null = null;
  for (const [size, ours] of own.byPeople) {
    const other = bestOther(peers, (row) => row.byPeople.get(size) ?? null);
    if (other === null) continue;
    if (clearlyMore(other.value, ours)) break;
    most = size;
  }
  return most;
}

function endToEnd(raw: Raw, own: Row, peers: readonly Row[]): string {
  const ours = own.mails?.median ?? 0;
  const other = bestOther(peers, (row) => row.mails?.median ?? null);
  const begin = `${whole(own.people ?? 0)} personalised mails from the table take ${rounded((own.people ?? 0) / ours)} s, ${rounded(ours)} a second`;
  if (other === null) return `${begin}. Nothing else of its durability was measured.`;
  const { row, value } = other;
  const sink = `the sink alone takes ${rounded(raw.sinkPerSecond)}`;
  // Fewer people weigh against a design that had them: a start takes as long for a small campaign.
  const fewer = row.people === own.people ? '' : ` with ${whole(row.people ?? 0)} people`;
  return `${verdict(own, peers, row, value)}: ${begin}, ${compared(ours, value)} ${row.key}, the fastest other design that survives loss of power as it does (${rounded(value)}${fewer}; ${sink}).`;
}

function verdict(own: Row, peers: readonly Row[], other: Row, value: number): string {
  if (missed(own) > 0)
    return `The table left ${whole(missed(own))} people without a mail in this run, so it is not enough`;
  if (clearlyMore(value, own.mails?.median ?? 0)) return `${other.key} is faster here`;
  const upTo = enoughUpTo(own, peers);
  const size = upTo === null ? 'Here' : `Up to ${whole(upTo)} people`;
  const share = queueShare(own);
  if (share === null) return `${size} a table is enough`;
  const part = `its queue takes ${rounded(share * 100)}% of the time that a mail takes`;
  return share < 0.5
    ? `${size} a table is enough, because the mail costs more than the queue (${part})`
    : `${size} a table is enough, though ${part}`;
}

/** In and out without mail, as a share of what a mail takes from the list to the relay. */
export function queueShare({ mails, publish, consume }: Row): number | null {
  if (mails === null || publish === null || consume === null) return null;
  return (1 / publish.median + 1 / consume.median) * mails.median;
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
  if (own.consume === null || own.both === null) return '';
  const words = [`the table moves ${rounded(own.consume.median)} people a second from waiting to done`];
  for (const name of ['rabbitmq', 'kafka'] as const) {
    const row = of(rows, name);
    if (row === null || row.publish === null || row.consume === null) continue;
    words.push(
      `${name} takes ${rounded(row.publish.median)} and hands out ${rounded(row.consume.median)} (the note says ${whole(CLAIMED[name])})`,
    );
  }
  const both = (['rabbitmq', 'kafka'] as const).flatMap((name) => {
    const value = of(rows, name)?.both?.median;
    return value === undefined ? [] : [`${name} ${rounded(value)}`];
  });
  const inAndOut =
    both.length === 0
      ? ''
      : ` In and out, one after the other: the table ${rounded(own.both.median)}, ${listed(both)}.`;
  return `Without mail, durably, on this machine: ${words.join('; ')}.${inAndOut} ${claimReached(own.consume.median)}`;
}

function claimReached(ours: number): string {
  const claim = `the ${whole(CLAIMED.kafka)} that the note ascribes to Kafka`;
  if (ours >= CLAIMED.kafka) return `The table reaches ${claim}.`;
  return within5(ours, CLAIMED.kafka)
    ? `The table comes within 5% of ${claim}.`
    : `The table does not reach ${claim}.`;
}

function written(raw: Raw, own: Row, peers: readonly Row[]): string {
  const ours = own.deviceBytes?.median;
  if (ours === undefined) return '';
  const others = peers.filter((row) => row.key !== own.key && row.deviceBytes !== null);
  const less = others.filter((row) => clearlyMore(ours, row.deviceBytes?.median ?? ours));
  const least = others.length === 0 ? '' : ', and none of its tier clearly less';
  const place =
    less.length === 0
      ? least
      : `, more than ${listed(less.map((row) => `${row.key} (${rounded(row.deviceBytes?.median ?? 0)})`))}`;
  const dead =
    raw.table === null
      ? ''
      : ` Of its row versions ${rounded(raw.table.deadShare * 100)}% were dead when the campaign was over, before any vacuum.`;
  return `"A table wastes disk and updates": a mail caused ${rounded(ours)} bytes to be written${place}.${dead}`;
}

function crashes(peers: readonly Row[]): string {
  const asked = peers.filter(({ crash }) => crash.consumer !== null || crash.broker !== null);
  if (asked.length === 0) return '';
  const both = asked.filter(
    ({ crash, broker }) => crash.consumer !== null && (crash.broker !== null || broker === 'none'),
  );
  const sum = ({ crash }: Row, what: 'lost' | 'stuck') =>
    (crash.consumer?.[what] ?? 0) + (crash.broker?.[what] ?? 0);
  const losing = asked.filter((row) => sum(row, 'lost') > 0);
  const stuck = asked.filter((row) => sum(row, 'stuck') > 0);
  const whom =
    both.length === peers.length
      ? `of the ${asked.length} designs of that tier`
      : `of the ${asked.length} designs of that tier (of ${peers.length}) that were killed, ${both.length} of them consumer and broker,`;
  const lost = losing.length === 0 ? `none lost a person` : `${names(losing)} lost people`;
  const left =
    stuck.length === 0 ? '' : `; ${names(stuck)} left people behind that an operator has to put back by hand`;
  return `After a kill -9, ${whom} ${lost}${left}.`;
}

/** Whether more than the best tier was measured. */
export const severalTiers = (rows: readonly Row[]): boolean => tiersOf(rows).length > 1;
