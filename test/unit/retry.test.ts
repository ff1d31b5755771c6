import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Breaker } from '../../src/model/events.ts';
import { allowance, at, BREAKER_FAILURES, CLOSED, failed, succeeded } from '../../src/relays/breaker.ts';
import type { Delivery } from '../../src/smtp/deliverer.ts';
import {
  BACKOFF_SECONDS,
  decide,
  FIRST_RETRY_SECONDS,
  LONGEST_RETRY_SECONDS,
  reasonOf,
  retryDelay,
} from '../../src/worker/retry.ts';

const recipient = { recipientId: 7, address: 'kim@example.com', vars: {}, attempts: 0, maybeSent: 0 };
const policy = {
  maxAttempts: 5,
  expiresAt: 10_000,
  onUnconfirmed: 'resend',
  retryAfterSeconds: FIRST_RETRY_SECONDS,
} as const;
const replied = (code: number, text: string): Delivery => ({
  kind: 'replied',
  stage: 'rcpt',
  reply: { code, enhanced: null, text },
});

describe('retry', () => {
  test('waits 5, 10, 20, 40 minutes and so on, at most four hours', () => {
    expect([1, 2, 3, 4, 5, 6, 7, 50].map((attempts) => retryDelay(300, attempts, 0) / 60)).toEqual([
      5, 10, 20, 40, 80, 160, 240, 240,
    ]);
    expect([1, 2, 3, 20].map((attempts) => retryDelay(1, attempts, 0))).toEqual([1, 2, 4, 14_400]);
  });

  test('never waits less than the first step, never more than the cap and its jitter', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 200 }),
        fc.integer({ min: 1, max: 2 * LONGEST_RETRY_SECONDS }),
        fc.double({ min: 0, max: 0.999, noNaN: true }),
        (attempts, first, random) => {
          const seconds = retryDelay(first, attempts, random);
          expect(seconds).toBeGreaterThanOrEqual(first);
          expect(seconds).toBeLessThanOrEqual(Math.max(LONGEST_RETRY_SECONDS, first) * 1.2);
        },
      ),
    );
  });

  test('a temporary failure is charged and comes back, until the attempts or the age run out', () => {
    const delivery = replied(451, '4.7.1 greylisted');
    const verdict = { kind: 'retry', minDelaySeconds: 300 } as const;
    expect(decide(3, recipient, delivery, verdict, policy, 0, 0)).toMatchObject({
      recipientId: 7,
      claimId: 3,
      outcome: null,
      charged: 1,
      retrySeconds: 300,
      replyCode: 451,
    });
    expect(decide(3, { ...recipient, attempts: 4 }, delivery, verdict, policy, 0, 0)).toMatchObject({
      outcome: 'expired',
      charged: 1,
      reason: '451 4.7.1 greylisted',
    });
    const again = { ...recipient, attempts: 1 };
    expect(decide(3, again, delivery, verdict, policy, 10_000, 0)).toMatchObject({ outcome: 'expired' });
  });

  test('age never ends a first attempt, and ends the second', () => {
    const late = policy.expiresAt + 1;
    const retry = { kind: 'retry', minDelaySeconds: 0 } as const;
    const put = { outcome: null, charged: 1, retrySeconds: FIRST_RETRY_SECONDS };
    expect(decide(3, recipient, replied(451, 'later'), retry, policy, late, 0)).toMatchObject(put);
    expect(decide(3, recipient, replied(421, 'busy'), { kind: 'backoff' }, policy, late, 0)).toMatchObject(
      put,
    );
    for (const [delivery, verdict] of [
      [replied(451, 'later'), retry],
      [replied(421, 'busy'), { kind: 'backoff' }],
    ] as const) {
      expect(decide(3, { ...recipient, attempts: 1 }, delivery, verdict, policy, late, 0).outcome).toBe(
        'expired',
      );
      const once = { ...policy, maxAttempts: 1 };
      expect(decide(3, recipient, delivery, verdict, once, late, 0).outcome).toBe('expired');
    }
  });

  test('trouble of the relay charges no recipient: the row is requeued as it was', () => {
    for (const kind of ['backoff', 'sender', 'misconfigured', 'fallback'] as const) {
      expect(
        decide(3, { ...recipient, attempts: 4 }, replied(421, 'busy'), { kind }, policy, 0, 0),
      ).toMatchObject({
        outcome: null,
        charged: 0,
        retrySeconds: BACKOFF_SECONDS,
        maybeSent: 0,
      });
    }
  });

  test('a 421 that goes on beyond the age of the campaign expires its recipient; silence and a wrong password never do', () => {
    const late = policy.expiresAt + 1;
    const again = { ...recipient, attempts: 1 };
    for (const kind of ['backoff', 'sender'] as const) {
      expect(decide(3, recipient, replied(421, 'busy'), { kind }, policy, late, 0)).toMatchObject({
        outcome: null,
        charged: 1,
      });
      expect(decide(3, again, replied(421, 'busy'), { kind }, policy, late, 0)).toMatchObject({
        outcome: 'expired',
        charged: 0,
      });
    }
    const garbage: Delivery = { kind: 'not-sent', why: 'no reply', code: 'EPROTOCOL' };
    expect(decide(3, again, garbage, { kind: 'backoff' }, policy, late, 0).outcome).toBe('expired');
    const refused: Delivery = { kind: 'not-sent', why: 'connect ECONNREFUSED', code: 'ECONNREFUSED' };
    expect(decide(3, recipient, refused, { kind: 'backoff' }, policy, late, 0).outcome).toBeNull();
    const password = replied(535, 'no');
    expect(decide(3, recipient, password, { kind: 'misconfigured' }, policy, late, 0).outcome).toBeNull();
  });

  test('an unseen reply is sent again or held as the campaign says, and never for ever', () => {
    const delivery: Delivery = { kind: 'ambiguous', why: 'the connection ended', code: 'ECONNECTION' };
    const verdict = { kind: 'unconfirmed' } as const;
    expect(decide(3, recipient, delivery, verdict, policy, 0, 0)).toMatchObject({
      outcome: null,
      maybeSent: 1,
      charged: 0,
    });
    expect(decide(3, recipient, delivery, verdict, { ...policy, onUnconfirmed: 'hold' }, 0, 0)).toMatchObject(
      { outcome: 'unconfirmed', maybeSent: 1 },
    );
    expect(decide(3, { ...recipient, maybeSent: 4 }, delivery, verdict, policy, 0, 0)).toMatchObject({
      outcome: 'unconfirmed',
    });
  });

  test('reasons group what differs only by person, queue id or link', () => {
    const one = reasonOf(
      550,
      '5.1.1 <kim@example.com>: Recipient address rejected: User unknown in queue 4FzT3k2Q1x see https://a.example/1',
    );
    const two = reasonOf(
      550,
      '5.1.1 <lee@example.org>: Recipient address rejected: User unknown in queue 9AbC7d5E2y see https://a.example/2',
    );
    expect(one).toBe(two);
    expect(one).toContain('User unknown');
    expect(one).not.toContain('kim');
  });

  test('a reason is short and holds no address, whatever the relay says', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 2000 }), (words) => {
        const reason = reasonOf(550, `${words} somePeople@example.com`);
        expect(reason.length).toBeLessThanOrEqual(200);
        expect(reason).not.toContain('somePeople@example.com');
      }),
    );
    const start = performance.now();
    reasonOf(550, 'a@'.repeat(500_000));
    expect(performance.now() - start).toBeLessThan(200);
  });
});

describe('breaker', () => {
  const times = (n: number, breaker: Breaker, now: number) =>
    Array.from({ length: n }).reduce<Breaker>((b) => failed(b, 'refused', now), breaker);

  test('opens after five failures in a row, and one success in between forgets them', () => {
    expect(times(BREAKER_FAILURES - 1, CLOSED, 0).state).toBe('closed');
    expect(times(BREAKER_FAILURES, CLOSED, 0)).toMatchObject({
      state: 'open',
      until: 5_000,
      reason: 'refused',
    });
    const nearly = succeeded(times(BREAKER_FAILURES - 1, CLOSED, 0));
    expect(times(BREAKER_FAILURES - 1, nearly, 0).state).toBe('closed');
  });

  test('pauses double from 5 seconds to 2 minutes, one mail probes, its success closes', () => {
    let breaker = times(BREAKER_FAILURES, CLOSED, 0);
    const pauses = [breaker.until];
    for (let i = 0; i < 6; i++) {
      const now = breaker.until;
      expect(allowance(breaker, 10)).toBe(0);
      breaker = at(breaker, now);
      expect(breaker.state).toBe('half-open');
      expect(allowance(breaker, 10)).toBe(1);
      breaker = failed(breaker, 'refused', now);
      pauses.push(breaker.until - now);
    }
    expect(pauses).toEqual([5_000, 10_000, 20_000, 40_000, 80_000, 120_000, 120_000]);
    expect(succeeded(at(breaker, breaker.until))).toEqual(CLOSED);
    expect(allowance(CLOSED, 10)).toBe(10);
  });

  test('what was still in flight when it opened does not lengthen the pause', () => {
    const open = times(BREAKER_FAILURES, CLOSED, 0);
    expect(times(20, open, 1_000)).toMatchObject({ until: open.until, pauses: 1 });
  });
});
