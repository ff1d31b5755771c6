import type { Capabilities } from './capabilities.ts';
import type { OutgoingMail, Reply, Stage } from './deliverer.ts';
import type { SessionLimits } from './session-owner.ts';
import type { Asked, OpenMail } from './unanswered.ts';
import type { Wire } from './wire.ts';

/** What a dialogue needs of the session whose commands it chooses. */
export interface DialogueSession {
  readonly capabilities: Capabilities;
  readonly limits: SessionLimits;
  readonly wire: Wire;
  /** Nothing asked is unanswered. */
  readonly isIdle: boolean;
  /** Writes a command, to which one reply will come. */
  ask(asked: Asked, open: OpenMail | null, command: string): void;
  /** Writes bytes to which no reply comes. */
  say(bytes: Buffer, open: OpenMail | null): void;
  refused(open: OpenMail, stage: Stage): void;
  accepted(open: OpenMail, reply: Reply): void;
  /** Ends the connection: the relay does not follow the protocol. */
  broken(why: string): void;
  hangUp(why: string): void;
}

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
export function accept(session: DialogueSession, open: OpenMail): void {
  const reply = session.wire.parser.reply();
  if (reply.enhanced?.startsWith('2.1.') === true)
    session.broken(`${reply.enhanced} in answer to the message`);
  else session.accepted(open, reply);
}
