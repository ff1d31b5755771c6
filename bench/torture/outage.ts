import { DEFAULT_BATCH } from '../../src/api/work.ts';
import type { Database } from '../../src/database/connect.ts';
import { DEFAULT_LEASE_SECONDS } from '../../src/queue/heartbeat.ts';
import type { Fault } from './plan.ts';
import { type TortureResult, torture } from './run.ts';
import { CONNECTIONS } from './stage.ts';

export interface OutageOptions {
  readonly seed: number;
  readonly recipients: number;
  readonly workers: number;
  /** How long the database is away. */
  readonly outageSeconds: number;
  /** Whether a busy machine may make it cost more. */
  readonly busy: boolean;
  readonly say: (line: string) => void;
}

export interface OutageResult {
  /** The same campaign without an outage and with one, from its start to its end. */
  readonly secondsWithout: number;
  readonly secondsWith: number;
  readonly secondsCost: number;
  readonly lost: number;
  readonly duplicated: number;
  readonly broken: readonly string[];
}

/** What an outage may cost beyond its own length, seconds: the restart, and the waits between two tries. */
const COST_MARGIN_SECONDS = 5;
/** The same where other tests run. */
const BUSY_MARGIN_SECONDS = 20;
/** Mails per second that the relay takes: so few that nothing but the relay decides how long a campaign takes. */
const MAILS_PER_SECOND = 100;
/** The database goes away when this share of the mails has been taken. */
const AWAY_AT = 0.4;
const FOREVER_MS = 3_600_000;
/** The product's default for so few connections. */
const WINDOW = 200;

/** Two campaigns with the product's own lease, window and batch; during the second one the database is stopped for a while. */
export async function measureOutage(options: OutageOptions): Promise<OutageResult> {
  const { recipients, outageSeconds, busy, say } = options;
  const without = await campaign(options, []);
  say(`without an outage: ${without.seconds.toFixed(1)} s`);
  const fault: Fault = { kind: 'stop-database', at: Math.floor(recipients * AWAY_AT), chance: [0, 0, 0] };
  const during = await campaign(options, [fault]);
  const cost = during.seconds - without.seconds;
  say(`with ${outageSeconds} s without a database: ${during.seconds.toFixed(1)} s`);
  const broken = [...without.broken, ...during.broken];
  const { duplicated } = during;
  if (duplicated > 0) broken.push(`${duplicated} duplicates although no worker died`);
  if (cost > outageSeconds + (busy ? BUSY_MARGIN_SECONDS : COST_MARGIN_SECONDS))
    broken.push(`${outageSeconds} s without a database cost ${cost.toFixed(1)} s`);
  const tenths = (seconds: number) => Math.round(seconds * 10) / 10;
  return {
    secondsWithout: tenths(without.seconds),
    secondsWith: tenths(during.seconds),
    secondsCost: tenths(cost),
    lost: without.lost + during.lost,
    duplicated: without.duplicated + during.duplicated,
    broken,
  };
}

function campaign(
  { seed, recipients, workers, outageSeconds, say }: OutageOptions,
  faults: readonly Fault[],
): Promise<TortureResult> {
  const delayMs = (1000 * workers * CONNECTIONS) / MAILS_PER_SECOND;
  return torture(
    {
      ...{
        seed,
        recipients,
        workers,
        say,
        kills: 0,
        kinds: [],
        policies: 'resend',
        outageMs: outageSeconds * 1000,
      },
      ...{ leaseSeconds: DEFAULT_LEASE_SECONDS, window: WINDOW, batch: DEFAULT_BATCH, judgesTimes: false },
    },
    { faults, delayMs, lastDelayMs: delayMs, patienceMs: FOREVER_MS, inspect: tracesOf },
  );
}

/** A claim that was made and whose answer was lost goes back as well; of that one no recipient was ever handed over. */
const TRACES = `
select (select count(*) from recipient where attempts <> 1) as charged, (select count(*) from recipient where maybe_sent > 0) as doubtful,
  (select count(*) from claim where rescued and handed_through > 0) as rescued, (select count(*) from worker where presumed_dead) as buried`;

/** What an outage must not leave in the tables: it costs its time and nothing else. */
async function tracesOf(database: Database): Promise<string[]> {
  type Traces = Readonly<Record<'charged' | 'doubtful' | 'rescued' | 'buried', number>>;
  const { rows } = await database.pool.query<Traces>(TRACES);
  const { charged = 0, doubtful = 0, rescued = 0, buried = 0 } = rows[0] ?? {};
  const words = {
    'recipients with other than one attempt': charged,
    'recipients who may have got a mail without a record': doubtful,
    'claims that were taken from their worker': rescued,
    'workers that were presumed dead': buried,
  };
  return Object.entries(words).flatMap(([what, count]) =>
    count > 0 ? [`no worker died, and there are ${count} ${what}`] : [],
  );
}
