import { execFile } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { mkdir, writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import path from 'node:path';
import { promisify } from 'node:util';
import { SendstateError } from '../../src/errors.ts';
import { findProgram, isInstalled } from '../installed.ts';
import { type Broker, type BrokerOptions, missingBroker } from './broker.ts';
import { answers, Daemon, freePort, makeFolder, plainEnvironment, removeFolder } from './daemon.ts';

const run = promisify(execFile);

/** The scripts that Debian's wrapper in /usr/sbin calls; the wrapper itself insists on the user rabbitmq. */
const SCRIPTS = '/usr/lib/rabbitmq/bin';
const HOW = 'Debian: apt-get install rabbitmq-server (its service is not used and may be stopped)';
/** How long one question of rabbitmqctl may take, milliseconds: it boots an Erlang machine of its own. */
const CTL_MS = 60_000;

export function missingRabbitmq(): string | null {
  return isInstalled(path.join(SCRIPTS, 'rabbitmq-server')) && findProgram('epmd') !== null ? null : HOW;
}

/** A node of RabbitMQ, with the command line tool that speaks to it. */
export interface RabbitmqNode extends Broker {
  readonly node: string;
  control(script: 'rabbitmqctl' | 'rabbitmq-queues', args: readonly string[]): Promise<string>;
}

/** One node, without plugins, with everything but its own ports and folders as it is delivered. */
export async function startRabbitmq(options: BrokerOptions = {}): Promise<Broker> {
  const [node] = await startRabbitmqNodes(1, options);
  if (node === undefined) throw new Error('no node was started');
  return node;
}

/** `count` nodes in one cluster. The first to be stopped takes nothing along; the last removes what they share. */
export async function startRabbitmqNodes(
  count: number,
  options: BrokerOptions = {},
): Promise<RabbitmqNode[]> {
  if (missingRabbitmq() !== null) throw missingBroker('rabbitmq', HOW);
  const folder = await makeFolder('rabbitmq', options.scratch);
  const epmdPort = await freePort();
  // The name server of Erlang. Nodes would start one that outlives them; so here is one that does not.
  const epmd = new Daemon(
    {
      name: 'epmd',
      program: findProgram('epmd') ?? 'epmd',
      args: ['-address', '127.0.0.1', '-port', `${epmdPort}`],
      env: plainEnvironment(folder),
      cwd: folder,
      log: path.join(folder, 'epmd.log'),
    },
    () => accepts(epmdPort),
  );
  const nodes: RabbitmqNode[] = [];
  let left = count;
  const release = async (): Promise<void> => {
    left -= 1;
    if (left > 0) return;
    await epmd.kill();
    await removeFolder(folder);
  };
  try {
    await epmd.start();
    const places = await Promise.all(Array.from({ length: count }, (_, index) => nodePlace(folder, index)));
    for (const place of places)
      nodes.push(await startNode(place, places, { epmd, epmdPort, folder, release }));
    if (count > 1) await checkCluster(nodes);
  } catch (error) {
    for (const node of nodes) await node.stop();
    left = 1;
    await release();
    throw error;
  }
  return nodes;
}

/** A node that does not find the first one starts alone without a word. */
async function checkCluster(nodes: readonly RabbitmqNode[]): Promise<void> {
  const [first] = nodes;
  const status = await first?.control('rabbitmqctl', ['cluster_status', '--formatter', 'json']);
  const { running_nodes: found } = JSON.parse(status ?? '') as { running_nodes: string[] };
  if (found.length === nodes.length) return;
  throw new SendstateError(
    'bench_broker_start',
    `rabbitmq: the cluster has ${found.length} of ${nodes.length} nodes`,
  );
}

interface NodePlace {
  readonly node: string;
  readonly port: number;
  readonly distributionPort: number;
  readonly folder: string;
}

async function nodePlace(folder: string, index: number): Promise<NodePlace> {
  const port = await freePort();
  return {
    // The port makes the name unique among all that run on this machine.
    node: `sendstate_${port}@localhost`,
    port,
    distributionPort: await freePort(),
    folder: path.join(folder, `node-${index + 1}`),
  };
}

interface Shared {
  readonly epmd: Daemon;
  readonly epmdPort: number;
  /** The nodes' home too: the Erlang cookie that lets them speak to each other is made there. */
  readonly folder: string;
  readonly release: () => Promise<void>;
}

async function startNode(
  place: NodePlace,
  all: readonly NodePlace[],
  { epmd, epmdPort, folder, release }: Shared,
): Promise<RabbitmqNode> {
  await mkdir(place.folder);
  const env = { ...plainEnvironment(folder), ...(await nodeEnvironment(place, all, epmdPort)) };
  const serves = () => answers(place.port, Buffer.from('AMQP\0\0\x09\x01', 'latin1'), /RabbitMQ/);
  const daemon = new Daemon(
    {
      name: 'rabbitmq',
      program: path.join(SCRIPTS, 'rabbitmq-server'),
      args: [],
      env,
      cwd: place.folder,
      log: path.join(place.folder, 'log'),
    },
    serves,
  );
  let stopped = false;
  const node: RabbitmqNode = {
    node: place.node,
    url: `amqp://guest:guest@127.0.0.1:${place.port}`,
    pids: () => [...daemon.pids(), ...(daemon.pids().length > 0 ? epmd.pids() : [])],
    dataDirectory: path.join(place.folder, 'data'),
    version: installedVersion(),
    configuration: { plugins: 'none', nodes: `${all.length}`, 'everything else': 'as delivered' },
    answers: serves,
    kill: () => daemon.kill(),
    restart: () => daemon.start(),
    stop: async () => {
      if (stopped) return;
      stopped = true;
      await daemon.kill();
      await release();
    },
    control: async (script, args) => {
      const command = path.join(SCRIPTS, script);
      const { stdout } = await run(command, ['--silent', '-n', place.node, ...args], {
        env,
        timeout: CTL_MS,
      });
      return stdout;
    },
  };
  await daemon.start();
  return node;
}

async function nodeEnvironment(
  place: NodePlace,
  all: readonly NodePlace[],
  epmdPort: number,
): Promise<Record<string, string>> {
  const file = (name: string): string => path.join(place.folder, name);
  const peers = all.map(({ node }, index) => `cluster_formation.classic_config.nodes.${index + 1} = ${node}`);
  const configuration = [
    `listeners.tcp.1 = 127.0.0.1:${place.port}`,
    // The nodes are started one after the other, so that no node has to wait for a race to be decided.
    'cluster_formation.randomized_startup_delay_range.min = 0',
    'cluster_formation.randomized_startup_delay_range.max = 0',
    ...(all.length > 1 ? ['cluster_formation.peer_discovery_backend = classic_config', ...peers] : []),
  ];
  await writeFile(file('rabbitmq.conf'), `${configuration.join('\n')}\n`);
  await writeFile(file('enabled_plugins'), '[].\n');
  await writeFile(file('environment'), '');
  return {
    // "exec erl" instead of a shell that waits: the process that is killed and counted has to be the broker.
    detached: 'true',
    ERL_EPMD_PORT: `${epmdPort}`,
    ERL_EPMD_ADDRESS: '127.0.0.1',
    RABBITMQ_CONF_ENV_FILE: file('environment'),
    RABBITMQ_CONFIG_FILE: file('rabbitmq.conf'),
    RABBITMQ_DIST_PORT: `${place.distributionPort}`,
    RABBITMQ_ENABLED_PLUGINS_FILE: file('enabled_plugins'),
    RABBITMQ_LOG_BASE: file('logs'),
    RABBITMQ_LOGS: '-',
    RABBITMQ_MNESIA_BASE: file('data'),
    RABBITMQ_NODENAME: place.node,
    RABBITMQ_PID_FILE: file('pid'),
    RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS: '-kernel inet_dist_use_interface {127,0,0,1}',
  };
}

/** epmd says nothing by itself, and it listens from the moment it can serve. */
function accepts(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ port, host: '127.0.0.1' }, () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', () => resolve(false));
  });
}

/** The version of Debian's package, by its folder; 'unknown' where it is not installed. */
export function installedVersion(): string {
  const library = path.join(SCRIPTS, '..', 'lib');
  if (!isInstalled(library)) return 'unknown';
  const names = readdirSync(library).flatMap((name) => /^rabbitmq_server-(.+)$/.exec(name)?.[1] ?? []);
  return names[0] ?? 'unknown';
}
