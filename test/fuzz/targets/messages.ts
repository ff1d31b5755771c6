import assert from 'node:assert/strict';
import fc from 'fast-check';
import { simpleParser } from 'mailparser';
import { type CapturedMail, startCapture } from '../../../src/capture/capture.ts';
import { type ComposedMessage, compileMessage } from '../../../src/message/compose.ts';
import { oneLine } from '../../../src/message/headers.ts';
import { createSmtpDeliverer } from '../../../src/smtp/client.ts';
import { parseRelay } from '../../../src/smtp/relay.ts';
import { brief, deliver } from '../../support/smtp-mail.ts';
import { propertyOf, type Target } from '../target.ts';
import { hostileText } from './hostile-text.ts';

const composer = compileMessage({
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
});
const NAMES = [
  'from',
  'to',
  'reply-to',
  'subject',
  'message-id',
  'date',
  'x-tag',
  'list-unsubscribe',
  'mime-version',
];
const now = new Date('2026-03-01T09:00:00Z');

/** What a value is in html, by a table of its own and not the composer's. */
function escaped(value: string): string {
  const names: Readonly<Record<string, string>> = {
    '&': 'amp',
    '<': 'lt',
    '>': 'gt',
    '"': 'quot',
    "'": '#x27',
    '`': '#x60',
    '=': '#x3D',
  };
  return [...value].map((letter) => (names[letter] === undefined ? letter : `&${names[letter]};`)).join('');
}

/** What arrives reads as it was meant, and holds nothing else. */
async function checkParts(raw: Buffer, v: string, w: string): Promise<void> {
  const parsed = await simpleParser(raw, { skipHtmlToText: true, skipTextToHtml: true, skipTextLinks: true });
  const expected = [...NAMES, 'content-type'].filter((name) => name !== 'x-tag' || oneLine(v) !== '');
  assert.deepEqual(
    parsed.headerLines.map(({ key }) => key),
    expected,
  );
  assert.deepEqual(
    parsed.from?.value.map(({ address }) => address),
    ['news@example.com'],
  );
  assert.deepEqual(
    [parsed.to ?? []].flat().flatMap(({ value }) => value.map(({ address }) => address)),
    ['kim@example.com'],
  );
  assert.deepEqual(
    parsed.replyTo?.value.map(({ address }) => address),
    ['reply@example.com'],
  );
  assert.deepEqual(
    parsed.attachments.map(({ content }) => content.toString()),
    ['attached'],
  );
  // Each value on its own: a value's last CR and the template's LF are two line ends.
  const lines = (value: string): string => value.toWellFormed().replace(/\r\n|\r/g, '\n');
  const meant = `${lines(v)}${lines(w)}\n${lines(v)}\n${lines(w)}`.trimEnd();
  assert.equal((parsed.text ?? '').replace(/\r\n/g, '\n').trimEnd(), meant);
  const [safeV, safeW] = [lines(escaped(v)), lines(escaped(w))];
  const html = `<p>${safeV}</p>${lines(v)}${safeW}\n${safeV}`.trimEnd();
  assert.equal((parsed.html || '').replace(/\r\n/g, '\n').trimEnd(), html);
}

function checkBytes({ raw }: ComposedMessage): void {
  const text = raw.toString('latin1');
  assert.match(text, /^[\t\r\n\x20-\x7e]*$/);
  // No CR or LF of its own: what some servers take for the end of a message (SMTP smuggling) cannot stand here.
  assert.doesNotMatch(text, /\r(?!\n)|(?<!\r)\n/);
  assert.ok(text.endsWith('\r\n') && text.split('\r\n').every((line) => line.length <= 998));
  const head = text.slice(0, text.indexOf('\r\n\r\n'));
  assert.ok(head.split('\r\n').every((line) => line.length <= 998 && line.trim() !== ''));
}

export const messages: Target = {
  name: 'messages',
  promise:
    'a value stays a value: no header, part, recipient or command comes of it, and it arrives as it was',
  cases: 120,
  start: async () => {
    let arrived: CapturedMail[] = [];
    const server = await startCapture({
      // The bytes are valid during the call only.
      onMail: (mail) => arrived.push({ ...mail, raw: Buffer.from(mail.raw) }),
    });
    const modes = ['serial', 'grouped', 'chunked'] as const;
    const [serial, grouped, chunked] = modes.map((mode) =>
      createSmtpDeliverer(parseRelay(`${server.url}?connections=1&mode=${mode}`), { closeTimeoutMs: 50 }),
    );
    const clients = { serial, grouped, chunked };
    const values = fc.record({ v: hostileText, w: hostileText, mode: fc.constantFrom(...modes) });
    return {
      property: propertyOf(values, async ({ v, w, mode }) => {
        const mail = composer.compose({ recipientId: 1, address: 'kim@example.com', vars: { v, w } }, now);
        if ('kind' in mail) {
          assert.match(mail.why, /List-Unsubscribe header|name in the (sender|reply-to) is too long/);
          return;
        }
        checkBytes(mail);
        await checkParts(mail.raw, v, w);
        arrived = [];
        const client = clients[mode];
        assert.ok(client !== undefined);
        assert.equal(brief(await deliver(client, mail)), 'sent');
        assert.equal(arrived.length, 1);
        assert.deepEqual(
          { ...arrived[0] },
          { from: 'news@example.com', to: ['kim@example.com'], raw: mail.raw },
        );
      }),
      end: async () => {
        for (const client of Object.values(clients)) await client?.close();
        await server.close();
      },
    };
  },
};

/** Lines of which some are what ends a message. */
const rawMessage = fc
  .array(
    fc.constantFrom(
      '',
      '.',
      '..',
      '...',
      '. ',
      '.\t',
      'QUIT',
      'MAIL FROM:<x@y.z>',
      'DATA',
      'a',
      'x'.repeat(900),
    ),
    {
      maxLength: 12,
    },
  )
  .map((lines) => Buffer.from([...lines, ''].join('\r\n')));

export const dots: Target = {
  name: 'dots',
  promise: 'a message of any lines arrives as it was, and is one message',
  cases: 150,
  start: async () => {
    let arrived: Buffer[] = [];
    const server = await startCapture({ onMail: ({ raw }) => arrived.push(Buffer.from(raw)) });
    const client = createSmtpDeliverer(parseRelay(`${server.url}?connections=1&mode=grouped`), {
      closeTimeoutMs: 50,
    });
    return {
      property: propertyOf(fc.array(rawMessage, { minLength: 1, maxLength: 4 }), async (raws) => {
        arrived = [];
        const mails = raws.map((raw) => ({
          from: 'a@b.c',
          to: 'd@e.f',
          raw,
          eightBit: false,
          smtputf8: false,
        }));
        const answers = await Promise.all(mails.map((mail) => deliver(client, mail)));
        assert.deepEqual(answers.map(brief), Array(raws.length).fill('sent'));
        assert.deepEqual(arrived, raws);
      }),
      end: async () => {
        await client.close();
        await server.close();
      },
    };
  },
};
