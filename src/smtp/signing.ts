import { messageOf } from '../errors.ts';
import { type DkimKey, signMessage } from '../message/dkim.ts';
import { DELIVERY_CODES, type Deliverer, type Delivery, type OutgoingMail } from './deliverer.ts';

/**
 * A Deliverer that signs each mail (RFC 6376) before it hands it on. Signatures are made on the thread pool, so mails in
 * signing count as in flight and no caller waits for them.
 */
export function signingDeliverer(inner: Deliverer, keys: readonly DkimKey[]): Deliverer {
  let signing = 0;
  let aborted = false;
  let idle: (() => void) | null = null;

  async function signAndDeliver(mail: OutgoingMail, done: (result: Delivery) => void): Promise<void> {
    signing++;
    try {
      const signed = keys.length === 0 ? mail : await signMessage(mail, keys);
      if (aborted)
        done({ kind: 'not-sent', why: 'aborted before it was handed over', code: DELIVERY_CODES.aborted });
      else inner.deliver(signed, done);
    } catch (error) {
      done({
        kind: 'not-sent',
        why: `it could not be signed: ${messageOf(error)}`,
        code: DELIVERY_CODES.aborted,
      });
    } finally {
      if (--signing === 0) idle?.();
    }
  }

  return {
    get capacity() {
      return inner.capacity;
    },
    get connections() {
      return inner.connections;
    },
    deliver: (mail, done) => void signAndDeliver(mail, done),
    close: async () => {
      if (signing > 0) {
        await new Promise<void>((resolve) => {
          idle = resolve;
        });
      }
      await inner.close();
    },
    abort: () => {
      aborted = true;
      inner.abort();
    },
  };
}
