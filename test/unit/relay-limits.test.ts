import { describe, expect, test } from 'vitest';
import { classify, limitOf, spareRecipient, type Verdict } from '../../src/smtp/classify.ts';
import type { Delivery, Stage } from '../../src/smtp/deliverer.ts';
import { LearntLimits } from '../../src/smtp/learnt-limits.ts';
import { parseReply } from '../../src/smtp/reply.ts';

function kindOf(stage: Stage, reply: string, accepted: boolean): Verdict['kind'] {
  const delivery: Delivery = { kind: 'replied', stage, reply: parseReply(reply) };
  return spareRecipient(classify(delivery), delivery, accepted).kind;
}

describe('a refusal that is about us', () => {
  test.each<[Stage, string, Verdict['kind']]>([
    ['rcpt', '550 Sender verify failed', 'sender'],
    ['rcpt', '550 Administrative prohibition', 'sender'],
    ['rcpt', '550 Authentication required', 'sender'],
    ['rcpt', '450 4.1.8 <a@b.example>: Sender address rejected: Domain not found', 'sender'],
    ['rcpt', '450 4.7.1 <x>: Helo command rejected: Host not found', 'sender'],
    ['rcpt', '504 5.5.2 <x>: Helo command rejected: need fully-qualified hostname', 'sender'],
    ['final', '552 you are over your relay quota', 'sender'],
    ['rcpt', '553 5.7.1 Sender address rejected: not owned by user', 'sender'],
    ['rcpt', '450 Your account reached its email quota limit', 'backoff'],
    ['rcpt', '450 Too many requests', 'backoff'],
    ['rcpt', '451 4.3.0 queue file write error', 'backoff'],
    ['rcpt', '451 4.3.5 Server configuration error', 'backoff'],
    ['rcpt', '451 Mails per session limit exceeded', 'backoff'],
  ])('at %s, "%s" fails no recipient of a relay that took no mail: %s', (stage, reply, kind) => {
    expect(kindOf(stage, reply, false)).toBe(kind);
  });

  test('what is about the recipient stays so', () => {
    for (const accepted of [true, false]) {
      expect(kindOf('rcpt', '550 5.1.1 user unknown', accepted)).toBe('rejected');
      expect(
        kindOf('rcpt', '450 4.2.0 <a@b.example>: Recipient address rejected: Greylisted', accepted),
      ).toBe('retry');
    }
  });

  test('once the relay has taken a mail, only a quota speaks for all recipients', () => {
    expect(kindOf('rcpt', '550 Sender verify failed', true)).toBe('rejected');
    expect(kindOf('final', '554 5.7.1 you have exceeded your quota', true)).toBe('sender');
    expect(kindOf('rcpt', '450 Your account reached its email quota limit', true)).toBe('backoff');
  });
});

describe('limits that a relay speaks of', () => {
  test('mails on a connection, and connections at once', () => {
    expect(limitOf('rcpt', parseReply('451 Mails per session limit exceeded'))).toBe('session-limit');
    expect(limitOf('data', parseReply('452 4.4.5 Maximum number of messages per session'))).toBe(
      'session-limit',
    );
    expect(limitOf('mail', parseReply('432 4.3.2 Concurrent connections limit exceeded'))).toBe(
      'connection-limit',
    );
    expect(limitOf('rcpt', parseReply('550 5.1.1 user unknown'))).toBeNull();
  });

  test('ten refusals of one burst halve the connections once, and one more is tried each minute', () => {
    let now = 0;
    const learnt = new LearntLimits(10, () => now);
    for (let open = 10; open > 0; open--) learnt.connectionRefused(open, 0);
    expect([learnt.connections, learnt.cuts]).toEqual([5, 1]);
    learnt.connectionRefused(5, 1);
    expect(learnt.connections).toBe(2);
    now = 60_000;
    expect(learnt.connections).toBe(3);
    now = 3_600_000;
    expect(learnt.connections).toBe(10);
  });

  test('the smallest number of mails on a connection is kept, and none says nothing', () => {
    const learnt = new LearntLimits(10);
    learnt.mailsRefused(0);
    expect(learnt.mails).toBe(Number.POSITIVE_INFINITY);
    learnt.mailsRefused(5);
    learnt.mailsRefused(7);
    expect(learnt.mails).toBe(5);
  });
});
