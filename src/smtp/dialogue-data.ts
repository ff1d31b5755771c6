import { dataForm } from './body.ts';
import type { Stage } from './deliverer.ts';
import { accept, type Dialogue, type DialogueSession, RSET } from './dialogue.ts';
import { mailCommand, rcptCommand } from './envelope.ts';
import type { Asked, OpenMail } from './unanswered.ts';

const DOT = '.\r\n';

/** MAIL, RCPT, DATA, body: what grouped and serial mode have in common. */
abstract class DataDialogue implements Dialogue {
  protected readonly session: DialogueSession;
  /** The mail whose envelope is being said: from MAIL to the answer to DATA, or to its refusal. */
  protected current: OpenMail | null = null;
  /** Safety rule 4: after any failure, RSET leads the next group. */
  protected reset = false;
  #senderRefused = false;

  constructor(session: DialogueSession) {
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
    // Safety rule 4: end the empty message. Without a sender it is undefined what a lone dot would mean.
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
export class GroupedDialogue extends DataDialogue {
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
export class SerialDialogue extends DataDialogue {
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
