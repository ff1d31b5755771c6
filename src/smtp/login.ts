import type { Capabilities } from './capabilities.ts';
import { DELIVERY_CODES } from './deliverer.ts';
import { type HandshakeFailure, notSent } from './handshake-failure.ts';
import type { RelayOptions } from './relay.ts';
import { cleanText } from './reply-text.ts';

/** How a line is said to the relay. */
export interface Speaker {
  /** Says a line and gives the code of the reply. */
  ask(line: string): Promise<number>;
  /** The failure that the last reply means. */
  refusal(): HandshakeFailure;
}

/**
 * Logs in with PLAIN or LOGIN (RFC 4954, RFC 4616), or XOAUTH2 where the options ask for it, if they have a user name;
 * gives the mechanism, or null. Rejects with HandshakeFailure. Safety rule 10: never in the clear unless the options say so.
 */
export async function logIn(
  relay: RelayOptions,
  offered: Capabilities,
  encrypted: boolean,
  speaker: Speaker,
): Promise<string | null> {
  const { user, password } = relay;
  if (user === null) return null;
  const mechanism = chooseMechanism(relay, offered);
  if (password === null) throw notSent('SMTP_URL has a user name but no password', DELIVERY_CODES.auth);
  if (!encrypted && !relay.authInClear) {
    throw notSent(
      'a password is not spoken without TLS (auth-in-clear=yes would allow it)',
      DELIVERY_CODES.auth,
    );
  }
  if ((await STEPS[mechanism](speaker, user, password.reveal())) !== 235) throw speaker.refusal();
  return mechanism;
}

/** Each gives the code of the last reply. */
const STEPS = {
  PLAIN: (speaker: Speaker, user: string, password: string) =>
    speaker.ask(`AUTH PLAIN ${plainResponse(user, password)}`),
  LOGIN: loginSteps,
  XOAUTH2: tokenSteps,
} as const;

type Mechanism = keyof typeof STEPS;

async function loginSteps(speaker: Speaker, user: string, password: string): Promise<number> {
  for (const line of ['AUTH LOGIN', base64(user)]) {
    if ((await speaker.ask(line)) !== 334) throw speaker.refusal();
  }
  return await speaker.ask(base64(password));
}

/**
 * Google's and Microsoft's way to log in with an access token. A refusal comes as a challenge that holds the reason, which is
 * answered with an empty line (RFC 4954, section 4); only then does the relay say 535.
 */
async function tokenSteps(speaker: Speaker, user: string, token: string): Promise<number> {
  const code = await speaker.ask(`AUTH XOAUTH2 ${bearerResponse(user, token)}`);
  return code === 334 ? await speaker.ask('') : code;
}

function chooseMechanism(relay: RelayOptions, offered: Capabilities): Mechanism {
  const wanted: readonly Mechanism[] =
    relay.auth === 'auto' ? ['PLAIN', 'LOGIN'] : [relay.auth.toUpperCase() as Mechanism];
  const found = wanted.find((one) => offered.auth.includes(one));
  if (found !== undefined) return found;
  const has =
    offered.auth.length === 0 ? 'no way to log in' : `only AUTH ${cleanText(offered.auth.join(' '), 80)}`;
  throw notSent(`the relay offers ${has}, not ${wanted.join(' or ')}`, DELIVERY_CODES.auth);
}

/** What PLAIN sends (RFC 4616), encoded. */
export function plainResponse(user: string, password: string): string {
  return base64(`\0${user}\0${password}`);
}

/** What XOAUTH2 sends, encoded. */
export function bearerResponse(user: string, token: string): string {
  return base64(`user=${user}\u0001auth=Bearer ${token}\u0001\u0001`);
}

/** As each step of a login is encoded (RFC 4954). */
export function base64(text: string): string {
  return Buffer.from(text, 'utf8').toString('base64');
}
