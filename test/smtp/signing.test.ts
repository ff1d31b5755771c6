import { generateKeyPairSync, type KeyObject } from 'node:crypto';
import { dkimVerify } from 'mailauth/lib/dkim/verify.js';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type CaptureServer, startCapture } from '../../src/capture/capture.ts';
import { compileMessage } from '../../src/message/compose.ts';
import { readDkimKey } from '../../src/message/dkim.ts';
import { createDeliverer } from '../../src/smtp/choose.ts';
import type { Deliverer } from '../../src/smtp/deliverer.ts';
import { parseRelay } from '../../src/smtp/relay.ts';
import { signingDeliverer } from '../../src/smtp/signing.ts';
import { brief, deliverAll, mailTo } from '../support/smtp-mail.ts';

const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 });
const ed25519 = generateKeyPairSync('ed25519');
const pem = (key: KeyObject) => key.export({ type: 'pkcs8', format: 'pem' }).toString();
const keys = [
  readDkimKey('example.com', 'r2026', pem(rsa.privateKey)),
  readDkimKey('example.com', 'e2026', pem(ed25519.privateKey)),
];

/** The DNS of example.com, as far as it matters here. RFC 8463 section 4: an Ed25519 key stands there without its wrapping. */
async function resolver(name: string, type: string): Promise<string[][]> {
  const records: Record<string, string> = {
    'r2026._domainkey.example.com': `v=DKIM1; k=rsa; p=${rsa.publicKey.export({ type: 'spki', format: 'der' }).toString('base64')}`,
    'e2026._domainkey.example.com': `v=DKIM1; k=ed25519; p=${ed25519.publicKey.export({ type: 'spki', format: 'der' }).subarray(-32).toString('base64')}`,
  };
  const record = type === 'TXT' ? records[name] : undefined;
  if (record === undefined) throw Object.assign(new Error(`no ${type} of ${name}`), { code: 'ENOTFOUND' });
  return [[record]];
}

let capture: CaptureServer;
beforeAll(async () => {
  capture = await startCapture({ keep: 10 });
});
afterAll(() => capture.close());

test('what arrives is signed with both keys, and an independent verifier finds both signatures good', async () => {
  const composer = compileMessage({
    campaignId: 1,
    source: {
      sender: '뉴스 <news@example.com>',
      subject: '{{이름}}님께',
      html: '<p>안녕하세요 {{이름}}님</p>',
      text: '.\n..\nline   \n\n\n',
      replyTo: null,
      headers: {
        'List-Unsubscribe': '<https://example.com/u/{{email}}>',
        'List-Unsubscribe-Post': 'List-Unsubscribe=One-Click',
      },
    },
    attachments: [],
    bounceTo: null,
    messageIdDomain: null,
  });
  const mails = ['a@example.org', 'b@example.org'].map((address, index) => {
    const mail = composer.compose({ recipientId: index + 1, address, vars: { 이름: '홍길동' } });
    if ('kind' in mail) throw new Error(mail.why);
    return mail;
  });
  const deliverer = signingDeliverer(createDeliverer(parseRelay(capture.url)), keys);
  expect((await deliverAll(deliverer, mails)).map(brief)).toEqual(['sent', 'sent']);
  await deliverer.close();
  for (const { raw } of capture.mails) {
    const { results } = await dkimVerify(Buffer.from(raw), { resolver });
    expect(results.map(({ status, selector }) => [selector, status.result])).toEqual([
      ['r2026', 'pass'],
      ['e2026', 'pass'],
    ]);
    const signed = Buffer.from(raw).toString('latin1').toLowerCase();
    expect(signed.match(/h=[^;]*list-unsubscribe[:\s][^;]*list-unsubscribe-post/g)).toHaveLength(2);
    const changed = Buffer.from(
      Buffer.from(raw).toString('latin1').replace('List-Unsubscribe=One-Click', 'List-Unsubscribe=One-Clack'),
      'latin1',
    );
    const after = await dkimVerify(changed, { resolver });
    expect(after.results.every(({ status }) => status.result !== 'pass')).toBe(true);
  }
});

test('close waits for mails in signing; an abort answers them as not sent', async () => {
  const handed: string[] = [];
  const inner: Deliverer = {
    capacity: 5,
    deliver: (mail, done) => {
      handed.push(mail.to);
      setImmediate(done, {
        kind: 'replied',
        stage: 'final',
        reply: { code: 250, enhanced: null, text: 'ok' },
      });
    },
    close: async () => undefined,
    abort: () => undefined,
  };
  const first = signingDeliverer(inner, keys);
  expect(first.capacity).toBe(5);
  const sent = deliverAll(first, [mailTo('a@example.org')]);
  await first.close();
  expect(handed).toEqual(['a@example.org']);
  expect((await sent).map(brief)).toEqual(['sent']);
  const second = signingDeliverer(inner, keys);
  const cut = deliverAll(second, [mailTo('b@example.org')]);
  second.abort();
  expect((await cut).map(brief)).toEqual(['not-sent EABORTED']);
  expect(handed).toEqual(['a@example.org']);
});
