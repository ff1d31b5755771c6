import { readFileSync } from 'node:fs';
import path from 'node:path';
import { parseEnv } from 'node:util';
import { checkDatabaseUrl } from './database/connect.ts';
import { codeOf } from './database/problems.ts';
import { messageOf, SendstateError } from './errors.ts';
import { type DkimKey, readDkimKey } from './message/dkim.ts';
import { parseRelays, type RelayOptions, Secret } from './smtp/relay.ts';

/** What a run was told, checked and frozen. Printing it shows no password. */
export interface Config {
  /** Of DATABASE_URL; undefined: the embedded PostgreSQL. */
  readonly databaseUrl: Secret | undefined;
  /** Of SMTP_URL, in its order; empty: none was named. Read when asked for: who does not send is not stopped by a mistake in it. */
  readonly relays: readonly RelayOptions[];
  /** Of SENDSTATE_TOKEN: what the web page asks for; undefined: nothing, and only this machine reaches it. */
  readonly token: Secret | undefined;
  /** Of SENDSTATE_HOOK_SECRET: what requests to hooks are signed with; undefined: they are not. */
  readonly hookSecret: Secret | undefined;
  /** Of DKIM_KEYS, read when asked for as well; empty: nothing is signed here. */
  readonly dkim: readonly DkimKey[];
  readonly embedded: {
    /** Of SENDSTATE_DIR, absolute; default `.sendstate` in the working directory. */
    readonly directory: string;
    /** Of SENDSTATE_EMBEDDED_USER: whom root lets the server run as. */
    readonly user: string | undefined;
    /**
     * Of SENDSTATE_EMBEDDED_OUTSIDE, absolute: where data and programs go when root's server cannot reach the project; undefined:
     * /var/lib/sendstate.
     */
    readonly outside: string | undefined;
  };
  /** The `.env` file that was read, absolute. */
  readonly envFile: string | undefined;
}

/** Flags of the command line that stand for a variable; they win over it. */
export interface ConfigFlags {
  readonly databaseUrl?: string | undefined;
  readonly smtpUrl?: string | undefined;
  readonly directory?: string | undefined;
}

export interface ConfigSource {
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Where `.env` is looked for and what relative paths are relative to. */
  readonly cwd: string;
  readonly flags?: ConfigFlags;
}

/**
 * Flags over environment over `.env`; an empty value counts as none. Nothing is written to `process.env`.
 * @throws SendstateError `env-file`, `database-url`, `config`, and of `relays` and `dkim` when they are asked for `RELAY_URL`,
 * `config`; none shows a password
 */
export function loadConfig({ env, cwd, flags = {} }: ConfigSource): Config {
  const file = readEnvFile(path.resolve(cwd, '.env'));
  const value = (name: string, flag?: string): string | undefined =>
    [flag, env[name], file?.values[name]].find((text) => text !== undefined && text !== '');

  const databaseUrl = value('DATABASE_URL', flags.databaseUrl);
  if (databaseUrl !== undefined) checkDatabaseUrl(databaseUrl);
  const smtpUrl = value('SMTP_URL', flags.smtpUrl);
  const token = value('SENDSTATE_TOKEN');
  const hookSecret = value('SENDSTATE_HOOK_SECRET');
  const relays = once(() => (smtpUrl === undefined ? Object.freeze([]) : parseRelays(smtpUrl)));
  const dkim = once(() => Object.freeze(readDkimKeys(value('DKIM_KEYS'), cwd)));
  return Object.freeze({
    databaseUrl: databaseUrl === undefined ? undefined : new Secret(databaseUrl),
    get relays() {
      return relays();
    },
    token: token === undefined ? undefined : new Secret(token),
    hookSecret: hookSecret === undefined ? undefined : new Secret(hookSecret),
    get dkim() {
      return dkim();
    },
    embedded: Object.freeze({
      directory: absolute(cwd, 'SENDSTATE_DIR', value('SENDSTATE_DIR', flags.directory) ?? '.sendstate'),
      user: withoutNul('SENDSTATE_EMBEDDED_USER', value('SENDSTATE_EMBEDDED_USER')),
      outside: absolute(cwd, 'SENDSTATE_EMBEDDED_OUTSIDE', value('SENDSTATE_EMBEDDED_OUTSIDE')),
    }),
    envFile: file?.path,
  });
}

/** What the first call made, to every call. */
function once<T extends object>(make: () => T): () => T {
  let made: T | undefined;
  return () => {
    made ??= make();
    return made;
  };
}

function absolute<T extends string | undefined>(cwd: string, name: string, value: T): T | string {
  return value === undefined ? value : path.resolve(cwd, withoutNul(name, value));
}

function withoutNul<T extends string | undefined>(name: string, value: T): T {
  if (value?.includes('\0') === true) throw new SendstateError('config', `${name} contains a NUL byte`);
  return value;
}

/** `DOMAIN:SELECTOR:FILE`, several with commas between: an RSA and an Ed25519 key, say (RFC 8463 section 3). */
function readDkimKeys(text: string | undefined, cwd: string): DkimKey[] {
  return (text ?? '').split(',').flatMap((entry) => {
    if (entry.trim() === '') return [];
    const [, domain, selector, file] = /^\s*([^:]+):([^:]+):(.+?)\s*$/.exec(entry) ?? [];
    if (domain === undefined || selector === undefined || file === undefined) {
      throw new SendstateError('config', 'DKIM_KEYS is not of the form DOMAIN:SELECTOR:FILE', {
        hint: 'Write it as example.com:mail2026:/etc/dkim/mail2026.pem, several with commas between.',
      });
    }
    return [readDkimKey(domain, selector, readKeyFile(path.resolve(cwd, file)))];
  });
}

function readKeyFile(file: string): Buffer {
  try {
    return readFileSync(file);
  } catch (error) {
    throw new SendstateError('config', `Cannot read the DKIM key ${file}: ${messageOf(error)}`, {
      hint: 'DKIM_KEYS names it; it must be a private key in PEM form that this user may read.',
      cause: error,
    });
  }
}

interface EnvFile {
  readonly path: string;
  readonly values: Readonly<Record<string, string | undefined>>;
}

function readEnvFile(file: string): EnvFile | undefined {
  try {
    // Editors on Windows begin it with a byte order mark, which would become part of the first name.
    return { path: file, values: parseEnv(readFileSync(file, 'utf8').replace(/^\uFEFF/, '')) };
  } catch (error) {
    // A directory of that name is a Python virtual environment.
    if (['ENOENT', 'ENOTDIR', 'EISDIR'].includes(codeOf(error))) return undefined;
    throw new SendstateError('env-file', `Cannot read ${file}: ${messageOf(error)}`, {
      hint: 'Make it readable for you, or move it away and set the variables themselves.',
      cause: error,
    });
  }
}
