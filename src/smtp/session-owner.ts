import type { Delivery } from './deliverer.ts';
import type { OpenMail } from './unanswered.ts';

/** The owner of sessions gives them mails and is told what became of each. */
export interface SessionOwner<Session> {
  /** The next mail to send, or null. */
  take(): OpenMail | null;
  /** Gives a mail back that this session cannot take any more. */
  putBack(open: OpenMail): void;
  /** A mail's delivery is known. Called once a mail. */
  settle(session: Session, open: OpenMail, delivery: Delivery): void;
  /** The connection is gone. `cause`: what that means for a mail that waited for it; null after QUIT. */
  ended(session: Session, cause: Delivery | null): void;
}

/** Bounds of a session. */
export interface SessionLimits {
  /** Mails on this connection. */
  readonly maxMails: number;
  readonly commandTimeoutMs: number;
  readonly finalTimeoutMs: number;
  readonly idleTimeoutMs: number;
  /** How long QUIT may take, or reading on after a 421. */
  readonly closeTimeoutMs: number;
  /** Most mails in flight, in chunked mode. */
  readonly depth: number;
  /** Most bytes in flight, in chunked mode. One mail may always be. */
  readonly windowBytes: number;
}
