/**
 * The one contract that every design of the benchmark fulfils: the same people, the same compiled message, the same
 * SMTP client and the same sink; only what stands between "these people" and "hand this one over" differs.
 *
 * Publishing and consuming run in processes of their own (`bench/role.ts`), so that CPU and memory are counted by part
 * and either can be killed in the middle. What a design knows at that moment is what its broker knows.
 */

/** A row of the CSV. */
export interface Person {
  /** Line in the CSV, from 1; unique. */
  readonly id: number;
  readonly address: string;
  readonly vars: Readonly<Record<string, string>>;
}

/** What became of one attempt. */
export type Answer =
  | { readonly kind: 'sent'; readonly reply: string }
  /** Temporary: again, not before `afterMs`. */
  | { readonly kind: 'retry'; readonly afterMs: number; readonly reply: string }
  /** Permanent: to the dead letters, with the reply. */
  | { readonly kind: 'rejected'; readonly reply: string };

/** Hands one person's mail over. `done` is called exactly once, never inside this call. At most `capacity` at once are useful. */
export type Deliver = (person: Person, done: (answer: Answer) => void) => void;

/**
 * What an acknowledged write survives. They are never compared in one list.
 * A: loss of power. B: a killed process. C: nothing.
 */
export type Tier = 'A' | 'B' | 'C';

export const BROKERS = ['none', 'postgres', 'rabbitmq', 'kafka', 'memcached', 'redis'] as const;
export type BrokerName = (typeof BROKERS)[number];

/*
 * While others are measured a broker is frozen (SIGSTOP to all of `pids()`, later SIGCONT): its own timeouts must survive
 * minutes of that, and no client is connected to it meanwhile.
 */

/** Where one run happens. The same value is given to every process of the run. */
export interface Place {
  /** How the broker is reached: a database URL, amqp://…, redis://…, HOST:PORT of Kafka and memcached; '' for none. */
  readonly url: string;
  /** Letters, digits and underscores; new for every run, so that nothing of an earlier run is met. */
  readonly run: string;
  /** How many people will be published. */
  readonly people: number;
  /** Which settings the broker runs with, where it has several (Kafka: A with flush.messages=1, else B). */
  readonly tier: Tier;
  /** Attempts after which a temporary failure becomes permanent. */
  readonly maxAttempts: number;
}

/** Numbers that the design can give while it runs; null: it cannot tell. */
export interface Standing {
  readonly waiting: number | null;
  readonly inFlight: number | null;
  readonly sent: number | null;
  readonly rejected: number | null;
  readonly retrying: number | null;
}

export interface Consuming {
  readonly deliver: Deliver;
  /** Mails that may usefully be in flight at once. */
  readonly capacity: number;
  /** Finish what is in flight and come back. */
  readonly signal: AbortSignal;
  /**
   * smtp://127.0.0.1:PORT of the sink, for those whose point it is to compose and speak SMTP themselves (the product, the
   * textbook, the loop); every other design calls `deliver`. Null: there is no mail, `deliver` answers at once.
   */
  readonly relay?: string | null;
  /** Called whenever all that was handed out so far is settled at the broker, durably as far as the tier says; the last time counts. */
  readonly settled?: () => void;
}

/**
 * What the operator is left with after a kill -9, once the dead process has been started again. `lost` and `sent again`: people
 * without a mail, people with two; `stuck`: neither sent nor failed until an operator intervenes.
 */
export type Aftermath = 'resumes' | 'stuck' | 'starts again' | 'loses';

/**
 * What the operator is left with after publishing all people once more, when the first attempt was killed in the middle. `again`: whom
 * the first had published gets a second mail; `loses`: and others get none.
 */
export type Republished = 'once' | 'again' | 'loses';

/** A person who ended without a mail. */
export interface DeadLetter {
  readonly address: string;
  readonly reply: string;
}

export interface Design {
  /** As `--designs` names it. */
  readonly name: string;
  readonly broker: BrokerName;
  /** The tiers that it can be run in, best first. */
  readonly tiers: readonly Tier[];
  /** In words, for the report: what is promised when a process or the broker dies. */
  readonly guarantees: string;
  /** In words: what cannot be learned from it. */
  readonly cannotTell: string;
  /** It hands over one mail after the other, so that it is measured with fewer people. */
  readonly oneAtATime?: boolean;
  /** What a killed consumer leaves to the next one. Default `resumes`: no person lost, at most what was in flight sent twice. */
  readonly afterConsumerKilled?: Aftermath;
  /** What is left when the broker is killed and started again. Default `resumes`. */
  readonly afterBrokerKilled?: Aftermath;
  /** What a second publication leads to, after a killed one. Default `again`. */
  readonly afterPublisherKilled?: Republished;
  /** How many may get a second mail after one kill, with so many in flight at once; left out, or infinite, where nothing bounds it. */
  readonly twiceAtMost?: (capacity: number, killed: 'consumer' | 'broker') => number;
  /** Makes the queues, topics, tables of one run, empty. In the driver. */
  prepare(place: Place): Promise<void>;
  /** All people in, durably as far as the tier says, before it returns. In a process of its own. */
  publish(place: Place, people: AsyncIterable<readonly Person[]>): Promise<void>;
  /**
   * Delivers until each of `place.people` is sent or a dead letter, by this or other consumers, or until the signal.
   * In a process of its own, of which several may run at once. May be killed at any moment and started again.
   */
  consume(place: Place, consuming: Consuming): Promise<void>;
  /**
   * Queue only, where `consume` cannot do without mail: moves all people through, every step durable, says `settled`, and
   * returns. Designs without it are measured by `consume` with a `deliver` that answers `sent` at once.
   */
  drainWithoutMail?(place: Place, settled: () => void): Promise<void>;
  standing(place: Place): Promise<Standing>;
  /** Who ended without a mail; null: it cannot tell. */
  deadLetters(place: Place): Promise<readonly DeadLetter[] | null>;
  /** Takes one person out before sending; false: too late; null: it cannot. */
  stopOne(place: Place, person: Person): Promise<boolean | null>;
  /** Holds everything / lets it go on; false: it cannot without stopping the consumers. */
  pause(place: Place): Promise<boolean>;
  resume(place: Place): Promise<boolean>;
  /** Removes what `prepare` made. */
  dispose(place: Place): Promise<void>;
}
