import { simpleParser } from 'mailparser';
import { describe, expect, it } from 'vitest';
import {
  type ComposedMessage,
  type Composer,
  compileMessage,
  type MessageOptions,
} from '../../src/message/compose.ts';
import { previewOf } from '../../src/message/preview.ts';
import { decodeWords } from './encoded-words.ts';

const options: MessageOptions = {
  campaignId: 7,
  source: {
    subject: '{{이름}}님, 안녕하세요',
    html: '<p>안녕 {{이름}}</p>',
    text: '안녕 {{이름}}',
    sender: '"소식" <news@example.com>',
    replyTo: null,
    headers: {},
  },
  attachments: [],
  bounceTo: null,
  messageIdDomain: null,
};
const now = new Date('2026-03-01T09:00:00Z');
const kim = { recipientId: 42, address: 'kim@example.kr', vars: { 이름: '김철수' } };

function compose(composer: Composer, recipient: Parameters<Composer['compose']>[0] = kim): ComposedMessage {
  const mail = composer.compose(recipient, now);
  if ('kind' in mail) throw new Error(mail.why);
  return mail;
}

function withSource(source: Partial<MessageOptions['source']>): Composer {
  return compileMessage({ ...options, source: { ...options.source, ...source } });
}

describe('a composed message', () => {
  it('has the same bytes on every attempt, in every process, but for its Date', () => {
    const first = compose(compileMessage(options));
    expect(compose(compileMessage(options)).raw).toEqual(first.raw);
    // The campaign's row comes along whole, with columns that change while it runs.
    const running = { ...options, source: { ...options.source, status: 'running', started_at: now } };
    expect(compose(compileMessage(running)).raw).toEqual(first.raw);
    const later = compileMessage(options).compose(kim, new Date('2026-03-02T10:00:00Z'));
    if ('kind' in later) throw new Error(later.why);
    const date = /^Date: .*$/m;
    expect(later.messageId).toBe(first.messageId);
    expect(later.raw.toString().match(date)?.[0]).toBe('Date: Mon, 02 Mar 2026 10:00:00 +0000');
    expect(later.raw.toString().replace(date, '')).toBe(first.raw.toString().replace(date, ''));
  });

  it('has a Message-ID of its own that survives a change of the template', () => {
    const { messageId } = compose(compileMessage(options));
    expect(messageId).toMatch(/^<7\.42\.[0-9a-f]{20}@example\.com>$/);
    expect(compose(withSource({ subject: 'Other' })).messageId).toBe(messageId);
    const others = [
      compose(compileMessage({ ...options, campaignId: 8 })),
      compose(compileMessage(options), { ...kim, recipientId: 43 }),
      compose(compileMessage(options), { ...kim, address: 'lee@example.kr' }),
      compose(compileMessage({ ...options, messageIdDomain: 'id.example.com' })),
    ].map((mail) => mail.messageId);
    expect(new Set([messageId, ...others]).size).toBe(5);
    expect(others[3]).toMatch(/@id\.example\.com>$/);
  });

  it('leaves nothing of one recipient in the mail of the next', () => {
    const composer = compileMessage(options);
    const alone = compose(compileMessage(options), { ...kim, vars: { 이름: 'Lee' } });
    compose(composer);
    expect(composer.compose({ ...kim, vars: {} }, now)).toHaveProperty('kind', 'invalid');
    expect(compose(composer, { ...kim, vars: { 이름: 'Lee' } }).raw).toEqual(alone.raw);
  });

  it('bounces to the address in the sender, to bounceTo, or nowhere', () => {
    const from = (bounceTo: string | null): string => compose(compileMessage({ ...options, bounceTo })).from;
    expect([from(null), from('bounce@한국.kr'), from(''), from('<>')]).toEqual([
      'news@example.com',
      'bounce@xn--3e0b707e.kr',
      '',
      '',
    ]);
    expect(() => from('no address')).toThrow(/bounce address/);
    expect(() => compileMessage({ ...options, messageIdDomain: 'a b' })).toThrow(/not a domain/);
  });

  it('asks for SMTPUTF8 exactly when a local part is not ASCII', async () => {
    const composer = compileMessage(options);
    expect(compose(composer)).toMatchObject({ smtputf8: false, eightBit: false });
    const mail = compose(composer, { ...kim, address: '김철수@한국.kr' });
    expect(mail).toMatchObject({ smtputf8: true, to: '김철수@xn--3e0b707e.kr' });
    expect(mail.raw.toString('utf8')).toContain('\r\nTo: 김철수@xn--3e0b707e.kr\r\n');
    expect((await simpleParser(mail.raw)).text?.trim()).toBe('안녕 김철수');
    expect(compose(withSource({ sender: '소식@example.com' }))).toMatchObject({
      smtputf8: true,
      from: '소식@example.com',
    });
  });

  it('writes List-Unsubscribe as it is, percent-encoding values', () => {
    const composer = withSource({
      headers: {
        'List-Unsubscribe':
          '<https://example.com/off?u={{email}}&n={{이름}}>, <mailto:off@example.com?subject=off>',
        'List-Unsubscribe-Post': 'List-Unsubscribe=One-Click',
      },
    });
    const text = compose(composer).raw.toString();
    expect(text.replaceAll('\r\n ', ' ')).toContain(
      '\r\nList-Unsubscribe: <https://example.com/off?u=kim@example.kr&n=%EA%B9%80%EC%B2%A0%EC%88%98>, <mailto:off@example.com?subject=off>\r\n' +
        'List-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n',
    );
  });

  it('leaves out a header that comes out empty', () => {
    const composer = withSource({ headers: { 'X-Group': '{{#if group}}{{group}}{{/if}}' } });
    const text = (group: string): string =>
      compose(composer, { ...kim, vars: { ...kim.vars, group } }).raw.toString();
    expect(text('a')).toContain('\r\nX-Group: a\r\n');
    expect(text('')).not.toContain('X-Group');
  });

  it('writes what looks encoded as the text that it is', async () => {
    const vars = { 이름: '=?utf-8?B?SGVsbG8=?=' };
    const mail = compose(
      withSource({ subject: '{{이름}}', headers: { 'X-Tag': '{{이름}}' }, sender: '"{{이름}}" <a@b.kr>' }),
      { ...kim, vars },
    );
    const parsed = await simpleParser(mail.raw);
    expect(parsed.subject).toBe(vars.이름);
    expect(parsed.from?.value[0]?.name).toBe(vars.이름);
    expect(decodeWords(String(parsed.headers.get('x-tag')))).toBe(vars.이름);
  });

  it('carries pictures in the html and files beside it, in 7 bits whatever they hold', async () => {
    const picture = {
      filename: '로고.png',
      contentType: 'image/png',
      contentId: 'logo@x',
      content: Buffer.from([0, 255, 13, 10]),
    };
    const message = {
      filename: 'old.bin',
      contentType: 'message/rfc822',
      contentId: null,
      content: Buffer.from('Subject: 안녕\n\nx'),
    };
    const composer = compileMessage({ ...options, attachments: [picture, message] });
    const mail = compose(composer);
    expect(mail.raw.every((byte) => byte < 128)).toBe(true);
    const parsed = await simpleParser(mail.raw, { skipImageLinks: true });
    expect(
      parsed.attachments.map(({ filename, contentType, cid, content }) => ({
        filename,
        contentType,
        cid,
        content,
      })),
    ).toEqual([
      { filename: '로고.png', contentType: 'image/png', cid: 'logo@x', content: picture.content },
      {
        filename: 'old.bin',
        contentType: 'application/octet-stream',
        cid: undefined,
        content: message.content,
      },
    ]);
  });

  it.each([
    [{ filename: '' }, /file name/],
    [{ contentType: 'png' }, /content type "png"/],
    [{ contentType: 'image/png\r\nBcc: x@y.z' }, /content type/],
    [{ contentId: 'a b' }, /content id/],
    [{ contentId: '로고' }, /content id/],
  ])('refuses the attachment %j', (wrong, message) => {
    const attachment = {
      filename: 'a.png',
      contentType: 'image/png',
      contentId: null,
      content: Buffer.from('x'),
    };
    expect(() => compileMessage({ ...options, attachments: [{ ...attachment, ...wrong }] })).toThrow(message);
  });

  it.each([
    ['{{이름}}', 'not an address'],
    ['{{이름}} <{{이름}}>', 'not an address'],
  ])('is not made from the sender %s when that is no address', (sender, why) => {
    const mail = withSource({ sender }).compose(kim, now);
    expect(mail).toMatchObject({ kind: 'invalid', why: expect.stringContaining(why) });
  });

  it.each([
    '',
    'nobody',
    'a@b.c, d@e.f',
    'Group: a@b.c;',
    'a@b.c\r\nBcc: d@e.f',
    'News, {{이름}} <a@b.c>',
    'x@y.z {{이름}} <a@b.c>',
  ])('refuses the sender %j', (sender) => {
    expect(() => withSource({ sender })).toThrow(expect.objectContaining({ code: 'sender-invalid' }));
  });

  it('refuses headers of its own among the extra ones', () => {
    expect(() => withSource({ headers: { bcc: 'x@y.z' } })).toThrow(
      expect.objectContaining({ code: 'header-name' }),
    );
    expect(() => withSource({ headers: { 'X-A': '1', 'x-a': '2' } })).toThrow(/given twice/);
    expect(() => withSource({ headers: { 'X\r\nBcc': '1' } })).toThrow(/not a header name/);
    expect(() => withSource({ subject: 'x'.repeat(9000) })).toThrow(
      expect.objectContaining({ code: 'subject-too-long' }),
    );
  });
});

describe('a preview', () => {
  it('shows the mail in its parts', () => {
    const preview = previewOf(withSource({ text: null, headers: { 'X-Tag': '가' } }), kim, now);
    expect(preview).toMatchObject({
      subject: '김철수님, 안녕하세요',
      from: '소식 <news@example.com>',
      to: 'kim@example.kr',
      html: '<p>안녕 김철수</p>',
      text: '안녕 김철수',
    });
    expect(preview.headers.map(({ name }) => name)).toEqual([
      'From',
      'To',
      'Subject',
      'Message-ID',
      'Date',
      'X-Tag',
      'MIME-Version',
      'Content-Type',
    ]);
    expect(decodeWords(preview.headers[5]?.value ?? '')).toBe('가');
    expect(preview.eml).toEqual(compose(withSource({ text: null, headers: { 'X-Tag': '가' } })).raw);
  });

  it('says why there is none', () => {
    expect(() => previewOf(compileMessage(options), { ...kim, vars: {} })).toThrow(
      'The mail for kim@example.kr cannot be made: missing variable "이름" (in the subject)',
    );
  });
});
