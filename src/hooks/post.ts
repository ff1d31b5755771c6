import { messageOf } from '../errors.ts';
import { SIGNATURE_HEADER, signature } from './signature.ts';
import type { Target } from './target.ts';

/** How one try ended. `again`: another one may help. */
export type Told =
  | { readonly ok: true }
  | { readonly ok: false; readonly again: boolean; readonly why: string };

/** Posts the body once. Follows no redirect: what is signed for one place is not sent to another. */
export async function post(
  target: Extract<Target, { kind: 'url' }>,
  body: string,
  secret: string | null,
  timeoutMs: number,
  signal: AbortSignal,
): Promise<Told> {
  const headers: Record<string, string> = { 'content-type': 'application/json', 'user-agent': 'sendstate' };
  if (target.basic !== null) headers.authorization = `Basic ${target.basic}`;
  if (secret !== null) headers[SIGNATURE_HEADER] = signature(secret, body, Math.floor(Date.now() / 1000));
  try {
    const response = await fetch(target.url, {
      method: 'POST',
      headers,
      body,
      redirect: 'manual',
      signal: AbortSignal.any([signal, AbortSignal.timeout(timeoutMs)]),
    });
    await response.body?.cancel();
    const { ok, status } = response;
    return ok ? { ok } : { ok: false, again: worthAgain(status), why: `it answered ${status}` };
  } catch (error) {
    const cause = error instanceof Error && error.cause !== undefined ? error.cause : error;
    return { ok: false, again: true, why: messageOf(cause) };
  }
}

/** Too early, too many, too slow, or its own trouble; a redirect and any other 4xx stay what they are. */
function worthAgain(status: number): boolean {
  return status >= 500 || status === 408 || status === 425 || status === 429;
}
