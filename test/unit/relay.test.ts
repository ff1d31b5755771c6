import { inspect } from 'node:util';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { SendstateError } from '../../src/errors.ts';
import { describeRelay, needsTls, parseRelay, parseRelays, tlsOptions } from '../../src/smtp/relay.ts';

describe('parseRelay', () => {
  test('fills in every default', () => {
    expect(parseRelay('smtp://mail.example.com')).toMatchObject({
      host: 'mail.example.com',
      port: 25,
      secure: false,
      tls: 'if-offered',
      verify: true,
      servername: null,
      ca: null,
      user: null,
      password: null,
      auth: 'auto',
      authInClear: false,
      mode: 'auto',
      connections: 10,
      maxMessages: 1000,
      idleTimeoutMs: 240_000,
      connectTimeoutMs: 30_000,
      commandTimeoutMs: 300_000,
      finalTimeoutMs: 600_000,
    });
  });

  test.each([
    ['smtp://h', 25],
    ['smtp://u:p@h', 587],
    ['smtps://h', 465],
    ['smtps://u:p@h:2465', 2465],
    ['smtp://[::1]:2525', 2525],
  ])('the port of %s is %i', (url, port) => {
    expect(parseRelay(url).port).toBe(port);
  });

  test('reads every option', () => {
    const url =
      'smtp://h?tls=required&verify=no&servername=cert.example&ca=/etc/ca.pem&name=me.example&auth=login' +
      '&auth-in-clear=yes&mode=chunked&connections=3&max-messages=0&idle-timeout=1&connect-timeout=0.5' +
      '&command-timeout=2&final-timeout=3';
    expect(parseRelay(url)).toMatchObject({
      tls: 'required',
      verify: false,
      servername: 'cert.example',
      ca: '/etc/ca.pem',
      name: 'me.example',
      auth: 'login',
      authInClear: true,
      mode: 'chunked',
      connections: 3,
      maxMessages: Number.POSITIVE_INFINITY,
      idleTimeoutMs: 1000,
      connectTimeoutMs: 500,
      commandTimeoutMs: 2000,
      finalTimeoutMs: 3000,
    });
  });

  test.each([
    ['smtp://메일.한국', 'xn--h32bq4v.xn--3e0b707e'],
    ['smtps://u:p@mail.BÜCHER.example:465', 'mail.xn--bcher-kva.example'],
    ['smtp://mail。example', 'mail.example'],
  ])('the host of %s is dialled as %s', (url, host) => {
    const relay = parseRelay(url);
    expect(relay).toMatchObject({ host, label: `${host}:${relay.port}` });
    expect(tlsOptions(relay).servername).toBe(host);
    expect(describeRelay(relay)).toContain(host);
  });

  test.each([
    'smtp://a%20b',
    'smtp://a%2Fb',
    'smtp://a%0D%0Ab',
    'smtp://%2561',
    'smtp://%FF',
    'smtp://메일%00',
  ])('%s names no host', (url) => {
    expect(() => parseRelay(url)).toThrow(expect.objectContaining({ code: 'RELAY_URL' }));
  });

  test('user and password may hold anything, percent-encoded', () => {
    fc.assert(
      fc.property(
        fc.stringMatching(/^[^\0\r\n]{1,30}$/u),
        fc.stringMatching(/^[^\0\r\n]{1,30}$/u),
        (user, password) => {
          fc.pre(user.isWellFormed() && password.isWellFormed());
          const relay = parseRelay(`smtp://${encodeURIComponent(user)}:${encodeURIComponent(password)}@h`);
          expect(relay.user).toBe(user);
          expect(relay.password?.reveal()).toBe(password);
        },
      ),
    );
  });

  test.each([
    'mail.example.com',
    'http://h',
    'smtp://',
    'smtp://h/path',
    'smtp://:hunter2@h',
    'smtp://u:hunter2%zz@h',
    'smtp://u:hunter2%0d%0a@h',
    'smtp://u:hunter2@h:99999',
    'smtp://u:hunter2@h?tls=maybe',
    'smtp://u:hunter2@h?verify=1',
    'smtp://u:hunter2@h?verify=',
    'smtp://u:hunter2@h?connections=0',
    'smtp://u:hunter2@h?connections=1.5',
    'smtp://u:hunter2@h?connections=1e3',
    'smtp://u:hunter2@h?final-timeout=-1',
    'smtp://u:hunter2@h?colour=red',
    'smtp://u:hunter2@h?tls=never&tls=required',
    'smtp://u:hunter2@h?name=a%20b',
    'smtp://u:hunter2@h?name=a%0d%0aRSET',
  ])('refuses %s, with a hint and without the password', (url) => {
    const error = catchError(() => parseRelay(url));
    expect(error.code).toBe('RELAY_URL');
    expect(error.hint).toContain('smtp://');
    expect(inspect(error)).not.toContain('hunter2');
  });
});

test('the password shows itself nowhere', () => {
  const relay = parseRelay('smtps://kim:hunter2@h');
  for (const shown of [inspect(relay), JSON.stringify(relay), `${relay.password}`, describeRelay(relay)]) {
    expect(shown).not.toContain('hunter2');
  }
  expect(describeRelay(relay)).toBe('smtps://kim@h:465');
  expect(describeRelay(parseRelay('smtp://[::1]:25'))).toBe('smtp://[::1]:25');
});

test('a password needs TLS unless told otherwise', () => {
  expect(needsTls(parseRelay('smtp://h'))).toBe(false);
  expect(needsTls(parseRelay('smtp://h?tls=required'))).toBe(true);
  expect(needsTls(parseRelay('smtp://u:p@h'))).toBe(true);
  expect(needsTls(parseRelay('smtp://u:p@h?tls=never'))).toBe(true);
  expect(needsTls(parseRelay('smtp://u:p@h?auth-in-clear=yes'))).toBe(false);
  expect(needsTls(parseRelay('smtps://u:p@h'))).toBe(false);
});

test('certificates are checked for the host, or for the name that was given', () => {
  expect(tlsOptions(parseRelay('smtps://mail.example'))).toEqual({
    rejectUnauthorized: true,
    servername: 'mail.example',
    minVersion: 'TLSv1.2',
  });
  expect(tlsOptions(parseRelay('smtps://127.0.0.1'))).not.toHaveProperty('servername');
  expect(tlsOptions(parseRelay('smtps://127.0.0.1?servername=a.example&verify=no'))).toMatchObject({
    rejectUnauthorized: false,
    servername: 'a.example',
  });
  const missing = catchError(() => tlsOptions(parseRelay('smtps://h?ca=/nowhere.pem')));
  expect(missing.code).toBe('RELAY_CA');
  expect(missing.message).toContain('/nowhere.pem');
});

describe('several relays', () => {
  test('white space parts them, each has options of its own, and a name', () => {
    const relays = parseRelays(
      ' smtp://kim:a%20b@one.example?weight=9&rate=3000/min\n\tsmtps://[::1]?label=backup-2&weight=0  smtp://Two.example:2525 ',
    );
    expect(relays.map(({ label, weight, rate }) => [label, weight, rate])).toEqual([
      ['one.example:587', 9, 50],
      ['backup-2', 0, null],
      ['two.example:2525', 1, null],
    ]);
    expect(relays[0].password?.reveal()).toBe('a b');
    expect(Object.isFrozen(relays)).toBe(true);
  });

  test('two of one name cannot be told apart', () => {
    const two = 'smtp://kim:s3cr3t@one.example smtp://lee:s3cr3t@one.example';
    const error = catchError(() => parseRelays(two));
    expect(error.code).toBe('RELAY_URL');
    expect(error.message).toContain('one.example:587');
    expect(error.hint).toContain('label=');
    expect(`${error.message} ${error.hint}`).not.toContain('s3cr3t');
    expect(parseRelays(`${two}?label=lee`)).toHaveLength(2);
  });

  test('a space in a password that was not encoded shows nothing of it', () => {
    const error = catchError(() => parseRelays('smtp://kim:s3cr3t phrase@one.example'));
    expect(error.code).toBe('RELAY_URL');
    expect(`${error.message} ${error.hint}`).not.toMatch(/s3cr3t|phrase/);
    expect(error.hint).toContain('%20');
  });

  test.each([
    'weight=-1',
    'weight=1001',
    'weight=1.5',
    'rate=0/s',
    'rate=10',
    'rate=x',
    'rate=2000000/s',
    'label=',
    'label=a%20b',
    'label=a:b',
  ])('wrong: %s', (option) => {
    expect(catchError(() => parseRelays(`smtp://one.example?${option}`)).code).toBe('RELAY_URL');
  });

  test('whatever is written is read or refused, and a password is in no error', () => {
    fc.assert(
      fc.property(fc.array(fc.string({ unit: 'binary', maxLength: 30 }), { maxLength: 5 }), (parts) => {
        try {
          parseRelays(parts.map((part) => `smtp://kim:s3cr3t-${part}`).join(' '));
        } catch (error) {
          expect(error).toBeInstanceOf(SendstateError);
          expect(String(error)).not.toContain('s3cr3t');
        }
      }),
    );
  });
});

function catchError(run: () => unknown): SendstateError {
  try {
    run();
  } catch (error) {
    if (error instanceof SendstateError) return error;
    throw error;
  }
  throw new Error('nothing was thrown');
}
