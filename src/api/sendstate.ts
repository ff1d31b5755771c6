import type { Campaign } from '../campaigns/campaigns.ts';
import type { ImportReport } from '../import/import.ts';
import type { Preview } from '../message/preview.ts';
import type { Outcome, Retryable } from '../model/states.ts';
import type { DomainLimit } from '../queue/domain-limit.ts';
import type { RecipientHistory } from '../report/history.ts';
import type { Progress, RecipientRow } from '../report/progress.ts';
import type { RelayOptions } from '../smtp/relay.ts';
import type { WorkEnd } from '../worker/worker.ts';
import { type CreateOptions, create } from './create.ts';
import { type Diagnosis, type DoctorOptions, doctor } from './doctor.ts';
import { cancel, pause, resume, start } from './lifecycle.ts';
import { history, limits, removeLimit, setLimit } from './limits.ts';
import { preview, sendTest, type TestOptions, type TestResult } from './mails.ts';
import { migrate, type Opened, type OpenOptions, openTables } from './open.ts';
import { type ImportPeopleOptions, importPeople, retry } from './recipients.ts';
import { type Report, type ReportOptions, report } from './report.ts';
import { campaigns, recipients, type Status, status } from './status.ts';
import { type SendOptions, send, type WorkOptions, work } from './work.ts';

/** An open database, and everything that the command line can do with it. Close it when done. */
export interface Sendstate {
  /** The database is the embedded PostgreSQL. */
  readonly embedded: boolean;
  readonly campaigns: {
    /**
     * Makes a draft from templates, which are compiled to check them.
     * @returns the campaign's id
     * @throws SendstateError `campaign-exists`, `campaign-name`, `template-…`, `attachment-…`, `option-…`
     */
    create(options: CreateOptions): Promise<number>;
    /** Lets workers begin, now or at a time. @throws SendstateError `campaign-…`, `start-at` */
    start(name: string, at?: Date): Promise<Campaign>;
    /** Workers stop claiming and release what they hold within about a second. */
    pause(name: string, reason?: string): Promise<Campaign>;
    /** Undoes `pause`. */
    resume(name: string): Promise<Campaign>;
    /** Ends a campaign; waiting recipients become `cancelled`. A mail in flight ends as its reply says. */
    cancel(name: string): Promise<{ readonly campaign: Campaign; readonly cancelled: number }>;
    /** Every campaign with its progress, the latest first. */
    list(): Promise<Progress[]>;
  };
  readonly recipients: {
    /**
     * Streams a CSV into a campaign: all of it or, after any error or kill, nothing.
     * @throws SendstateError `campaign-unknown`, `import-…`, `csv-…`, `encoding-…`
     */
    import(name: string, options: ImportPeopleOptions): Promise<ImportReport>;
    /** Recipients in the order of their import, streamed: all, or those with one outcome. */
    list(name: string, options?: { readonly outcome?: Outcome | undefined }): AsyncGenerator<RecipientRow>;
    /** Puts recipients with this outcome back to waiting, attempts at zero. @returns how many */
    retry(name: string, outcome: Retryable): Promise<number>;
    /** Everything known of one address, campaign by campaign, the latest first; empty: in no campaign. */
    history(address: string): Promise<RecipientHistory[]>;
  };
  readonly mails: {
    /** The mail of one recipient (default: the first), whole and in its parts. Nothing is sent. */
    preview(name: string, options?: { readonly address?: string | undefined }): Promise<Preview>;
    /** Sends one mail, rendered for a recipient's row, to another address. No row changes. */
    sendTest(name: string, options: TestOptions): Promise<TestResult>;
  };
  readonly limits: {
    /** Every limit of a recipient domain. */
    list(): Promise<DomainLimit[]>;
    /** Limits a domain to `rate` mails per second over all workers; `*`: every other domain. @returns the domain as kept */
    set(domain: string, rate: number): Promise<string>;
    /** False: there was none. */
    remove(domain: string): Promise<boolean>;
  };
  /**
   * Starts a campaign and works on it until it is finished, paused or cancelled, by this worker or by others.
   * @returns `ended`; `stopped` after the signal; `relay` when every relay refuses the sender
   * @throws SendstateError `campaign-unknown`, `campaign-empty`, `campaign-status`
   */
  send(name: string, options: SendOptions): Promise<WorkEnd>;
  /** A worker for everything that is due: until the signal, or with `drain` until nothing is due. */
  work(options: WorkOptions & { readonly drain?: boolean | undefined }): Promise<WorkEnd>;
  /** Progress, failures by reason, workers and relays of one campaign. Costs the same at 10 and at 10 million rows. */
  status(name: string): Promise<Status>;
  /** Everything that is asked about a campaign afterwards. Walks its recipients once. */
  report(name: string, options?: ReportOptions): Promise<Report>;
  /** What is wrong and what to do. `relay` null: no relay is looked at. Counts every recipient. */
  doctor(
    relay?: RelayOptions | readonly RelayOptions[] | null,
    options?: DoctorOptions,
  ): Promise<Diagnosis[]>;
  /** Brings the database to this version. @returns the names of the migrations that were applied now */
  migrate(): Promise<readonly string[]>;
  /** Closes the connections. An embedded PostgreSQL runs on. */
  close(): Promise<void>;
}

/** Sendstate with its database, for the folders of this program. */
export type App = Sendstate & Opened;

/**
 * Opens the database that `databaseUrl` names; without one the embedded PostgreSQL, which is made, started and brought to
 * this version if need be.
 *
 * @throws SendstateError `database-…`, `embedded-…`, `schema-…`: what is wrong and what to do next
 */
export async function open(options: OpenOptions = {}): Promise<App> {
  const opened = await openTables(options);
  return {
    ...opened,
    campaigns: {
      create: (created) => create(opened, created),
      start: (name, at) => start(opened, name, at),
      pause: (name, reason) => pause(opened, name, reason),
      resume: (name) => resume(opened, name),
      cancel: (name) => cancel(opened, name),
      list: () => campaigns(opened),
    },
    recipients: {
      import: (name, imported) => importPeople(opened, name, imported),
      list: (name, { outcome } = {}) => recipients(opened, name, outcome),
      retry: (name, outcome) => retry(opened, name, outcome),
      history: (address) => history(opened, address),
    },
    mails: {
      preview: (name, { address } = {}) => preview(opened, name, address),
      sendTest: (name, tested) => sendTest(opened, name, tested),
    },
    limits: {
      list: () => limits(opened),
      set: (domain, rate) => setLimit(opened, domain, rate),
      remove: (domain) => removeLimit(opened, domain),
    },
    send: (name, sending) => send(opened, name, sending),
    work: (working) => work(opened, working),
    status: (name) => status(opened, name),
    report: (name, reported) => report(opened, name, reported),
    doctor: (relay, looked) => doctor(opened, relay, looked),
    migrate: () => migrate(opened),
  };
}
