import { type Composer, compileMessage } from '../src/message/compose.ts';
import { createDeliverer } from '../src/smtp/choose.ts';
import { classify } from '../src/smtp/classify.ts';
import { type Deliverer, type Delivery, deliveryWords } from '../src/smtp/deliverer.ts';
import { parseRelay } from '../src/smtp/relay.ts';
import type { Answer, Deliver, Person } from './contract.ts';
import { MESSAGE } from './list.ts';

/** What all designs are given to hand mails over with. */
export interface Hand {
  readonly deliver: Deliver;
  readonly capacity: number;
  close(): Promise<void>;
}

/** First wait after a temporary failure, milliseconds; it doubles. Minutes in ordinary life, too long for a benchmark. */
const FIRST_RETRY_MS = 1_000;

/** The product's compiled message and its SMTP client: the same for every design. */
export function mailHand(relay: string): Hand {
  const deliverer: Deliverer = createDeliverer(parseRelay(relay));
  const composer: Composer = compileMessage({
    campaignId: 1,
    source: {
      subject: MESSAGE.subject,
      html: MESSAGE.html,
      text: MESSAGE.text,
      sender: MESSAGE.from,
      replyTo: null,
      headers: {},
    },
    attachments: [],
    bounceTo: null,
    messageIdDomain: null,
  });
  /** Temporary failures of this process by person: only of those who had one. */
  const attempts = new Map<number, number>();
  const deliver = (person: Person, done: (answer: Answer) => void): void => {
    const mail = composer.compose({ recipientId: person.id, address: person.address, vars: person.vars });
    if ('kind' in mail) {
      setImmediate(done, { kind: 'rejected', reply: mail.why } satisfies Answer);
      return;
    }
    deliverer.deliver(mail, (delivery) => {
      const attempt = (attempts.get(person.id) ?? 0) + 1;
      const answer = answerOf(delivery, attempt);
      if (answer.kind === 'retry') attempts.set(person.id, attempt);
      done(answer);
    });
  };
  return { deliver, capacity: deliverer.capacity, close: () => deliverer.close() };
}

function answerOf(delivery: Delivery, attempt: number): Answer {
  const verdict = classify(delivery);
  if (verdict.kind === 'sent')
    return { kind: 'sent', reply: delivery.kind === 'replied' ? delivery.reply.text : '' };
  const reply = deliveryWords(delivery);
  if (verdict.kind === 'rejected' || verdict.kind === 'invalid') return { kind: 'rejected', reply };
  return { kind: 'retry', afterMs: FIRST_RETRY_MS * 2 ** Math.min(attempt - 1, 10), reply };
}

/** Mails in flight that a queue is asked for when there is no mail: what the client has use for with ten connections. */
const QUEUE_ONLY_CAPACITY = 100;

/** No mail: every mail is answered `sent` in the next turn of the event loop. */
export function emptyHand(): Hand {
  const answer: Answer = { kind: 'sent', reply: '2.0.0 Ok' };
  let waiting: ((answer: Answer) => void)[] = [];
  const flush = (): void => {
    const now = waiting;
    waiting = [];
    for (const done of now) done(answer);
  };
  return {
    capacity: QUEUE_ONLY_CAPACITY,
    deliver: (_person, done) => {
      if (waiting.length === 0) setImmediate(flush);
      waiting.push(done);
    },
    close: async () => undefined,
  };
}
