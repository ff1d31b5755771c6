import { collectDefaultMetrics, Gauge, Registry } from 'prom-client';
import type { Database } from '../database/connect.ts';
import { VERSION } from '../version.ts';

/** What every process of sendstate tells: about itself, and about its connections to the database. */
export function processRegistry({ pool }: Database): Registry {
  const registers = [new Registry()];
  const [registry = new Registry()] = registers;
  collectDefaultMetrics({ register: registry });
  // The sums of the three that stand beside them by type; "total" is the name of a counter, and these are none.
  for (const kind of ['handles', 'requests', 'resources']) {
    registry.removeSingleMetric(`nodejs_active_${kind}_total`);
  }
  new Gauge({
    name: 'sendstate_build_info',
    help: 'Always 1; the version is in the label.',
    labelNames: ['version'],
    registers,
  }).set({ version: VERSION }, 1);
  new Gauge({
    name: 'sendstate_database_pool_connections',
    help: 'Connections of this process to the database.',
    labelNames: ['state'],
    registers,
    collect() {
      this.set({ state: 'idle' }, pool.idleCount);
      this.set({ state: 'used' }, pool.totalCount - pool.idleCount);
    },
  });
  new Gauge({
    name: 'sendstate_database_pool_waiting',
    help: 'Statements of this process that wait for a connection.',
    registers,
    collect() {
      this.set(pool.waitingCount);
    },
  });
  return registry;
}
