import { setTimeout as wait } from 'node:timers/promises';
import { type Broker, startBroker } from './brokers/index.ts';
import { now } from './clock.ts';
import type { BrokerName, Tier } from './contract.ts';

/** A broker that is looked after by the pool. */
export interface Pooled {
  readonly name: BrokerName;
  readonly tier: Tier;
  readonly broker: Broker;
}

/** After a broker was frozen: time for its own timers to have fired before any client connects, milliseconds. */
const THAW_MS = 300;
/** How long it may take to answer again, and the time between two questions, milliseconds. */
const ANSWER_MS = 30_000;
const AGAIN_MS = 50;

/**
 * The brokers of a benchmark: each started once, when it is first needed, and frozen (SIGSTOP) while another one is measured. It
 * uses no CPU then, and goes on with warm caches and a compiled JVM, as a broker does that has been running for a while.
 */
export class BrokerPool {
  readonly #brokers = new Map<string, Pooled>();
  readonly #frozen = new Set<string>();
  /** Every broker that was started, stopped ones too. */
  readonly #started = new Map<string, Pooled>();
  /** A start that is under way: stopping everything waits for it, so that it does not outlive the pool. */
  #starting: Promise<unknown> = Promise.resolve();
  #stopped = false;

  /** The broker for a design, alone awake; null for designs that have none. */
  async only(name: BrokerName, tier: Tier): Promise<Broker | null> {
    if (this.#stopped) throw new Error('the brokers have been stopped');
    const key = `${name}:${tier}`;
    for (const [other, { broker }] of this.#brokers) if (other !== key) this.#freeze(other, broker);
    if (name === 'none') return null;
    const known = this.#brokers.get(key);
    if (known !== undefined) {
      if (this.#thaw(key, known.broker)) await awake(known);
      return known.broker;
    }
    const start = startBroker(name, tier).then((broker) => {
      this.#brokers.set(key, { name, tier, broker });
      this.#started.set(key, { name, tier, broker });
      return broker;
    });
    this.#starting = start.catch(() => undefined);
    return await start;
  }

  /** Every broker that was started, for its version and its settings. */
  all(): readonly Pooled[] {
    return [...this.#started.values()];
  }

  /** Ends one that was killed and came back: the next run gets a new one, as every other run had. */
  async retire(name: BrokerName, tier: Tier): Promise<void> {
    const key = `${name}:${tier}`;
    const known = this.#brokers.get(key);
    if (known === undefined) return;
    this.#brokers.delete(key);
    this.#frozen.delete(key);
    await known.broker.stop();
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    await this.#starting;
    const failures: unknown[] = [];
    for (const [key, { broker }] of this.#brokers) {
      this.#thaw(key, broker);
      await broker.stop().catch((error: unknown) => failures.push(error));
    }
    this.#brokers.clear();
    if (failures.length > 0) throw new AggregateError(failures, 'not every broker could be stopped');
  }

  #freeze(key: string, broker: Broker): void {
    if (this.#frozen.has(key)) return;
    signalAll(broker, 'SIGSTOP');
    this.#frozen.add(key);
  }

  #thaw(key: string, broker: Broker): boolean {
    if (!this.#frozen.delete(key)) return false;
    signalAll(broker, 'SIGCONT');
    return true;
  }
}

async function awake({ name, broker }: Pooled): Promise<void> {
  await wait(THAW_MS);
  const deadline = now() + ANSWER_MS;
  while (!(await broker.answers())) {
    if (now() > deadline) throw new Error(`${name} was frozen and does not answer any more`);
    await wait(AGAIN_MS);
  }
}

function signalAll(broker: Broker, signal: 'SIGSTOP' | 'SIGCONT'): void {
  for (const pid of broker.pids()) {
    try {
      process.kill(pid, signal);
    } catch (error) {
      // A backend that has just ended.
      if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
    }
  }
}
