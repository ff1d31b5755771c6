import { SendstateError } from '../../src/errors.ts';

/** A broker that the benchmark started for itself, on 127.0.0.1 and with its data in a scratch folder. */
export interface Broker {
  /** What `Place.url` has to be. */
  readonly url: string;
  /** Every process of the broker that lives now, for CPU, memory and /proc/PID/io; empty once it is dead. */
  pids(): number[];
  readonly dataDirectory: string;
  readonly version: string;
  /** The settings that matter for a figure. */
  readonly configuration: Readonly<Record<string, string>>;
  /** Whether it answers a client by its own protocol. */
  answers(): Promise<boolean>;
  /** SIGKILL, as a crash would; returns when it is dead. */
  kill(): Promise<void>;
  /** Again on the same data and port; returns when it takes connections. */
  restart(): Promise<void>;
  /** Ends it and removes its data. May be called twice. */
  stop(): Promise<void>;
}

export interface BrokerOptions {
  /** Where the scratch folder is made, when not in the system's: a disk that is to be measured. */
  readonly scratch?: string;
}

/** The error of a broker that cannot be run here; `how` is what `missing` says. */
export function missingBroker(name: string, how: string): SendstateError {
  return new SendstateError('bench_broker_missing', `${name} is not on this machine`, { hint: how });
}
