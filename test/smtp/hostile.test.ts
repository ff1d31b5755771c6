import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createSmtpDeliverer } from '../../src/smtp/client.ts';
import { parseRelay } from '../../src/smtp/relay.ts';
import { type Disturbance, type HostileRelay, type Seen, startHostile } from '../support/smtp-hostile.ts';
import { brief, deliverAll, mailTo } from '../support/smtp-mail.ts';

/** What each mode needs to be offered. */
const OFFERS = {
  serial: ['ENHANCEDSTATUSCODES'],
  grouped: ['PIPELINING', 'ENHANCEDSTATUSCODES'],
  chunked: ['PIPELINING', 'CHUNKING', 'ENHANCEDSTATUSCODES'],
} as const;
type ModeName = keyof typeof OFFERS;
const MODES = Object.keys(OFFERS) as ModeName[];

const RECIPIENTS = ['a@x.example', 'reject@x.example', 'b@x.example', 'late@x.example', 'c@x.example'];
const WELL = ['sent', 'rcpt 550', 'sent', 'final 554', 'sent'];

interface Run {
  readonly briefs: readonly string[];
  readonly seen: Seen;
}

/** How a client waits: long, so that no verdict comes from a slow machine, or shortly where a reply never comes. */
const PATIENT = 'connect-timeout=20&command-timeout=20&final-timeout=20';
const IMPATIENT = 'connect-timeout=20&command-timeout=0.1&final-timeout=0.1';

/** Relays, each used for one dialogue at a time. */
let lanes: HostileRelay[] = [];
const LANES = 8;

function lanesFor(mode: ModeName): void {
  beforeAll(async () => {
    lanes = await Promise.all(Array.from({ length: LANES }, () => startHostile(OFFERS[mode])));
  });
  afterAll(async () => {
    await Promise.all(lanes.map((relay) => relay.close()));
  });
}

/** Sends the five mails over one connection at a time, the first of which is disturbed. */
async function run(
  relay: HostileRelay,
  mode: ModeName,
  wrong: Disturbance,
  timeouts = PATIENT,
): Promise<Run> {
  const seen = relay.begin(wrong);
  const deliverer = createSmtpDeliverer(parseRelay(`${relay.url}?connections=1&mode=${mode}&${timeouts}`), {
    closeTimeoutMs: 50,
  });
  const mails = RECIPIENTS.map((to) => mailTo(to, { raw: Buffer.from(`To: ${to}\r\n\r\n.\r\nhi\r\n`) }));
  const deliveries = await deliverAll(deliverer, mails);
  await deliverer.close();
  return { briefs: deliveries.map(brief), seen };
}

/**
 * What has to hold whatever a relay does: what is sent was taken once; what is said not to be sent, or refused, was not
 * taken; what is ambiguous was taken at most once. And no recipient is rejected for what the relay did to the connection.
 */
function check({ briefs, seen }: Run, what: string): void {
  briefs.forEach((outcome, i) => {
    const to = RECIPIENTS[i] ?? '';
    const taken = seen.taken.get(to) ?? 0;
    const say = `${what}: ${to} is ${outcome} and was taken ${taken} times`;
    if (outcome === 'sent') expect(taken, say).toBe(1);
    else if (outcome.startsWith('ambiguous')) expect(taken, say).toBeLessThanOrEqual(1);
    else expect(taken, say).toBe(0);
    if (/ 5\d\d$/.test(outcome)) expect(outcome, say).toBe(WELL[i]);
  });
}

/**
 * What holds even when the relay says too much or too little, so that a refusal may hit the wrong command: nothing is
 * sent that was not taken, nothing is taken twice.
 */
function checkTaken({ briefs, seen }: Run, what: string): void {
  briefs.forEach((outcome, i) => {
    const taken = seen.taken.get(RECIPIENTS[i] ?? '') ?? 0;
    const say = `${what}: ${RECIPIENTS[i]} is ${outcome} and was taken ${taken} times`;
    if (outcome === 'sent') expect(taken, say).toBe(1);
    else expect(taken, say).toBeLessThanOrEqual(1);
  });
}

function lane(): HostileRelay {
  const [relay] = lanes;
  if (relay === undefined) throw new Error('the relays are not running');
  return relay;
}

/** The undisturbed dialogue: how many replies, and bytes in each direction, there are to disturb. */
async function measure(mode: ModeName): Promise<Seen['first']> {
  const { briefs, seen } = await run(lane(), mode, {});
  expect(briefs).toEqual(WELL);
  expect(seen.connections).toBe(1);
  return seen.first;
}

/** Does `one` for every position, several at a time, each on a relay of its own. */
async function forAll(count: number, one: (at: number, relay: HostileRelay) => Promise<void>): Promise<void> {
  expect(count).toBeGreaterThan(10);
  let next = 0;
  await Promise.all(
    lanes.map(async (relay) => {
      while (next < count) await one(next++, relay);
    }),
  );
}

describe.each(MODES)('%s mode', (mode) => {
  lanesFor(mode);

  test('the replies split in two at every byte, and byte by byte', async () => {
    const { replyBytes } = await measure(mode);
    await forAll(replyBytes, async (splitAt, relay) => {
      expect((await run(relay, mode, { splitAt })).briefs, `split at ${splitAt}`).toEqual(WELL);
    });
    expect((await run(lane(), mode, { trickle: true })).briefs).toEqual(WELL);
  });

  test.each(['fin', 'rst'] as const)('%s after every byte of the replies', async (how) => {
    const { replyBytes } = await measure(mode);
    await forAll(replyBytes, async (cutReplies, relay) => {
      check(await run(relay, mode, { cutReplies, how }), `${how} after ${cutReplies} bytes of replies`);
    });
  });

  test.each(['fin', 'rst'] as const)('%s after every byte that the client sends', async (how) => {
    const { input } = await measure(mode);
    await forAll(input, async (cutInput, relay) => {
      check(await run(relay, mode, { cutInput, how }), `${how} after ${cutInput} bytes of input`);
    });
  });

  test('421 in the place of every reply, and after every reply', async () => {
    const { replies } = await measure(mode);
    await forAll(replies, async (at, relay) => {
      const instead = await run(relay, mode, {
        reply: (nth, reply) => (nth === at ? '421 4.3.2 shutting down\r\n' : reply),
        cutAfterReply: at,
      });
      check(instead, `421 in the place of reply ${at}`);
      const after = await run(relay, mode, {
        reply: (nth, reply) => (nth === at ? `${reply}421 4.3.2 shutting down\r\n` : reply),
        cutAfterReply: at,
      });
      check(after, `421 after reply ${at}`);
    });
  });

  test('421 in the place of every reply, and the connection stays open', async () => {
    const { replies } = await measure(mode);
    await forAll(replies, async (at, relay) => {
      const result = await run(relay, mode, {
        reply: (nth, reply) => (nth === at ? '421 going\r\n' : reply),
      });
      check(result, `421 in the place of reply ${at}, not closed`);
    });
  });

  test('replies of many lines, at every position at once', async () => {
    const { briefs } = await run(lane(), mode, {
      reply: (nth, reply) =>
        nth < 2 ? reply : `${reply.slice(0, 3)}-one\r\n${reply.slice(0, 3)}-two\r\n${reply}`,
    });
    expect(briefs).toEqual(WELL);
  });

  test.each([
    ['a NUL', '250 2.0.0 \0\r\n'],
    ['an endless line', `250 ${'x'.repeat(10_000)}`],
    ['endless lines', '250-more\r\n'.repeat(1000)],
    ['no reply code', 'hello\r\n'],
    ['a code that does not exist', '999 9.9.9 hello\r\n'],
    ['lines that disagree', '250-yes\r\n550 no\r\n'],
    ['an answer that fits nowhere', '399 hm\r\n'],
  ])('%s in the place of every reply', async (_, garbage) => {
    const { replies } = await measure(mode);
    await forAll(replies, async (at, relay) => {
      const result = await run(relay, mode, { reply: (nth, reply) => (nth === at ? garbage : reply) });
      check(result, `garbage in the place of reply ${at}`);
    });
  });
});

// In chunked mode counting is all there is: no 354 stands between one mail's answer and the next one's, and a relay that
// leaves one out or adds one cannot be told from one that does not. That is why the mode has to be asked for.
describe.each(['serial', 'grouped'] as const)('%s mode', (mode) => {
  lanesFor(mode);

  test('a missing reply, at every position', async () => {
    const { replies } = await measure(mode);
    await forAll(replies, async (at, relay) => {
      checkTaken(
        await run(relay, mode, { reply: (nth, reply) => (nth === at ? '' : reply) }, IMPATIENT),
        `reply ${at} is missing`,
      );
    });
  });

  test.each(['250 2.0.0 one more', '354 go', '550 5.1.1 one more', '450 4.2.0 one more'])(
    'an extra reply after every reply: %s',
    async (extra) => {
      const { replies } = await measure(mode);
      await forAll(replies, async (at, relay) => {
        const result = await run(relay, mode, {
          reply: (nth, reply) => (nth === at ? `${reply}${extra}\r\n` : reply),
        });
        checkTaken(result, `extra reply after ${at}`);
      });
    },
  );
});
