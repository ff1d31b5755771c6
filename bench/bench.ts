import { mkdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { messageOf } from '../src/errors.ts';
import { BrokerPool } from './broker-pool.ts';
import { missing } from './brokers/index.ts';
import { now } from './clock.ts';
import type { Design } from './contract.ts';
import { DESIGN_NAMES, loadDesign } from './designs/index.ts';
import { Figures } from './figures.ts';
import { readMachine } from './machine.ts';
import type { Measuring, Raw } from './raw.ts';
import { writeReport } from './report/write.ts';
import { Runs } from './runs.ts';
import { say } from './server.ts';
import { readSettings, type Settings } from './settings.ts';
import { linesOf, Stage } from './stage.ts';
import { summarise } from './summary.ts';
import { sinkLimit, VerifyingSink } from './verifying-sink.ts';

/*
 * The same job, a campaign of personalised mails, on a table, on RabbitMQ, on Kafka and on what else there is; every mail verified
 * at the sink.
 *
 *   npm run bench                                      all designs, about 50 minutes
 *   npm run bench -- --profile quick                   every design once, about two minutes
 *   npm run bench -- --designs postgres,rabbitmq,kafka --recipients 10000 --rounds 3 --json
 *   npm run bench -- --profile full --report           and docs/benchmarks/ from it
 */

/** The designs that can run here. @throws when one that was named cannot, or with CI set any */
async function runnable(settings: Settings, leftOut: Measuring['leftOut']): Promise<Design[]> {
  const found: Design[] = [];
  for (const name of settings.designs ?? DESIGN_NAMES) {
    const design = await loadDesign(name);
    const how = design.broker === 'none' ? null : missing(design.broker);
    if (how === null) found.push(design);
    else leftOut.push({ design: name, why: `${design.broker} is not on this machine. ${how}` });
  }
  for (const { design, why } of leftOut) say(`${design} is left out: ${why}`);
  if (leftOut.length > 0 && (settings.designs !== null || process.env.CI !== undefined))
    throw new Error(`not runnable here: ${leftOut.map(({ design }) => design).join(', ')}`);
  return found;
}

async function measure(settings: Settings, stopped: Promise<never>): Promise<Raw> {
  const startedAt = now();
  const leftOut: Measuring['leftOut'] = [];
  const designs = await runnable(settings, leftOut);
  const sink = await VerifyingSink.start();
  const pool = new BrokerPool();
  try {
    const { json, out, report, ...kept } = settings;
    const sinkPerSecond = await sinkLimit(sink, settings.sinkMails, 3, settings.connections);
    say(`the sink alone takes ${Math.round(sinkPerSecond)} mails/s`);
    const lines = designs.flatMap((design) => linesOf(design, settings.profile === 'full'));
    const raw: Measuring = {
      kind: 'sendstate-bench',
      format: 2,
      at: new Date().toISOString(),
      minutes: 0,
      settings: kept,
      machine: readMachine(),
      brokers: [],
      sinkPerSecond,
      lines: lines.map(({ key, design, tier }) => {
        const { name, broker, guarantees, cannotTell } = design;
        const afterPublisherKilled = broker === 'none' ? null : (design.afterPublisherKilled ?? 'again');
        return { key, design: name, tier, broker, guarantees, cannotTell, afterPublisherKilled };
      }),
      campaign: [],
      latency: [],
      failures: [],
      queue: [],
      crash: [],
      tell: [],
      growth: [],
      table: null,
      profile: null,
      leftOut,
      faults: [],
    };
    const figures = new Figures(new Runs(new Stage(sink, pool, settings.connections), settings, lines, raw));
    await Promise.race([figures.measure(), stopped]);
    raw.brokers = pool.all().map(({ name, tier, broker }) => {
      const { version, configuration } = broker;
      return { name, tier, version, configuration };
    });
    raw.minutes = Number(((now() - startedAt) / 60_000).toFixed(1));
    return raw;
  } finally {
    await pool.stop();
    await sink.stop();
  }
}

/** Rejects at Ctrl-C, so that everything that was started is stopped on the way out. */
function interruption(): Promise<never> {
  const { promise, reject } = Promise.withResolvers<never>();
  // No caller may be waiting for it any more, or not yet.
  promise.catch(() => undefined);
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const)
    process.once(signal, () => reject(new Error(`ended by ${signal}`)));
  return promise;
}

async function main(): Promise<number> {
  const settings = readSettings(process.argv.slice(2));
  const raw = await measure(settings, interruption());
  if (settings.out !== null) {
    await mkdir(settings.out, { recursive: true });
    const file = path.join(settings.out, 'queues.json');
    await writeFile(file, `${JSON.stringify(raw, null, 1)}\n`);
    say(`the raw figures are in ${file}`);
    if (settings.report) await writeReport(raw, settings.out);
  }
  for (const fault of raw.faults) say(`WRONG: ${fault}`);
  const designs = summarise(raw);
  if (settings.json) process.stdout.write(`${JSON.stringify({ designs })}\n`);
  else process.stdout.write(`${JSON.stringify(designs, null, 2)}\n`);
  return raw.faults.length === 0 ? 0 : 1;
}

try {
  process.exitCode = await main();
} catch (error) {
  say(messageOf(error));
  process.exitCode = 1;
}
// Clients of brokers that were killed may keep a timer or a socket; everything that has to be stopped is.
process.exit();
