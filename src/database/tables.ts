import type { ColumnType } from 'kysely';
import type { CampaignStatus, Outcome } from '../model/states.ts';

/** Postgres' types, as pg_type names them, and what they are here: when read, and when written. */
interface Values {
  int2: [read: number, write: number];
  int4: [read: number, write: number];
  int8: [read: number, write: number];
  'int8[]': [read: number[], write: readonly number[]];
  float8: [read: number, write: number];
  bool: [read: boolean, write: boolean];
  text: [read: string, write: string];
  bytea: [read: Buffer, write: Buffer];
  timestamptz: [read: Date, write: Date | string];
  /** Postgres' own text: '3 days', '00:00:30'. */
  interval: [read: string, write: string];
  /** Every object in these tables maps names to texts. Written as JSON text: pg would make a Postgres array of an array. */
  jsonb: [read: Record<string, string>, write: string];
  /** Keeps the order of its names, which headers need. */
  json: [read: Record<string, string>, write: string];
  outcome: [read: Outcome, write: Outcome];
  campaign_status: [read: CampaignStatus, write: CampaignStatus];
}

/** A column in short: its type, then `null` (may be), `default` (may be left out), `generated` (cannot be written). */
type Column = keyof Values | `${keyof Values} ${'null' | 'default' | 'generated'}`;

/**
 * The tables of migrations/, column by column. kysely's row types are made of this, and a test compares it with the
 * catalog of a migrated database, so the types cannot say anything that the tables do not.
 */
export const TABLES = {
  campaign: {
    campaign_id: 'int8 generated',
    name: 'text',
    status: 'campaign_status default',
    status_reason: 'text null',
    created_at: 'timestamptz default',
    start_at: 'timestamptz null',
    started_at: 'timestamptz null',
    finished_at: 'timestamptz null',
    sender: 'text',
    reply_to: 'text null',
    bounce_to: 'text null',
    subject: 'text',
    html: 'text null',
    text: 'text null',
    headers: 'json default',
    on_unconfirmed: 'text default',
    max_attempts: 'int2 default',
    max_age: 'interval default',
    rate: 'float8 null',
    retry_after: 'interval default',
    attachments: 'int2 null',
  },
  attachment: {
    campaign_id: 'int8',
    attachment_id: 'int4',
    filename: 'text',
    content_type: 'text',
    content_id: 'text null',
    content: 'bytea',
  },
  recipient: {
    campaign_id: 'int8',
    recipient_id: 'int8 default',
    claim_id: 'int8 null',
    retry_at: 'timestamptz null',
    done_at: 'timestamptz null',
    send_state: 'int2 default',
    attempts: 'int2 default',
    maybe_sent: 'int2 default',
    reply_code: 'int2 null',
    outcome: 'outcome null',
    reply: 'text null',
    address: 'text',
    vars: 'jsonb default',
  },
  claim: {
    campaign_id: 'int8',
    claim_id: 'int8 default',
    worker_id: 'int8',
    first_id: 'int8',
    last_id: 'int8',
    recipient_ids: 'int8[] null',
    size: 'int4',
    handed_through: 'int8 default',
    claimed_at: 'timestamptz default',
    closed_at: 'timestamptz null',
    rescued: 'bool default',
  },
  worker: {
    worker_id: 'int8 generated',
    host: 'text',
    pid: 'int4',
    version: 'text',
    lease: 'interval',
    started_at: 'timestamptz default',
    heartbeat_at: 'timestamptz default',
    stopped_at: 'timestamptz null',
    presumed_dead: 'bool default',
  },
  counter: {
    campaign_id: 'int8',
    worker_id: 'int8',
    lane: 'int2',
    waiting: 'int8 default',
    retrying: 'int8 default',
    claimed: 'int8 default',
    sent: 'int8 default',
    rejected: 'int8 default',
    expired: 'int8 default',
    invalid: 'int8 default',
    unconfirmed: 'int8 default',
    suppressed: 'int8 default',
    cancelled: 'int8 default',
  },
  failure: {
    campaign_id: 'int8',
    outcome: 'outcome',
    reason: 'text',
    worker_id: 'int8',
    recipients: 'int8',
    example_id: 'int8',
    last_at: 'timestamptz default',
  },
  timeline: {
    campaign_id: 'int8',
    at: 'timestamptz',
    worker_id: 'int8',
    sent: 'int4 default',
    failed: 'int4 default',
    retried: 'int4 default',
  },
  pace: {
    campaign_id: 'int8',
    tokens: 'float8',
    granted: 'float8 default',
    refilled_at: 'timestamptz',
  },
  domain_limit: {
    domain: 'text',
    rate: 'float8',
    set_at: 'timestamptz default',
  },
  domain_pace: {
    domain: 'text',
    rate: 'float8',
    tokens: 'float8',
    wanted: 'int4',
    granted: 'int4',
    turns_from: 'timestamptz',
    refilled_at: 'timestamptz',
    queued_until: 'timestamptz',
  },
  attempt: {
    campaign_id: 'int8',
    recipient_id: 'int8',
    attempt_id: 'int8 generated',
    at: 'timestamptz default',
    claim_id: 'int8 null',
    worker_id: 'int8 null',
    event: 'text',
    reply_code: 'int2 null',
    reply: 'text null',
    relay: 'text null',
  },
  relay_pace: {
    label: 'text',
    tokens: 'float8',
    granted: 'float8',
    refilled_at: 'timestamptz',
  },
  relay: {
    worker_id: 'int8',
    label: 'text',
    state: 'text',
    words: 'text null',
    slowed_to: 'float8 null',
    weight: 'int4',
    rate: 'float8 null',
    in_flight: 'int4',
    accepted: 'int8',
    changed_at: 'timestamptz default',
  },
} as const satisfies Record<string, Record<string, Column>>;

type Read<T extends keyof Values> = Values[T][0];
type Write<T extends keyof Values> = Values[T][1];

/** What kysely makes of a column: types when selected, inserted, updated. */
type KyselyColumn<C> = C extends keyof Values
  ? ColumnType<Read<C>, Write<C>, Write<C>>
  : C extends `${infer T extends keyof Values} null`
    ? ColumnType<Read<T> | null, Write<T> | null | undefined, Write<T> | null>
    : C extends `${infer T extends keyof Values} default`
      ? ColumnType<Read<T>, Write<T> | undefined, Write<T>>
      : C extends `${infer T extends keyof Values} generated`
        ? ColumnType<Read<T>, never, never>
        : never;

/** The database as kysely sees it. */
export type Tables = {
  [Table in keyof typeof TABLES]: {
    [Name in keyof (typeof TABLES)[Table]]: KyselyColumn<(typeof TABLES)[Table][Name]>;
  };
};
