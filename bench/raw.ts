import type { CampaignRun } from './campaign-run.ts';
import type { BrokerName, Republished, Tier } from './contract.ts';
import type { CrashRun } from './crash-run.ts';
import type { QueueProfile } from './queue-profile.ts';
import type { QueueRun } from './queue-run.ts';
import type { Settings } from './settings.ts';
import type { TableBytes } from './table-bytes.ts';
import type { TellRun } from './tell-run.ts';

/** A line as the report needs it. */
export interface RawLine {
  readonly key: string;
  readonly design: string;
  readonly tier: Tier;
  readonly broker: BrokerName;
  readonly guarantees: string;
  readonly cannotTell: string;
  /** Null where nothing is published. */
  readonly afterPublisherKilled: Republished | null;
}

export interface Machine {
  readonly cpu: string;
  readonly cores: number;
  readonly memoryGb: number;
  readonly system: string;
  readonly node: string;
  /** Packages of this repository that talk to the brokers, and their versions. */
  readonly packages: Readonly<Record<string, string>>;
}

export interface RawBroker {
  readonly name: BrokerName;
  readonly tier: Tier;
  readonly version: string;
  readonly configuration: Readonly<Record<string, string>>;
}

/** Everything that a benchmark measured: what the report is made of, and nothing else. */
export interface Raw {
  readonly kind: 'sendstate-bench';
  readonly format: 2;
  readonly at: string;
  readonly minutes: number;
  readonly settings: Omit<Settings, 'json' | 'out' | 'report'>;
  readonly machine: Machine;
  readonly brokers: readonly RawBroker[];
  /** Mails per second that the sink takes when nothing else has to be done. */
  readonly sinkPerSecond: number;
  readonly lines: readonly RawLine[];
  /** The main figure, round by round; the warm-up is not in it. */
  readonly campaign: readonly CampaignRun[];
  readonly latency: readonly CampaignRun[];
  /** With temporary and permanent failures. */
  readonly failures: readonly CampaignRun[];
  readonly queue: readonly QueueRun[];
  readonly crash: readonly CrashRun[];
  readonly tell: readonly TellRun[];
  readonly growth: readonly CampaignRun[];
  readonly table: TableBytes | null;
  /** Where the time goes when the table moves people without mail. */
  readonly profile: QueueProfile | null;
  /** Designs, or lines and what was not measured of them, with the reason. */
  readonly leftOut: readonly { readonly design: string; readonly why: string }[];
  /** What went wrong: a run that ended in an error, or a mail that was lost where none may be. */
  readonly faults: readonly string[];
}

/** The same while it is being measured. */
export type Measuring = {
  -readonly [name in keyof Raw]: Raw[name] extends readonly (infer T)[] ? T[] : Raw[name];
};
