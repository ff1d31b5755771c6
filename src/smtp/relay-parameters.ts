import { hostname } from 'node:os';
import { SendstateError, withoutPassword } from '../errors.ts';

/** The options of SMTP_URL; RelayOptions says what each means. */
const PARAMETERS = [
  'tls',
  'verify',
  'servername',
  'ca',
  'name',
  'auth',
  'auth-in-clear',
  'mode',
  'connections',
  'max-messages',
  'idle-timeout',
  'connect-timeout',
  'command-timeout',
  'final-timeout',
  'weight',
  'rate',
  'label',
] as const;

/** Seconds in the units of a rate. */
const SECONDS: Readonly<Record<string, number>> = { s: 1, min: 60, h: 3600 };

type Parameter = (typeof PARAMETERS)[number];

/** An SMTP_URL that cannot be used, shown without its password. */
export function relayError(url: string, what: string): SendstateError {
  return new SendstateError('RELAY_URL', `SMTP_URL ${withoutPassword(url)} ${what}.`, {
    hint:
      'Write smtp://user:password@host:587 or smtps://user:password@host:465, special characters percent-encoded' +
      ` (# is %23, @ is %40, a space %20); several relays with spaces between. Options: ?${PARAMETERS.join('=&')}=`,
  });
}

/** The options behind the question mark, each checked, none unknown, none twice. */
export class RelayParameters {
  readonly #url: string;
  readonly #values = new Map<string, string>();

  constructor(url: string, parameters: URLSearchParams) {
    this.#url = url;
    for (const [key, value] of parameters) {
      if (!(PARAMETERS as readonly string[]).includes(key))
        throw relayError(url, `has the unknown option ${key}`);
      if (this.#values.has(key)) throw relayError(url, `has the option ${key} twice`);
      this.#values.set(key, value);
    }
  }

  text(key: Parameter): string | null {
    const value = this.#values.get(key);
    if (value === '') throw relayError(this.#url, `has an empty ${key}`);
    return value ?? null;
  }

  choice<const T extends string>(key: Parameter, choices: readonly [T, ...T[]]): T {
    const value = this.text(key);
    if (value === null) return choices[0];
    const found = choices.find((choice) => choice === value);
    if (found === undefined)
      throw relayError(this.#url, `has ${key}=${value}, which is none of ${choices.join(', ')}`);
    return found;
  }

  yesNo(key: Parameter, fallback: boolean): boolean {
    if (this.text(key) === null) return fallback;
    return this.choice(key, ['yes', 'no']) === 'yes';
  }

  number(key: Parameter, fallback: number, min: number, max: number): number {
    const text = this.text(key);
    if (text === null) return fallback;
    const value = /^\d+(\.\d+)?$/.test(text) ? Number(text) : Number.NaN;
    const whole = min >= 0.5 || min === 0;
    if (!(value >= min && value <= max) || (whole && !Number.isInteger(value))) {
      throw relayError(
        this.#url,
        `has ${key}=${text}, which is no ${whole ? 'whole ' : ''}number from ${min} to ${max}`,
      );
    }
    return value;
  }

  /** Mails a second: `100/s`, `3000/min`, `10000/h`. */
  rate(key: Parameter): number | null {
    const text = this.text(key);
    if (text === null) return null;
    const [, count = '', unit = ''] = /^(\d{1,9}(?:\.\d{1,6})?)\/(s|min|h)$/.exec(text) ?? [];
    const value = Number(count) / (SECONDS[unit] ?? 1);
    if (unit === '' || value < 1e-6 || value > 1e6)
      throw relayError(this.#url, `has ${key}=${text}, which is no rate such as 100/s, 3000/min or 10000/h`);
    return value;
  }

  label(key: Parameter, fallback: string): string {
    const label = this.text(key) ?? fallback;
    if (label !== fallback && !/^[\p{L}\p{N}_-]{1,64}$/u.test(label))
      throw relayError(
        this.#url,
        `has ${key}=${label}, which is not made of letters, digits, - and _ (at most 64)`,
      );
    return label;
  }

  heloName(): string {
    const name = this.text('name');
    if (name === null) {
      const host = hostname();
      // RFC 5321 section 4.1.4: an address literal when the machine has no full name.
      return /^[a-z0-9-]+(\.[a-z0-9-]+)+$/i.test(host) && !/^[\d.]+$/.test(host) ? host : '[127.0.0.1]';
    }
    if (!/^(?:[a-z0-9._-]{1,255}|\[[a-f0-9:.]{2,45}\]|\[IPv6:[a-f0-9:.]{2,45}\])$/i.test(name)) {
      throw relayError(this.#url, `has name=${name}, which is no host name`);
    }
    return name;
  }
}
