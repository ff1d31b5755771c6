import fc from 'fast-check';
import { expect, test } from 'vitest';
import { redactDelivery, redacted, secretsOf } from '../../src/smtp/redact.ts';
import { parseRelay } from '../../src/smtp/relay.ts';
import { makeReply } from '../../src/smtp/reply-text.ts';

test('no form of a password survives, whatever stands around it', () => {
  fc.assert(
    fc.property(
      fc.string({ minLength: 6, maxLength: 40, unit: 'grapheme' }),
      fc.string(),
      fc.string(),
      (password, before, after) => {
        fc.pre(!before.includes(password) && !after.includes(password) && !'***'.includes(password));
        const relay = parseRelay(`smtp://kim:${encodeURIComponent(password)}@127.0.0.1`);
        const secrets = secretsOf(relay);
        for (const secret of secrets) {
          const text = redacted(`${before} ${secret} ${after}`, secrets);
          expect(text).toContain('***');
          expect(text).not.toContain(` ${secret} `);
        }
      },
    ),
  );
});

test('the words of a reply and the reason of a failure are cleaned, the rest of a delivery stays', () => {
  const secrets = secretsOf(parseRelay('smtp://kim:hunter2@127.0.0.1'));
  const reply = {
    code: 535,
    enhanced: '5.7.8',
    text: '5.7.8 hunter2 AGtpbQBodW50ZXIy aHVudGVyMg== is wrong',
  };
  expect(redactDelivery({ kind: 'replied', stage: 'auth', reply }, secrets)).toEqual({
    kind: 'replied',
    stage: 'auth',
    reply: { ...reply, text: '5.7.8 *** *** *** is wrong' },
  });
  const lost = { kind: 'not-sent', why: 'after hunter2', code: 'EAUTH' } as const;
  expect(redactDelivery(lost, secrets)).toEqual({ ...lost, why: 'after ***' });
  expect(secretsOf(parseRelay('smtp://127.0.0.1'))).toEqual([]);
});

const relayWith = (password: string, more = '') =>
  parseRelay(`smtp://kim:${encodeURIComponent(password)}@127.0.0.1?auth-in-clear=yes${more}`);
const said = (lines: readonly string[], secrets: readonly string[]) => {
  const delivery = { kind: 'replied', stage: 'auth', reply: makeReply(535, lines) } as const;
  const shown = redactDelivery(delivery, secrets);
  return shown.kind === 'replied' ? shown.reply.text : '';
};

test('a token that is longer than what is kept of a reply does not show its beginning', () => {
  const token = Array.from({ length: 150 }, (_, i) => `ya29.${i}x`).join('');
  const text = said([`I do not take ${token} from you`], secretsOf(relayWith(token, '&auth=xoauth2')));
  expect(text).toMatch(/^I do not take \*\*\*/);
  expect(text).not.toContain(token.slice(0, 12));
});

test('nor does one that the relay spread over several lines, nor one that cleaning changed', () => {
  const token = 'abcdefghijklmnopqrstuvwxyz0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ';
  const secrets = secretsOf(relayWith(token));
  expect(said([token.slice(0, 31), token.slice(31)], secrets)).toBe('*** ***');
  expect(said(['is it a  b\tc?'], secretsOf(relayWith('a  b\tc')))).toBe('is it ***?');
});

test('the whole of what XOAUTH2 sends is a form of the token', () => {
  const initial = Buffer.from('user=kim\u0001auth=Bearer t0ken-t0ken\u0001\u0001').toString('base64');
  expect(said([`not ${initial}`], secretsOf(relayWith('t0ken-t0ken', '&auth=xoauth2')))).toBe('not ***');
});
