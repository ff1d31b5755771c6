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
 * Logs in with PLAIN or LOGIN (RFC 4954, RFC 4616) if the relay's options have a user name; gives the mechanism, or
 * null. Rejects with HandshakeFailure. Safety rule 10: never in the clear unless the options say so.
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
  const code =
    mechanism === 'PLAIN'
      ? await speaker.ask(`AUTH PLAIN ${base64(`\0${user}\0${password.reveal()}`)}`)
      : await loginSteps(speaker, user, password.reveal());
  if (code !== 235) throw speaker.refusal();
  return mechanism;
}

async function loginSteps(speaker: Speaker, user: string, password: string): Promise<number> {
  for (const line of ['AUTH LOGIN', base64(user)]) {
    if ((await speaker.ask(line)) !== 334) throw speaker.refusal();
  }
  return await speaker.ask(base64(password));
}

function chooseMechanism(relay: RelayOptions, offered: Capabilities): 'PLAIN' | 'LOGIN' {
  const wanted = relay.auth === 'auto' ? ['PLAIN', 'LOGIN'] : [relay.auth.toUpperCase()];
  const found = wanted.find((one) => offered.auth.includes(one));
  if (found === 'PLAIN' || found === 'LOGIN') return found;
  const has =
    offered.auth.length === 0 ? 'no way to log in' : `only AUTH ${cleanText(offered.auth.join(' '), 80)}`;
  throw notSent(`the relay offers ${has}, not ${wanted.join(' or ')}`, DELIVERY_CODES.auth);
}

function base64(text: string): string {
  return Buffer.from(text, 'utf8').toString('base64');
}
