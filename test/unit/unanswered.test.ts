import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { Backlog } from '../../src/smtp/backlog.ts';
import { type Asked, type OpenMail, Unanswered } from '../../src/smtp/unanswered.ts';

function open(name: string): OpenMail {
  const mail = { from: '', to: name, raw: Buffer.alloc(0), eightBit: false, smtputf8: false };
  return { mail, done: () => {}, settled: false, moved: false, again: false };
}

describe('Unanswered', () => {
  const chunked = (one: OpenMail): [Asked, OpenMail][] => [
    ['rset', one],
    ['mail', one],
    ['rcpt', one],
    ['final', one],
  ];

  test('safety rule 5: what was given to the socket up to its terminator is ambiguous, the rest is not sent', () => {
    const [a, b] = [open('a'), open('b')];
    for (let left = 0; left <= 8; left++) {
      const unanswered = new Unanswered(100);
      for (const [asked, one] of [...chunked(a), ...chunked(b)]) unanswered.add(asked, one);
      const { ambiguous } = unanswered.clear(100 + left);
      expect(ambiguous, `${left} commands left`).toEqual([
        ...(left >= 4 ? [a] : []),
        ...(left >= 8 ? [b] : []),
      ]);
      expect(unanswered.isEmpty).toBe(true);
    }
  });

  test('the mail whose reply is at hand counts too', () => {
    const a = open('a');
    for (const asked of ['mail', 'final'] as const) {
      const unanswered = new Unanswered(0);
      unanswered.add(asked, a);
      unanswered.next();
      expect(unanswered.isEmpty).toBe(true);
      const kind = asked === 'final' ? 'ambiguous' : 'notSent';
      expect(unanswered.clear(1)[kind]).toEqual([a]);
    }
  });

  test('property: every mail that is asked about is in exactly one of the two answers, or was answered', () => {
    fc.assert(
      fc.property(fc.nat(8), fc.nat(40), fc.nat(40), (mails, answered, left) => {
        const all = Array.from({ length: mails }, (_, i) => open(`m${i}`));
        const unanswered = new Unanswered(0);
        for (const one of all) for (const [asked, mail] of chunked(one)) unanswered.add(asked, mail);
        const finished = new Set<OpenMail>();
        for (let i = 0; i < answered && !unanswered.isEmpty; i++) {
          unanswered.next();
          if (unanswered.nowAsked === 'final' && unanswered.nowMail !== null)
            finished.add(unanswered.nowMail);
          unanswered.nowMail = null;
        }
        const rest = unanswered.clear(Math.max(left, unanswered.answered));
        const ambiguous = new Set(rest.ambiguous);
        for (const one of all) {
          const places = [
            finished.has(one),
            ambiguous.has(one),
            rest.notSent.includes(one) && !ambiguous.has(one),
          ];
          expect(places.filter((place) => place)).toHaveLength(1);
        }
      }),
    );
  });
});

test('property: a Backlog is a queue to which things can be given back at the front', () => {
  const step = fc.oneof(
    fc.record({ do: fc.constant('push' as const), count: fc.integer({ min: 1, max: 1500 }) }),
    fc.record({ do: fc.constant('take' as const), count: fc.integer({ min: 1, max: 1500 }) }),
    fc.record({ do: fc.constant('back' as const), count: fc.integer({ min: 1, max: 20 }) }),
    fc.record({ do: fc.constant('all' as const), count: fc.constant(1) }),
  );
  fc.assert(
    fc.property(fc.array(step, { maxLength: 12 }), (steps) => {
      const backlog = new Backlog<number>();
      let model: number[] = [];
      let next = 0;
      for (const { do: what, count } of steps) {
        for (let i = 0; i < count; i++) {
          if (what === 'push') {
            backlog.push(next);
            model.push(next++);
          } else if (what === 'back') {
            backlog.putBack(next);
            model.unshift(next++);
          } else if (what === 'take') {
            expect(backlog.take()).toBe(model.shift() ?? null);
          } else {
            expect(backlog.takeAll()).toEqual(model);
            model = [];
          }
        }
        expect(backlog.length).toBe(model.length);
      }
    }),
    { numRuns: 50 },
  );
});
