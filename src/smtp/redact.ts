import type { Deliverer, Delivery } from './deliverer.ts';
import { base64, bearerResponse, plainResponse } from './login.ts';
import type { RelayOptions } from './relay.ts';
import { cleanText } from './reply-text.ts';

/**
 * Letters of a secret in a row that are too many for chance. 12: parts of a long token are hidden, the words of a passphrase
 * that happen to be in a reply are not.
 */
const PART = 12;

/** Characters of a 2xx reply: a queue id and a few words. */
const SHORT_THANKS = 200;

/**
 * The forms in which a relay may say a password back: as it is, as in a URL, as a reply's text is cleaned, and as AUTH PLAIN, LOGIN
 * (RFC 4616) and XOAUTH2 encode it.
 */
export function secretsOf(relay: RelayOptions): readonly string[] {
  if (relay.password === null) return [];
  const password = relay.password.reveal();
  if (password === '') return [];
  const user = relay.user ?? '';
  const forms = [
    plainResponse(user, password),
    bearerResponse(user, password),
    base64(password),
    encodeURIComponent(password),
    password,
    cleanText(password, password.length),
  ];
  // Longest first: the password may be part of another form.
  return [...new Set(forms)].filter((form) => form !== '').sort((a, b) => b.length - a.length);
}

/** A text from outside without the secrets, and without long parts of them: replies are cut, and broken into lines. */
export function redacted(text: string, secrets: readonly string[]): string {
  const whole = secrets.reduce((rest, secret) => rest.replaceAll(secret, '***'), text);
  return secrets.reduce(withoutParts, whole);
}

function withoutParts(text: string, secret: string): string {
  if (secret.length <= PART || text.length < PART) return text;
  const parts = new Set<string>();
  for (let at = 0; at + PART <= secret.length; at++) parts.add(secret.slice(at, at + PART));
  let clean = '';
  let kept = 0;
  for (let at = 0; at + PART <= text.length; at++) {
    if (!parts.has(text.slice(at, at + PART))) continue;
    let end = at + PART;
    while (end < text.length && parts.has(text.slice(end + 1 - PART, end + 1))) end++;
    clean += `${text.slice(kept, at)}***`;
    kept = end;
    at = end - 1;
  }
  return clean + text.slice(kept);
}

/** A delivery as it may be shown, logged and written to a row: a relay that echoes a password is not quoted on it. */
export function redactDelivery(delivery: Delivery, secrets: readonly string[]): Delivery {
  if (delivery.kind !== 'replied') return { ...delivery, why: redacted(delivery.why, secrets) };
  const { reply } = delivery;
  // The ordinary thanks of every mail; searching each for parts would cost more than reading it.
  const short = reply.code < 300 && reply.text.length < SHORT_THANKS;
  if (short && !secrets.some((secret) => reply.text.includes(secret))) return delivery;
  return { ...delivery, reply: { ...reply, text: redacted(reply.text, secrets) } };
}

/** A Deliverer whose deliveries hold none of the relay's secrets. */
export function redactingDeliverer(inner: Deliverer, secrets: readonly string[]): Deliverer {
  if (secrets.length === 0) return inner;
  return {
    get capacity() {
      return inner.capacity;
    },
    get connections() {
      return inner.connections;
    },
    deliver: (mail, done) => inner.deliver(mail, (delivery) => done(redactDelivery(delivery, secrets))),
    close: () => inner.close(),
    abort: () => inner.abort(),
  };
}
