import { readFile } from 'node:fs/promises';
import path from 'node:path';
import type { Database } from '../../src/database/connect.ts';
import { CAMPAIGNS, campaignsOfPeople, type Policies, policyOf, sharesOf } from './campaigns.ts';
import { untilClosed, untilFinished } from './ending.ts';
import { keepEvidence } from './evidence.ts';
import { type Rig, Torturer } from './faults.ts';
import { Monitor } from './monitor.ts';
import { DEATHS, type Fault, type Kind, plan } from './plan.ts';
import { SinkProcess } from './process.ts';
import { startTortureServer, type TortureServer } from './server.ts';
import { CONNECTIONS, FINAL_TIMEOUT, setStage } from './stage.ts';
import { type Verdict, verify } from './verify.ts';

export interface TortureOptions {
  readonly seed: number;
  readonly kills: number;
  /** Of both campaigns together. */
  readonly recipients: number;
  readonly workers: number;
  readonly leaseSeconds: number;
  readonly window: number;
  readonly batch: number;
  readonly policies: Policies;
  /** How long `stop-database` stops it, milliseconds; longer than the lease. */
  readonly outageMs: number;
  readonly kinds: readonly Kind[];
  /** Whether rescues and ends that take longer than the lease and 2 s break a promise. */
  readonly judgesTimes: boolean;
  readonly say: (line: string) => void;
}

/** What happens, and how fast mails go meanwhile. */
export interface Scenario {
  readonly faults: readonly Fault[];
  /** Reply delay of the sink, milliseconds; and when the last fault has struck. */
  readonly delayMs: number;
  readonly lastDelayMs: number;
  /** How long a fault is waited for when no mail moves, milliseconds. */
  readonly patienceMs: number;
  /** What else is wrong in the tables when all is over, in words. */
  readonly inspect?: (database: Database) => Promise<string[]>;
}

export interface TortureResult extends Verdict {
  /** Deaths that were carried out. */
  readonly kills: number;
  readonly faults: Readonly<Record<string, number>>;
  readonly faultsLeftOut: readonly Kind[];
  /** From the start of the campaigns to the end of both. */
  readonly seconds: number;
}

/** A relay that is left alone does not stop the torture: the next fault strikes after this, milliseconds. */
const PATIENCE_MS = 2_500;
/** The first mail comes within this, milliseconds. */
const FIRST_MAIL_MS = 60_000;
/** Seconds from one fault to the next, by which the sink's delay is chosen. */
const SECONDS_PER_FAULT = 1.1;
/** Longest reply delay, milliseconds: shorter than any timeout of the client. */
const LONGEST_DELAY_MS = 400;
/** Reply delay when the last fault has struck, milliseconds. */
const LAST_DELAY_MS = 5;

/** What the seed says, at a pace at which each fault finds mails under way. */
function scenarioOf(options: TortureOptions, leftOut: readonly Kind[]): Scenario {
  const faults = plan({ ...options, kinds: options.kinds.filter((kind) => !leftOut.includes(kind)) });
  const rate = options.recipients / Math.max(faults.length, 1) / SECONDS_PER_FAULT;
  const delayMs = Math.min((1000 * options.workers * CONNECTIONS) / rate, LONGEST_DELAY_MS);
  return { faults, delayMs, lastDelayMs: LAST_DELAY_MS, patienceMs: PATIENCE_MS };
}

/** Campaigns under torture, from an empty server to the verdict. Without a scenario the seed makes one. */
export async function torture(options: TortureOptions, scenario?: Scenario): Promise<TortureResult> {
  const { kinds, recipients, say } = options;
  const server = await startTortureServer(recipients, kinds.includes('fill-disk'));
  try {
    const sink = await SinkProcess.start(path.join(server.scratch, 'sink.log'));
    try {
      const leftOut: Kind[] = server.disk === null && kinds.includes('fill-disk') ? ['fill-disk'] : [];
      if (leftOut.length > 0) say(`fill-disk is left out: ${server.diskMissing}`);
      return await tortured(options, scenario ?? scenarioOf(options, leftOut), server, sink, leftOut);
    } finally {
      await sink.stop();
    }
  } finally {
    await server.remove();
  }
}

async function tortured(
  options: TortureOptions,
  scenario: Scenario,
  server: TortureServer,
  sink: SinkProcess,
  faultsLeftOut: readonly Kind[],
): Promise<TortureResult> {
  const { recipients, policies, window, leaseSeconds, batch, say } = options;
  const { faults } = scenario;
  const bounds = { lease: leaseSeconds, window, batch };
  const workArguments = Object.entries(bounds).flatMap(([name, value]) => [`--${name}`, String(value)]);
  const stage = await setStage(server, sink, { policies, workers: options.workers, workArguments, say });
  const shares = sharesOf(recipients, faults);
  const campaignOf = campaignsOfPeople(shares);
  for (const share of shares.first) await stage.importer.run(share);
  for (const name of CAMPAIGNS) await stage.start(name);
  const started = performance.now();
  const monitors = CAMPAIGNS.map((name) => {
    const people = [...campaignOf.values()].filter((one) => one === name).length;
    return new Monitor(server.database, { name, campaignId: stage.campaignIds[name], people });
  });
  const workers = stage.startWorkers();
  const hangMs = (FINAL_TIMEOUT + 1) * 1000;
  const torturer = new Torturer({
    ...{ server, sink, workers, importer: stage.importer, leaseSeconds, say, hangMs },
    slices: [...shares.slices],
    outageMs: options.outageMs,
  } satisfies Rig);
  try {
    await strikeAll(torturer, scenario, sink, monitors, say);
    await torturer.settle();
    sink.tell({ kind: 'pace', delayMs: scenario.lastDelayMs, ceiling: Number.MAX_SAFE_INTEGER });
    const broken = await untilFinished(monitors, sink, stage, say);
    const seconds = (performance.now() - started) / 1000;
    await untilClosed(server.database, monitors, leaseSeconds);
    const codes = await workers.end();
    if (codes.some((code) => code !== 0)) broken.push(`workers ended with ${codes} after SIGTERM`);
    await Promise.all(monitors.map((monitor) => monitor.stop()));
    const log = await readFile(sink.logFile, 'utf8');
    const verdict = await verify({
      ...{ database: server.database, people: recipients, campaignOf, window, leaseSeconds },
      campaigns: monitors.map((monitor) => ({ monitor, policy: policyOf(monitor.name, policies) })),
      ...{ log, absences: torturer.absences, judgesTimes: options.judgesTimes, say },
      lives: workers.lives,
      deaths: torturer.deaths,
    });
    const died = DEATHS.reduce((sum, kind) => sum + (torturer.done.get(kind) ?? 0), 0);
    if (died < faults.filter(({ kind }) => isDeath(kind)).length)
      broken.push(`only ${died} deaths were carried out`);
    const found = (await scenario.inspect?.(server.database)) ?? [];
    const all = [...torturer.broken, ...broken, ...verdict.broken, ...found];
    if (all.length > 0)
      say(`evidence: ${await keepEvidence(options.seed, server.database, log, workers.lives)}`);
    return {
      ...verdict,
      broken: all,
      kills: died,
      faults: Object.fromEntries(torturer.done),
      faultsLeftOut,
      seconds,
    };
  } finally {
    await Promise.all(monitors.map((monitor) => monitor.stop()));
    await workers.end();
  }
}

const isDeath = (kind: Kind) => (DEATHS as readonly Kind[]).includes(kind);

/** Each fault when the sink has taken so many mails. Until the next one has struck mails trickle beyond where it stands. */
async function strikeAll(
  torturer: Torturer,
  { faults, delayMs, patienceMs }: Scenario,
  sink: SinkProcess,
  monitors: readonly Monitor[],
  say: (line: string) => void,
): Promise<void> {
  sink.tell({ kind: 'pace', delayMs, ceiling: faults[0]?.at ?? Number.MAX_SAFE_INTEGER });
  // A machine that is slow to start the workers gets its time.
  await sink.reaches(1, FIRST_MAIL_MS);
  for (const [i, fault] of faults.entries()) {
    for (const monitor of monitors) monitor.check();
    await sink.reaches(fault.at, patienceMs);
    const next = faults[i + 1]?.at ?? Number.MAX_SAFE_INTEGER;
    sink.tell({ kind: 'pace', delayMs, ceiling: next });
    const done = monitors.reduce((sum, { latest }) => sum + (latest?.done ?? 0), 0);
    say(
      `${String(i + 1).padStart(3)}/${faults.length} at ${sink.accepted} mails (${done} done): ${fault.kind}`,
    );
    await torturer.strike(fault);
  }
}
