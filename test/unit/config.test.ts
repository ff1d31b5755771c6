import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { inspect } from 'node:util';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { type Config, loadConfig } from '../../src/config.ts';
import { SendstateError } from '../../src/errors.ts';

let cwd: string;

beforeEach(async () => {
  cwd = await mkdtemp(path.join(tmpdir(), 'sendstate-config-'));
});

afterEach(() => rm(cwd, { recursive: true, force: true }));

const writeEnv = (text: string) => writeFile(path.join(cwd, '.env'), text);

/** The three places as one text each, for comparing who won. */
function told(config: Config): Record<string, string | undefined> {
  const [relay] = config.relays;
  return {
    database: config.databaseUrl?.reveal(),
    relay: relay === undefined ? undefined : `${relay.host}:${relay.port}`,
    directory: path.relative(cwd, config.embedded.directory),
    user: config.embedded.user,
  };
}

describe('who is heard', () => {
  test('nothing is configured: the embedded database beside us, and no relay', () => {
    const config = loadConfig({ env: {}, cwd });
    expect(told(config)).toEqual({
      database: undefined,
      relay: undefined,
      directory: '.sendstate',
      user: undefined,
    });
    expect(config.envFile).toBeUndefined();
  });

  test('flags over environment over .env, each for itself', async () => {
    await writeEnv(
      'DATABASE_URL=postgres://file/a\nSMTP_URL=smtp://file.example\nSENDSTATE_DIR=from-file\nSENDSTATE_EMBEDDED_USER=kim\n',
    );
    const fromFile = loadConfig({ env: {}, cwd });
    expect(told(fromFile)).toEqual({
      database: 'postgres://file/a',
      relay: 'file.example:25',
      directory: 'from-file',
      user: 'kim',
    });
    expect(fromFile.envFile).toBe(path.join(cwd, '.env'));
    const env = { DATABASE_URL: 'postgres://env/a', SMTP_URL: 'smtp://env.example' };
    expect(told(loadConfig({ env, cwd }))).toMatchObject({
      database: 'postgres://env/a',
      relay: 'env.example:25',
      directory: 'from-file',
    });
    const flags = { databaseUrl: 'postgres://flag/a', directory: 'from-flag' };
    expect(told(loadConfig({ env, cwd, flags }))).toMatchObject({
      database: 'postgres://flag/a',
      relay: 'env.example:25',
      directory: 'from-flag',
    });
  });

  test('an empty variable is none', async () => {
    await writeEnv('DATABASE_URL=postgres://file/a\n');
    expect(told(loadConfig({ env: { DATABASE_URL: '', SENDSTATE_DIR: '' }, cwd }))).toMatchObject({
      database: 'postgres://file/a',
      directory: '.sendstate',
    });
  });

  test('.env as Windows editors save it: byte order mark, CRLF, quotes, Hangul', async () => {
    await writeEnv('\uFEFFDATABASE_URL="postgres://kim@file/a"\r\nSENDSTATE_DIR=\'자료\'\r\n# a comment\r\n');
    expect(told(loadConfig({ env: {}, cwd }))).toMatchObject({
      database: 'postgres://kim@file/a',
      directory: '자료',
    });
  });

  test('.env that is a directory belongs to another tool', async () => {
    await mkdir(path.join(cwd, '.env'));
    expect(loadConfig({ env: {}, cwd }).envFile).toBeUndefined();
  });

  test('nothing is written to the environment', async () => {
    await writeEnv('SENDSTATE_CONFIG_TEST=1\n');
    loadConfig({ env: {}, cwd });
    expect(process.env.SENDSTATE_CONFIG_TEST).toBeUndefined();
  });

  test('an absolute directory stays', () => {
    const directory = path.resolve(cwd, '../elsewhere');
    expect(loadConfig({ env: { SENDSTATE_DIR: directory }, cwd }).embedded.directory).toBe(directory);
  });
});

test('it cannot be changed', () => {
  const config = loadConfig({ env: { SMTP_URL: 'smtp://mail.example' }, cwd });
  expect([config, config.embedded, config.relays].map((part) => Object.isFrozen(part))).toEqual([
    true,
    true,
    true,
  ]);
});

describe('what cannot be', () => {
  test.each([
    ['DATABASE_URL', 'mysql://kim@host/db', 'database-url'],
    ['DATABASE_URL', 'host/db', 'database-url'],
    ['SENDSTATE_DIR', 'a\0b', 'config'],
    ['SENDSTATE_EMBEDDED_USER', 'a\0b', 'config'],
  ])('%s=%j', (name, value, code) => {
    expect(() => loadConfig({ env: { [name]: value }, cwd })).toThrow(expect.objectContaining({ code }));
  });

  test.each([
    ['SMTP_URL', 'http://mail.example', 'relays', 'RELAY_URL'],
    ['SMTP_URL', 'mail.example:25', 'relays', 'RELAY_URL'],
    ['DKIM_KEYS', 'example.com', 'dkim', 'config'],
    ['DKIM_KEYS', 'example.com:mail:missing.pem', 'dkim', 'config'],
  ] as const)('%s=%j stops only who sends', (name, value, part, code) => {
    const config = loadConfig({ env: { [name]: value }, cwd });
    expect(() => config[part]).toThrow(expect.objectContaining({ code }));
  });
});

function errorOf(work: () => unknown): SendstateError {
  try {
    work();
  } catch (error) {
    if (error instanceof SendstateError) return error;
    throw error;
  }
  return expect.fail('it was accepted');
}

describe('no password shows', () => {
  /** Passwords long and odd enough that their text does not stand in a message by chance. */
  const passwords = fc.stringMatching(/^[A-Za-z0-9!$^*(),;|~_-]{8,20}$/).map((text) => `Zq7${text}`);

  test('in a configuration that is printed in whatever way', () => {
    fc.assert(
      fc.property(passwords, (password) => {
        const coded = encodeURIComponent(password);
        const config = loadConfig({
          env: {
            DATABASE_URL: `postgres://kim:${coded}@host/db`,
            SMTP_URL: `smtps://kim:${coded}@mail.example`,
          },
          cwd,
        });
        expect(config.databaseUrl?.reveal()).toContain(coded);
        const printed = `${JSON.stringify(config)} ${inspect(config, { depth: 9, showHidden: true })} ${config.databaseUrl}`;
        expect(printed).not.toContain(password);
        expect(printed).not.toContain(coded);
      }),
    );
  });

  test('in the message or hint of an error', () => {
    const wrong = fc.constantFrom(
      (secret: string) => ({ DATABASE_URL: `mysql://kim:${secret}@host/db` }),
      (secret: string) => ({ DATABASE_URL: `kim:${secret}@host/db` }),
      (secret: string) => ({ DATABASE_URL: `postgres://kim:${secret}@host:port/db` }),
      (secret: string) => ({ DATABASE_URL: `postgres://kim:${secret}/@host/db name` }),
      (secret: string) => ({ SMTP_URL: `smtp://kim:${secret}@mail.example:99999` }),
      (secret: string) => ({ SMTP_URL: `smtp://kim:${secret}@mail.example/path` }),
      (secret: string) => ({ SMTP_URL: `http://kim:${secret}@mail.example` }),
      (secret: string) => ({ SMTP_URL: `smtp://kim:${secret}@mail.example?nonsense=1` }),
    );
    fc.assert(
      fc.property(wrong, passwords, (make, password) => {
        const secret = encodeURIComponent(password);
        const error = errorOf(() => loadConfig({ env: make(secret), cwd }).relays);
        const shown = `${error.message} ${error.hint} ${JSON.stringify(error)}`;
        expect(shown).not.toContain(password);
        expect(shown).not.toContain(secret);
      }),
    );
  });
});
