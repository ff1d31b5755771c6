import type { Deliverer, Delivery, OutgoingMail } from '../../src/smtp/deliverer.ts';

/** A small mail to `to`; everything can be overridden. */
export function mailTo(to: string, overrides: Partial<OutgoingMail> = {}): OutgoingMail {
  const raw = Buffer.from(
    `From: sender@example.com\r\nTo: ${to}\r\nSubject: hello\r\nMessage-ID: <${to}>\r\n\r\nHello ${to}\r\n`,
  );
  return { from: 'sender@example.com', to, raw, eightBit: false, smtputf8: false, ...overrides };
}

/** Hands one mail over and waits for its delivery; a second answer or one inside the call rejects. */
export function deliver(deliverer: Deliverer, mail: OutgoingMail): Promise<Delivery> {
  return new Promise((resolve, reject) => {
    let inside = true;
    let answered = false;
    deliverer.deliver(mail, (result) => {
      if (inside) reject(new Error('done was called inside deliver()'));
      if (answered) throw new Error(`a second answer for ${mail.to}: ${JSON.stringify(result)}`);
      answered = true;
      resolve(result);
    });
    inside = false;
  });
}

/** Hands all mails over at once; the deliveries come in the order of the mails. */
export function deliverAll(deliverer: Deliverer, mails: readonly OutgoingMail[]): Promise<Delivery[]> {
  return Promise.all(mails.map((mail) => deliver(deliverer, mail)));
}

/** A delivery in one short line, for comparing: `sent`, `rcpt 550`, `not-sent ECONNREFUSED`, `ambiguous ECONNECTION`. */
export function brief(delivery: Delivery): string {
  if (delivery.kind !== 'replied') return `${delivery.kind} ${delivery.code}`;
  const { stage, reply } = delivery;
  return stage === 'final' && reply.code < 300 ? 'sent' : `${stage} ${reply.code}`;
}
