import assert from 'node:assert/strict';
import fc from 'fast-check';
import { createSmtpDeliverer } from '../../../src/smtp/client.ts';
import { parseRelay } from '../../../src/smtp/relay.ts';
import { type Disturbance, startHostile } from '../../support/smtp-hostile.ts';
import { brief, deliverAll, mailTo } from '../../support/smtp-mail.ts';
import { propertyOf, type Target } from '../target.ts';
import { anyBytes } from './hostile-text.ts';

const MODES = {
  serial: ['ENHANCEDSTATUSCODES'],
  grouped: ['PIPELINING', 'ENHANCEDSTATUSCODES'],
} as const;
type ModeName = keyof typeof MODES;

const RECIPIENTS = ['a@x.example', 'b@x.example', 'c@x.example'];
/** Long enough for a slow machine to answer, short enough to wait for what never comes. */
const PATIENCE = 'connect-timeout=5&command-timeout=0.4&final-timeout=0.4';
/** Milliseconds after which a dialogue is called a hang: several connections, each of which may wait for several replies. */
const HANG_MS = 20_000;

/** Anything but a promise: a relay that says 2xx or 3xx where it means nothing of the kind is a liar, and believed. */
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

interface Wrong {
  readonly mode: ModeName;
  readonly replies: readonly { readonly nth: number; readonly bytes: string }[];
  readonly disturbance: Disturbance;
}

const wrong: fc.Arbitrary<Wrong> = fc.record({
  mode: fc.constantFrom('serial' as const, 'grouped' as const),
  replies: fc.array(fc.record({ nth: fc.nat(15), bytes: garbage }), { maxLength: 3 }),
  disturbance: fc.oneof(
    fc.record({ splitAt: fc.nat(300) }),
    fc.record({ trickle: fc.constant(true) }),
    fc.record({ cutReplies: fc.nat(400), how: fc.constantFrom('fin' as const, 'rst' as const) }),
    fc.record({ cutInput: fc.nat(500), how: fc.constantFrom('fin' as const, 'rst' as const) }),
  ),
});

export const relay: Target = {
  name: 'relay',
  promise: 'whatever a relay says, every mail is answered once, and none is sent that it did not take',
  cases: 12,
  start: async () => {
    const peers = {
      serial: await startHostile(MODES.serial),
      grouped: await startHostile(MODES.grouped),
    };
    const check = async ({ mode, replies, disturbance }: Wrong): Promise<void> => {
      const peer = peers[mode];
      const seen = peer.begin({
        ...disturbance,
        reply: (nth, reply) => replies.find((one) => one.nth === nth)?.bytes ?? reply,
      });
      const deliverer = createSmtpDeliverer(
        parseRelay(`${peer.url}?connections=1&mode=${mode}&${PATIENCE}`),
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
      }
    };
    return {
      property: propertyOf(wrong, check),
      end: async () => {
        await Promise.all([peers.serial.close(), peers.grouped.close()]);
      },
    };
  },
};
