import fc from 'fast-check';
import { simpleParser } from 'mailparser';
import { expect, test } from 'vitest';
import { type ComposedMessage, compileMessage } from '../../src/message/compose.ts';

function composed(sender: string, replyTo: string | null): ComposedMessage {
  const { compose } = compileMessage({
    campaignId: 1,
    bounceTo: null,
    messageIdDomain: null,
    attachments: [],
    source: { subject: 'S', html: null, text: 'T', sender, replyTo, headers: {} },
  });
  const mail = compose({ recipientId: 1, address: 'kim@example.com', vars: {} });
  if ('kind' in mail) throw new Error(mail.why);
  return mail;
}

/** No byte that ends a line but in CRLF, no NUL, and nothing beyond ASCII that is not whole UTF-8. */
function expectWhole(mail: ComposedMessage): void {
  const text = new TextDecoder('utf-8', { fatal: true }).decode(mail.raw);
  expect(text.replaceAll('\r\n', '')).not.toMatch(/[\r\n\0]/);
  if (!mail.smtputf8) expect(text).toMatch(/^[\t\r\n\x20-\x7e]*$/);
}

/** Characters whose last byte alone is NUL, LF, CR, and others. */
const BEYOND = ['\u0100', '\u010a', '\u010d', '\u0a0a', 'é', '뉴', '😀'];
const letter = fc.oneof({ weight: 3, arbitrary: fc.constantFrom('a', 'b', '1') }, fc.constantFrom(...BEYOND));
const word = fc.string({ unit: letter, minLength: 1, maxLength: 6 });
const box = fc.record({
  name: fc.oneof(fc.constant(''), word),
  local: word,
  domain: fc.constantFrom('example.com', 'mail.example.org'),
});
const written = ({ name, local, domain }: { name: string; local: string; domain: string }): string =>
  name === '' ? `${local}@${domain}` : `"${name}" <${local}@${domain}>`;

test('a later address of Reply-To that is not ASCII makes the header UTF-8 and asks for SMTPUTF8', () => {
  const mail = composed('news@example.com', 'a@example.com, x\u010aBcc@example.com');
  expect(mail.smtputf8).toBe(true);
  expect(mail.raw.toString()).toContain('Reply-To: a@example.com,\r\n x\u010aBcc@example.com\r\n');
  expectWhole(mail);
});

test('property: whatever characters sender and Reply-To hold, every header byte is what was meant', async () => {
  await fc.assert(
    fc.asyncProperty(box, fc.array(box, { minLength: 1, maxLength: 4 }), async (sender, boxes) => {
      const mail = composed(written(sender), boxes.map(written).join(', '));
      expectWhole(mail);
      const beyond = [sender, ...boxes].some(({ local }) => /\P{ASCII}/u.test(local));
      expect(mail.smtputf8).toBe(beyond);
      const parsed = await simpleParser(mail.raw);
      expect(parsed.replyTo?.value).toEqual(
        boxes.map(({ name, local, domain }) => ({ name, address: `${local}@${domain}` })),
      );
    }),
    { numRuns: 300 },
  );
});
