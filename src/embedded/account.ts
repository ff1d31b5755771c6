import { stat } from 'node:fs/promises';
import { codeOf } from '../database/problems.ts';
import { SendstateError } from '../errors.ts';
import { type Account, run } from './run.ts';

/**
 * Whom root lets the server run as: the owner of what exists already; else the account that was named; else postgres; else
 * `nobody`.
 * @throws SendstateError `embedded-user` when there is none
 */
export async function chooseAccount(existing: readonly string[], name: string | undefined): Promise<Account> {
  for (const place of existing) {
    const owner = await ownerAccount(place);
    if (owner !== undefined) return owner;
  }
  for (const candidate of name === undefined ? ['postgres', 'nobody'] : [name]) {
    const [uid, gid] = await Promise.all([idOf('-u', candidate), idOf('-g', candidate)]);
    if (uid !== undefined && gid !== undefined && uid !== 0) return { uid, gid };
  }
  throw new SendstateError(
    'embedded-user',
    `PostgreSQL does not run as root, and there is no user ${name ?? 'postgres or nobody'} to run it as`,
    { hint: 'Set SENDSTATE_EMBEDDED_USER to an existing user other than root, or run as an ordinary user.' },
  );
}

/**
 * Whom root acts for in a directory: its owner. Undefined for those who are not root, who act for themselves, and for what
 * belongs to root or is not there.
 */
export async function ownerAccount(place: string): Promise<Account | undefined> {
  if (process.getuid?.() !== 0) return undefined;
  try {
    const { uid, gid } = await stat(place);
    return uid === 0 ? undefined : { uid, gid };
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return undefined;
    throw error;
  }
}

async function idOf(which: '-u' | '-g', name: string): Promise<number | undefined> {
  const { status, output } = await run('id', [which, '--', name]);
  return status === 0 && /^\d+$/.test(output) ? Number(output) : undefined;
}
