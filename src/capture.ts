/**
 * `sendstate/capture`: an SMTP server for tests that takes every mail, counts it and delivers nothing.
 *
 *     const server = await startCapture({ port: 0, keep: 10 });
 */
export {
  type CapturedMail,
  type CaptureOptions,
  type CaptureReply,
  type CaptureServer,
  startCapture,
} from './capture/capture.ts';
