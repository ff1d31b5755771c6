/**
 * sendstate as a library: the verbs of the command line as functions.
 *
 *     const app = await open({ databaseUrl: process.env.DATABASE_URL });
 *     await create(app, { name: 'spring', from: 'News <news@example.com>', subject: 'Hello {{name}}', html });
 *     await importPeople(app, 'spring', { from: 'people.csv' });
 *     await send(app, 'spring', { relay: parseRelay('smtp://127.0.0.1:25') });
 *     await app.close();
 */
import type { Sendstate } from './verbs/open.ts';
import type { Served, ServeOptions } from './web/serve.ts';

export type { Attachment, Campaign } from './campaigns/campaigns.ts';
export { isTransient } from './database/prepare.ts';
export { SendstateError } from './errors.ts';
export { type Failing, FailingWatch } from './hooks/failing.ts';
export { type Happening, HOOK_EVENTS, type HookEvent, type HookOptions, Hooks } from './hooks/hooks.ts';
export { parseTarget, type Target } from './hooks/target.ts';
export type { ComposedMessage } from './message/compose.ts';
export { type DkimKey, readDkimKey } from './message/dkim.ts';
export type { Preview } from './message/preview.ts';
export { type MetricsOptions, type MetricsServer, serveMetrics } from './metrics/server.ts';
export type { HistoryClaim, HistoryEvent, RecipientHistory } from './progress/history.ts';
export type { Failure, Progress, RecipientRow, RelayActivity, WorkerActivity } from './progress/queries.ts';
export type { ImportPreview, ImportProgress, ImportReport } from './recipients/import.ts';
// The queue itself, for programs that bring their own worker: claim, hand over within the mark, record.
export { type ClaimRequest, claimDue, claimFresh } from './sending/claim.ts';
export type { DomainLimit } from './sending/domain-limit.ts';
export type { SendEvent } from './sending/events.ts';
export { Heartbeat } from './sending/heartbeat.ts';
export { Meter } from './sending/meter.ts';
export type { PollEnd } from './sending/poller.ts';
export { type Mark, type Recorded, record } from './sending/record.ts';
export { type Rescue, rescue } from './sending/rescue.ts';
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
} from './sending/states.ts';
export { type CaptureOptions, type CaptureServer, startCapture } from './smtp/capture.ts';
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
export { type AttachmentSource, type CreateOptions, create } from './verbs/create.ts';
export { type Diagnosis, doctor } from './verbs/doctor.ts';
export { type Standing, standing } from './verbs/happening.ts';
export { cancel, pause, resume, start } from './verbs/lifecycle.ts';
export { history, limits, removeLimit, setLimit } from './verbs/limits.ts';
export { migrate, type OpenOptions, open, type Sendstate } from './verbs/open.ts';
export { type ImportPeopleOptions, importPeople, retry } from './verbs/people.ts';
export { preview, type TestResult, test } from './verbs/preview.ts';
export type { NamedDeliverer, RelayChoice } from './verbs/relays.ts';
export { type Report, report } from './verbs/report.ts';
export { campaigns, recipients, type Status, status } from './verbs/status.ts';
export { type SendOptions, send, type WorkOptions, work } from './verbs/work.ts';
export { VERSION } from './version.ts';
export type { Pressed, ServeEvent, Trouble, WebVerb } from './web/events.ts';
export type { Served, ServeOptions } from './web/serve.ts';

/** The web page as a server. Loaded only when it is asked for: every other command starts sooner without it. */
export async function serve(app: Sendstate, options: ServeOptions = {}): Promise<Served> {
  return await (await import('./web/serve.ts')).serve(app, options);
}
