import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { inspect } from 'node:util';
import fc from 'fast-check';
import { type Config, loadConfig } from '../../../src/config.ts';
import { lazyDatabase } from '../../../src/database/connect.ts';
import { SendstateError } from '../../../src/errors.ts';
import { describeRelay } from '../../../src/smtp/relay.ts';
import { propertyOf, type Target } from '../target.ts';
import { storableText } from './hostile-text.ts';

/** The two halves of a password; what stands between them is what people forget to encode. */
const HALVES = ['c4nary', 's3cret'] as const;
const between = fc.oneof(
  fc.constantFrom(
    '',
    '/',
    '?',
    '#',
    '@',
    ':',
    '%',
    '%zz',
    ' ',
    '\\',
    '[',
    ']',
    '&',
    '=',
    ',',
    '\t',
    '%2F',
    '%40',
    '?x=',
    '#@',
  ),
  storableText,
);
/** With digits alone in front, a URL parser takes the beginning of a password for a port. */
const secret = fc
  .tuple(fc.constantFrom(HALVES[0], '4711', '25', ''), between, fc.constant(HALVES[1]))
  .map((parts) => parts.join(''));

const scheme = fc.constantFrom(
  'smtp://',
  'smtps://',
  'postgres://',
  'postgresql://',
  'smtp:/',
  'smtp:',
  'postgres:',
  '',
  '//',
);
const user = fc.constantFrom('kim', 'kim%40example.com', 'kim@example.com', '', 'kim ', '%', '김');
const separator = fc.constantFrom(':', ':', ':', '%3A', '');
const host = fc.constantFrom(
  'localhost',
  '127.0.0.1',
  '127.0.0.1:2525',
  '[::1]:25',
  'localhost:x',
  'localhost:99999',
  '',
  'a b',
  '[',
  '예시.한국',
);
const rest = fc.oneof(
  fc.constantFrom(
    '',
    '/',
    '/mail',
    '/%zz',
    '?tls=required',
    '?tls=maybe',
    '?connections=x',
    '?nonsense=1',
    '?tls',
    '#x',
    ' smtp://x',
  ),
  fc.constantFrom(
    '?sslmode=no-such-mode',
    '?sslmode=verify-full&sslrootcert=/nonexistent',
    '?host=/tmp',
    '?options=-c%20x',
  ),
  fc.constantFrom(
    '?password=c4nary',
    '?token=c4nary',
    '?auth=xoauth2&connections=0&pass=c4nary',
    '?label=%1b[2J',
  ),
  storableText.map((text) => `?name=${text}`),
);
const url = fc.oneof(
  {
    weight: 6,
    arbitrary: fc
      .tuple(scheme, user, separator, secret, fc.constant('@'), host, rest)
      // What stands before the first colon is the name; it cannot be told that it was meant to be secret.
      .filter(([, , colon, password]) => colon !== '' || !password.includes(':'))
      .map((parts) => parts.join('')),
  },
  // A token is both user and password to some relays, or stands alone.
  fc.tuple(scheme, host).map(([begin, at]) => `${begin}${HALVES[0]}:${HALVES[0]}@${at}`),
  fc.tuple(scheme, host, rest).map(([begin, at, more]) => `${begin}${HALVES[0]}@${at}${more}`),
  storableText,
);

function clean(what: unknown): void {
  const texts = [
    typeof what === 'string' ? what : inspect(what, { depth: 6, showHidden: false }),
    JSON.stringify(what) ?? '',
    what instanceof Error ? `${what.stack} ${what.message}` : '',
    what instanceof SendstateError ? `${what.hint}` : '',
  ];
  for (const text of texts)
    for (const half of HALVES) assert.ok(!text.includes(half), `it says: ${text.slice(0, 500)}`);
}

/** What the environment says; null when it was refused, with an error that says nothing secret. */
function read(variable: 'DATABASE_URL' | 'SMTP_URL', text: string, cwd: string): Config | null {
  try {
    const config = loadConfig({ env: { [variable]: text }, cwd });
    // Read when asked for: a relay that cannot be is refused here.
    return { ...config };
  } catch (error) {
    if (!(error instanceof SendstateError)) throw error;
    assert.ok(error.hint, `what to do is said: ${error.message}`);
    clean(error);
    return null;
  }
}

async function checkDatabase(text: string): Promise<void> {
  let database: ReturnType<typeof lazyDatabase>;
  try {
    database = lazyDatabase(text);
  } catch (error) {
    if (!(error instanceof SendstateError)) throw error;
    clean(error);
    return;
  }
  clean(database.url);
  clean(inspect(database, { depth: 8 }));
  await database.close();
}

export const urls: Target = {
  name: 'urls',
  promise:
    'whatever DATABASE_URL and SMTP_URL hold, they work or are refused, and no word of a password is shown',
  cases: 500,
  start: async () => {
    const cwd = await mkdtemp(path.join(tmpdir(), 'sendstate-fuzz-'));
    return {
      property: propertyOf(url, async (text) => {
        const relays = read('SMTP_URL', text, cwd)?.relays ?? [];
        // The user name is a field of its own, for those who log in with it.
        clean(relays.map((relay) => ({ ...relay, user: null })));
        clean(relays.map(describeRelay).join(' '));
        const config = read('DATABASE_URL', text, cwd);
        clean(config);
        clean(`${inspect(config)} ${JSON.stringify(config)}`);
        if (config?.databaseUrl !== undefined) await checkDatabase(text);
      }),
      end: () => rm(cwd, { recursive: true }),
    };
  },
};
