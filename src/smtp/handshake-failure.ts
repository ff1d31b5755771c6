import type { Delivery } from './deliverer.ts';

/** A connection could not be made ready; `delivery` is what that means for a mail that waited for it. */
export class HandshakeFailure extends Error {
  override readonly name = 'HandshakeFailure';
  readonly delivery: Delivery;

  constructor(delivery: Delivery) {
    super(delivery.kind === 'replied' ? delivery.reply.text : delivery.why);
    this.delivery = delivery;
  }
}

/** A failure without a reply. */
export function notSent(why: string, code: string): HandshakeFailure {
  return new HandshakeFailure({ kind: 'not-sent', why, code });
}
