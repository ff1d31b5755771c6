import { connect as connectTcp, type Socket } from 'node:net';
import { type ConnectionOptions, connect as connectTls, type TLSSocket } from 'node:tls';
import { messageOf } from '../errors.ts';
import { type Capabilities, NO_CAPABILITIES, parseEhlo } from './capabilities.ts';
import { DELIVERY_CODES, type Reply, type Stage } from './deliverer.ts';
import { HandshakeFailure, notSent } from './handshake-failure.ts';
import { logIn } from './login.ts';
import { needsTls, type RelayOptions } from './relay.ts';
import { ReplyError } from './reply.ts';
import { cleanText } from './reply-text.ts';
import { type TlsState, tlsStateOf } from './tls-state.ts';
import { Wire, type WireUser } from './wire.ts';

/** Idle time before TCP asks whether the relay is still there: routers forget quiet connections after some minutes. */
const KEEP_ALIVE_MS = 60_000;

/** What later connections to the same relay know from earlier ones. */
export interface RelayMemory {
  /** For TLS session resumption. */
  tlsSession: Buffer | null;
  /** The relay has offered TLS once, so a connection without it is an attack or an accident: refused. */
  sawTls: boolean;
}

/** A connection that is ready for mails. */
export interface Established {
  readonly wire: Wire;
  /** As of the last EHLO, which is after TLS. */
  readonly capabilities: Capabilities;
  readonly greeting: Reply;
  /** null: not encrypted. */
  readonly tls: TlsState | null;
  /** The SASL mechanism used; null: no login. */
  readonly mechanism: string | null;
}

/** How to reach the relay; made once for many connections. */
export interface HandshakeSetup {
  readonly relay: RelayOptions;
  readonly tls: ConnectionOptions;
  readonly memory: RelayMemory;
}

/**
 * Connects, reads the greeting, says EHLO, sets up TLS, logs in. `signal` destroys the attempt. Rejects with
 * HandshakeFailure only. Safety rule 10 lives here: TLS is never downgraded, what was said before it is forgotten, a
 * password is never spoken in the clear unless the relay's options say so.
 */
export async function establish(setup: HandshakeSetup, signal: AbortSignal): Promise<Established> {
  const handshake = new Handshake(setup);
  const abort = (): void => handshake.abort();
  signal.addEventListener('abort', abort, { once: true });
  try {
    if (signal.aborted) abort();
    return await handshake.run();
  } catch (error) {
    handshake.abort();
    throw error;
  } finally {
    signal.removeEventListener('abort', abort);
  }
}

class Handshake implements WireUser {
  readonly #setup: HandshakeSetup;
  readonly #relay: RelayOptions;
  readonly #wire: Wire;
  #waiting: { resolve: (lines: string[]) => void; reject: (error: HandshakeFailure) => void } | null = null;
  #broken: ((error: HandshakeFailure) => void) | null = null;
  #failure: HandshakeFailure | null = null;
  #stage: Stage = 'connect';
  #code = 0;
  #reply: Reply | null = null;

  constructor(setup: HandshakeSetup) {
    this.#setup = setup;
    this.#relay = setup.relay;
    const { host, port, secure } = setup.relay;
    const socket = secure
      ? connectTls({ ...setup.tls, ...this.#resumption(), host, port })
      : connectTcp({ host, port });
    // Groups are whole writes; Nagle would only hold them back for the relay's delayed acknowledgement.
    socket.setNoDelay(true);
    socket.setKeepAlive(true, KEEP_ALIVE_MS);
    this.#wire = new Wire(socket, this);
  }

  async run(): Promise<Established> {
    this.#wire.expectWithin(this.#relay.connectTimeoutMs);
    const { socket } = this.#wire;
    await this.#event(socket, this.#relay.secure ? 'secureConnect' : 'connect');
    if (this.#relay.secure) this.#remember(socket as TLSSocket);
    await this.#answer();
    const greeting = this.#success();
    let capabilities = await this.#ehlo();
    if (!this.#relay.secure && this.#wantsTls(capabilities)) {
      await this.#startTls();
      capabilities = await this.#ehlo();
    }
    const mechanism = await this.#logIn(capabilities);
    return { wire: this.#wire, capabilities, greeting, tls: tlsStateOf(this.#wire.socket), mechanism };
  }

  abort(): void {
    this.#wire.end('aborted', DELIVERY_CODES.aborted);
  }

  onReplies(): void {
    const waiting = this.#waiting;
    try {
      // Whatever comes unasked stays in the parser: TLS forgets it, a session calls it by its name.
      if (waiting === null || !this.#wire.parser.next()) return;
    } catch (error) {
      if (!(error instanceof ReplyError)) throw error;
      this.#wire.end(error.message, DELIVERY_CODES.protocol);
      return;
    }
    this.#waiting = null;
    this.#code = this.#wire.parser.code;
    this.#reply = this.#wire.parser.reply();
    waiting.resolve(this.#wire.parser.lines());
  }

  onTimeout(): void {
    this.#wire.end(`no answer in time (${this.#stage})`, DELIVERY_CODES.timeout);
  }

  onEnd(why: string, code: string): void {
    this.#failure ??= notSent(cleanText(why), code);
    this.#broken?.(this.#failure);
    this.#waiting?.reject(this.#failure);
    this.#waiting = null;
  }

  #event(socket: Socket, event: 'connect' | 'secureConnect'): Promise<unknown> {
    return new Promise((resolve, reject) => {
      if (this.#failure !== null) {
        reject(this.#failure);
        return;
      }
      this.#broken = reject;
      socket.once(event, () => {
        this.#broken = null;
        resolve(undefined);
      });
    });
  }

  /** Waits for one reply; gives its lines. */
  #answer(): Promise<string[]> {
    return new Promise((resolve, reject) => {
      if (this.#failure !== null) {
        reject(this.#failure);
        return;
      }
      this.#waiting = { resolve, reject };
      this.#wire.expectWithin(this.#relay.commandTimeoutMs);
      this.onReplies();
    });
  }

  #ask(command: string): Promise<string[]> {
    this.#wire.put(`${command}\r\n`, 1);
    this.#wire.flush();
    return this.#answer();
  }

  /** The reply at hand if it is 2xx; otherwise it decides what becomes of the mails that wait. */
  #success(): Reply {
    const reply = this.#reply;
    if (reply !== null && this.#code < 300) return reply;
    throw this.#refusal();
  }

  #refusal(): HandshakeFailure {
    const reply = this.#reply;
    if (reply === null || this.#code < 400) {
      return notSent(`an answer that does not fit: ${this.#code}`, DELIVERY_CODES.protocol);
    }
    return new HandshakeFailure({ kind: 'replied', stage: this.#stage, reply });
  }

  async #ehlo(): Promise<Capabilities> {
    const lines = await this.#ask(`EHLO ${this.#relay.name}`);
    // RFC 5321 section 3.2: a server that does not know EHLO answers 500 or 502, and is asked with HELO.
    const old =
      [500, 501, 502, 504].includes(this.#code) && this.#relay.user === null && !this.#mustHaveTls();
    if (!old) {
      this.#success();
      return parseEhlo(lines);
    }
    await this.#ask(`HELO ${this.#relay.name}`);
    this.#success();
    return NO_CAPABILITIES;
  }

  #mustHaveTls(): boolean {
    return (
      !this.#relay.secure &&
      tlsStateOf(this.#wire.socket) === null &&
      (needsTls(this.#relay) || this.#setup.memory.sawTls)
    );
  }

  #wantsTls(offered: Capabilities): boolean {
    const must = this.#mustHaveTls();
    if (offered.starttls) return must || this.#relay.tls !== 'never';
    if (!must) return false;
    const why = needsTls(this.#relay)
      ? 'the relay does not offer STARTTLS, and without TLS nothing may be sent (tls=required, or a password)'
      : 'the relay offered STARTTLS before and does not now; TLS is never given up';
    throw notSent(why, DELIVERY_CODES.tls);
  }

  async #startTls(): Promise<void> {
    await this.#ask('STARTTLS');
    if (this.#code !== 220) throw this.#withoutTls(this.#refusal());
    const plain = this.#wire.socket;
    const secure = this.#secure(plain);
    this.#wire.replaceSocket(secure);
    this.#wire.expectWithin(this.#relay.connectTimeoutMs);
    await this.#event(secure, 'secureConnect');
    this.#remember(secure);
  }

  /** A relay that offers STARTTLS and refuses it (RFC 3207 §4) says what is wrong on its side; this says what to set here. */
  #withoutTls(refusal: HandshakeFailure): HandshakeFailure {
    const { delivery } = refusal;
    if (delivery.kind !== 'replied') return refusal;
    const advice = needsTls(this.#relay)
      ? 'STARTTLS was refused, and without TLS nothing may be sent: correct the certificate of the relay'
      : 'STARTTLS was refused: correct the certificate of the relay, or set tls=never in SMTP_URL to send without TLS';
    const text = cleanText(`${delivery.reply.text} (${advice})`);
    return new HandshakeFailure({ ...delivery, reply: { ...delivery.reply, text } });
  }

  #secure(plain: Socket): TLSSocket {
    try {
      // Without a host, Node would have the certificate of an IP address name localhost.
      return connectTls({ ...this.#setup.tls, ...this.#resumption(), host: this.#relay.host, socket: plain });
    } catch (error) {
      throw notSent(cleanText(messageOf(error)), DELIVERY_CODES.tls);
    }
  }

  #resumption(): { session?: Buffer } {
    const { tlsSession } = this.#setup.memory;
    return tlsSession === null ? {} : { session: tlsSession };
  }

  #remember(socket: TLSSocket): void {
    const { memory } = this.#setup;
    memory.sawTls = true;
    socket.on('session', (session) => {
      memory.tlsSession = session;
    });
  }

  async #logIn(offered: Capabilities): Promise<string | null> {
    this.#stage = 'auth';
    return await logIn(this.#relay, offered, tlsStateOf(this.#wire.socket) !== null, {
      ask: async (line) => {
        await this.#ask(line);
        return this.#code;
      },
      refusal: () => this.#refusal(),
    });
  }
}
