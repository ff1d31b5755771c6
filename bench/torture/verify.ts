import type { Database } from '../../src/database/connect.ts';
import { median } from '../server.ts';
import type { Absence, Death } from './faults.ts';
import { countStarved, worked } from './lives.ts';
import { type Mail, readLog, type SinkLog } from './log.ts';
import { look, type Monitor } from './monitor.ts';
import { addressOf } from './people.ts';
import type { WorkerLife } from './workers.ts';

export interface Case {
  readonly database: Database;
  readonly campaignId: number;
  readonly people: number;
  readonly policy: 'resend' | 'hold';
  readonly window: number;
  readonly leaseSeconds: number;
  /** The sink's file. */
  readonly log: string;
  readonly lives: readonly WorkerLife[];
  readonly deaths: readonly Death[];
  readonly monitor: Monitor;
  readonly absences: readonly Absence[];
  /** Whether rescues that take too long break a promise; a few of them on a busy machine say little. */
  readonly judgesRescues: boolean;
  readonly say: (line: string) => void;
}

export interface Verdict {
  /** People that no mail reached although nobody says that theirs is held: not in the table, or `sent` in vain. */
  readonly lost: number;
  /** Mails beyond the first, by the sink's file. */
  readonly duplicated: number;
  /** How many there may be: see `bound`. */
  readonly bound: number;
  readonly unconfirmed: number;
  readonly stuck: number;
  readonly counterDrift: number;
  /** Median, from a worker's SIGKILL to the first of the mails that it held being taken by the sink from another one; null: no such death. */
  readonly secondsToRescue: number | null;
  /** Every promise that was not kept, in words. */
  readonly broken: readonly string[];
}

interface Row {
  readonly recipient_id: number;
  readonly address: string;
  readonly send_state: number;
  readonly outcome: string | null;
  readonly maybe_sent: number;
  readonly reply: string | null;
  readonly rescued: boolean | null;
  readonly handed_through: number | null;
  readonly pid: number | null;
}

const ROWS = `
select r.recipient_id, r.address, r.send_state, r.outcome, r.maybe_sent, r.reply, c.rescued, c.handed_through, w.pid
from recipient r
left join claim c on c.campaign_id = r.campaign_id and c.claim_id = r.claim_id
left join worker w on w.worker_id = c.worker_id
where r.campaign_id = $1 order by r.recipient_id`;

/** Beyond the lease, seconds: beats of the others, the look for rows that came back, and a mail's own time. */
const RESCUE_MARGIN_SECONDS = 2;

/** Compares the table with the sink's file. */
export async function verify(the: Case): Promise<Verdict> {
  const { rows } = await the.database.pool.query<Row>(ROWS, [the.campaignId]);
  const log = readLog(the.log);
  const broken: string[] = [];
  await countStarved(the, broken);
  const copies = copiesByAddress(log);
  const last = await look(the.database, the.campaignId);
  const lost = findLost(the, rows, copies, broken);
  const duplicated = [...copies.values()].reduce((sum, mails) => sum + mails.length - 1, 0);
  const limit = bound(the, log);
  if (duplicated > limit) broken.push(`${duplicated} duplicates, ${limit} at most were promised`);
  if (the.policy === 'hold' && duplicated > 0)
    broken.push(`${duplicated} duplicates although the campaign holds`);
  explainDuplicates(the, log, copies, broken);
  nameDuplicates(rows, copies, broken);
  const held = rows.filter(({ outcome }) => outcome === 'unconfirmed');
  if (the.policy === 'resend' && held.length > 0)
    broken.push(`${held.length} held although the campaign resends`);
  explainHeld(the, held, log, broken);
  const counterDrift = Math.max(last.drift, the.monitor.drift);
  if (counterDrift > 0) broken.push(`counters were ${counterDrift} away from the rows`);
  if (last.claimed > 0) broken.push(`${last.claimed} rows are stuck in 1`);
  if (last.openClaims > 0) broken.push(`${last.openClaims} claims are open`);
  if (last.status !== 'finished') broken.push(`the campaign says ${last.status}`);
  broken.push(...new Set(the.monitor.finishedEarly));
  for (const address of log.wrong) broken.push(`${address} got somebody else's mail`);
  const secondsToRescue = rescueSeconds(the.deaths, log);
  if (
    the.judgesRescues &&
    secondsToRescue !== null &&
    secondsToRescue > the.leaseSeconds + RESCUE_MARGIN_SECONDS
  )
    broken.push(`half of the rescues took longer than ${secondsToRescue} s`);
  await worked(the, broken);
  return {
    lost,
    duplicated,
    bound: limit,
    unconfirmed: held.length,
    stuck: last.claimed,
    counterDrift,
    secondsToRescue,
    broken,
  };
}

function copiesByAddress(log: SinkLog): Map<string, Mail[]> {
  const copies = new Map<string, Mail[]>();
  const taken = log.mails.filter(({ accepted }) => accepted !== null);
  taken.sort((a, b) => (a.accepted ?? 0) - (b.accepted ?? 0));
  for (const mail of taken) copies.set(mail.address, [...(copies.get(mail.address) ?? []), mail]);
  return copies;
}

function findLost(
  { people }: Case,
  rows: readonly Row[],
  copies: ReadonlyMap<string, readonly Mail[]>,
  broken: string[],
): number {
  const known = new Map(rows.map((row) => [row.address, row]));
  if (known.size !== rows.length) broken.push('somebody is in the table twice');
  if (rows.length > people) broken.push(`${rows.length} rows for ${people} people`);
  let lost = 0;
  for (let number = 1; number <= people; number++) {
    const address = addressOf(number);
    const row = known.get(address);
    const got = copies.has(address);
    if (row?.outcome === 'unconfirmed' || (got && row?.outcome === 'sent')) continue;
    if (got) broken.push(`${address} got a mail and the table says ${row?.outcome ?? 'nothing'}`);
    else {
      lost++;
      broken.push(
        `${address} is lost: the table says ${row === undefined ? 'nothing' : (row.outcome ?? 'waiting')}`,
      );
    }
  }
  return lost;
}

/**
 * Duplicates that were promised not to be exceeded:
 *
 *     window × deaths  +  mails that the sink took and never answered
 *
 * A death is a worker that was killed, or was silent beyond its lease. The second part is counted from the sink's file: a
 * connection that it reset or dropped, or on which it fell silent, between taking a mail and writing its 250. Mails that
 * were not answered because their worker was dead already belong to its window, and are not counted again.
 */
function bound({ window, lives }: Case, { mails, cut }: SinkLog): number {
  const died = new Set(lives.filter(({ deaths }) => deaths.length > 0).map(({ name }) => name));
  const deaths = lives.reduce((sum, life) => sum + life.deaths.length, 0);
  const unanswered = mails.filter(
    ({ accepted, reply, client, connection }) =>
      accepted !== null && reply === null && (cut.has(connection) || !died.has(client)),
  );
  return window * deaths + unanswered.length;
}

/**
 * Each copy but the last needs an excuse of its own: no reply was written to it, or its worker died. Of those whose reply was
 * written, so many at most as the windows of that worker's deaths.
 */
function explainDuplicates(
  { lives, window }: Case,
  log: SinkLog,
  copies: ReadonlyMap<string, readonly Mail[]>,
  broken: string[],
): void {
  const deaths = new Map(lives.map(({ name, deaths: all }) => [name, all.length]));
  const blamed = new Map<string, number>();
  for (const mails of copies.values()) {
    for (const mail of mails.slice(0, -1)) {
      const cut = log.cut.has(mail.connection) && mail.reply === null;
      const dead = (deaths.get(mail.client) ?? 0) > 0;
      if (dead) blamed.set(mail.client, (blamed.get(mail.client) ?? 0) + (cut ? 0 : 1));
      else if (mail.reply !== null)
        broken.push(
          `${mail.address} got a second mail although ${mail.client} had read the reply to the first`,
        );
    }
  }
  for (const [name, count] of blamed) {
    const most = window * (deaths.get(name) ?? 0);
    if (count > most) broken.push(`${name} left ${count} duplicates; its window allows ${most}`);
  }
}

function nameDuplicates(
  rows: readonly Row[],
  copies: ReadonlyMap<string, readonly Mail[]>,
  broken: string[],
): void {
  for (const { address, maybe_sent } of rows) {
    const count = copies.get(address)?.length ?? 0;
    if (count - 1 > maybe_sent) broken.push(`${address} got ${count} mails and maybe_sent is ${maybe_sent}`);
  }
}

/**
 * A held row must really be in doubt: its claim was a dead worker's and its id within the handed-over mark, or the sink's file
 * says that its mail was under way on a connection and never answered.
 */
function explainHeld({ lives, window }: Case, held: readonly Row[], log: SinkLog, broken: string[]): void {
  const byAddress = Map.groupBy(log.mails, ({ address }) => address);
  const dead = new Map(lives.filter(({ deaths }) => deaths.length > 0).map((life) => [life.pid, life]));
  const perLife = new Map<WorkerLife, number>();
  for (const row of held) {
    if (row.maybe_sent === 0) broken.push(`${row.address} is held and maybe_sent is 0`);
    const life = row.pid === null ? undefined : dead.get(row.pid);
    const unanswered = byAddress.get(row.address)?.some(({ reply }) => reply === null) === true;
    const rescued = row.rescued === true && row.recipient_id <= (row.handed_through ?? 0);
    if (rescued && life !== undefined) perLife.set(life, (perLife.get(life) ?? 0) + 1);
    else if (!unanswered) broken.push(`${row.address} is held and was never in doubt: ${row.reply}`);
  }
  for (const [{ name, deaths }, count] of perLife) {
    const most = window * deaths.length;
    if (count > most) broken.push(`${count} were held after the death of ${name}; its window allows ${most}`);
  }
}

/** Median over the killed workers of the time until the first of the mails that they held was taken from somebody else. */
function rescueSeconds(deaths: readonly Death[], log: SinkLog): number | null {
  const byAddress = Map.groupBy(log.mails, ({ address }) => address);
  const seconds = deaths.flatMap(({ life, at, held }) => {
    const again = held.flatMap((address) =>
      (byAddress.get(address) ?? [])
        .filter(({ client, accepted }) => client !== life.name && accepted !== null && accepted >= at)
        .map(({ accepted }) => accepted ?? 0),
    );
    return again.length === 0 ? [] : [(Math.min(...again) - at) / 1000];
  });
  return seconds.length === 0 ? null : Math.round(median(seconds) * 100) / 100;
}
