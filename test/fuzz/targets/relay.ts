import assert from 'node:assert/strict';
import fc from 'fast-check';
import { createSmtpDeliverer } from '../../../src/smtp/client.ts';
import { parseRelay } from '../../../src/smtp/relay.ts';
import { type Disturbance, startHostile } from '../../support/smtp-hostile.ts';
import { brief, deliverAll, mailTo } from '../../support/smtp-mail.ts';
import { propertyOf, type Target } from '../target.ts';
import { anyBytes } from './hostile-text.ts';

const MODES = {
  serial: ['ENHANCEDSTATUSCODES', 'AUTH PLAIN LOGIN'],
  grouped: ['PIPELINING', 'ENHANCEDSTATUSCODES', 'AUTH PLAIN LOGIN'],
  chunked: ['PIPELINING', 'CHUNKING', 'ENHANCEDSTATUSCODES', 'AUTH PLAIN LOGIN'],
} as const;
type ModeName = keyof typeof MODES;
const modeName = fc.constantFrom<ModeName>('serial', 'grouped', 'chunked');

const LOGINS = ['none', 'plain', 'login'] as const;
const PASSWORD = 'c4nary-s3cret';

const RECIPIENTS = ['a@x.example', 'b@x.example', 'c@x.example'];
/** Long enough for a slow machine to answer, short enough to wait for what never comes. */
const PATIENCE = 'connect-timeout=5&command-timeout=0.4&final-timeout=0.4';
/** Milliseconds after which a dialogue is called a hang: several connections, each of which may wait for several replies. */
const HANG_MS = 20_000;

/**
 * Anything but a promise. Where replies are only counted, two that run together are one, and what is said to one mail is taken for the
 * answer to the next: a relay that also says 2xx where it means nothing of the kind is a liar, and believed.
 */
const garbage = fc
  .oneof(
    anyBytes,
    fc.constantFrom(
      '',
      '421 bye\r\n',
      '450 later\r\n',
      '550-no\r\n550 no\r\n',
      '550 no',
      '999 x\r\n',
      '\0\r\n',
      '\n',
    ),
    fc.constantFrom(
      '5',
      '55',
      '550',
      '550-no\r\n',
      '550\n',
      '454 4.7.0 \x1b[2J\r\n',
      `550 ${'x'.repeat(9_000)}`,
    ),
    fc.constantFrom(
      '550-x\r\n'.repeat(300),
      '550 5.7.1 \u202e\u009b31m\r\n',
      '500 what\r\n',
      '\r\n550 no\r\n',
    ),
  )
  .filter((text) => !/^[23]/m.test(text.replaceAll('\r', '\n')));

/** One whole reply that promises something, in place of another that does, or of one that asks for more. */
const promise = fc.constantFrom(
  ...[
    '250 \r\n',
    '250-a\r\n250 b\r\n',
    '251 will forward\r\n',
    '200 x\r\n',
    '299 x\r\n',
    '221 2.0.0 bye\r\n',
    '220 again\r\n',
  ],
  ...[
    '354 go\r\n',
    '334 \r\n',
    '334 !!!\r\n',
    '300 x\r\n',
    '399 \x1b[2J\r\n',
    `235 ${'x'.repeat(400)}\r\n`,
    '252 5.7.8 no\r\n',
  ],
);

const keyword = fc.oneof(
  fc.constantFrom(
    ...[
      'PIPELINING',
      'pipelining x',
      'PIPELINING=no',
      'CHUNKING',
      'CHUNKING 0',
      'BINARYMIME',
      'ENHANCEDSTATUSCODES',
      '8BITMIME',
      'SMTPUTF8',
    ],
    ...[
      'STARTTLS',
      'SIZE',
      'SIZE 0',
      'SIZE 1',
      'SIZE -1',
      'SIZE 99999999999999999999',
      'SIZE 1e9',
      'size=40',
    ],
    ...[
      'AUTH',
      'AUTH PLAIN',
      'AUTH=LOGIN',
      'AUTH CRAM-MD5 XOAUTH2',
      `AUTH ${'PLAIN '.repeat(300)}`,
      'AUTH \x1b[2J',
      'AUTH \u202e',
    ],
    ...[
      'LIMITS MAILMAX=0',
      'LIMITS MAILMAX=1',
      'LIMITS RCPTMAX=0 RCPTDOMAINMAX=1',
      'LIMITS =',
      'LIMITS MAILMAX=1 MAILMAX=2',
      'X'.repeat(2_000),
    ],
    ...['', ' ', '-', '250 ', '__proto__', 'constructor', '=', '\0'],
  ),
  anyBytes.map((bytes) => bytes.replaceAll(/[\r\n]/g, ' ')),
);
/** An answer to EHLO that is well formed, and offers anything. */
const offers = fc
  .array(keyword, { maxLength: 8 })
  .map((all) => ['hostile', ...all].map((one, n) => `250${n === all.length ? ' ' : '-'}${one}\r\n`).join(''));

interface Wrong {
  readonly mode: ModeName;
  readonly login: (typeof LOGINS)[number];
  readonly replies: readonly { readonly nth: number; readonly bytes: string }[];
  readonly disturbance: Disturbance;
}

const disturbance: fc.Arbitrary<Disturbance> = fc.oneof(
  fc.constant({}),
  fc.record({ splitAt: fc.nat(300) }),
  fc.record({ trickle: fc.constant(true) }),
  fc.record({ cutReplies: fc.nat(400), how: fc.constantFrom('fin' as const, 'rst' as const) }),
  fc.record({ cutInput: fc.nat(500), how: fc.constantFrom('fin' as const, 'rst' as const) }),
);
const nth = fc.nat(18);
/** Garbage several times over where replies are told apart by their codes as well; in chunks once, for nothing but their number counts. */
const replies = fc.oneof(
  fc.array(fc.record({ nth, bytes: garbage }), { minLength: 1, maxLength: 3 }),
  fc.array(fc.record({ nth, bytes: promise }), { minLength: 1, maxLength: 3 }),
  fc
    .tuple(offers, fc.array(fc.record({ nth, bytes: garbage }), { maxLength: 1 }))
    .map(([bytes, more]) => [{ nth: 1, bytes }, ...more]),
  // What comes after EHLO: the answers to a login, if there is one.
  fc.array(fc.record({ nth: fc.integer({ min: 2, max: 4 }), bytes: fc.oneof(garbage, promise) }), {
    minLength: 1,
    maxLength: 1,
  }),
);
const wrong: fc.Arbitrary<Wrong> = fc
  .record({ mode: modeName, login: fc.constantFrom(...LOGINS), replies, disturbance })
  .map((all) => (all.mode === 'chunked' ? { ...all, replies: all.replies.slice(0, 1) } : all));

export const relay: Target = {
  name: 'relay',
  promise: 'whatever a relay says, every mail is answered once, and none is sent that it did not take',
  cases: 40,
  start: async () => {
    const peers = {
      serial: await startHostile(MODES.serial),
      grouped: await startHostile(MODES.grouped),
      chunked: await startHostile(MODES.chunked),
    };
    const check = async (given: Wrong): Promise<void> => {
      const { mode, login } = given;
      const peer = peers[mode];
      const seen = peer.begin({
        ...given.disturbance,
        reply: (at, reply) => given.replies.find((one) => one.nth === at)?.bytes ?? reply,
      });
      const url = login === 'none' ? peer.url : peer.url.replace('//', `//kim:${PASSWORD}@`);
      const auth = login === 'none' ? '' : `&auth=${login}&auth-in-clear=yes&tls=never`;
      const deliverer = createSmtpDeliverer(
        parseRelay(`${url}?connections=1&mode=${mode}&${PATIENCE}${auth}`),
        {
          closeTimeoutMs: 50,
        },
      );
      let timer: NodeJS.Timeout | undefined;
      const hang = new Promise<never>((_, reject) => {
        timer = setTimeout(() => reject(new Error('a mail was never answered')), HANG_MS);
      });
      const answered = deliverAll(
        deliverer,
        RECIPIENTS.map((to) => mailTo(to, { raw: Buffer.from(`To: ${to}\r\n\r\n.\r\nhi\r\n`) })),
      );
      const deliveries = await Promise.race([answered, hang]).finally(() => {
        clearTimeout(timer);
        deliverer.abort();
      });
      await deliverer.close();
      for (const [index, delivery] of deliveries.entries()) {
        const taken = seen.taken.get(RECIPIENTS[index] ?? '') ?? 0;
        const what = `${brief(delivery)}, taken ${taken} times`;
        if (brief(delivery) === 'sent') assert.equal(taken, 1, what);
        else assert.ok(taken <= 1, what);
        if (delivery.kind === 'not-sent') assert.equal(taken, 0, what);
        const words = delivery.kind === 'replied' ? delivery.reply.text : delivery.why;
        assert.ok(words.length <= 700 && !/[\p{Cc}\u202a-\u202e]/u.test(words), words);
        assert.ok(!words.includes(PASSWORD), words);
      }
    };
    return {
      property: propertyOf(wrong, check),
      end: async () => {
        await Promise.all(Object.values(peers).map((peer) => peer.close()));
      },
    };
  },
};
