/**
 * sendstate as a library: the verbs of the command line as functions.
 *
 *     const app = await open({ databaseUrl: process.env.DATABASE_URL });
 *     await create(app, { name: 'spring', from: 'News <news@example.com>', subject: 'Hello {{name}}', html });
 *     await importPeople(app, 'spring', { from: 'people.csv' });
 *     await send(app, 'spring', { relay: parseRelay('smtp://127.0.0.1:25') });
 *     await app.close();
 */
import type { Sendstate } from './api/open.ts';
import type { Served, ServeOptions } from './web/serve.ts';

export { type AttachmentSource, type CreateOptions, create } from './api/create.ts';
export { type Diagnosis, doctor } from './api/doctor.ts';
export { type Standing, standing } from './api/happening.ts';
export { cancel, pause, resume, start } from './api/lifecycle.ts';
export { history, limits, removeLimit, setLimit } from './api/limits.ts';
export { preview, type TestResult, test } from './api/mails.ts';
export { migrate, type OpenOptions, open, type Sendstate } from './api/open.ts';
export { type ImportPeopleOptions, importPeople, retry } from './api/recipients.ts';
export type { NamedDeliverer, RelayChoice } from './api/relays.ts';
export { type Report, report } from './api/report.ts';
export { campaigns, recipients, type Status, status } from './api/status.ts';
export { type SendOptions, send, type WorkOptions, work } from './api/work.ts';
export type { Attachment, Campaign } from './campaigns/campaigns.ts';
export { type CaptureOptions, type CaptureServer, startCapture } from './capture/capture.ts';
export { isTransient } from './database/prepare.ts';
export { SendstateError } from './errors.ts';
export { type Failing, FailingWatch } from './hooks/failing.ts';
export { type Happening, HOOK_EVENTS, type HookEvent, type HookOptions, Hooks } from './hooks/hooks.ts';
export { parseTarget, type Target } from './hooks/target.ts';
export type { ImportPreview, ImportProgress, ImportReport } from './import/import.ts';
export type { ComposedMessage } from './message/compose.ts';
export { type DkimKey, readDkimKey } from './message/dkim.ts';
export type { Preview } from './message/preview.ts';
export { type MetricsOptions, type MetricsServer, serveMetrics } from './metrics/server.ts';
export type { Rescue, SendEvent } from './model/events.ts';
export {
  type CampaignStatus,
  type Claim,
  type ClaimedRecipient,
  OUTCOMES,
  type Outcome,
  RETRYABLE,
  type Result,
  type Retryable,
  type SendState,
} from './model/states.ts';
// The queue itself, for programs that bring their own worker: claim, hand over within the mark, record.
export { type ClaimRequest, claimDue, claimFresh } from './queue/claim.ts';
export type { DomainLimit } from './queue/domain-limit.ts';
export { Heartbeat } from './queue/heartbeat.ts';
export { type Mark, type Recorded, record } from './queue/record.ts';
export { rescue } from './queue/rescue.ts';
export type { HistoryClaim, HistoryEvent, RecipientHistory } from './report/history.ts';
export type { Failure, Progress, RecipientRow, RelayActivity, WorkerActivity } from './report/progress.ts';
export { createDeliverer, TRANSPORTS, type TransportName } from './smtp/choose.ts';
export { classify, type Verdict } from './smtp/classify.ts';
export {
  type Deliverer,
  type Delivery,
  deliveryWords,
  type OutgoingMail,
  type Reply,
} from './smtp/deliverer.ts';
export { createNodemailerDeliverer, deliverThrough } from './smtp/nodemailer.ts';
export { createSmtpTransport } from './smtp/nodemailer-transport.ts';
export { probeRelay, type RelayReport } from './smtp/probe.ts';
export { parseRelay, parseRelays, type RelayOptions } from './smtp/relay.ts';
export { VERSION } from './version.ts';
export type { Pressed, ServeEvent, Trouble, WebVerb } from './web/events.ts';
export type { Served, ServeOptions } from './web/serve.ts';
export { Meter } from './worker/meter.ts';
export type { WorkEnd } from './worker/worker.ts';

/** The web page as a server. Loaded only when it is asked for: every other command starts sooner without it. */
export async function serve(app: Sendstate, options: ServeOptions = {}): Promise<Served> {
  return await (await import('./web/serve.ts')).serve(app, options);
}
