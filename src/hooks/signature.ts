import { createHmac } from 'node:crypto';

/** The header that says who sent a hook, and when. */
export const SIGNATURE_HEADER = 'sendstate-signature';

/**
 * `t=SECONDS,v1=HEX`: HMAC-SHA256 over the time, a dot and the body. The time is part of what is signed, so that an old request
 * that an attacker kept can be told from a new one.
 */
export function signature(secret: string, body: string, seconds: number): string {
  const mac = createHmac('sha256', secret).update(`${seconds}.${body}`).digest('hex');
  return `t=${seconds},v1=${mac}`;
}
