import { execFile } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { homedir } from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import { SendstateError } from '../../src/errors.ts';
import type { Tier } from '../contract.ts';
import { findProgram } from '../installed.ts';
import { type Broker, type BrokerOptions, missingBroker } from './broker.ts';
import { answers, Daemon, freePort, makeFolder, plainEnvironment, removeFolder } from './daemon.ts';

const run = promisify(execFile);
const file = (name: string): string => new URL(`./kafka/${name}`, import.meta.url).pathname;

const HOW =
  'Java 17 or later and Kafka from Maven Central: apt-get install default-jre-headless maven, then sh bench/brokers/kafka/fetch.sh';
/** The line with which the broker says that it serves. */
const STARTED = 'Kafka Server started';
/** How long the broker may be frozen before its own controller takes it for dead, milliseconds: longer than any benchmark. */
const FROZEN_MS = 4 * 3_600_000;
/** ApiVersions, version 0, as request 1 of a client without a name: a server answers with a length, the number and more. */
const API_VERSIONS = Buffer.from([0, 0, 0, 10, 0, 18, 0, 0, 0, 0, 0, 1, 0xff, 0xff]);
/** MB. Kafka keeps its messages in the page cache, not in its heap. */
const HEAP_MB = 512;

/** The version that pom.xml names; fetch.sh reads the same line. */
function kafkaVersion(): string {
  const pom = readFileSync(file('pom.xml'), 'utf8');
  return /<artifactId>kafka_2\.13<\/artifactId>\s*<version>([^<]+)</.exec(pom)?.[1] ?? 'unknown';
}

/** Where fetch.sh puts the jars. */
function libraries(): string {
  const cache = process.env.XDG_CACHE_HOME || path.join(homedir(), '.cache');
  return path.join(cache, 'sendstate', `kafka-${kafkaVersion()}`);
}

export function missingKafka(): string | null {
  return findProgram('java') !== null && existsSync(libraries()) ? null : HOW;
}

/** One broker that is its own controller. Tier A: fsync of every message before it is acknowledged; B: as delivered. */
export async function startKafka(tier: Tier, options: BrokerOptions = {}): Promise<Broker> {
  const [broker] = await startKafkaBrokers(1, tier, options);
  if (broker === undefined) throw new Error('no broker was started');
  return broker;
}

interface NodePlace {
  readonly id: number;
  readonly port: number;
  readonly controllerPort: number;
  readonly folder: string;
}

/** `count` brokers, each also a controller. The last one to be stopped removes what they share. */
export async function startKafkaBrokers(
  count: number,
  tier: Tier,
  options: BrokerOptions = {},
): Promise<Broker[]> {
  if (missingKafka() !== null) throw missingBroker('kafka', HOW);
  const shared = await makeFolder('kafka', options.scratch);
  const cluster = randomUUID().replaceAll('-', '').slice(0, 22);
  const places: NodePlace[] = [];
  for (let id = 1; id <= count; id++) {
    const folder = path.join(shared, `node-${id}`);
    places.push({ id, port: await freePort(), controllerPort: await freePort(), folder });
  }
  let left = count;
  const release = async (): Promise<void> => {
    left -= 1;
    if (left === 0) await removeFolder(shared);
  };
  // A controller alone is no majority: none is ready before the others are there.
  const started = await Promise.allSettled(
    places.map((place) => startNode(place, places, { tier, cluster, release })),
  );
  const brokers = started.flatMap((one) => (one.status === 'fulfilled' ? [one.value] : []));
  const failed = started.find((one) => one.status === 'rejected');
  if (failed === undefined) return brokers;
  for (const broker of brokers) await broker.stop();
  await removeFolder(shared);
  throw failed.reason;
}

interface Shared {
  readonly tier: Tier;
  readonly cluster: string;
  readonly release: () => Promise<void>;
}

async function startNode(
  place: NodePlace,
  all: readonly NodePlace[],
  { tier, cluster, release }: Shared,
): Promise<Broker> {
  await mkdir(place.folder);
  const java = findProgram('java') ?? 'java';
  const properties = path.join(place.folder, 'server.properties');
  const log = path.join(place.folder, 'log');
  const env = plainEnvironment(place.folder);
  const configuration = settings(tier, all.length);
  const write = async (session: Readonly<Record<string, string>>) =>
    await writeFile(properties, text({ ...identity(place, all), ...configuration, ...session }));
  // Alone, no peer waits for it to be given up. In a cluster that is what a kill is followed by.
  await write(all.length === 1 ? { 'broker.session.timeout.ms': `${FROZEN_MS}` } : {});
  const options = [
    `-Xmx${HEAP_MB}m`,
    `-Dlog4j2.configurationFile=${file('log4j2.yaml')}`,
    // Nothing of it outside its own folder.
    '-XX:-UsePerfData',
    `-Djava.io.tmpdir=${place.folder}`,
    '-cp',
    path.join(libraries(), '*'),
  ];
  const format = ['kafka.tools.StorageTool', 'format', '-t', cluster, '-c', properties];
  await run(java, [...options, ...format], { env }).catch((error: unknown) => {
    throw new SendstateError('bench_broker_start', 'kafka: its storage could not be formatted', {
      cause: error,
    });
  });
  // The log is appended to over all starts: only a line behind the last start counts.
  let from = 0;
  const daemon = new Daemon(
    {
      name: 'kafka',
      program: java,
      args: ['-Xms128m', '-XX:+UseG1GC', ...options, 'kafka.Kafka', properties],
      env,
      cwd: place.folder,
      log,
    },
    async () => (await readFile(log, 'utf8')).slice(from).includes(STARTED),
  );
  let stopped = false;
  const broker: Broker = {
    url: `127.0.0.1:${place.port}`,
    pids: () => daemon.pids(),
    dataDirectory: path.join(place.folder, 'data'),
    version: kafkaVersion(),
    configuration: { ...configuration, heap: `${HEAP_MB} MB` },
    kill: () => daemon.kill(),
    answers: () => answers(place.port, API_VERSIONS, /^[\s\S]{8}/),
    restart: async () => {
      // A broker that was killed is let in again when its old session has run out: 9 s, as delivered.
      await write({});
      from = (await readFile(log, 'utf8')).length;
      await daemon.start();
    },
    stop: async () => {
      if (stopped) return;
      stopped = true;
      await daemon.kill();
      await release();
    },
  };
  await daemon.start();
  return broker;
}

function identity(place: NodePlace, all: readonly NodePlace[]): Record<string, string> {
  return {
    'process.roles': 'broker,controller',
    'node.id': `${place.id}`,
    'controller.quorum.voters': all
      .map(({ id, controllerPort }) => `${id}@127.0.0.1:${controllerPort}`)
      .join(','),
    listeners: `CLIENTS://127.0.0.1:${place.port},CONTROLLER://127.0.0.1:${place.controllerPort}`,
    'advertised.listeners': `CLIENTS://127.0.0.1:${place.port}`,
    'listener.security.protocol.map': 'CLIENTS:PLAINTEXT,CONTROLLER:PLAINTEXT',
    'inter.broker.listener.name': 'CLIENTS',
    'controller.listener.names': 'CONTROLLER',
    'log.dirs': path.join(place.folder, 'data'),
  };
}

function settings(tier: Tier, brokers: number): Record<string, string> {
  const copies = `${Math.min(3, brokers)}`;
  const majority = brokers >= 3 ? '2' : '1';
  return {
    'default.replication.factor': copies,
    'min.insync.replicas': majority,
    'offsets.topic.replication.factor': copies,
    // 50 by default, each a file of its own: one small group does not need them.
    'offsets.topic.num.partitions': brokers >= 3 ? '3' : '1',
    'transaction.state.log.replication.factor': copies,
    'transaction.state.log.min.isr': majority,
    'auto.create.topics.enable': 'false',
    // What a group with one member would otherwise wait for a second, 3 s at every start.
    'group.initial.rebalance.delay.ms': '0',
    ...(tier === 'A' ? { 'log.flush.interval.messages': '1' } : {}),
  };
}

function text(values: Readonly<Record<string, string>>): string {
  return Object.entries(values)
    .map(([key, value]) => `${key}=${value}\n`)
    .join('');
}
