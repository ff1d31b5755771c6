import type { OutgoingMail } from './deliverer.ts';
import type { Session } from './session.ts';
import type { Asked, OpenMail } from './unanswered.ts';

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

export const RSET = 'RSET\r\n';

/**
 * Safety rule 2. Nothing but counting tells replies apart, so one that speaks of an address (RFC 3463 section 3.2) where
 * one about the message is due means that the relay has left one out: it answers the next mail's MAIL or RCPT.
 */
export function accept(session: Session, open: OpenMail): void {
  const reply = session.wire.parser.reply();
  if (reply.enhanced?.startsWith('2.1.') === true)
    session.broken(`${reply.enhanced} in answer to the message`);
  else session.accepted(open, reply);
}
