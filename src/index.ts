/**
 * sendstate as a library: what the command line does, as methods of one object. docs/api.md shows each name with an example.
 *
 *     const s = await open({ databaseUrl: process.env.DATABASE_URL });
 *     await s.campaigns.create({ name: 'spring', from: 'News <news@example.com>', subject: 'Hello {{name}}', html });
 *     await s.recipients.import('spring', { from: 'people.csv' });
 *     await s.send('spring', { relay: parseRelay('smtp://127.0.0.1:25') });
 *     await s.close();
 */
import type { OpenOptions } from './api/open.ts';
import { open as openApp, type Sendstate } from './api/sendstate.ts';
import type { Served, ServeOptions } from './web/events.ts';

export type { AttachmentSource, CreateOptions } from './api/create.ts';
export type { Diagnosis, DoctorOptions } from './api/doctor.ts';
export type { TestOptions, TestResult } from './api/mails.ts';
export type { OpenOptions } from './api/open.ts';
export type { ImportPeopleOptions } from './api/recipients.ts';
export type { NamedDeliverer, RelayChoice } from './api/relays.ts';
export type { Report, ReportOptions } from './api/report.ts';
export type { Sendstate } from './api/sendstate.ts';
export type { Status } from './api/status.ts';
export type { SendOptions, WorkOptions } from './api/work.ts';
export type { Attachment, Campaign } from './campaigns/campaigns.ts';
export { SendstateError } from './errors.ts';
export type { ImportPreview, ImportProgress, ImportReport } from './import/import.ts';
export { type DkimKey, readDkimKey } from './message/dkim.ts';
export type { Preview } from './message/preview.ts';
export type { SendEvent } from './model/events.ts';
export {
  type CampaignStatus,
  OUTCOMES,
  type Outcome,
  RETRYABLE,
  type Result,
  type Retryable,
  type SendState,
} from './model/states.ts';
export type { DomainLimit } from './queue/domain-limit.ts';
export type { HistoryClaim, HistoryEvent, RecipientHistory } from './report/history.ts';
export type { Failure, Progress, RecipientRow, RelayActivity, WorkerActivity } from './report/progress.ts';
export { parseRelay, parseRelays, type RelayOptions } from './smtp/relay.ts';
export { VERSION } from './version.ts';
export type { Served, ServeEvent, ServeOptions } from './web/events.ts';
export type { WorkEnd } from './worker/worker.ts';

/**
 * Opens the database that `databaseUrl` names; without one the embedded PostgreSQL, which is made, started and brought to
 * this version if need be.
 * @throws SendstateError `database-…`, `embedded-…`, `schema-…`: what is wrong and what to do next
 */
export async function open(options: OpenOptions = {}): Promise<Sendstate> {
  return await openApp(options);
}

/**
 * The web page as a server. `s` is what `open` returned.
 * @throws SendstateError `web-token` (missing or too short), `web-port` (taken, not allowed)
 */
export async function serve(s: Sendstate, options: ServeOptions = {}): Promise<Served> {
  if (!('database' in s)) throw new TypeError('serve() takes what open() returned');
  return await (await import('./web/serve.ts')).serve(
    s as Parameters<typeof import('./web/serve.ts').serve>[0],
    options,
  );
}
