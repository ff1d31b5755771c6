import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { masked, maskedAll } from '../../src/api/mask.ts';
import {
  isLoopback,
  isLoopbackHost,
  isOwnPage,
  Limiter,
  ownPath,
  SESSION_SECONDS,
  TokenGuard,
} from '../../src/web/access.ts';

describe('what is this machine', () => {
  test.each(['127.0.0.1', '127.1.2.3', '::1', '[::1]', 'localhost', 'LOCALHOST'])('%s', (host) => {
    expect(isLoopback(host)).toBe(true);
  });

  test.each([
    '0.0.0.0',
    '::',
    '192.168.0.5',
    '127.0.0.1.example.com',
    'localhost.example.com',
    '128.0.0.1',
    '',
  ])('not %s', (host) => {
    expect(isLoopback(host)).toBe(false);
  });

  test.each(['127.0.0.1:8025', 'localhost', 'localhost:1', '[::1]:8025', '127.9.9.9'])('Host: %s', (host) => {
    expect(isLoopbackHost(host)).toBe(true);
  });

  test.each([
    undefined,
    '',
    'evil.example',
    'evil.example:8025',
    'localhost.evil.example:8025',
    '127.0.0.1.evil.example',
    'localhost:8025@evil.example',
    'evil.example#localhost',
    '127.0.0.1:8025:1',
  ])('not Host: %s', (host) => {
    expect(isLoopbackHost(host)).toBe(false);
  });
});

describe('who asks for a change', () => {
  const host = '127.0.0.1:8025';
  test.each([
    [{ host, origin: 'http://127.0.0.1:8025', fetchSite: 'same-origin' }, true],
    [{ host, origin: 'http://127.0.0.1:8025', fetchSite: undefined }, true],
    [{ host, origin: undefined, fetchSite: undefined }, true],
    // A proxy that puts a Host of its own: the browser still says that it was our page.
    [{ host, origin: 'https://mail.example.com', fetchSite: 'same-origin' }, true],
    [{ host, origin: 'https://mail.example.com', fetchSite: undefined }, false],
    [{ host, origin: 'http://127.0.0.1:8025', fetchSite: 'cross-site' }, false],
    [{ host, origin: 'http://127.0.0.1:8025', fetchSite: 'same-site' }, false],
    [{ host, origin: undefined, fetchSite: 'none' }, false],
    [{ host, origin: 'http://127.0.0.1:8026', fetchSite: undefined }, false],
    [{ host, origin: 'null', fetchSite: undefined }, false],
    [{ host: undefined, origin: 'http://x', fetchSite: undefined }, false],
  ])('%j: %s', (origin, own) => {
    expect(isOwnPage(origin)).toBe(own);
  });
});

describe('the tokenGuard', () => {
  const tokenGuard = new TokenGuard('correct horse battery staple');
  const now = 1_800_000_000_000;

  test('knows the token and nothing else', () => {
    expect(tokenGuard.knows('correct horse battery staple')).toBe(true);
    for (const wrong of ['', 'correct horse battery stapl', 'correct horse battery staple '])
      expect(tokenGuard.knows(wrong)).toBe(false);
  });

  test('a login lasts its time, and outlives a restart with the same token', () => {
    const cookie = tokenGuard.session(now);
    expect(tokenGuard.isSession(cookie, now)).toBe(true);
    expect(new TokenGuard('correct horse battery staple').isSession(cookie, now)).toBe(true);
    expect(new TokenGuard('another token altogether').isSession(cookie, now)).toBe(false);
    expect(tokenGuard.isSession(cookie, now + SESSION_SECONDS * 1000 + 1)).toBe(false);
  });

  test('a login cannot be made longer, nor made up, and does not hold the token', () => {
    const cookie = tokenGuard.session(now);
    const [until = '', seal = ''] = cookie.split('.');
    expect(tokenGuard.isSession(`${Number(until) + 9999}.${seal}`, now)).toBe(false);
    expect(cookie).not.toContain('correct');
    fc.assert(
      fc.property(fc.string(), (text) => {
        expect(tokenGuard.isSession(text, now)).toBe(false);
        expect(tokenGuard.isSession(`${until}.${text}`, now)).toBe(text === seal);
      }),
    );
  });
});

describe('the limiter', () => {
  test('ten failures, then a wait of a minute, for this address alone', () => {
    const limiter = new Limiter();
    for (let i = 0; i < 10; i++) {
      expect(limiter.waits('a', i)).toBe(0);
      limiter.failed('a', i);
    }
    expect(limiter.waits('a', 10)).toBe(60);
    expect(limiter.waits('b', 10)).toBe(0);
    expect(limiter.waits('a', 60_000)).toBe(0);
    limiter.failed('a', 60_001);
    expect(limiter.waits('a', 60_002)).toBe(0);
  });

  test('a thousand addresses do not fill the memory', () => {
    const limiter = new Limiter();
    for (let i = 0; i < 10; i++) limiter.failed('first', 0);
    for (let i = 0; i < 1_000; i++) limiter.failed(`address ${i}`, 0);
    expect(limiter.waits('first', 1)).toBe(0);
  });
});

describe('where a login or the choice of a language leads', () => {
  test.each(['/', '/campaigns/spring', '/campaigns/%EB%B4%84?x=1'])('%s', (path) => {
    expect(ownPath(path)).toBe(path);
  });

  test.each([
    undefined,
    '',
    'https://evil.example',
    '//evil.example',
    '/\\evil.example',
    'javascript:alert(1)',
    '/a\r\nSet-Cookie: x',
    '/a\\b',
  ])('not %s', (path) => {
    expect(ownPath(path)).toBe('/');
  });
});

describe('masked addresses', () => {
  test.each([
    ['kim@example.com', 'k…@example.com'],
    ['550 5.1.1 <kim.lee+x@example.com>: unknown', '550 5.1.1 <k…@example.com>: unknown'],
    ['김철수@예시.한국', '김…@예시.한국'],
    ['"a b"@example.com', 'a…@example.com'],
    ['to=a@b.c,d@e.f;', 'to=a@b.c,d@e.f;'.replace('to=a@', 't…@').replace('d@', 'd…@')],
    ['unknown here', 'unknown here'],
    ['RCPT kim@[127.0.0.1] refused', 'RCPT k…@[127.0.0.1] refused'],
    ['kim@[IPv6:2001:db8::1]', 'k…@[IPv6:2001:db8::1]'],
    ['https://x.test/?email=user%40x.test&a=1', 'https:/…%40x.test&a=1'],
    ['@example.com', '@example.com'],
  ])('%s', (text, shown) => {
    expect(masked(text)).toBe(shown);
  });

  test('no local part of more than a letter is left, wherever the address stands', () => {
    const local = fc.stringMatching(/^[a-z][a-z0-9._+-]{1,20}[a-z0-9]$/);
    const around = fc.string({ maxLength: 10 }).filter((text) => !/[\w.@"+-]/.test(text));
    fc.assert(
      fc.property(local, around, around, (name, before, after) => {
        const text = `${before} ${name}@example.com ${after}`;
        expect(masked(text)).not.toContain(`${name}@`);
        expect(masked(text)).toContain('…@example.com');
      }),
    );
  });

  test('deep within a value, and nothing else is touched', () => {
    const at = new Date(0);
    const value = { a: [{ example: 'kim@example.com', n: 3, at, none: null, yes: true }] };
    expect(maskedAll(value)).toEqual({
      a: [{ example: 'k…@example.com', n: 3, at, none: null, yes: true }],
    });
  });
});
