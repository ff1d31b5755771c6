import type { Capabilities } from './capabilities.ts';
import { DELIVERY_CODES, type Delivery, type OutgoingMail } from './deliverer.ts';

/** Longest address: 64 for the local part, 255 for the domain, and the @ (RFC 5321 section 4.5.3.1). */
const MAX_ADDRESS = 320;
/** From this size on MAIL declares it: an early refusal then saves more than the words cost. */
const DECLARE_SIZE_BYTES = 65_536;

const UNSAFE_ASCII = /[^!-;=?-~]/;
const UNSAFE_UTF8 = /[\p{Cc}\p{Cs}\p{Z}<>]/u;

/**
 * Why a mail cannot be spoken to a relay that offers `offered`, or null (safety rule 8). The composer of the mail has
 * checked the addresses too; here is where they become commands, so here they are checked again.
 */
export function refuse(mail: OutgoingMail, offered: Capabilities): Delivery | null {
  const unsafe = mail.smtputf8 ? UNSAFE_UTF8 : UNSAFE_ASCII;
  if (mail.to === '' || tooLong(mail) || unsafe.test(mail.to) || unsafe.test(mail.from)) {
    return local(
      'the address is empty, too long, or holds characters that could end a command',
      DELIVERY_CODES.badAddress,
    );
  }
  if (mail.smtputf8 && !offered.smtputf8) return withoutSmtputf8(mail, 'the relay does not offer SMTPUTF8');
  if (mail.eightBit && !offered.eightBitMime) {
    return local(
      'the message is not 7-bit and the relay does not offer 8BITMIME',
      DELIVERY_CODES.needs8bitmime,
    );
  }
  if (mail.raw.length > offered.maxBytes) {
    return local(
      // Not how many bytes it has: that differs from mail to mail, and reasons that are the same are counted together.
      `the message is larger than the ${offered.maxBytes} bytes that the relay takes`,
      DELIVERY_CODES.tooBig,
    );
  }
  return null;
}

/** Whose fault it is: one recipient's, or the sender's, which is the same for every recipient. */
export function withoutSmtputf8(mail: OutgoingMail, but: string): Delivery {
  if (isAscii(mail.from) && !isAscii(mail.to))
    return local(`the address is not ASCII, and ${but}`, DELIVERY_CODES.needsSmtputf8);
  const which = isAscii(mail.from) ? 'an address in the sender or Reply-To' : `the sender ${mail.from}`;
  return local(`${which} is not ASCII before the @, and ${but}`, DELIVERY_CODES.senderNeedsSmtputf8);
}

function isAscii(address: string): boolean {
  return !/\P{ASCII}/u.test(address);
}

function tooLong(mail: OutgoingMail): boolean {
  return mail.to.length > MAX_ADDRESS || mail.from.length > MAX_ADDRESS;
}

function local(why: string, code: string): Delivery {
  return { kind: 'not-sent', why, code };
}

/** The MAIL command without CRLF, for a mail that refuse() let pass. */
export function mailCommand(mail: OutgoingMail, offered: Capabilities): string {
  let command = `MAIL FROM:<${mail.from}>`;
  if (offered.size && mail.raw.length >= DECLARE_SIZE_BYTES) command += ` SIZE=${mail.raw.length}`;
  if (mail.eightBit || (mail.smtputf8 && offered.eightBitMime)) command += ' BODY=8BITMIME';
  if (mail.smtputf8) command += ' SMTPUTF8';
  return command;
}

/** The RCPT command without CRLF. */
export function rcptCommand(mail: OutgoingMail): string {
  return `RCPT TO:<${mail.to}>`;
}
