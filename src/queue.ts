/**
 * `sendstate/queue`: the queue itself, for a worker of your own. A worker registers, claims a batch, moves the claim's
 * handed-over mark before it hands a mail over, records what the relay answered, and beats while it lives. docs/states.md
 * has the rules; breaking them costs duplicates, never other recipients.
 *
 *     const queue = await openQueue({ databaseUrl: process.env.DATABASE_URL });
 *     const worker = await queue.register({ version: 'mine', leaseSeconds: 15 });
 *     const claim = await queue.claimFresh({ campaignId, workerId: worker.workerId, limit: 500, after: 0 });
 */
import { type OpenOptions, openTables } from './api/open.ts';
import type { Rescue } from './model/events.ts';
import type { Claim, Result } from './model/states.ts';
import { type ClaimRequest, claimDue, claimFresh } from './queue/claim.ts';
import { DEFAULT_LEASE_SECONDS, Heartbeat } from './queue/heartbeat.ts';
import { type Mark, type Recorded, record } from './queue/record.ts';
import { type Rescuer, rescue } from './queue/rescue.ts';

export type { OpenOptions } from './api/open.ts';
export type { Rescue } from './model/events.ts';
export type { Claim, ClaimedRecipient, Outcome, Result } from './model/states.ts';
export type { ClaimRequest } from './queue/claim.ts';
export type { Mark, Recorded } from './queue/record.ts';
export type { Rescuer } from './queue/rescue.ts';

/** A registered worker: its claims are its own while it beats. */
export interface QueueWorker {
  readonly workerId: number;
  /** Milliseconds between two beats. */
  readonly intervalMs: number;
  /** Whether mails may be handed over: false when the last beat is too old for the lease. */
  readonly valid: boolean;
  /** Seconds since it registered or was last silent: what `rescue` wants to know of a rescuer. */
  readonly steadySeconds: number;
  /** False: the worker was presumed dead, its claims belong to others. */
  beat(): Promise<boolean>;
  /** Ends the registration and adds the worker's counters to the campaign's. */
  stop(): Promise<void>;
}

/** What `Queue.record` writes: results and marks of one worker in one campaign. */
export interface RecordRequest {
  readonly campaignId: number;
  readonly workerId: number;
  readonly results: readonly Result[];
  readonly marks: readonly Mark[];
}

export interface Queue {
  /** Writes the worker's row. `leaseSeconds`: silence after which others take its claims, 2…3600, default 15. */
  register(options: { readonly version: string; readonly leaseSeconds?: number }): Promise<QueueWorker>;
  /** Recipients that were never claimed, with ids above `after`. Null: none there, or the campaign does not run. */
  claimFresh(request: ClaimRequest & { readonly after: number }): Promise<Claim | null>;
  /** Recipients that were deferred, released, rescued or requeued and are due. Null as for `claimFresh`. */
  claimDue(request: ClaimRequest): Promise<Claim | null>;
  /** Writes results and moves marks in one statement. Safe to repeat after an error. */
  record(request: RecordRequest): Promise<Recorded>;
  /** Puts recipients of dead workers back, and names those in doubt. */
  rescue(by?: Rescuer): Promise<Rescue>;
  close(): Promise<void>;
}

/**
 * Opens the queue in the database that `databaseUrl` names (default: the embedded PostgreSQL).
 * @throws SendstateError `database-…`, `embedded-…`, `schema-…`
 */
export async function openQueue(options: OpenOptions = {}): Promise<Queue> {
  const { database, close } = await openTables(options);
  return {
    register: ({ version, leaseSeconds = DEFAULT_LEASE_SECONDS }) =>
      Heartbeat.register(database, version, leaseSeconds),
    claimFresh: (request) => claimFresh(database, request),
    claimDue: (request) => claimDue(database, request),
    record: ({ campaignId, workerId, results, marks }) =>
      record(database, campaignId, workerId, results, marks),
    rescue: (by) => rescue(database, by),
    close,
  };
}
