import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { chooseMode, NO_CAPABILITIES, parseEhlo } from '../../src/smtp/capabilities.ts';

describe('parseEhlo', () => {
  test('reads what relays say', () => {
    const offered = parseEhlo([
      'mx.example greets you',
      'PIPELINING',
      'size 10240000',
      'STARTTLS',
      'AUTH PLAIN LOGIN',
      'AUTH=LOGIN XOAUTH2',
      '8BITMIME',
      'SMTPUTF8',
      'CHUNKING',
      'LIMITS MAILMAX=100 RCPTMAX=20 RCPTDOMAINMAX=1',
    ]);
    expect(offered).toMatchObject({
      esmtp: true,
      pipelining: true,
      chunking: true,
      eightBitMime: true,
      smtputf8: true,
      starttls: true,
      size: true,
      maxBytes: 10_240_000,
      auth: ['PLAIN', 'LOGIN', 'XOAUTH2'],
      limits: { mailMax: 100, rcptMax: 20, rcptDomainMax: 1 },
    });
  });

  test('the first line is a greeting, not a keyword', () => {
    expect(parseEhlo(['PIPELINING']).pipelining).toBe(false);
    expect(parseEhlo([]).keywords).toEqual([]);
  });

  test.each(['SIZE', 'SIZE 0', 'SIZE x', 'SIZE -1', 'SIZE 99999999999999999999'])(
    '%s names no limit',
    (line) => {
      expect(parseEhlo(['x', line])).toMatchObject({ size: true, maxBytes: Number.POSITIVE_INFINITY });
    },
  );

  test.each(['LIMITS', 'LIMITS MAILMAX', 'LIMITS MAILMAX=0', 'LIMITS MAILMAX=x=1', 'LIMITS OTHER=1'])(
    '%s limits nothing',
    (line) => {
      expect(parseEhlo(['x', line]).limits).toEqual(NO_CAPABILITIES.limits);
    },
  );

  test('property: never throws, never takes long', () => {
    fc.assert(
      fc.property(fc.array(fc.string({ unit: 'binary', maxLength: 60 })), (lines) => {
        expect(parseEhlo(lines).keywords).toHaveLength(Math.max(0, lines.length - 1));
      }),
    );
    const started = performance.now();
    parseEhlo(['x', `AUTH${' '.repeat(4000)}=`, `LIMITS ${'= '.repeat(2000)}`, ' '.repeat(4000)]);
    expect(performance.now() - started).toBeLessThan(200);
  });
});

describe('chooseMode', () => {
  const all = parseEhlo(['x', 'PIPELINING', 'CHUNKING']);
  const pipelining = parseEhlo(['x', 'PIPELINING']);
  const chunking = parseEhlo(['x', 'CHUNKING']);

  test.each([
    ['auto', all, 'grouped', 'mode=chunked'],
    ['auto', pipelining, 'grouped', 'PIPELINING'],
    ['auto', chunking, 'serial', 'does not offer PIPELINING'],
    ['grouped', all, 'grouped', 'PIPELINING'],
    ['grouped', NO_CAPABILITIES, 'serial', 'does not offer PIPELINING'],
    ['serial', all, 'serial', 'asked for'],
    ['chunked', all, 'chunked', 'asked for'],
    ['chunked', pipelining, 'grouped', 'does not offer CHUNKING'],
    ['chunked', chunking, 'serial', 'does not offer PIPELINING'],
  ] as const)('mode=%s', (wanted, offered, mode, why) => {
    const chosen = chooseMode(offered, wanted);
    expect(chosen.mode).toBe(mode);
    expect(chosen.why).toContain(why);
  });
});
