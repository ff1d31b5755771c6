import fc from 'fast-check';
import { describe, expect, test, vi } from 'vitest';
import { createSmtpDeliverer } from '../../src/smtp/client.ts';
import type { Delivery } from '../../src/smtp/deliverer.ts';
import { parseRelay } from '../../src/smtp/relay.ts';
import { brief, deliverAll, mailTo } from '../support/smtp-mail.ts';
import { AGREE, Ledger, randomRelay, type Step, step } from '../support/smtp-random.ts';
import { startScript } from '../support/smtp-script.ts';

// Hundreds of short dialogues; many seconds on a machine that does other things as well.
vi.setConfig({ testTimeout: 120_000 });

const OFFERS = { serial: [], grouped: ['PIPELINING'], chunked: ['PIPELINING', 'CHUNKING'] } as const;
type ModeName = keyof typeof OFFERS;

const RECIPIENTS = Array.from({ length: 7 }, (_, i) => `person${i}@example.com`);
const messageOf = (to: string): string => `To: ${to}\r\n\r\n.\r\n..for ${to}\r\nRCPT TO:<${to}>\r\n`;

interface Run {
  readonly deliveries: readonly Delivery[];
  readonly ledger: Ledger;
}

/** Hands all mails over at once; a second verdict for a mail throws in deliverAll(), a missing one ends in a timeout. */
async function run(mode: ModeName, steps: readonly Step[], connections: number): Promise<Run> {
  const ledger = new Ledger();
  const relay = await startScript(randomRelay(steps, OFFERS[mode], messageOf, ledger));
  const url = `${relay.url}?mode=${mode}&connections=${connections}&command-timeout=60&final-timeout=60`;
  const client = createSmtpDeliverer(parseRelay(url), { closeTimeoutMs: 50 });
  const mails = RECIPIENTS.map((to) => mailTo(to, { raw: Buffer.from(messageOf(to)) }));
  const deliveries = await deliverAll(client, mails);
  await client.close();
  await relay.close();
  return { deliveries, ledger };
}

function checkTaken({ deliveries, ledger }: Run): void {
  expect(ledger.mixedUp).toEqual([]);
  deliveries.forEach((delivery, i) => {
    const taken = ledger.taken.get(RECIPIENTS[i] ?? '') ?? 0;
    const what = `${RECIPIENTS[i]} is ${brief(delivery)}`;
    if (brief(delivery) === 'sent') expect(taken, what).toBe(1);
    else expect(taken, what).toBeLessThanOrEqual(1);
  });
}

/** Of a relay that answers each command once: what is not sent was not taken, and a refusal is one of that mail. */
function check({ deliveries, ledger }: Run): void {
  checkTaken({ deliveries, ledger });
  deliveries.forEach((delivery, i) => {
    const to = RECIPIENTS[i] ?? '';
    const what = `${to} is ${brief(delivery)}`;
    if (delivery.kind === 'not-sent') expect(ledger.taken.get(to) ?? 0, what).toBe(0);
    if (delivery.kind !== 'replied' || brief(delivery) === 'sent') return;
    expect(ledger.taken.get(to) ?? 0, what).toBe(0);
    if (['rcpt', 'data', 'final'].includes(delivery.stage))
      expect([...(ledger.said.get(to) ?? [])], what).toContain(delivery.reply.code);
  });
}

/** The answer to a message never comes: it is the fourth reply in every mode. */
const LOST: Step = { ...AGREE, end: { after: 0, how: 'fin' } };

const steps = fc.array(step, { maxLength: 40, size: 'max' });
const connections = fc.integer({ min: 1, max: 3 });

describe.each(Object.keys(OFFERS) as ModeName[])('%s mode', (mode) => {
  test('property: whatever a relay refuses, splits or breaks off, each mail has one verdict, and the true one', async () => {
    const seen = new Set<string>();
    await fc.assert(
      fc.asyncProperty(steps, connections, async (list, count) => {
        const result = await run(mode, list, count);
        check(result);
        for (const delivery of result.deliveries) seen.add(brief(delivery).replace(/ E.*$| \d+$/, ''));
      }),
      { numRuns: 150, examples: [[[AGREE, AGREE, AGREE, LOST], 1]] },
    );
    // Or the property would say little.
    expect([...seen]).toEqual(expect.arrayContaining(['sent', 'mail', 'rcpt', 'ambiguous']));
  });
});

// In chunked mode an extra reply cannot be told from the answer that it stands before.
describe.each(['serial', 'grouped'] as const)('%s mode', (mode) => {
  test('property: one reply too many, right behind another, never makes a mail sent', async () => {
    const extra = fc.constantFrom(
      '250 2.0.0 ok',
      '354 go',
      '550 5.1.1 no',
      '450 4.2.0 later',
      '250-a\r\n250 b',
    );
    await fc.assert(
      fc.asyncProperty(steps, fc.nat(30), extra, async (list, at, text) => {
        const all = Array.from({ length: Math.max(list.length, at + 1) }, (_, i) => list[i] ?? AGREE);
        checkTaken(
          await run(
            mode,
            // In one write: behind a 354 and on its own it could not be told from the answer to the message.
            all.map((one, i) => (i === at ? { ...one, piece: 0, extra: text } : one)),
            1,
          ),
        );
      }),
      { numRuns: 150 },
    );
  });
});
