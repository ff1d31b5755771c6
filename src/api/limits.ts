import { SendstateError } from '../errors.ts';
import { parseAddress } from '../import/address.ts';
import {
  type DomainLimit,
  deleteLimit,
  EVERY_OTHER_DOMAIN,
  readLimits,
  writeLimit,
} from '../queue/domain-limit.ts';
import { type RecipientHistory, readHistory } from '../report/history.ts';
import type { Opened } from './open.ts';

/** Mails per second: one a fortnight, and more than any relay takes. */
const SLOWEST = 1e-6;
const FASTEST = 1e6;

/** A domain as the addresses of recipients have it: 회사.한국 is xn--… there, and Naver.COM is naver.com. */
function domainOf(written: string): string {
  const text = written.trim();
  if (text === EVERY_OTHER_DOMAIN) return text;
  const parsed = parseAddress(`someone@${text}`);
  if (parsed.ok && !text.includes('@')) return parsed.address.slice(parsed.address.indexOf('@') + 1);
  throw new SendstateError('limit-domain', `"${text.slice(0, 80)}" is not a domain`, {
    hint: 'Write what stands after the @, naver.com, or * for every domain without a limit of its own.',
  });
}

/**
 * Limits a recipient domain to `rate` mails per second, over all workers and campaigns of the database; `*` is for each
 * domain without a limit of its own. Workers know of it within a second. @returns the domain as it is kept
 * @throws SendstateError `limit-domain`, `limit-rate`
 */
export async function setLimit({ database }: Opened, domain: string, rate: number): Promise<string> {
  const name = domainOf(domain);
  if (!(rate >= SLOWEST && rate <= FASTEST)) {
    throw new SendstateError(
      'limit-rate',
      `The rate of ${name} must be between ${SLOWEST} and ${FASTEST}, not ${rate}`,
    );
  }
  await writeLimit(database, name, rate);
  return name;
}

/** Takes a limit away; who waits for a turn of that domain is due at once. False: there was none. */
export async function removeLimit({ database }: Opened, domain: string): Promise<boolean> {
  return await deleteLimit(database, domainOf(domain));
}

/** Every limit of the database. */
export async function limits({ database }: Opened): Promise<DomainLimit[]> {
  return await readLimits(database);
}

/** Everything that is known of one address, campaign by campaign, the latest campaign first; empty: nowhere. */
export async function history({ database }: Opened, address: string): Promise<RecipientHistory[]> {
  const parsed = parseAddress(address);
  // As it was imported; what no import would take may have been written by hand.
  return await readHistory(database, parsed.ok ? parsed.address : address.trim());
}
