import { Admin } from '@platformatic/kafka';
import type { Place } from '../contract.ts';
import { WAITS_MS } from './waits.ts';

/** Partitions of the work topic: as many workers as could ever share it, 6 to 12 in the guides. */
export const PARTITIONS = 8;

/** The partition of the work topic for a key: the same address always goes the same way. */
export function partitionOf(key: string): number {
  let hash = 5381;
  for (let index = 0; index < key.length; index++) hash = (hash * 33 + key.charCodeAt(index)) >>> 0;
  return hash % PARTITIONS;
}

export interface Topics {
  readonly work: string;
  readonly retries: readonly string[];
  readonly dead: string;
  /** The one group of all workers. */
  readonly group: string;
}

export function topicsOf({ run }: Place): Topics {
  return {
    work: run,
    retries: WAITS_MS.map((ms) => `${run}.retry.${ms}`),
    dead: `${run}.dead`,
    group: `${run}.workers`,
  };
}

export function brokersOf({ url }: Place): string[] {
  return url.split(',');
}

export async function withAdmin<T>(place: Place, work: (admin: Admin) => Promise<T>): Promise<T> {
  const admin = new Admin({
    clientId: 'sendstate-bench',
    bootstrapBrokers: brokersOf(place),
    retries: 20,
    retryDelay: 250,
  });
  try {
    return await work(admin);
  } finally {
    await admin.close();
  }
}

/**
 * A retry topic for each wait, of one partition: its records fall due in the order in which they stand, so that its
 * offset can be committed like any other. In one topic for all waits, one hour would keep fifty milliseconds waiting.
 */
export async function createTopics(place: Place): Promise<void> {
  const { work, retries, dead } = topicsOf(place);
  await withAdmin(place, async (admin) => {
    // -1: as many copies as the broker's default.replication.factor says.
    await admin.createTopics({ topics: [work], partitions: PARTITIONS, replicas: -1 });
    await admin.createTopics({ topics: [...retries, dead], partitions: 1, replicas: -1 });
    await untilLed(admin, [work, ...retries, dead]);
  });
}

/** A new topic answers with "no leader" for a moment, longer in a cluster. */
async function untilLed(admin: Admin, topics: string[]): Promise<void> {
  const deadline = performance.now() + 30_000;
  for (;;) {
    const metadata = await admin.metadata({ topics, forceUpdate: true });
    const partitions = [...metadata.topics.values()].flatMap((topic) => topic.partitions);
    if (partitions.length > 0 && partitions.every(({ leader }) => leader >= 0)) return;
    if (performance.now() > deadline) throw new Error(`the topics of ${topics[0]} have no leader`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

/** The group goes by itself, when its last offset has expired. */
export async function deleteTopics(place: Place): Promise<void> {
  const { work, retries, dead } = topicsOf(place);
  await withAdmin(place, (admin) => admin.deleteTopics({ topics: [work, ...retries, dead] }));
}

export interface Look {
  /** Records that were ever written, and those below the group's committed offsets. */
  readonly work: { readonly written: number; readonly committed: number };
  readonly retries: { readonly written: number; readonly committed: number };
  readonly dead: number;
}

/**
 * Where the group stands. The committed offsets are read first: a record is written to a retry topic before the one it
 * comes from is committed, so that equal numbers mean that nothing is left.
 */
export async function look(admin: Admin, { work, retries, dead, group }: Topics): Promise<Look> {
  const [offsets] = await admin.listConsumerGroupOffsets({
    groups: [
      {
        groupId: group,
        topics: [
          { name: work, partitionIndexes: Array.from({ length: PARTITIONS }, (_, index) => index) },
          ...retries.map((name) => ({ name, partitionIndexes: [0] })),
        ],
      },
    ],
    requireStable: false,
  });
  const committed = new Map<string, number>();
  for (const { name, partitions } of offsets?.topics ?? []) {
    // -1: nothing is committed yet.
    const sum = partitions.reduce((total, one) => total + Math.max(0, Number(one.committedOffset)), 0);
    committed.set(name, sum);
  }
  const written = new Map<string, number>();
  const ends = await admin.listOffsets({
    topics: [work, ...retries, dead].map((name) => ({
      name,
      partitions: Array.from({ length: name === work ? PARTITIONS : 1 }, (_, partitionIndex) => ({
        partitionIndex,
        timestamp: -1n,
      })),
    })),
  });
  // A topic whose partitions have several leaders comes in several parts.
  for (const { name, partitions } of ends) {
    const sum = partitions.reduce((total, { offset }) => total + Number(offset), 0);
    written.set(name, (written.get(name) ?? 0) + sum);
  }
  const sumOf = (counts: Map<string, number>, names: readonly string[]): number =>
    names.reduce((total, name) => total + (counts.get(name) ?? 0), 0);
  return {
    work: { written: sumOf(written, [work]), committed: sumOf(committed, [work]) },
    retries: { written: sumOf(written, retries), committed: sumOf(committed, retries) },
    dead: written.get(dead) ?? 0,
  };
}
