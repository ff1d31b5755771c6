import { createPublicKey, generateKeyPairSync, type KeyObject } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { compileMessage } from '../../src/message/compose.ts';
import { readDkimKey, relaxedBody, signMessage } from '../../src/message/dkim.ts';
import { flatTemplateSource, value, vars } from './arbitraries.ts';
import { tagsOf, verifyDkim } from './dkim-verifier.ts';

const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 });
const ed25519 = generateKeyPairSync('ed25519');
const pem = (key: KeyObject): string => key.export({ type: 'pkcs8', format: 'pem' }).toString();
const keys = [
  readDkimKey('example.com', 'rsa1', pem(rsa.privateKey)),
  readDkimKey('예시.kr', 'ed1', pem(ed25519.privateKey)),
];
const published = (selector: string): KeyObject => (selector === 'rsa1' ? rsa.publicKey : ed25519.publicKey);

const source = {
  subject: '{{이름}}님, 안녕하세요',
  html: '<p>Hello  {{이름}} </p>\n\n',
  text: 'Hello \t {{이름}}  \n\n\n',
  sender: '"소식" <news@example.com>',
  replyTo: 'reply@example.com',
  headers: {
    'List-Unsubscribe': '<https://example.com/?u={{email}}>',
    'List-Unsubscribe-Post': 'List-Unsubscribe=One-Click',
  },
};
const options = { campaignId: 1, source, attachments: [], bounceTo: null, messageIdDomain: null };
const now = new Date('2026-03-01T09:00:00Z');

function mailFor(vars: Record<string, string>, changes: Partial<typeof source> = {}): { raw: Buffer } {
  const composer = compileMessage({ ...options, source: { ...source, ...changes } });
  const mail = composer.compose({ recipientId: 1, address: 'kim@example.kr', vars }, now);
  if ('kind' in mail) throw new Error(mail.why);
  return mail;
}

describe('DKIM', () => {
  it('the verifier of these tests accepts the example of RFC 8463 §A.3', () => {
    const example = [
      'DKIM-Signature: v=1; a=ed25519-sha256; c=relaxed/relaxed;',
      ' d=football.example.com; i=@football.example.com;',
      ' q=dns/txt; s=brisbane; t=1528637909; h=from : to :',
      ' subject : date : message-id : from : subject : date;',
      ' bh=2jUSOH9NhtVGCQWNr9BrIAPreKQjO6Sn7XIkfJVOzv8=;',
      ' b=/gCrinpcQOoIfuHNQIbq4pgh9kyIK3AQUdt9OdqQehSwhEIug4D11Bus',
      ' Fa3bT3FY5OsU7ZbnKELq+eXdp1Q1Dw==',
      'From: Joe SixPack <joe@football.example.com>',
      'To: Suzie Q <suzie@shopping.example.net>',
      'Subject: Is dinner ready?',
      'Date: Fri, 11 Jul 2003 21:00:37 -0700 (PDT)',
      'Message-ID: <20030712040037.46341.5F8J@football.example.com>',
      '',
      'Hi.',
      '',
      'We lost the game.  Are you hungry yet?',
      '',
      'Joe.',
      '',
    ].join('\r\n');
    const der = Buffer.concat([
      Buffer.from('302a300506032b6570032100', 'hex'),
      Buffer.from('11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=', 'base64'),
    ]);
    const key = createPublicKey({ key: der, format: 'der', type: 'spki' });
    expect(verifyDkim(Buffer.from(example), () => key)).toEqual(['valid']);
    expect(verifyDkim(Buffer.from(example.replace('dinner', 'supper')), () => key)).toEqual([
      'headers changed',
    ]);
  });

  it('signs with RSA and Ed25519, and anything that is changed shows', async () => {
    const signed = (await signMessage(mailFor({ 이름: '김철수' }), keys)).raw;
    expect(verifyDkim(signed, published)).toEqual(['valid', 'valid']);
    const text = signed.toString('latin1');
    const changes: readonly [string, RegExp, string, string][] = [
      ['the sender', /^From: .*$/m, 'From: evil@example.org', 'headers changed'],
      ['the unsubscription', /example\.com\/\?u=/, 'evil.example/?u=', 'headers changed'],
      ['one click', /One-Click/, 'Two-Click', 'headers changed'],
      ['a second From', /^To:/m, 'From: evil@example.org\r\nTo:', 'headers changed'],
      ['a second Subject', /^To:/m, 'Subject: x\r\nTo:', 'headers changed'],
      ['the body', /SGVsbG8|Hello/, 'Howdy', 'body changed'],
    ];
    for (const [what, find, put, verdict] of changes) {
      const changed = text.replace(find, put);
      expect(changed, what).not.toBe(text);
      expect(verifyDkim(Buffer.from(changed, 'latin1'), published), what).toEqual([verdict, verdict]);
    }
    // What relays may do on the way: folding, white space, empty lines at the end.
    const carried = text.replace('Reply-To: ', 'Reply-To:\t \r\n  ').concat('\r\n\r\n');
    expect(verifyDkim(Buffer.from(carried, 'latin1'), published)).toEqual(['valid', 'valid']);
  });

  it('covers both unsubscription headers and guards From against a second one', async () => {
    const signed = (await signMessage(mailFor({ 이름: 'Kim' }), keys)).raw.toString('latin1');
    const [first = '', second = ''] = signed.split(/\r\n(?=[^ \t])/);
    const names = tagsOf(first).get('h')?.split(':') ?? [];
    expect(names).toEqual(
      expect.arrayContaining(['list-unsubscribe', 'list-unsubscribe-post', 'message-id', 'date']),
    );
    expect(names.filter((name) => name === 'from')).toHaveLength(2);
    expect([tagsOf(first).get('a'), tagsOf(second).get('a')]).toEqual(['rsa-sha256', 'ed25519-sha256']);
    expect(tagsOf(second).get('d')).toMatch(/^xn--[a-z0-9]+\.kr$/);
    expect(tagsOf(first).get('t')).toBe(String(now.getTime() / 1000));
    for (const line of `${first}\r\n${second}`.split('\r\n')) expect(line.length).toBeLessThanOrEqual(78);
  });

  it('signs the same mail the same way every time', async () => {
    const mail = mailFor({ 이름: '김철수' });
    expect((await signMessage(mail, keys)).raw).toEqual((await signMessage(mail, keys)).raw);
    expect((await signMessage(mail, [])).raw).toEqual(mail.raw);
  });

  it('is valid for any template and values', async () => {
    const property = fc.asyncProperty(flatTemplateSource, vars(value, true), async (body, vars) => {
      const mail = mailFor({ ...vars, 이름: vars.이름 ?? '' }, { text: body, html: body });
      expect(verifyDkim((await signMessage(mail, keys)).raw, published)).toEqual(['valid', 'valid']);
    });
    await fc.assert(property, { numRuns: 60 });
  });

  it('canonicalises bodies as RFC 6376 §3.4.4 and §3.4.5 show', () => {
    expect(relaxedBody(Buffer.from(' C \r\nD \t E\r\n\r\n\r\n')).toString()).toBe(' C\r\nD E\r\n');
    expect(relaxedBody(Buffer.from('')).toString()).toBe('');
    expect(relaxedBody(Buffer.from('\r\n\r\n')).toString()).toBe('');
    expect(relaxedBody(Buffer.from(' \t\r\n')).toString()).toBe('');
    expect(relaxedBody(Buffer.from('a')).toString()).toBe('a\r\n');
  });

  it('refuses keys that no verifier would accept, without showing them', () => {
    const short = generateKeyPairSync('rsa', { modulusLength: 768 }).privateKey;
    const curve = generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey;
    for (const [key, message] of [
      [pem(short), /RSA of 768 bits/],
      [pem(curve), /is ec/],
      ['no key', /cannot be read/],
      [pem(rsa.privateKey).slice(0, 500), /cannot be read/],
    ] as const) {
      expect(() => readDkimKey('example.com', 's', key)).toThrow(message);
    }
    const body = pem(rsa.privateKey).slice(40, 80);
    expect(() => readDkimKey('example.com', 's', pem(rsa.privateKey).slice(0, 500))).not.toThrow(body);
    expect(() => readDkimKey('exa mple.com', 's', pem(rsa.privateKey))).toThrow(/no place for a DKIM key/);
    expect(() => readDkimKey('example.com', 's; d=evil', pem(rsa.privateKey))).toThrow(
      /no place for a DKIM key/,
    );
  });
});
