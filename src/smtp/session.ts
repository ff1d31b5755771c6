import type { Capabilities, Mode } from './capabilities.ts';
import { DELIVERY_CODES, type Delivery, type Reply, type Stage } from './deliverer.ts';
import type { Dialogue } from './dialogue.ts';
import { ChunkedDialogue } from './dialogue-chunked.ts';
import { GroupedDialogue, SerialDialogue } from './dialogue-data.ts';
import { refuse } from './envelope.ts';
import { ReplyError } from './reply.ts';
import { cleanText } from './reply-text.ts';
import type { SessionLimits, SessionOwner } from './session-owner.ts';
import { type Asked, type OpenMail, Unanswered } from './unanswered.ts';
import type { Wire, WireUser } from './wire.ts';

/**
 * One connection that speaks mails, after greeting, TLS and authentication. It counts what it asked and matches
 * replies to it in order (safety rule 1); how mails become commands is the dialogue's business.
 */
export class Session implements WireUser {
  readonly capabilities: Capabilities;
  readonly mode: Mode;
  readonly limits: SessionLimits;
  readonly wire: Wire;
  /** When it was made, by the clock of performance.now(). */
  readonly since = performance.now();
  /** Mails begun on this connection. */
  begun = 0;
  /** Mails that the relay took on this connection. */
  sent = 0;
  readonly #owner: SessionOwner<Session>;
  readonly #dialogue: Dialogue;
  #state: 'open' | 'draining' | 'quitting' | 'closing' | 'ended' = 'open';
  readonly #unanswered: Unanswered;
  /** The 421 that ends the connection. */
  #farewell: Reply | null = null;
  readonly #domains = new Set<string>();

  constructor(
    wire: Wire,
    capabilities: Capabilities,
    mode: Mode,
    limits: SessionLimits,
    owner: SessionOwner<Session>,
  ) {
    this.wire = wire;
    this.capabilities = capabilities;
    this.mode = mode;
    this.limits = limits;
    this.#owner = owner;
    this.#unanswered = new Unanswered(wire.left);
    const Dialogue = { serial: SerialDialogue, grouped: GroupedDialogue, chunked: ChunkedDialogue }[mode];
    this.#dialogue = new Dialogue(this);
  }

  /** Takes the wire over from the handshake and the first mails from the owner. */
  begin(): void {
    this.wire.use(this);
    this.#await();
    // What came along with the last reply of the handshake answers nothing.
    this.onReplies();
  }

  get isOpen(): boolean {
    return this.#state === 'open';
  }

  /** Nothing asked is unanswered. */
  get isIdle(): boolean {
    return this.#unanswered.isEmpty;
  }

  /** Takes as many mails from the owner as there is room for. */
  poke(): void {
    if (this.#state !== 'open') return;
    const wasIdle = this.isIdle;
    this.#fill();
    this.wire.flush();
    if (wasIdle && !this.isIdle) this.#await();
  }

  /** Finishes what was begun, then sends QUIT. */
  drain(): void {
    if (this.#state !== 'open') return;
    this.#state = 'draining';
    if (this.isIdle) this.#quit();
  }

  /** As `drain`, called while a reply is being read: what the reply asks for is still said. */
  retire(): void {
    if (this.#state === 'open') this.#state = 'draining';
  }

  onReplies(): void {
    const { parser } = this.wire;
    // A reply has one time limit, however its bytes come: only a whole one, or a first question, sets the next limit.
    let answered = this.isIdle;
    try {
      while (this.#state !== 'ended' && parser.next()) {
        answered = true;
        this.#reply(parser.code);
      }
    } catch (error) {
      if (!(error instanceof ReplyError)) throw error;
      this.broken(error.message);
    }
    if (this.#state === 'open') this.#fill();
    if (this.#state === 'draining' && this.isIdle) this.#quit();
    if (this.#state === 'ended' || this.#state === 'closing') return;
    this.wire.flush();
    if (answered) this.#await();
  }

  onTimeout(): void {
    if (this.isIdle && this.#state === 'open') {
      this.#state = 'draining';
      this.#quit();
      return;
    }
    this.wire.end(
      `no reply to ${this.#unanswered.first ?? 'the connection'} in time`,
      DELIVERY_CODES.timeout,
    );
  }

  onEnd(why: string, code: string): void {
    const goodbye = this.#state === 'quitting';
    this.#state = 'ended';
    const reply = this.#farewell;
    if (reply === null) {
      this.#settleRest(why, code);
      this.#owner.ended(this, goodbye ? null : { kind: 'not-sent', why, code });
    } else {
      this.#settleRest(cleanText(`the relay said 421 ${reply.text}`), DELIVERY_CODES.connection);
      this.#owner.ended(this, { kind: 'replied', stage: 'connect', reply });
    }
  }

  /** Destroys the connection now. */
  abort(why: string, code: string): void {
    this.wire.end(why, code);
  }

  // What the dialogue calls.

  /** Puts a command, CRLF included, and notes that the next reply due answers it. */
  ask(asked: Asked, open: OpenMail | null, command: string): void {
    this.#unanswered.add(asked, open);
    this.wire.put(command, 1, open?.mail.smtputf8 === true ? 'utf8' : 'latin1');
  }

  /** Puts bytes of a message; a reply answers the last of them when `open` is given. */
  say(bytes: Buffer, open: OpenMail | null): void {
    if (open !== null) this.#unanswered.add('final', open);
    this.wire.putBytes(bytes, open === null ? 0 : 1);
  }

  /** The relay refused: the first refusal of a mail is its delivery (safety rule 3). */
  refused(open: OpenMail, stage: Stage): void {
    if (!open.settled) this.#settle(open, { kind: 'replied', stage, reply: this.wire.parser.reply() });
  }

  /** The relay took the mail (safety rule 2). */
  accepted(open: OpenMail, reply: Reply): void {
    if (open.settled) return;
    this.sent++;
    this.#settle(open, { kind: 'replied', stage: 'final', reply });
  }

  /** The relay said something that cannot be: nothing after it can be trusted (safety rule 1). */
  broken(why: string): void {
    this.wire.end(why, DELIVERY_CODES.protocol);
  }

  /** The connection is of no more use, though the relay did nothing wrong that a mail could be blamed for. */
  hangUp(why: string): void {
    this.wire.end(why, DELIVERY_CODES.connection);
  }

  #fill(): void {
    while (this.#state === 'open' && this.#dialogue.hasRoom()) {
      if (this.begun >= this.limits.maxMails) {
        this.drain();
        return;
      }
      const open = this.#owner.take();
      if (open === null) return;
      const refusal = refuse(open.mail, this.capabilities);
      if (refusal !== null) this.#settle(open, refusal);
      else if (!this.#dialogue.fits(open.mail)) {
        this.#owner.putBack(open);
        return;
      } else if (!this.#mayGoTo(open.mail.to)) {
        this.#owner.putBack(open);
        this.drain();
      } else {
        this.begun++;
        this.#dialogue.start(open);
      }
    }
  }

  /** LIMITS RCPTDOMAINMAX (RFC 9422 section 4.3): how many domains one connection may name. */
  #mayGoTo(address: string): boolean {
    const { rcptDomainMax } = this.capabilities.limits;
    if (rcptDomainMax === Number.POSITIVE_INFINITY) return true;
    const domain = address.slice(address.lastIndexOf('@') + 1).toLowerCase();
    if (!this.#domains.has(domain) && this.#domains.size >= rcptDomainMax) return false;
    this.#domains.add(domain);
    return true;
  }

  #reply(code: number): void {
    if (code === 421) {
      this.#serviceClosing();
      return;
    }
    const unanswered = this.#unanswered;
    // Safety rule 1: nothing was asked, or what was asked has not even left.
    if (unanswered.isEmpty || unanswered.answered >= this.wire.left) {
      this.broken(`a reply that answers nothing: ${code}`);
      return;
    }
    unanswered.next();
    if (unanswered.nowAsked === 'quit') this.hangUp('goodbye');
    else this.#dialogue.answered(unanswered.nowAsked, unanswered.nowMail, code);
    unanswered.nowMail = null;
  }

  /** Safety rule 7: stop writing, read what comes, close. */
  #serviceClosing(): void {
    const reply = this.wire.parser.reply();
    const unanswered = this.#unanswered;
    if (!unanswered.isEmpty) {
      unanswered.next();
      const asked = unanswered.nowAsked;
      const stage = asked === 'final' || asked === 'rcpt' || asked === 'data' ? asked : 'mail';
      if (unanswered.nowMail !== null) this.refused(unanswered.nowMail, stage);
      unanswered.nowMail = null;
    }
    if (this.#farewell !== null) return;
    this.#farewell = reply;
    this.#state = 'closing';
    this.wire.fin();
    this.wire.expectWithin(this.limits.closeTimeoutMs);
  }

  #quit(): void {
    this.#state = 'quitting';
    this.ask('quit', null, 'QUIT\r\n');
    this.wire.flush();
    this.wire.expectWithin(this.limits.closeTimeoutMs);
  }

  /** Sets the time by which the next reply, or the next mail, has to come. */
  #await(): void {
    const { limits } = this;
    if (this.isIdle) this.wire.expectWithin(limits.idleTimeoutMs);
    else if (this.#state === 'quitting') return;
    else if (this.#unanswered.first === 'final') this.wire.expectWithin(limits.finalTimeoutMs);
    else this.wire.expectWithin(limits.commandTimeoutMs);
  }

  #settle(open: OpenMail, delivery: Delivery): void {
    open.settled = true;
    this.#owner.settle(this, open, delivery);
  }

  #settleRest(why: string, code: string): void {
    const { ambiguous, notSent } = this.#unanswered.clear(this.wire.left);
    for (const open of ambiguous) if (!open.settled) this.#settle(open, { kind: 'ambiguous', why, code });
    for (const open of notSent) if (!open.settled) this.#settle(open, { kind: 'not-sent', why, code });
  }
}
