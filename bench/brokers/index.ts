import type { BrokerName, Tier } from '../contract.ts';
import type { Broker, BrokerOptions } from './broker.ts';
import { missingKafka, startKafka } from './kafka.ts';
import { missingMemcached, startMemcached } from './memcached.ts';
import { missingPostgres, startPostgres } from './postgres.ts';
import { missingRabbitmq, startRabbitmq } from './rabbitmq.ts';
import { missingRedis, startRedis } from './redis.ts';

export type { Broker, BrokerOptions } from './broker.ts';

interface Kind {
  readonly start: (tier: Tier, options: BrokerOptions) => Promise<Broker>;
  readonly missing: () => string | null;
}

const KINDS: Readonly<Partial<Record<BrokerName, Kind>>> = {
  postgres: { start: (_tier, options) => startPostgres(options), missing: missingPostgres },
  rabbitmq: { start: (_tier, options) => startRabbitmq(options), missing: missingRabbitmq },
  kafka: { start: startKafka, missing: missingKafka },
  memcached: { start: (_tier, options) => startMemcached(options), missing: missingMemcached },
  redis: { start: startRedis, missing: missingRedis },
};

/** What to install before this broker can be started here, and how; null: nothing. */
export function missing(name: BrokerName): string | null {
  return KINDS[name]?.missing() ?? null;
}

/** Starts a broker of its own for the benchmark. Whatever happens, nothing of it outlives this process. */
export async function startBroker(
  name: BrokerName,
  tier: Tier,
  options: BrokerOptions = {},
): Promise<Broker> {
  const kind = KINDS[name];
  if (kind === undefined) throw new Error(`there is no way to start ${name}`);
  return await kind.start(tier, options);
}
