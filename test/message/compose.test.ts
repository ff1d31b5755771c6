import fc from 'fast-check';
import { type ParsedMail, simpleParser } from 'mailparser';
import MailComposer from 'nodemailer/lib/mail-composer';
import { describe, expect, it } from 'vitest';
import { type ComposedMessage, compileMessage, type MessageOptions } from '../../src/message/compose.ts';
import { oneLine } from '../../src/message/headers.ts';
import { type Row, renderText } from '../../src/message/rendering.ts';
import type { Attachment } from '../../src/message/structure.ts';
import { flatTemplateSource, value, vars } from './arbitraries.ts';
import { decodeWords } from './encoded-words.ts';

const now = new Date('2026-03-01T09:00:00Z');

const attachment: fc.Arbitrary<Attachment> = fc.record({
  filename: fc.constantFrom(
    'a.txt',
    '그림 1.png',
    'with "quotes".pdf',
    `${'long'.repeat(40)}.bin`,
    '😀.gif',
    'noextension',
  ),
  contentType: fc.constantFrom(
    'image/png',
    'application/pdf',
    'text/plain; charset=utf-8',
    'text/html',
    'application/octet-stream',
  ),
  contentId: fc.option(fc.constantFrom('pic-1', 'logo@example.com')),
  content: fc.uint8Array({ maxLength: 300 }).map((bytes) => Buffer.from(bytes)),
});

const options: fc.Arbitrary<MessageOptions> = fc
  .record({
    subject: flatTemplateSource.filter((source) => source.length < 2000),
    html: fc.option(flatTemplateSource),
    text: fc.option(flatTemplateSource),
    sender: fc.constantFrom(
      'news@example.com',
      '"소식, 이름" <news@example.com>',
      'News <news@example.com>',
      '"{{name}} {{이름}}" <news@example.com>',
    ),
    replyTo: fc.option(
      fc.constantFrom('{{이름}} <reply@example.com>', 'a@example.com, "B, C" <b@example.com>'),
    ),
    tag: fc.option(flatTemplateSource),
    attachments: fc.array(attachment, { maxLength: 3 }),
  })
  .filter(({ html, text }) => html !== null || text !== null)
  .map(({ tag, attachments, ...source }) => ({
    campaignId: 7,
    bounceTo: null,
    messageIdDomain: null,
    attachments,
    source: { ...source, headers: tag === null ? {} : { 'X-Tag': tag } },
  }));

/** What nodemailer passes through as already encoded is text to us; that difference has its own test. */
const plainVars = vars(value, true).map((row) => {
  for (const [name, text] of Object.entries(row)) row[name] = text.replaceAll('=?', '= ?');
  return row;
});

async function reference(options: MessageOptions, row: Row, messageId: string): Promise<Buffer> {
  const { templates } = compileMessage(options);
  const { replyTo } = options.source;
  const headers = templates.headers.map(({ name, template }) => ({
    key: name,
    value: oneLine(renderText(template, row)),
  }));
  const body = (part: 'text' | 'html'): string | undefined => {
    const template = templates[part];
    return template === null
      ? undefined
      : renderText(template, row)
          .replace(/\r\n?|\n/g, '\r\n')
          .toWellFormed();
  };
  const name = options.source.sender.includes('{{') ? `${row.vars.name} ${row.vars.이름}` : null;
  return new MailComposer({
    from: name === null ? options.source.sender : { name: oneLine(name), address: 'news@example.com' },
    to: row.address,
    ...(replyTo === null
      ? {}
      : {
          replyTo: replyTo.includes('{{')
            ? { name: oneLine(String(row.vars.이름)), address: 'reply@example.com' }
            : replyTo,
        }),
    headers,
    subject: oneLine(renderText(templates.subject, row)),
    // An empty part is a part: MailComposer would leave it out.
    text: body('text') === '' ? ' ' : body('text'),
    html: body('html') === '' ? ' ' : body('html'),
    attachments: options.attachments.map(({ contentId, ...file }) => ({
      ...file,
      cid: contentId ?? undefined,
      contentTransferEncoding: 'base64',
    })),
    messageId,
    date: now,
  })
    .compile()
    .build();
}

/** What a reader sees, without what only one of the two composers is free to choose. */
function seen(mail: ParsedMail): object {
  const text = (body: string | false | undefined): string => (body || '').replace(/\r\n/g, '\n').trimEnd();
  const address = (list: ParsedMail['to']): string =>
    [list ?? []]
      .flat()
      .map(({ value }) => JSON.stringify(value))
      .join();
  return {
    names: mail.headerLines
      .map(({ key }) => key)
      .filter((key) => key !== 'content-transfer-encoding')
      .sort(),
    contentType: JSON.stringify(mail.headers.get('content-type')).replace(/"boundary":"[^"]*"/, ''),
    from: address(mail.from),
    to: address(mail.to),
    replyTo: address(mail.replyTo),
    subject: (mail.subject ?? '').replace(/ +/g, ' ').trim(),
    tag: decodeWords(String(mail.headers.get('x-tag') ?? ''))
      .replace(/ +/g, ' ')
      .trim(),
    date: mail.date,
    messageId: mail.messageId,
    text: text(mail.text),
    html: text(mail.html),
    attachments: mail.attachments.map(
      ({ filename, contentType, cid, content, related, contentDisposition }) => ({
        filename,
        contentType,
        cid,
        content: content.toString('hex'),
        related,
        contentDisposition,
      }),
    ),
  };
}

const parse = (raw: Buffer): Promise<ParsedMail> =>
  simpleParser(raw, {
    skipHtmlToText: true,
    skipTextToHtml: true,
    skipImageLinks: true,
    skipTextLinks: true,
  });

/** What every message must be, whatever the values hold. */
function expectWellFormed(mail: ComposedMessage): void {
  const text = mail.raw.toString('latin1');
  expect(text.endsWith('\r\n')).toBe(true);
  expect(text.replaceAll('\r\n', '')).not.toMatch(/[\r\n]/);
  expect(Math.max(...text.split('\r\n').map((line) => line.length))).toBeLessThanOrEqual(998);
  expect(text).toMatch(/^[\t\r\n\x20-\x7e]*$/);
}

describe('the compiled message', () => {
  it('reads as the one that MailComposer makes, for any template, values and options', async () => {
    const property = fc.asyncProperty(options, plainVars, async (options, vars) => {
      const recipient = { recipientId: 42, address: 'kim@example.kr', vars };
      const mail = compileMessage(options).compose(recipient, now);
      if ('kind' in mail) {
        expect(mail.why).toMatch(/header has more than 8000 characters|name in the .* is too long/);
        return;
      }
      expectWellFormed(mail);
      const expected = await parse(await reference(options, recipient, mail.messageId));
      expect(seen(await parse(mail.raw))).toEqual(seen(expected));
    });
    await fc.assert(property, { numRuns: 300 });
  });
});
