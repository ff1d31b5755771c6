import assert from 'node:assert/strict';
import { domainToASCII, domainToUnicode } from 'node:url';
import fc from 'fast-check';
import { parseAddress } from '../../../src/import/address.ts';
import { readAddress } from '../../../src/message/mailbox.ts';
import { NO_CAPABILITIES } from '../../../src/smtp/capabilities.ts';
import { mailCommand, rcptCommand, refuse } from '../../../src/smtp/envelope.ts';
import { propertyOf, type Target } from '../target.ts';
import { hostileText } from './hostile-text.ts';

const local = fc.oneof(
  fc.stringMatching(/^[a-z0-9._%+-]{0,70}$/),
  fc.constantFrom('김', 'jürgen', '"a b"', 'a..b', '.a', 'a\\', '＠', 'user+tag', "o'brien", 'a/b', '!#$%&'),
  hostileText,
);
const domain = fc.oneof(
  fc.stringMatching(/^[a-z0-9.-]{0,70}$/),
  fc.constantFrom(
    '예시.한국',
    'EXAMPLE.com',
    'xn--9n2bp8q.kr',
    'xn--a.kr',
    '127.0.0.1',
    '[127.0.0.1]',
    '0x7f.1',
  ),
  fc.constantFrom(
    'example。com',
    'ex%2eample.com',
    'faß.de',
    'a.b-.c',
    '-a.b',
    `${'a'.repeat(64)}.com`,
    'com.',
  ),
  hostileText,
);
const address = fc.oneof(
  fc
    .tuple(local, fc.constantFrom('@', '@', '@', '', '@@', '＠', ' @ '), domain)
    .map((parts) => parts.join('')),
  fc.tuple(hostileText, local, domain, hostileText).map(([a, b, c, d]) => `${a}${b}@${c}${d}`),
  hostileText,
);

/** An address that was let in can be spoken to a relay and ends nothing there. */
function checkCommands(to: string, smtputf8: boolean): void {
  const mail = { from: to, to, raw: Buffer.alloc(70_000), eightBit: false, smtputf8 };
  const offered = { ...NO_CAPABILITIES, smtputf8: true, eightBitMime: true, size: true };
  assert.equal(refuse(mail, offered), null, 'what the import takes, the client speaks');
  assert.match(rcptCommand(mail), /^RCPT TO:<[^\s<>\p{Cc}]+>$/u);
  assert.match(
    mailCommand(mail, offered),
    /^MAIL FROM:<[^\s<>\p{Cc}]+>( SIZE=\d+)?( BODY=8BITMIME)?( SMTPUTF8)?$/u,
  );
}

function check(text: string): void {
  const composed = readAddress(text);
  if (composed !== null) checkCommands(composed.address, composed.smtputf8);
  const parsed = parseAddress(text);
  if (!parsed.ok) {
    assert.match(parsed.reason, /^[\p{Ll}\d]/u, 'a reason is a phrase');
    assert.ok(parsed.reason.length < 100 && !/[\p{Cc}]/u.test(parsed.reason));
    return;
  }
  const { address: kept, smtputf8 } = parsed;
  assert.deepEqual(parseAddress(kept), parsed, 'what was kept is read as itself');
  assert.deepEqual(readAddress(kept), { address: kept, smtputf8 }, 'the composer takes what the import took');
  assert.equal(smtputf8, /\P{ASCII}/u.test(kept));
  assert.ok(Buffer.byteLength(kept) <= 254);
  const [name = '', host = '', ...more] = kept.split('@');
  assert.ok(name !== '' && more.length === 0);
  assert.match(host, /^[a-z0-9-]+(\.[a-z0-9-]+)+$/);
  assert.equal(domainToASCII(domainToUnicode(host)), host, 'A-labels that mean something');
  checkCommands(kept, smtputf8);
}

export const addresses: Target = {
  name: 'addresses',
  promise: 'an address that is taken ends no command, and means the same everywhere',
  cases: 1_500,
  start: async () => ({ property: propertyOf(address, check) }),
};
