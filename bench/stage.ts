import type { BrokerPool } from './broker-pool.ts';
import type { Broker } from './brokers/index.ts';
import type { Design, Place, Tier } from './contract.ts';
import type { VerifyingSink } from './verifying-sink.ts';

/** A design in one of its tiers: a line of every table. */
export interface Line {
  /** The design's name; behind an @ the tier, when it is not the design's best. */
  readonly key: string;
  readonly design: Design;
  readonly tier: Tier;
}

/** The lines of a design, its best tier first. */
export function linesOf(design: Design, allTiers: boolean): Line[] {
  return design.tiers
    .slice(0, allTiers ? design.tiers.length : 1)
    .map((tier, at) => ({ key: at === 0 ? design.name : `${design.name}@${tier}`, design, tier }));
}

/** Attempts after which a temporary failure is one for good. */
const MAX_ATTEMPTS = 5;

/** Everything that runs share: the sink, the brokers, and names that no two runs have in common. */
export class Stage {
  readonly sink: VerifyingSink;
  readonly pool: BrokerPool;
  /** Connections to the sink, of every design. */
  readonly connections: number;
  readonly #name = Date.now().toString(36);
  #runs = 0;

  constructor(sink: VerifyingSink, pool: BrokerPool, connections: number) {
    this.sink = sink;
    this.pool = pool;
    this.connections = connections;
  }

  get relay(): string {
    return this.sink.url(this.connections);
  }

  /** Wakes the broker of a line, lets all others sleep, and names a new run. */
  async set(
    line: Line,
    people: number,
    maxAttempts = MAX_ATTEMPTS,
  ): Promise<{ readonly place: Place; readonly broker: Broker | null }> {
    const broker = await this.pool.only(line.design.broker, line.tier);
    const place: Place = {
      url: broker?.url ?? '',
      run: `r${this.#name}_${++this.#runs}`,
      people,
      tier: line.tier,
      maxAttempts,
    };
    return { place, broker };
  }
}
