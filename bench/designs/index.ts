import type { Design } from '../contract.ts';

/*
 * Every design by the name that `--designs` takes, imported only when it is asked for: no run pays for another one's client.
 */
const DESIGNS: Readonly<Record<string, () => Promise<Design>>> = {
  postgres: async () => (await import('./postgres.ts')).postgres,
  'postgres-textbook': async () => (await import('./postgres-textbook.ts')).postgresTextbook,
  loop: async () => (await import('./loop.ts')).loop,
  'loop-fast': async () => (await import('./loop.ts')).loopFast,
  'graphile-worker': async () => (await import('./graphile-worker.ts')).graphileWorker,
  'pg-boss': async () => (await import('./pg-boss.ts')).pgBoss,
  rabbitmq: async () => (await import('./rabbitmq.ts')).rabbitmq,
  'rabbitmq-classic': async () => (await import('./rabbitmq-classic.ts')).rabbitmqClassic,
  kafka: async () => (await import('./kafka.ts')).kafka,
  bullmq: async () => (await import('./bullmq.ts')).bullmq,
  memcached: async () => (await import('./memcached.ts')).memcached,
};

export const DESIGN_NAMES: readonly string[] = Object.keys(DESIGNS);

/** @throws when there is no design of this name */
export async function loadDesign(name: string): Promise<Design> {
  const load = DESIGNS[name];
  if (load === undefined) {
    throw new Error(`There is no design "${name}". There are: ${DESIGN_NAMES.join(', ')}`);
  }
  return await load();
}
