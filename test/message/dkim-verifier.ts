import { createHash, type KeyObject, verify } from 'node:crypto';

/**
 * A small DKIM verifier for tests, written from RFC 6376 §3 and §6 and RFC 8463 apart from the signer: relaxed/relaxed,
 * SHA-256, any number of signatures. The RFC's own example is among the tests.
 * @param publicKey the key of a selector and domain
 * @returns for each signature, from the top: valid or what is wrong
 */
export function verifyDkim(
  raw: Buffer,
  publicKey: (selector: string, domain: string) => KeyObject,
): string[] {
  const text = raw.toString('latin1');
  const split = text.indexOf('\r\n\r\n');
  const fields = text.slice(0, split).split(/\r\n(?=[^ \t])/);
  const body = text.slice(split + 4);
  return fields
    .filter((field) => /^dkim-signature\s*:/i.test(field))
    .map((signature) => verifyOne(signature, fields, body, publicKey));
}

/** The tags of a signature, white space removed. */
export function tagsOf(signature: string): Map<string, string> {
  const value = signature.slice(signature.indexOf(':') + 1).replace(/[\r\n\t ]+/g, '');
  return new Map(
    value
      .split(';')
      .filter(Boolean)
      .map((tag) => [tag.slice(0, tag.indexOf('=')), tag.slice(tag.indexOf('=') + 1)]),
  );
}

function verifyOne(
  signature: string,
  fields: string[],
  body: string,
  publicKey: (selector: string, domain: string) => KeyObject,
): string {
  const tags = tagsOf(signature);
  const tag = (name: string): string => tags.get(name) ?? '';
  if (tag('v') !== '1' || tag('c') !== 'relaxed/relaxed') return 'not ours to verify';
  if (createHash('sha256').update(canonicalBody(body), 'latin1').digest('base64') !== tag('bh'))
    return 'body changed';
  const left = fields.map((field) => ({
    name: field.slice(0, field.indexOf(':')).trim().toLowerCase(),
    field,
  }));
  let data = '';
  for (const name of tag('h').toLowerCase().split(':')) {
    const at = left.findLastIndex((entry) => entry.name === name);
    if (at >= 0) data += `${canonicalHeader(left.splice(at, 1)[0]?.field ?? '')}\r\n`;
  }
  data += canonicalHeader(signature.replace(/(\bb=)[A-Za-z0-9+/=\s]*$/, '$1'));
  const bytes = Buffer.from(data, 'latin1');
  const key = publicKey(tag('s'), tag('d'));
  const value = Buffer.from(tag('b'), 'base64');
  const valid =
    tag('a') === 'rsa-sha256'
      ? verify('sha256', bytes, key, value)
      : tag('a') === 'ed25519-sha256' &&
        verify(null, createHash('sha256').update(bytes).digest(), key, value);
  return valid ? 'valid' : 'headers changed';
}

function canonicalHeader(field: string): string {
  const [name = '', ...rest] = field.split(':');
  const value = rest
    .join(':')
    .replace(/\r\n/g, '')
    .replace(/[ \t]+/g, ' ')
    .replace(/^ | $/g, '');
  return `${name.replace(/[ \t]+$/, '').toLowerCase()}:${value}`;
}

function canonicalBody(body: string): string {
  const text = body
    .replace(/[ \t]+(?=\r\n|$)/g, '')
    .replace(/[ \t]+/g, ' ')
    .replace(/(?:\r\n)+$/, '');
  return text === '' ? '' : `${text}\r\n`;
}
