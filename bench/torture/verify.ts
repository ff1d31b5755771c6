import type { Database } from '../../src/database/connect.ts';
import type { CampaignName, Policy } from './campaigns.ts';
import { Doubts } from './doubts.ts';
import type { Absence, Death } from './faults.ts';
import { judgeEnds } from './finish.ts';
import { countStarved, worked } from './lives.ts';
import { copiesByAddress, type Mail, readLog, type SinkLog } from './log.ts';
import { look, type Monitor } from './monitor.ts';
import { addressOf } from './people.ts';
import { type Rescues, rescuesOf } from './rescues.ts';
import { type ClaimRow, type Row, readClaims, readRows } from './rows.ts';
import type { WorkerLife } from './workers.ts';

export interface Case {
  readonly database: Database;
  readonly campaigns: readonly { readonly monitor: Monitor; readonly policy: Policy }[];
  /** Of all campaigns together, numbered from 1. */
  readonly people: number;
  readonly campaignOf: ReadonlyMap<number, CampaignName>;
  readonly window: number;
  readonly leaseSeconds: number;
  /** The sink's file. */
  readonly log: string;
  readonly lives: readonly WorkerLife[];
  readonly deaths: readonly Death[];
  readonly absences: readonly Absence[];
  /** Whether rescues and ends that take too long break a promise; a few of them on a busy machine say little. */
  readonly judgesTimes: boolean;
  readonly say: (line: string) => void;
}

export interface Verdict extends Rescues {
  /** People that no mail reached although no report says that theirs is held: not in the table, or `sent` in vain. */
  readonly lost: number;
  /** Mails beyond the first, by the sink's file. */
  readonly duplicated: number;
  /** How many there may be: see `Doubts`. */
  readonly bound: number;
  readonly unconfirmed: number;
  readonly stuck: number;
  readonly counterDrift: number;
  /** The longest time from a campaign's last row to `finished`. */
  readonly secondsToFinish: number;
  /** Every promise that was not kept, in words. */
  readonly broken: readonly string[];
}

/** Everything that is compared. */
export interface Evidence {
  readonly lives: readonly WorkerLife[];
  readonly window: number;
  readonly rows: readonly Row[];
  readonly claims: readonly ClaimRow[];
  readonly log: SinkLog;
  /** What the sink took, by reader, in order. */
  readonly copies: ReadonlyMap<string, readonly Mail[]>;
  readonly policyOf: ReadonlyMap<number, Policy>;
}

/** Beyond the lease, seconds: beats of the others, the look for rows that came back, and a mail's own time. */
const RESCUE_MARGIN_SECONDS = 2;

/** Compares the tables with the sink's file. */
export async function verify(the: Case): Promise<Verdict> {
  const broken: string[] = [];
  await countStarved(the, broken);
  const ids = the.campaigns.map(({ monitor }) => monitor.campaignId);
  const rows = await readRows(the.database, ids);
  const log = readLog(the.log);
  const copies = copiesByAddress(log);
  const claims = await readClaims(the.database);
  const policyOf = new Map(the.campaigns.map(({ monitor, policy }) => [monitor.campaignId, policy]));
  const { lives, window } = the;
  const evidence: Evidence = { lives, window, rows, claims, log, copies, policyOf };
  const lost = findLost(the, evidence, broken);
  const duplicated = [...copies.values()].reduce((sum, mails) => sum + mails.length - 1, 0);
  const doubts = new Doubts(evidence);
  broken.push(...doubts.findUnexplained());
  if (duplicated > doubts.bound)
    broken.push(`${duplicated} duplicates, ${doubts.bound} at most were promised`);
  const { counterDrift, stuck } = await judgeLooks(the, broken);
  for (const address of log.wrong) broken.push(`${address} got another person's mail`);
  const secondsToFinish = await judgeEnds(the, broken);
  const rescues = rescuesOf(the.deaths, log, claims);
  const { secondsToRescue } = rescues;
  const most = the.leaseSeconds + RESCUE_MARGIN_SECONDS;
  if (the.judgesTimes && secondsToRescue !== null && secondsToRescue > most)
    broken.push(`rescues took ${secondsToRescue} s; ${most} s were promised`);
  await worked(the, broken);
  const unconfirmed = rows.filter(({ outcome }) => outcome === 'unconfirmed').length;
  const bound = doubts.bound;
  return { lost, duplicated, bound, unconfirmed, stuck, counterDrift, secondsToFinish, ...rescues, broken };
}

function findLost(the: Case, { rows, copies }: Evidence, broken: string[]): number {
  const names = new Map(the.campaigns.map(({ monitor }) => [monitor.campaignId, monitor.name]));
  const known = new Map(rows.map((row) => [row.address, row]));
  if (known.size !== rows.length) broken.push('a person is in the table twice');
  if (rows.length > the.people) broken.push(`${rows.length} rows for ${the.people} people`);
  let lost = 0;
  for (let number = 1; number <= the.people; number++) {
    const address = addressOf(number);
    const row = known.get(address);
    if (row !== undefined && names.get(row.campaign_id) !== the.campaignOf.get(number))
      broken.push(`${address} is in ${names.get(row.campaign_id)}`);
    const got = copies.has(address);
    if (row?.outcome === 'unconfirmed' || (got && row?.outcome === 'sent')) continue;
    if (got) broken.push(`${address} got a mail and the table says ${row?.outcome ?? 'nothing'}`);
    else {
      lost++;
      const says = row === undefined ? 'nothing' : (row.outcome ?? 'waiting');
      broken.push(`${address} is lost: the table says ${says}`);
    }
  }
  return lost;
}

/** What the looks at each campaign have found, and a last one. */
async function judgeLooks(the: Case, broken: string[]): Promise<{ counterDrift: number; stuck: number }> {
  let counterDrift = 0;
  let stuck = 0;
  for (const { monitor } of the.campaigns) {
    const { name } = monitor;
    const last = await look(the.database, monitor.campaignId);
    const drift = Math.max(last.drift, monitor.drift);
    if (drift > 0) broken.push(`counters of ${name} were ${drift} away from the rows`);
    if (last.claimed > 0) broken.push(`${last.claimed} rows of ${name} are stuck in 1`);
    if (last.openClaims > 0) broken.push(`${last.openClaims} claims of ${name} are open`);
    if (last.status !== 'finished') broken.push(`${name} says ${last.status}`);
    broken.push(...new Set(monitor.finishedEarly));
    counterDrift = Math.max(counterDrift, drift);
    stuck += last.claimed;
  }
  return { counterDrift, stuck };
}
