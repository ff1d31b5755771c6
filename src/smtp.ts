/**
 * `sendstate/smtp`: the fast SMTP client, as a nodemailer transport for any nodemailer user and as a deliverer.
 *
 *     const transporter = createTransport(createSmtpTransport('smtp://relay.example.com?connections=5'));
 */
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
export {
  createSmtpTransport,
  SmtpTransportError,
  type SmtpTransportInfo,
} from './smtp/nodemailer-transport.ts';
export { probeRelay, type RelayReport } from './smtp/probe.ts';
export { parseRelay, parseRelays, type RelayOptions } from './smtp/relay.ts';
