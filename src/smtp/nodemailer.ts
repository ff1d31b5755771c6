import { setMaxListeners } from 'node:events';
import { Readable } from 'node:stream';
import { createTransport } from 'nodemailer';
import { messageOf } from '../errors.ts';
import { DELIVERY_CODES, type Deliverer, type Delivery, type OutgoingMail, type Stage } from './deliverer.ts';
import { withoutSmtputf8 } from './envelope.ts';
import { needsTls, type RelayOptions, tlsOptions } from './relay.ts';
import { parseReply, ReplyError } from './reply.ts';
import { cleanText } from './reply-text.ts';

/** What this file needs of a nodemailer transporter: everything that createTransport() returns has it. */
export interface NodemailerTransport {
  use(step: 'stream', plugin: (mail: StreamStep, next: (error?: Error | null) => void) => void): unknown;
  sendMail(
    message: { readonly envelope: { from: string; to: string }; readonly raw: Readable; signal: AbortSignal },
    done: (error: Error | null, info: { readonly response: string }) => void,
  ): void;
  close(): void;
}

/** What a nodemailer plugin of the step `stream` is given, as far as it is used here. */
interface StreamStep {
  readonly data: { readonly raw?: unknown };
  readonly message: { createReadStream(): Readable };
}

/** A Deliverer over nodemailer's connection pool. Throws SendstateError `RELAY_CA`. */
export function createNodemailerDeliverer(relay: RelayOptions): Deliverer {
  return deliverThrough(createPool(relay), relay.connections);
}

/**
 * A Deliverer over any nodemailer transport; `capacity` is how many mails it may hold at once.
 *
 * nodemailer reports a lost connection with the same error before and after the message left. The difference decides
 * between sending again and a possible duplicate, so the transport is given a stream that knows how far it was read:
 * nodemailer opens it after the relay's 354, and writes the terminator only after it saw the stream's end (safety
 * rule 5). The stream has to reach the transport itself, by a plugin: given as `raw` it would be read ahead.
 */
export function deliverThrough(transport: NodemailerTransport, capacity: number): Deliverer {
  const aborting = new AbortController();
  transport.use('stream', (mail, next) => {
    const { raw } = mail.data;
    if (raw instanceof MessageSource) mail.message.createReadStream = () => raw;
    next();
  });
  // One listener for each open mail: that is no leak.
  setMaxListeners(0, aborting.signal);
  const open = new Set<object>();
  let wake: (() => void) | null = null;
  let closed = false;

  function finish(token: object, done: (result: Delivery) => void, result: Delivery): void {
    if (!open.delete(token)) return;
    setImmediate(() => {
      done(result);
      if (open.size === 0) wake?.();
    });
  }

  function deliver(mail: OutgoingMail, done: (result: Delivery) => void): void {
    const token = {};
    open.add(token);
    const refused = closed ? notSent('the deliverer is closed', DELIVERY_CODES.aborted) : refuse(mail);
    if (refused !== null) {
      finish(token, done, refused);
      return;
    }
    const raw = new MessageSource(mail.raw);
    const message = { envelope: { from: mail.from, to: mail.to }, raw, signal: aborting.signal };
    transport.sendMail(message, (error, info) => {
      const result = error === null ? accepted(info.response) : failed(error, raw.drained);
      // A stream that is no longer read would wait for its reader forever.
      raw.destroy();
      finish(token, done, result);
    });
  }

  async function close(): Promise<void> {
    closed = true;
    if (open.size > 0) {
      const idle = Promise.withResolvers<void>();
      wake = idle.resolve;
      await idle.promise;
    }
    transport.close();
  }

  function abort(): void {
    closed = true;
    aborting.abort();
  }

  return { capacity, deliver, close, abort };
}

function createPool(relay: RelayOptions): NodemailerTransport {
  return createTransport({
    pool: true,
    host: relay.host,
    port: relay.port,
    secure: relay.secure,
    name: relay.name,
    // Never a password in the clear: nodemailer on its own would go on without TLS when it is not offered.
    requireTLS: needsTls(relay),
    ignoreTLS: relay.tls === 'never' && !needsTls(relay),
    tls: tlsOptions(relay),
    // Without it nodemailer leaves authentication out, in silence, when the relay does not offer it.
    forceAuth: relay.user !== null,
    ...(relay.user === null ? {} : { auth: authentication(relay, relay.user) }),
    maxConnections: relay.connections,
    maxMessages: relay.maxMessages,
    // The table alone decides about a second try. By default a lost connection puts the mail back into the pool.
    maxRequeues: 0,
    idleTimeout: relay.idleTimeoutMs,
    connectionTimeout: relay.connectTimeoutMs,
    greetingTimeout: relay.commandTimeoutMs,
    // One timeout for everything: it has to be the longest, the final reply's (safety rule 6).
    socketTimeout: relay.finalTimeoutMs,
    // Templates come from operators, merge data from any source: nothing may make nodemailer read files or URLs.
    disableFileAccess: true,
    disableUrlAccess: true,
  });
}

function authentication(relay: RelayOptions, user: string) {
  const pass = relay.password?.reveal() ?? '';
  if (relay.auth === 'xoauth2') return { type: 'OAuth2' as const, user, accessToken: pass };
  return { user, pass, ...(relay.auth === 'auto' ? {} : { method: relay.auth.toUpperCase() }) };
}

/** Safety rule 8, and what nodemailer does not check: it would send non-ASCII addresses without SMTPUTF8. */
function refuse(mail: OutgoingMail): Delivery | null {
  if (/[\p{Cc}\p{Z}<>]/u.test(mail.from + mail.to) || mail.to === '') {
    return notSent('the address holds characters that could end a command', DELIVERY_CODES.badAddress);
  }
  return mail.smtputf8
    ? withoutSmtputf8(mail, 'nodemailer cannot tell whether the relay offers SMTPUTF8')
    : null;
}

function accepted(response: string | undefined): Delivery {
  try {
    const reply = parseReply(response ?? '');
    if (reply.code < 300) return { kind: 'replied', stage: 'final', reply };
    return ambiguous(`the relay answered the message with ${reply.code}`, DELIVERY_CODES.protocol);
  } catch (error) {
    if (!(error instanceof ReplyError)) throw error;
    return ambiguous(error.message, DELIVERY_CODES.protocol);
  }
}

/** The fields that nodemailer puts on its errors. */
interface NodemailerError extends Error {
  code?: string | undefined;
  originalCode?: string | undefined;
  response?: string | undefined;
  responseCode?: number | undefined;
  command?: string | undefined;
}

function failed(error: NodemailerError, drained: boolean): Delivery {
  const stage = stageOf(error, drained);
  if (stage !== null && error.response !== undefined) {
    try {
      return { kind: 'replied', stage, reply: parseReply(error.response) };
    } catch (malformed) {
      if (!(malformed instanceof ReplyError)) throw malformed;
      return lost(malformed.message, DELIVERY_CODES.protocol, drained);
    }
  }
  const code = error.name === 'AbortError' ? DELIVERY_CODES.aborted : (error.originalCode ?? error.code);
  return lost(cleanText(messageOf(error)), code ?? DELIVERY_CODES.connection, drained);
}

/** Which command the error's reply answered; null when it answered none of this mail's. */
function stageOf(error: NodemailerError, drained: boolean): Stage | null {
  if (error.code === 'EMESSAGE' && drained) return (error.responseCode ?? 0) >= 400 ? 'final' : null;
  // After the end of the message nothing but its own reply may decide.
  if (drained) return null;
  if (error.command === 'MAIL FROM') return 'mail';
  if (error.command === 'RCPT TO') return 'rcpt';
  if (error.command === 'DATA') return 'data';
  if (error.code === 'EAUTH' || error.command?.startsWith('AUTH') === true) return 'auth';
  return 'connect';
}

function lost(why: string, code: string, drained: boolean): Delivery {
  return drained ? ambiguous(why, code) : notSent(why, code);
}

function notSent(why: string, code: string): Delivery {
  return { kind: 'not-sent', why, code };
}

function ambiguous(why: string, code: string): Delivery {
  return { kind: 'ambiguous', why, code };
}

/** Bytes handed over at a time: large enough to be quick, small enough that the end is not read ahead of the socket. */
const PIECE_BYTES = 65_536;

/** The message as a stream that knows whether its end was read, which is before the terminator can leave. */
class MessageSource extends Readable {
  drained = false;
  readonly #raw: Buffer;
  #sent = 0;

  constructor(raw: Buffer) {
    super({ highWaterMark: 1 });
    this.#raw = raw;
  }

  override _read(): void {
    if (this.#sent < this.#raw.length) {
      const piece = this.#raw.subarray(this.#sent, this.#sent + PIECE_BYTES);
      this.#sent += piece.length;
      this.push(piece);
      return;
    }
    this.drained = true;
    this.push(null);
  }
}
