import type { Deliverer, Delivery } from './deliverer.ts';
import type { RelayOptions } from './relay.ts';

/** The forms in which a relay may say a password back: as it is, as in a URL, and as AUTH PLAIN and LOGIN encode it (RFC 4616). */
export function secretsOf(relay: RelayOptions): readonly string[] {
  if (relay.password === null) return [];
  const password = relay.password.reveal();
  if (password === '') return [];
  const base64 = (text: string) => Buffer.from(text, 'utf8').toString('base64');
  const plain = `\0${relay.user ?? ''}\0${password}`;
  // Longest first: the password may be part of another form.
  return [...new Set([base64(plain), base64(password), encodeURIComponent(password), password])].sort(
    (a, b) => b.length - a.length,
  );
}

/** A text from outside without the secrets. */
export function redacted(text: string, secrets: readonly string[]): string {
  return secrets.reduce((rest, secret) => rest.replaceAll(secret, '***'), text);
}

/** A delivery as it may be shown, logged and written to a row: a relay that echoes a password is not quoted on it. */
export function redactDelivery(delivery: Delivery, secrets: readonly string[]): Delivery {
  if (delivery.kind !== 'replied') return { ...delivery, why: redacted(delivery.why, secrets) };
  const { reply } = delivery;
  return { ...delivery, reply: { ...reply, text: redacted(reply.text, secrets) } };
}

/** A Deliverer whose deliveries hold none of the relay's secrets. */
export function redactingDeliverer(inner: Deliverer, secrets: readonly string[]): Deliverer {
  if (secrets.length === 0) return inner;
  return {
    get capacity() {
      return inner.capacity;
    },
    deliver: (mail, done) => inner.deliver(mail, (delivery) => done(redactDelivery(delivery, secrets))),
    close: () => inner.close(),
    abort: () => inner.abort(),
  };
}
