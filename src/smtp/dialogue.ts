import { chunkForm, dataForm } from './body.ts';
import type { OutgoingMail, Stage } from './deliverer.ts';
import { mailCommand, rcptCommand } from './envelope.ts';
import type { Asked, OpenMail, Session } from './session.ts';

/** How mails become commands in one mode, and what the replies to them mean. */
export interface Dialogue {
  /** A mail may be started now. */
  hasRoom(): boolean;
  /** This mail may be started now, given that there is room. */
  fits(mail: OutgoingMail): boolean;
  start(open: OpenMail): void;
  /** `code` came in answer to `asked`; it is not 421. */
  answered(asked: Asked, open: OpenMail | null, code: number): void;
}

/** The dialogue of the session's mode. */
export function createDialogue(session: Session): Dialogue {
  if (session.mode === 'chunked') return new ChunkedDialogue(session);
  return session.mode === 'grouped' ? new GroupedDialogue(session) : new SerialDialogue(session);
}

const RSET = 'RSET\r\n';
const DOT = '.\r\n';

/** MAIL, RCPT, DATA, body: what grouped and serial mode have in common. */
abstract class DataDialogue implements Dialogue {
  protected readonly session: Session;
  /** The mail whose envelope is being said: from MAIL to the answer to DATA, or to its refusal. */
  protected current: OpenMail | null = null;
  /** Safety rule 4: after any failure, RSET leads the next group. */
  protected reset = false;
  #senderRefused = false;

  constructor(session: Session) {
    this.session = session;
  }

  abstract hasRoom(): boolean;
  abstract start(open: OpenMail): void;
  /** A command before DATA was accepted. */
  protected abstract proceed(asked: Asked, open: OpenMail): void;
  /** A command before DATA was refused. */
  protected abstract giveUp(): void;

  fits(): boolean {
    return true;
  }

  answered(asked: Asked, open: OpenMail | null, code: number): void {
    const { session } = this;
    if (asked === 'rset' && code >= 300) session.hangUp(`the relay answered RSET with ${code}`);
    else if (asked === 'dot' && code >= 300 && code < 400) session.broken(`${code} in answer to a lone dot`);
    else if (open === null || asked === 'dot') return;
    else if (asked === 'data') this.#data(open, code);
    else if (asked === 'final') this.#final(open, code);
    else if (code >= 400) this.#refused(open, asked === 'mail' ? 'mail' : 'rcpt');
    else if (code >= 300) session.broken(`${code} in answer to ${asked}`);
    else this.proceed(asked, open);
  }

  #refused(open: OpenMail, stage: Stage): void {
    if (!open.settled) this.#senderRefused = stage === 'mail';
    this.reset = true;
    this.session.refused(open, stage);
    if (stage !== 'data') this.giveUp();
  }

  #data(open: OpenMail, code: number): void {
    const { session } = this;
    this.current = null;
    if (code >= 400) this.#refused(open, 'data');
    else if (code !== 354) session.broken(`${code} in answer to DATA`);
    else if (!open.settled) {
      session.say(dataForm(open.mail.raw), null);
      session.ask('final', open, DOT);
    }
    // Safety rule 4: end the empty message. Without a sender nobody knows what a lone dot would mean.
    else if (!this.#senderRefused) session.ask('dot', null, DOT);
    else session.hangUp('the relay took DATA after it had refused the sender');
  }

  #final(open: OpenMail, code: number): void {
    if (code < 300) {
      accept(this.session, open);
    } else if (code < 400) {
      this.session.broken(`${code} in answer to the message`);
    } else {
      this.reset = true;
      this.session.refused(open, 'final');
    }
  }
}

/**
 * One mail's body and the next one's envelope in one write (RFC 2920 section 3.1). `MAIL RCPT DATA` of mail n leave
 * together with body n-1; the answer to that DATA lets body n leave, together with the envelope of n+1.
 */
class GroupedDialogue extends DataDialogue {
  hasRoom(): boolean {
    return this.current === null;
  }

  start(open: OpenMail): void {
    const { session } = this;
    this.current = open;
    if (this.reset) session.ask('rset', open, RSET);
    this.reset = false;
    session.ask('mail', open, `${mailCommand(open.mail, session.capabilities)}\r\n`);
    session.ask('rcpt', open, `${rcptCommand(open.mail)}\r\n`);
    session.ask('data', open, 'DATA\r\n');
  }

  protected proceed(): void {
    // Everything was said already.
  }

  protected giveUp(): void {
    // The answer to DATA is still to come, and decides about the dot.
  }
}

/** One command, one reply; a mail is done before the next one begins. */
class SerialDialogue extends DataDialogue {
  hasRoom(): boolean {
    return this.current === null && this.session.isIdle;
  }

  start(open: OpenMail): void {
    this.current = open;
    if (this.reset) this.session.ask('rset', open, RSET);
    else this.#mail(open);
    this.reset = false;
  }

  protected proceed(asked: Asked, open: OpenMail): void {
    if (asked === 'rset') this.#mail(open);
    else if (asked === 'mail') this.session.ask('rcpt', open, `${rcptCommand(open.mail)}\r\n`);
    else this.session.ask('data', open, 'DATA\r\n');
  }

  protected giveUp(): void {
    this.current = null;
  }

  #mail(open: OpenMail): void {
    this.session.ask('mail', open, `${mailCommand(open.mail, this.session.capabilities)}\r\n`);
  }
}

/** What chunked mode begins with, and falls back to when the relay complains. */
const MIN_DEPTH = 2;

/**
 * `RSET MAIL RCPT BDAT n LAST` and the message, for several mails at once (RFC 3030). The number in flight doubles with
 * every window that went well and falls back when the relay is in trouble, so that a connection that is lost early
 * leaves few mails in doubt.
 */
class ChunkedDialogue implements Dialogue {
  readonly #session: Session;
  #depth = MIN_DEPTH;
  #inFlight = 0;
  #bytes = 0;
  #wentWell = 0;

  constructor(session: Session) {
    this.#session = session;
  }

  hasRoom(): boolean {
    return this.#inFlight < Math.min(this.#depth, this.#session.limits.depth);
  }

  fits(mail: OutgoingMail): boolean {
    return this.#inFlight === 0 || this.#bytes + mail.raw.length <= this.#session.limits.windowBytes;
  }

  start(open: OpenMail): void {
    const session = this.#session;
    const { mail } = open;
    const chunk = chunkForm(mail.raw);
    this.#inFlight++;
    this.#bytes += mail.raw.length;
    session.ask('rset', open, RSET);
    session.ask('mail', open, `${mailCommand(mail, session.capabilities)}\r\n`);
    session.ask('rcpt', open, `${rcptCommand(mail)}\r\nBDAT ${chunk.length} LAST\r\n`);
    session.say(chunk, open);
  }

  answered(asked: Asked, open: OpenMail | null, code: number): void {
    const session = this.#session;
    if (open === null) return;
    if (asked === 'rset') {
      if (code >= 300) session.hangUp(`the relay answered RSET with ${code}`);
    } else if (code >= 300 && code < 400) {
      session.broken(`${code} in answer to ${asked}`);
    } else if (asked === 'final') {
      this.#final(open, code);
    } else if (code >= 400) {
      session.refused(open, asked === 'mail' ? 'mail' : 'rcpt');
    }
  }

  #final(open: OpenMail, code: number): void {
    const session = this.#session;
    this.#inFlight--;
    this.#bytes -= open.mail.raw.length;
    if (code >= 400) {
      if (code < 500) this.#depth = MIN_DEPTH;
      session.refused(open, 'final');
      return;
    }
    accept(session, open);
    if (++this.#wentWell >= this.#depth) {
      this.#wentWell = 0;
      this.#depth = Math.min(2 * this.#depth, session.limits.depth);
    }
  }
}

/**
 * Safety rule 2. Nothing but counting tells replies apart, so one that speaks of an address (RFC 3463 section 3.2) where
 * one about the message is due means that the relay has left one out: it answers the next mail's MAIL or RCPT.
 */
function accept(session: Session, open: OpenMail): void {
  const reply = session.wire.parser.reply();
  if (reply.enhanced?.startsWith('2.1.') === true)
    session.broken(`${reply.enhanced} in answer to the message`);
  else session.accepted(open, reply);
}
