import { setTimeout as wait } from 'node:timers/promises';
import { messageOf, SendstateError } from '../src/errors.ts';
import { type Broker, missing } from './brokers/index.ts';
import { startKafkaBrokers } from './brokers/kafka.ts';
import { type RabbitmqNode, startRabbitmqNodes } from './brokers/rabbitmq.ts';
import type { Design, Person, Place } from './contract.ts';
import { namesOf } from './designs/amqp-topology.ts';
import { kafka } from './designs/kafka.ts';
import { withAdmin } from './designs/kafka-topics.ts';
import { rabbitmq } from './designs/rabbitmq.ts';

/*
 * Three nodes on one machine, and one of them, the leader, killed in the middle of a campaign: what is lost and what is
 * sent twice. This is about correctness: three copies on one disk have no speed worth a figure.
 */

export interface ClusterResult {
  readonly sent: number;
  readonly lost: number;
  readonly duplicated: number;
  /** Which node was killed, and what it led. */
  readonly killed: string;
  readonly version: string;
}

export const CLUSTERS = ['rabbitmq', 'kafka'] as const;
export type ClusterName = (typeof CLUSTERS)[number];

/** What is needed and not here; null: nothing. */
export const missingCluster = (name: ClusterName): string | null => missing(name);

/** Mails in flight at once, and how long each takes, milliseconds: some are always in the middle when the node dies. */
const CAPACITY = 50;
const REPLY_MS = 5;
/** When no person was handed out for so long, none will be, milliseconds: an election takes Kafka 9 s, and a broken connection 30. */
const STILL_MS = 150_000;

/** One campaign on three nodes, of which the leader dies when a third is sent and half is published. */
export async function killTheLeader(name: ClusterName, recipients: number): Promise<ClusterResult> {
  return name === 'rabbitmq' ? await killRabbitmq(recipients) : await killKafka(recipients);
}

async function killRabbitmq(recipients: number): Promise<ClusterResult> {
  const nodes = await startRabbitmqNodes(3);
  try {
    const place = placeOf(nodes, recipients);
    await rabbitmq.prepare(place);
    const leader = await quorumLeader(nodes, namesOf(place).work);
    return await campaign(rabbitmq, place, nodes, leader, () => standOf(nodes, leader));
  } finally {
    for (const node of nodes) await node.stop();
  }
}

async function quorumLeader(nodes: readonly RabbitmqNode[], queue: string): Promise<Broker> {
  const args = ['list_queues', 'name', 'leader', '--formatter', 'json'];
  const answer = await nodes[0]?.control('rabbitmqctl', args);
  const queues = JSON.parse(answer ?? '') as { name: string; leader: string }[];
  const leader = queues.find((one) => one.name === queue)?.leader;
  const node = nodes.find((one) => one.node === leader);
  if (node === undefined) throw new Error(`the leader of ${queue} is ${leader}`);
  return node;
}

/** What the nodes that are left say of their queues. */
async function standOf(nodes: readonly RabbitmqNode[], killed: Broker): Promise<string> {
  const node = nodes.find((one) => one !== killed);
  const columns = ['name', 'leader', 'online', 'messages_ready', 'messages_unacknowledged', 'consumers'];
  return (await node?.control('rabbitmqctl', ['list_queues', ...columns])) ?? '';
}

async function killKafka(recipients: number): Promise<ClusterResult> {
  // Tier B: in a cluster Kafka is meant to rely on its copies, of which two of three have to acknowledge.
  const brokers = await startKafkaBrokers(3, 'B');
  try {
    const place = placeOf(brokers, recipients);
    await kafka.prepare(place);
    const leader = await partitionLeader(brokers, place);
    return await campaign(kafka, place, brokers, leader, async () =>
      JSON.stringify(await kafka.standing(place)),
    );
  } finally {
    for (const broker of brokers) await broker.stop();
  }
}

async function partitionLeader(brokers: readonly Broker[], place: Place): Promise<Broker> {
  const metadata = await withAdmin(place, (admin) =>
    admin.metadata({ topics: [place.run], forceUpdate: true }),
  );
  const leader = metadata.topics.get(place.run)?.partitions[0]?.leader;
  // Their ids count from 1.
  const broker = brokers[(leader ?? 0) - 1];
  if (broker === undefined) throw new Error(`the leader of the first partition is ${leader}`);
  return broker;
}

function placeOf(brokers: readonly Broker[], people: number): Place {
  const url = brokers.map((broker) => broker.url).join(',');
  return { url, run: `cluster_${process.pid}_${Date.now()}`, people, tier: 'A', maxAttempts: 4 };
}

async function campaign(
  design: Design,
  place: Place,
  brokers: readonly Broker[],
  leader: Broker,
  stand: () => Promise<string>,
): Promise<ClusterResult> {
  const handed = new Map<string, number>();
  let kill: () => void = () => {};
  const killed = new Promise<void>((resolve, reject) => {
    kill = () => void leader.kill().then(resolve, reject);
  });
  // The rest of the list is read when the leader is dead, so that the publisher goes through it too.
  const people = (async function* (): AsyncGenerator<readonly Person[]> {
    for (let id = 1; id <= place.people; id++) {
      if (id === Math.ceil(place.people / 2)) await killed;
      yield [{ id, address: `person${id}@example.org`, vars: { name: `Person ${id}` } }];
    }
  })();
  const consuming = design.consume(place, {
    capacity: CAPACITY,
    signal: new AbortController().signal,
    deliver: ({ address }, done) => {
      handed.set(address, (handed.get(address) ?? 0) + 1);
      if (handed.size === Math.floor(place.people / 3)) kill();
      setTimeout(() => done({ kind: 'sent', reply: '250 ok' }), REPLY_MS);
    },
  });
  const over = new AbortController();
  const all = Promise.all([design.publish(place, people), consuming, killed]);
  try {
    await Promise.race([all, untilStill(() => handed.size, over.signal)]);
  } catch (error) {
    const where = await stand().catch(messageOf);
    throw new SendstateError(
      'bench_cluster',
      `${design.name}: ${handed.size} of ${place.people} were handed out, and then: ${messageOf(error)}\n${where}`,
    );
  } finally {
    over.abort();
  }
  return {
    sent: handed.size,
    lost: place.people - handed.size,
    duplicated: [...handed.values()].filter((count) => count > 1).length,
    killed: `the leader, node ${brokers.indexOf(leader) + 1} of ${brokers.length}`,
    version: leader.version,
  };
}

/** Rejects when the number has not changed for long; never fulfilled before `over`. */
async function untilStill(number: () => number, over: AbortSignal): Promise<void> {
  let before = -1;
  while (!over.aborted) {
    const now = number();
    if (now === before) throw new Error(`no person for ${STILL_MS / 1000} s`);
    before = now;
    // An abort is the end of it, which the loop sees.
    await wait(STILL_MS, undefined, { signal: over }).catch(() => {});
  }
}
