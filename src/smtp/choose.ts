import { createSmtpDeliverer, fastClientLacks } from './client.ts';
import type { Deliverer } from './deliverer.ts';
import { createNodemailerDeliverer } from './nodemailer.ts';
import { redactingDeliverer, secretsOf } from './redact.ts';
import type { RelayOptions } from './relay.ts';

/** Who speaks to the relay. `auto`: the client of this room, and nodemailer for what it does not do. */
export const TRANSPORTS = ['auto', 'smtp', 'nodemailer'] as const;
export type TransportName = (typeof TRANSPORTS)[number];

/** The deliverer for a relay. @throws SendstateError when `smtp` is asked for and cannot do it */
export function createDeliverer(relay: RelayOptions, transport: TransportName = 'auto'): Deliverer {
  const useNodemailer =
    transport === 'nodemailer' || (transport === 'auto' && fastClientLacks(relay) !== null);
  const deliverer = useNodemailer ? createNodemailerDeliverer(relay) : createSmtpDeliverer(relay);
  return redactingDeliverer(deliverer, secretsOf(relay));
}
