import { createSmtpDeliverer } from './client.ts';
import type { Deliverer } from './deliverer.ts';
import { createNodemailerDeliverer } from './nodemailer.ts';
import { redactingDeliverer, secretsOf } from './redact.ts';
import type { RelayOptions } from './relay.ts';

/** The client that speaks to the relay. `auto`: the client of this folder, which does all that a relay's options can ask for. */
export const TRANSPORTS = ['auto', 'smtp', 'nodemailer'] as const;
export type TransportName = (typeof TRANSPORTS)[number];

/** The deliverer for a relay. */
export function createDeliverer(relay: RelayOptions, transport: TransportName = 'auto'): Deliverer {
  const deliverer =
    transport === 'nodemailer' ? createNodemailerDeliverer(relay) : createSmtpDeliverer(relay);
  return redactingDeliverer(deliverer, secretsOf(relay));
}
