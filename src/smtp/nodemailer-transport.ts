import type { Transport } from 'nodemailer';
import { VERSION } from '../version.ts';
import { createSmtpDeliverer, type SmtpOptions } from './client.ts';
import type { Deliverer, Delivery, OutgoingMail } from './deliverer.ts';
import { probeRelay } from './probe.ts';
import { redactingDeliverer, secretsOf } from './redact.ts';
import { parseRelay, type RelayOptions } from './relay.ts';

/** What `sendMail()` resolves with; the names are nodemailer's. */
export interface SmtpTransportInfo {
  readonly envelope: { readonly from: string; readonly to: readonly string[] };
  readonly messageId: string;
  readonly accepted: readonly string[];
  readonly rejected: readonly string[];
  readonly rejectedErrors: readonly SmtpTransportError[];
  /** The relay's last words to an accepted recipient, such as `250 2.0.0 Ok: queued as 4XyZ`. */
  readonly response: string;
}

/** Why a recipient was not accepted. */
export class SmtpTransportError extends Error {
  override readonly name = 'SmtpTransportError';
  readonly code: string;
  readonly recipient: string;
  /** Everything about it. `ambiguous` means that the mail may have been sent. */
  readonly delivery: Delivery;
  readonly response: string | undefined;
  readonly responseCode: number | undefined;

  constructor(recipient: string, delivery: Delivery) {
    const replied = delivery.kind === 'replied' ? delivery : null;
    const response = replied === null ? undefined : `${replied.reply.code} ${replied.reply.text}`;
    super(`${recipient}: ${response ?? (delivery.kind === 'replied' ? '' : delivery.why)}`);
    this.recipient = recipient;
    this.delivery = delivery;
    this.response = response;
    this.responseCode = replied?.reply.code;
    if (delivery.kind !== 'replied') this.code = delivery.code;
    else
      this.code = delivery.stage === 'final' ? 'EMESSAGE' : delivery.stage === 'auth' ? 'EAUTH' : 'EENVELOPE';
  }
}

/**
 * A nodemailer transport made of the fast client, for any nodemailer user:
 *
 *     const transporter = createTransport(createSmtpTransport('smtp://relay.example.com?connections=5'));
 *
 * `relay` is an SMTP_URL or what parseRelay() made of one. Each recipient gets the message in a transaction of its own.
 * As with nodemailer's own transports, `sendMail` fails only when no recipient was accepted. Nothing is ever sent
 * twice by itself. Call `transporter.close()` when done.
 */
export function createSmtpTransport(
  relay: string | RelayOptions,
  options?: SmtpOptions,
): Transport<SmtpTransportInfo> {
  const target = typeof relay === 'string' ? parseRelay(relay) : relay;
  const deliverer = redactingDeliverer(createSmtpDeliverer(target, options), secretsOf(target));
  return {
    name: 'sendstate',
    version: VERSION,
    send(mail, callback) {
      const envelope = mail.message.getEnvelope();
      const from = envelope.from === false ? '' : envelope.from;
      const messageId = mail.message.messageId();
      mail.message
        .build()
        .then((raw) => sendToAll(deliverer, { from, to: envelope.to, messageId }, raw))
        .then(
          (info) => callback(null, info),
          (error: Error) => callback(error),
        );
    },
    // As with nodemailer's own transports: with a callback, or without one for a promise.
    verify(callback?: (error: Error | null, ok?: true) => void): Promise<true> | undefined {
      const verified = verify(target);
      if (callback === undefined) return verified;
      verified.then((ok) => callback(null, ok), callback);
      return undefined;
    },
    close(callback?: () => void) {
      deliverer.close().then(callback);
    },
  };
}

async function verify(relay: RelayOptions): Promise<true> {
  const report = await probeRelay(relay);
  if (!report.ok) throw new SmtpTransportError(report.relay, report.failure);
  return true;
}

async function sendToAll(
  deliverer: Deliverer,
  envelope: { from: string; to: readonly string[]; messageId: string },
  raw: Buffer,
): Promise<SmtpTransportInfo> {
  const { from, to, messageId } = envelope;
  const deliveries = await Promise.all(
    to.map((recipient) => deliver(deliverer, outgoing(from, recipient, raw))),
  );
  const accepted: string[] = [];
  const errors: SmtpTransportError[] = [];
  let response = '';
  deliveries.forEach((delivery, i) => {
    const recipient = to[i] ?? '';
    if (delivery.kind === 'replied' && delivery.stage === 'final' && delivery.reply.code < 300) {
      accepted.push(recipient);
      response = `${delivery.reply.code} ${delivery.reply.text}`;
    } else {
      errors.push(new SmtpTransportError(recipient, delivery));
    }
  });
  const [first] = errors;
  if (accepted.length === 0) throw first ?? new Error('No recipients defined');
  const rejected = errors.map((error) => error.recipient);
  return { envelope: { from, to }, messageId, accepted, rejected, rejectedErrors: errors, response };
}

function outgoing(from: string, to: string, raw: Buffer): OutgoingMail {
  return {
    from,
    to,
    raw,
    eightBit: raw.some((byte) => byte > 127),
    smtputf8: isNotAscii(from) || isNotAscii(to),
  };
}

function isNotAscii(address: string): boolean {
  return /[^ -~]/.test(address);
}

function deliver(deliverer: Deliverer, mail: OutgoingMail): Promise<Delivery> {
  return new Promise((resolve) => deliverer.deliver(mail, resolve));
}
