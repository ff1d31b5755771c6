import fc from 'fast-check';
import { expect, test } from 'vitest';
import { redactDelivery, redacted, secretsOf } from '../../src/smtp/redact.ts';
import { parseRelay } from '../../src/smtp/relay.ts';

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
