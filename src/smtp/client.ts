import { Backlog } from './backlog.ts';
import { chooseMode, type Mode } from './capabilities.ts';
import { limitOf } from './classify.ts';
import { Connector, type ConnectorUser } from './connector.ts';
import { DELIVERY_CODES, type Deliverer, type Delivery, type OutgoingMail } from './deliverer.ts';
import type { Established } from './handshake.ts';
import { LearntLimits } from './learnt-limits.ts';
import type { RelayOptions } from './relay.ts';
import { SerialTrial } from './serial-trial.ts';
import { Session } from './session.ts';
import type { SessionLimits, SessionOwner } from './session-owner.ts';
import type { OpenMail } from './unanswered.ts';

/** Bounds of the client beyond those of the relay's URL. */
export interface SmtpOptions {
  /** Most mails in flight on one connection in chunked mode. Default 32: at 80 ms, 8 gave 74 mails/s and 32 gave 256. */
  readonly depth?: number;
  /** Most bytes in flight on one connection in chunked mode. Default 262144: about what a socket buffer holds. */
  readonly windowBytes?: number;
  /** Milliseconds QUIT may take, or reading on after a 421. Default 5000: nothing depends on its answer. */
  readonly closeTimeoutMs?: number;
}

/** The fast client, and what it found out. */
export interface SmtpDeliverer extends Deliverer {
  /** The mode of the latest connection; null before the first. */
  readonly mode: Mode | null;
  /** Connections that are ready now. */
  readonly connections: number;
}

/**
 * A Deliverer that speaks SMTP itself: a pool of connections in the best mode the relay offers.
 * Throws SendstateError `RELAY_CA` for unreadable certificates.
 */
export function createSmtpDeliverer(relay: RelayOptions, options: SmtpOptions = {}): SmtpDeliverer {
  return new SmtpClient(relay, options);
}

/** Errors of a connection that worked until then, after which a mail that was not sent may go over another one. */
const WORTH_MOVING: ReadonlySet<string> = new Set([DELIVERY_CODES.connection, 'ECONNRESET', 'EPIPE']);

class SmtpClient implements SmtpDeliverer, SessionOwner<Session>, ConnectorUser {
  mode: Mode | null = null;
  readonly #relay: RelayOptions;
  readonly #options: Required<SmtpOptions>;
  readonly #connector: Connector;
  readonly #sessions = new Set<Session>();
  readonly #backlog = new Backlog<OpenMail>();
  #open = 0;
  #scheduled = false;
  #closed = false;
  #waiters: (() => void)[] = [];
  readonly #serial = new SerialTrial();
  readonly #learnt: LearntLimits;
  /** The learnt limit's cuts when each connection was made. */
  readonly #cuts = new WeakMap<Session, number>();

  constructor(relay: RelayOptions, options: SmtpOptions) {
    this.#relay = relay;
    this.#learnt = new LearntLimits(relay.connections);
    this.#options = {
      depth: options.depth ?? 32,
      windowBytes: options.windowBytes ?? 262_144,
      closeTimeoutMs: options.closeTimeoutMs ?? 5000,
    };
    this.#connector = new Connector(relay, this);
  }

  get capacity(): number {
    const mode = this.mode ?? (this.#relay.mode === 'auto' ? 'grouped' : this.#relay.mode);
    return this.#learnt.connections * { serial: 1, grouped: 2, chunked: this.#options.depth }[mode];
  }

  get connections(): number {
    return this.#live().length;
  }

  deliver(mail: OutgoingMail, done: (result: Delivery) => void): void {
    const open: OpenMail = { mail, done, settled: false, moved: false, again: false };
    this.#open++;
    if (this.#closed) {
      process.nextTick(() => this.#answer(open, notSent('the deliverer is closed', DELIVERY_CODES.aborted)));
      return;
    }
    this.#backlog.push(open);
    this.#schedule();
  }

  async close(): Promise<void> {
    this.#closed = true;
    await this.#until(() => this.#open === 0);
    this.#connector.abort();
    for (const session of this.#sessions) session.drain();
    await this.#until(() => this.#sessions.size === 0 && this.#connector.pending === 0);
  }

  abort(): void {
    this.#closed = true;
    this.#connector.abort();
    for (const session of [...this.#sessions]) session.abort('aborted', DELIVERY_CODES.aborted);
    this.#answerAll(notSent('aborted', DELIVERY_CODES.aborted));
  }

  // What sessions ask.

  take(): OpenMail | null {
    return this.#backlog.take();
  }

  putBack(open: OpenMail): void {
    this.#backlog.putBack(open);
  }

  settle(session: Session, open: OpenMail, delivery: Delivery): void {
    if (this.#meetsLimit(session, delivery)) {
      this.#retake(open);
    } else if (this.#mayMove(session, open, delivery)) {
      this.#retake({ ...open, moved: true });
    } else if (this.#fallsBack(session, open, delivery)) {
      this.#retake({ ...open, again: true });
    } else {
      this.#answer(open, delivery);
    }
  }

  ended(session: Session, cause: Delivery | null): void {
    this.#sessions.delete(session);
    // A connection that was lost before it could take a mail is a failed attempt, or it would be tried without end.
    if (session.begun === 0 && cause !== null) {
      this.#connector.failed(session.since);
      this.connectFailed(cause);
    }
    if (this.#backlog.length > 0) this.#schedule();
    this.#wake();
  }

  // What the connector tells.

  connected({ wire, capabilities }: Established): void {
    const { mode } = chooseMode(capabilities, this.#serial.wanted ? 'serial' : this.#relay.mode);
    this.mode = mode;
    const session = new Session(wire, capabilities, mode, this.#limits(capabilities.limits.mailMax), this);
    this.#sessions.add(session);
    this.#cuts.set(session, this.#learnt.cuts);
    session.begin();
  }

  /** While others work, the waiting mails are theirs; the last to fail speaks for all. */
  connectFailed(delivery: Delivery): void {
    if (this.#sessions.size === 0 && this.#connector.pending === 0) this.#answerAll(delivery);
    this.#wake();
  }

  #live(): Session[] {
    return [...this.#sessions].filter((session) => session.isOpen);
  }

  /** The old connection may still hold replies for the mail it knew, so it goes on under a new name. */
  #retake(open: OpenMail): void {
    this.putBack({ ...open, settled: false });
    this.#schedule();
  }

  /**
   * A mail that certainly was not sent, on a connection that has sent others, goes over another connection, once: the
   * relay closed an idle connection just then, or has had enough mails on this one (421 or FIN after the nth).
   */
  #mayMove(session: Session, open: OpenMail, delivery: Delivery): boolean {
    if (open.moved || this.#closed || session.sent === 0) return false;
    if (delivery.kind === 'replied') return delivery.stage === 'mail' && delivery.reply.code === 421;
    return delivery.kind === 'not-sent' && WORTH_MOVING.has(delivery.code);
  }

  /**
   * The relay refused because of one of its limits: the connection takes no more mails. True when the mail may go over
   * another one: this one has taken mails, or others are open. So each move follows progress, and none is endless.
   */
  #meetsLimit(session: Session, delivery: Delivery): boolean {
    if (delivery.kind !== 'replied' || delivery.reply.code === 421) return false;
    const limit = limitOf(delivery.stage, delivery.reply);
    if (limit === null) return false;
    if (limit === 'session-limit') this.#learnt.mailsRefused(session.sent);
    else this.#learnt.connectionRefused(this.#sessions.size, this.#cuts.get(session) ?? 0);
    session.retire();
    if (this.#closed) return false;
    return limit === 'session-limit' ? session.sent > 0 : this.#sessions.size > 1;
  }

  #fallsBack(session: Session, open: OpenMail, delivery: Delivery): boolean {
    if (this.#closed || !this.#serial.calls(session.mode, delivery, open.again)) return false;
    for (const other of this.#sessions) if (other.mode !== 'serial') other.drain();
    return true;
  }

  #answer(open: OpenMail, delivery: Delivery): void {
    this.#open--;
    open.done(delivery);
    if (this.#open === 0) this.#wake();
  }

  #answerAll(delivery: Delivery): void {
    for (const open of this.#backlog.takeAll()) {
      if (open.again) this.#serial.noEvidence();
      this.#answer(open, delivery);
    }
  }

  /** Gives waiting mails to connections after the current turn, so that what was handed over together leaves together. */
  #schedule(): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    process.nextTick(() => {
      this.#scheduled = false;
      this.#dispatch();
    });
  }

  #dispatch(): void {
    if (this.#backlog.length === 0) return;
    for (const session of this.#sessions) {
      session.poke();
      if (this.#backlog.length === 0) return;
    }
    const others = this.#sessions.size + this.#connector.pending;
    if (this.#connector.holdsOff(others)) return;
    const wanted = Math.min(this.#backlog.length, this.#learnt.connections - this.#sessions.size);
    while (this.#connector.pending < wanted) this.#connector.connect(this.#sessions.size === 0);
  }

  #limits(mailMax: number): SessionLimits {
    return {
      maxMails: Math.min(this.#relay.maxMessages, mailMax, this.#learnt.mails),
      commandTimeoutMs: this.#relay.commandTimeoutMs,
      finalTimeoutMs: this.#relay.finalTimeoutMs,
      idleTimeoutMs: this.#relay.idleTimeoutMs,
      closeTimeoutMs: this.#options.closeTimeoutMs,
      depth: this.#options.depth,
      windowBytes: this.#options.windowBytes,
    };
  }

  async #until(condition: () => boolean): Promise<void> {
    while (!condition()) {
      const woken = Promise.withResolvers<void>();
      this.#waiters.push(woken.resolve);
      await woken.promise;
    }
  }

  #wake(): void {
    for (const resolve of this.#waiters.splice(0)) resolve();
  }
}

function notSent(why: string, code: string): Delivery {
  return { kind: 'not-sent', why, code };
}
