import fc from 'fast-check';
import { simpleParser } from 'mailparser';
import { describe, expect, it } from 'vitest';
import { type ComposedMessage, compileMessage, type MessageRecipient } from '../../src/message/compose.ts';
import { oneLine } from '../../src/message/headers.ts';

const everywhere = {
  campaignId: 9,
  bounceTo: null,
  messageIdDomain: null,
  attachments: [
    { filename: 'a.txt', contentType: 'text/plain', contentId: null, content: Buffer.from('attached') },
  ],
  source: {
    subject: 'S {{v}} {{w}}',
    html: '<p>{{v}}</p>{{{v}}}{{w}}\n{{v}}',
    text: '{{v}}{{w}}\n{{v}}\n{{w}}',
    sender: '"{{v}} {{w}}" <news@example.com>',
    replyTo: '"{{w}}" <reply@example.com>',
    headers: { 'X-Tag': '{{v}}', 'List-Unsubscribe': '<https://example.com/?u={{v}}>' },
  },
};
const composer = compileMessage(everywhere);
const now = new Date('2026-03-01T09:00:00Z');

function compose(vars: Record<string, string>): ComposedMessage {
  const recipient: MessageRecipient = { recipientId: 1, address: 'kim@example.com', vars };
  const mail = composer.compose(recipient, now);
  if ('kind' in mail) throw new Error(mail.why);
  return mail;
}

const boundary = /boundary="([^"]+)"/.exec(compose({ v: 'x', w: 'y' }).raw.toString())?.[1] ?? '';

/** What an attacker puts into a cell to write more than a value. */
const hostile = fc
  .array(
    fc.oneof(
      fc.constantFrom(
        '\r\n',
        '\n',
        '\r',
        '\r\n\r\n',
        '.',
        '\r\n.\r\n',
        '\n.\n',
        '\0',
        ' ',
        '\t',
        '"',
        '\\',
        '<',
        '>',
        '@',
        ',',
        ';',
        ':',
        '(',
        ')',
        '=',
        '_',
        '=_',
      ),
      fc.constantFrom(
        'Bcc: evil@evil.example',
        'To: evil@evil.example',
        '<evil@evil.example>',
        'Content-Type: text/html',
        'MAIL FROM:<>',
        'RCPT TO:<evil@evil.example>',
        'DATA',
        'QUIT',
      ),
      fc.constantFrom(
        `--${boundary}`,
        `--${boundary}--`,
        boundary,
        boundary.slice(0, 7),
        boundary.slice(7),
        '=?utf-8?B?DQpCY2M6IHg=?=',
        '=?utf-8?Q?=0D=0A?=',
      ),
      fc.constantFrom(
        '\u202e',
        '\u2028',
        '\u2029',
        '\u0085',
        '\u200b',
        '\ufeff',
        '\ud800',
        '\x7f',
        '\x1b[31m',
        '😀',
        '김',
        '{{v}}',
        '{{/if}}',
        'a'.repeat(200),
      ),
    ),
    { maxLength: 8 },
  )
  .map((parts) => parts.join(''));

describe('hostile values', () => {
  it('never add a header, a part, a recipient, a command or a line that ends the message', async () => {
    const property = fc.asyncProperty(hostile, hostile, async (v, w) => {
      const mail = compose({ v, w });
      const raw = mail.raw.toString('latin1');
      expect(raw).toMatch(/^[\t\r\n\x20-\x7e]*$/);
      expect(raw.replaceAll('\r\n', '')).not.toMatch(/[\r\n]/);
      expect(raw.split('\r\n').filter((line) => line.startsWith(`--${boundary.slice(0, -1)}`))).toHaveLength(
        6,
      );
      const parsed = await simpleParser(mail.raw, {
        skipHtmlToText: true,
        skipTextToHtml: true,
        skipTextLinks: true,
      });
      const expectedNames = [
        'from',
        'to',
        'reply-to',
        'subject',
        'message-id',
        'date',
        'x-tag',
        'list-unsubscribe',
        'mime-version',
        'content-type',
      ];
      const names = parsed.headerLines.map(({ key }) => key);
      expect(names).toEqual(expectedNames.filter((name) => name !== 'x-tag' || oneLine(v) !== ''));
      expect(parsed.from?.value.map(({ address }) => address)).toEqual(['news@example.com']);
      expect([parsed.to ?? []].flat().flatMap(({ value }) => value.map(({ address }) => address))).toEqual([
        'kim@example.com',
      ]);
      expect(parsed.replyTo?.value.map(({ address }) => address)).toEqual(['reply@example.com']);
      expect(parsed.attachments.map(({ content }) => content.toString())).toEqual(['attached']);
      expect({ from: mail.from, to: mail.to }).toEqual({ from: 'news@example.com', to: 'kim@example.com' });
      const list = parsed.headerLines.find(({ key }) => key === 'list-unsubscribe')?.line ?? '';
      expect(list.replace(/\r\n/g, '')).toMatch(
        /^List-Unsubscribe: <https:\/\/example\.com\/\?u=[!-;=?-~]*>$/,
      );
      const read = (parsed.text ?? '').replace(/\r\n/g, '\n').trimEnd();
      // Each value on its own: a value's last CR and the template's LF are two line ends.
      const lines = (value: string): string => value.toWellFormed().replace(/\r\n|\r/g, '\n');
      const meant = `${lines(v)}${lines(w)}\n${lines(v)}\n${lines(w)}`.trimEnd();
      expect(read).toBe(meant);
    });
    await fc.assert(property, { numRuns: 500 });
  });

  it('cannot become the sender', () => {
    for (const sender of ['{{v}} <news@example.com>', '"{{v}}" <news@example.com>']) {
      const campaign = compileMessage({
        ...everywhere,
        source: { ...everywhere.source, sender, replyTo: null },
      });
      for (const v of [
        'evil@evil.example',
        '" <evil@evil.example>, "',
        'a <evil@evil.example>',
        'x, evil@evil.example',
        'g: evil@evil.example;',
      ]) {
        const mail = campaign.compose(
          { recipientId: 1, address: 'kim@example.com', vars: { v, w: '' } },
          now,
        );
        expect(mail).toMatchObject({ from: 'news@example.com' });
      }
    }
    const campaign = compileMessage({
      ...everywhere,
      source: { ...everywhere.source, sender: '{{v}}', replyTo: null },
    });
    for (const v of ['a@b.c, d@e.f', 'a@b.c\r\nBcc: d@e.f', 'Name <a@b.c>', '', 'nobody']) {
      const mail = campaign.compose({ recipientId: 1, address: 'kim@example.com', vars: { v, w: '' } }, now);
      expect(mail).toEqual({
        kind: 'invalid',
        why: expect.stringContaining('is not an address (in the sender)'),
      });
    }
  });

  it('make a row invalid instead of stopping the worker', () => {
    const html = {
      ...everywhere.source,
      html: '{{{v}}}',
      text: null,
      sender: 'a@b.c',
      replyTo: null,
      headers: {},
      subject: '',
    };
    const campaign = compileMessage({ ...everywhere, source: html });
    const deep = campaign.compose(
      { recipientId: 1, address: 'kim@example.com', vars: { v: '<b>'.repeat(200_000) } },
      now,
    );
    expect(deep).toMatchObject({ kind: 'invalid' });
    for (const address of [
      'kim@example.com\r\nRCPT TO:<x@y.z>',
      '<kim@example.com>',
      '',
      'kim@example.com kim@example.org',
    ]) {
      expect(campaign.compose({ recipientId: 1, address, vars: { v: '' } }, now)).toMatchObject({
        kind: 'invalid',
      });
    }
  });

  it('are refused when they make a mail too long', () => {
    const source = {
      ...everywhere.source,
      subject: 'x',
      sender: 'a@b.c',
      replyTo: null,
      headers: { 'X-Tag': '{{w}}' },
    };
    const campaign = compileMessage({ ...everywhere, source });
    const why = (v: string, w: string): unknown =>
      campaign.compose({ recipientId: 1, address: 'kim@example.com', vars: { v, w } }, now);
    expect(why('a'.repeat(5_000_000), '')).toEqual({
      kind: 'invalid',
      why: 'the text has more than 5000000 characters',
    });
    expect(why('', 'a'.repeat(8001))).toEqual({
      kind: 'invalid',
      why: 'the X-Tag header has more than 8000 characters',
    });
  });

  it('take time in proportion to their length', () => {
    const campaign = compileMessage({
      ...everywhere,
      source: { ...everywhere.source, subject: '', sender: 'a@b.c', replyTo: null, headers: {} },
    });
    const seconds = (v: string): number => {
      const start = performance.now();
      campaign.compose({ recipientId: 1, address: 'kim@example.com', vars: { v, w: '' } }, now);
      return (performance.now() - start) / 1000;
    };
    for (const unit of [
      'a',
      ' ',
      '\n',
      '\r',
      '=',
      '=_',
      '김',
      '"',
      '<',
      '<a',
      '\ud800',
      '\u2028',
      '&',
      '- ',
      '=?',
    ]) {
      // Linear work on 200,000 characters takes some milliseconds; quadratic work would take minutes.
      expect(seconds(unit.repeat(200_000 / unit.length))).toBeLessThan(5);
    }
  });
});
