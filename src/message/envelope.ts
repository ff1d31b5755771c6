import { SendstateError } from '../errors.ts';
import { type Address, readAddress } from './mailbox.ts';

/**
 * The envelope sender for every recipient: '' and <> are the null sender, null leaves it to each mail's From.
 * @throws SendstateError `bounce-to-invalid`
 */
export function envelopeFrom(bounceTo: string | null): Address | null {
  if (bounceTo === null) return null;
  if (bounceTo === '' || bounceTo === '<>') return { address: '', smtputf8: false };
  const address = readAddress(bounceTo);
  if (address === null) {
    throw new SendstateError(
      'bounce-to-invalid',
      `The bounce address ${JSON.stringify(bounceTo)} is not an address`,
      {
        hint: 'Write it as bounces@example.com, or <> for none.',
      },
    );
  }
  return address;
}

/**
 * The domain of Message-IDs in A-labels; null leaves it to each mail's From.
 * @throws SendstateError `message-id-domain`
 */
export function messageIdDomain(domain: string | null): string | null {
  if (domain === null) return null;
  const read = readAddress(`id@${domain}`);
  if (read === null) {
    throw new SendstateError('message-id-domain', `${JSON.stringify(domain)} is not a domain`, {
      hint: 'Use a domain of yours, such as example.com.',
    });
  }
  return read.address.slice(3);
}
