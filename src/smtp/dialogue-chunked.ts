import { chunkForm } from './body.ts';
import type { OutgoingMail } from './deliverer.ts';
import { accept, type Dialogue, type DialogueSession, RSET } from './dialogue.ts';
import { mailCommand, rcptCommand } from './envelope.ts';
import type { Asked, OpenMail } from './unanswered.ts';

/** What chunked mode begins with, and falls back to when the relay complains. */
const MIN_DEPTH = 2;

/**
 * `RSET MAIL RCPT BDAT n LAST` and the message, for several mails at once (RFC 3030). The number in flight doubles with
 * every window that went well and falls back when the relay is in trouble, so that a connection that is lost early
 * leaves few mails in doubt.
 */
export class ChunkedDialogue implements Dialogue {
  readonly #session: DialogueSession;
  #depth = MIN_DEPTH;
  #inFlight = 0;
  #bytes = 0;
  #wentWell = 0;

  constructor(session: DialogueSession) {
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
