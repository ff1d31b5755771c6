import { createHash, createPrivateKey, type KeyObject, sign as signAsync } from 'node:crypto';
import { domainToASCII } from 'node:url';
import { messageOf, SendstateError } from '../errors.ts';
import type { ComposedMessage } from './compose.ts';

/** A key that mails are signed with (RFC 6376, RFC 8463). */
export interface DkimKey {
  /** d=, in A-labels. */
  readonly domain: string;
  /** s=: the public key stands at SELECTOR._domainkey.DOMAIN. */
  readonly selector: string;
  readonly algorithm: 'rsa-sha256' | 'ed25519-sha256';
  readonly privateKey: KeyObject;
}

/**
 * Headers that are signed when they are there. Both List-Unsubscribe headers belong in: one-click unsubscription counts only
 * when DKIM covers them (RFC 8058 §4).
 */
const SIGNED = [
  'from',
  'sender',
  'reply-to',
  'subject',
  'date',
  'message-id',
  'to',
  'mime-version',
  'content-type',
  'content-transfer-encoding',
  'in-reply-to',
  'references',
  'list-id',
  'list-unsubscribe',
  'list-unsubscribe-post',
  'list-help',
  'feedback-id',
];
/** Signed once more than they occur, so that no second one can be added (RFC 6376 §8.15). */
const OVERSIGNED = ['from', 'subject', 'to', 'date', 'reply-to', 'content-type'];

/** RFC 8301 §3.2: verifiers may ignore shorter RSA keys. */
const SHORTEST_RSA_BITS = 1024;

/**
 * Reads a private key (PEM) for signing. The algorithm is the key's own.
 * @throws SendstateError `dkim-key` (the key itself is never part of it), `dkim-domain`
 */
export function readDkimKey(domain: string, selector: string, pem: string | Buffer): DkimKey {
  const ascii = domainToASCII(domain);
  const label = /^[a-z0-9](?:[a-z0-9-]*[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]*[a-z0-9])?)*$/i;
  if (!label.test(ascii) || !label.test(selector)) {
    throw new SendstateError(
      'dkim-domain',
      `${JSON.stringify(selector)} at ${JSON.stringify(domain)} is no place for a DKIM key`,
      {
        hint: 'Write the domain as example.com and the selector as the name before ._domainkey.',
      },
    );
  }
  let privateKey: KeyObject;
  try {
    privateKey = createPrivateKey(pem);
  } catch (error) {
    throw new SendstateError('dkim-key', `The DKIM key for ${ascii} cannot be read: ${messageOf(error)}`, {
      hint: 'It must be a private key in PEM without a passphrase; make one with: openssl genrsa 2048',
    });
  }
  const type = privateKey.asymmetricKeyType;
  const bits = privateKey.asymmetricKeyDetails?.modulusLength ?? 0;
  if (type !== 'ed25519' && !(type === 'rsa' && bits >= SHORTEST_RSA_BITS)) {
    throw new SendstateError(
      'dkim-key',
      `The DKIM key for ${ascii} is ${type === 'rsa' ? `RSA of ${bits} bits` : type}`,
      {
        hint: `Use RSA of 2048 bits (at least ${SHORTEST_RSA_BITS}) or Ed25519.`,
      },
    );
  }
  return { domain: ascii, selector, algorithm: type === 'rsa' ? 'rsa-sha256' : 'ed25519-sha256', privateKey };
}

/**
 * The message with a DKIM-Signature for each key in front of it, relaxed/relaxed. The signature itself, the costly part of
 * RSA, is computed on the thread pool. The time of signing is the message's own Date, so that the same mail has the same
 * signature (RSA and Ed25519 are both deterministic).
 * @param message as composed: CRLF line ends
 */
export async function signMessage<Message extends Pick<ComposedMessage, 'raw'>>(
  message: Message,
  keys: readonly DkimKey[],
): Promise<Message> {
  const { raw } = message;
  const endOfHeaders = raw.indexOf('\r\n\r\n');
  const headers = parseHeaders(raw.toString('latin1', 0, endOfHeaders));
  const bodyHash = createHash('sha256')
    .update(relaxedBody(raw.subarray(endOfHeaders + 4)))
    .digest('base64');
  const signatures = await Promise.all(keys.map((key) => signature(headers, bodyHash, key)));
  return {
    ...message,
    raw: Buffer.concat([...signatures.map((field) => Buffer.from(field, 'latin1')), raw]),
  };
}

interface HeaderField {
  readonly name: string;
  /** `name:value` as RFC 6376 §3.4.2 canonicalises it, without CRLF. */
  readonly relaxed: string;
}

function parseHeaders(head: string): HeaderField[] {
  return head.split(/\r\n(?![ \t])/).map((field) => {
    const name = field.slice(0, field.indexOf(':')).toLowerCase();
    return { name, relaxed: relaxedHeader(field) };
  });
}

/** RFC 6376 §3.4.2. */
export function relaxedHeader(field: string): string {
  const colon = field.indexOf(':');
  const value = field
    .slice(colon + 1)
    .replace(/\r\n/g, '')
    .replace(/[\t ]+/g, ' ')
    .replace(/^ | $/g, '');
  return `${field.slice(0, colon).trimEnd().toLowerCase()}:${value}`;
}

/** RFC 6376 §3.4.4: no white space at line ends, single spaces, no empty lines at the end. Bytes as latin1, which is one to one. */
export function relaxedBody(body: Buffer): Buffer {
  const lines = body.toString('latin1').split('\r\n');
  const relaxed = lines.map((line) =>
    WHITE.test(line) ? line.replace(/[\t ]+/g, ' ').replace(/ $/, '') : line,
  );
  let end = relaxed.length;
  while (end > 0 && relaxed[end - 1] === '') end -= 1;
  return end === 0 ? Buffer.alloc(0) : Buffer.from(`${relaxed.slice(0, end).join('\r\n')}\r\n`, 'latin1');
}
const WHITE = /\t| {2}| $/;

async function signature(headers: readonly HeaderField[], bodyHash: string, key: DkimKey): Promise<string> {
  const chosen: string[] = [];
  const lines: string[] = [];
  for (const name of SIGNED) {
    // Of several fields of one name the last is signed first (RFC 6376 §5.4.2).
    const present = headers.filter((field) => field.name === name).reverse();
    for (const field of present) {
      chosen.push(name);
      lines.push(field.relaxed);
    }
    if (OVERSIGNED.includes(name)) chosen.push(name);
  }
  const field = [
    `DKIM-Signature: v=1; a=${key.algorithm}; c=relaxed/relaxed;`,
    ` d=${key.domain}; s=${key.selector}; t=${signingTime(headers)};`,
    ` h=${folded(chosen.join(':'))};`,
    ` bh=${bodyHash};`,
    ' b=',
  ].join('\r\n');
  const data = Buffer.from([...lines, relaxedHeader(field)].join('\r\n'), 'latin1');
  const value = await signBytes(data, key);
  return `${field}${(value.match(/.{1,70}/g) ?? []).join('\r\n  ')}\r\n`;
}

/** Breaks the list of names behind colons, where folding is allowed (RFC 6376 §3.2). */
function folded(names: string): string {
  return names.replace(/(.{1,60}:)(?=.)/g, '$1\r\n  ');
}

function signingTime(headers: readonly HeaderField[]): number {
  const date = headers.find(({ name }) => name === 'date')?.relaxed.slice('date:'.length) ?? '';
  return Math.floor(Date.parse(date) / 1000);
}

/** RSA signs the data's SHA-256; Ed25519 signs the SHA-256 itself as its message (RFC 8463 §3). */
function signBytes(data: Buffer, key: DkimKey): Promise<string> {
  const [digest, bytes] =
    key.algorithm === 'rsa-sha256' ? ['sha256', data] : [null, createHash('sha256').update(data).digest()];
  return new Promise((resolve, reject) => {
    signAsync(digest, bytes as Buffer, key.privateKey, (error, value) => {
      if (error === null) resolve(value.toString('base64'));
      else reject(error);
    });
  });
}
