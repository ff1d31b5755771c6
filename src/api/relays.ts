import { SendstateError } from '../errors.ts';
import type { DkimKey } from '../message/dkim.ts';
import type { NamedRelay } from '../relays/gate.ts';
import { createDeliverer, type TransportName } from '../smtp/choose.ts';
import type { Deliverer } from '../smtp/deliverer.ts';
import { checkLabels, type RelayOptions } from '../smtp/relay.ts';
import { signingDeliverer } from '../smtp/signing.ts';

/** Anything that delivers, with what a relay of SMTP_URL says in its options. */
export interface NamedDeliverer {
  readonly deliverer: Deliverer;
  /** Its name in states, logs and pages; unique. */
  readonly label: string;
  /** Its share of the mails, 0…1000; 0: a stand-by. Default 1. */
  readonly weight?: number | undefined;
  /** Mails per second over all workers. Default: no limit. */
  readonly rate?: number | null | undefined;
}

/** A relay, or anything that delivers. */
export type RelayChoice = RelayOptions | Deliverer | NamedDeliverer;

/** Relays that can be spoken to, and how to let go of them. */
export interface OpenRelays {
  readonly relays: readonly NamedRelay[];
  /** Mails that may usefully be in flight at once, over all of them. */
  readonly capacity: number;
  /** Destroys every connection now. */
  abort(): void;
  /** Closes the deliverers, except those that were handed in: these belong to their maker. */
  close(): Promise<void>;
}

/** Which relays, by which client, signed with what. */
export interface RelaysRequest {
  readonly relay: RelayChoice | readonly RelayChoice[];
  readonly transport?: TransportName | undefined;
  readonly dkim?: readonly DkimKey[] | undefined;
}

/** @throws SendstateError `RELAY_URL`, `relay-missing`, and what a deliverer cannot be made with */
export function openRelays(options: RelaysRequest): OpenRelays {
  const choices = 'length' in options.relay ? options.relay : [options.relay];
  if (choices.length === 0) throw new SendstateError('relay-missing', 'No relay is named');
  const opened = choices.map((choice, index) => openRelay(choice, index, options.transport));
  checkLabels(opened.map(({ label }) => label));
  const dkim = options.dkim ?? [];
  const relays = opened.map(({ own, ...relay }) => ({
    ...relay,
    deliverer: dkim.length === 0 ? relay.deliverer : signingDeliverer(relay.deliverer, dkim),
    own,
  }));
  return {
    relays,
    capacity: relays.reduce((sum, { deliverer }) => sum + deliverer.capacity, 0),
    abort: () => {
      for (const { deliverer } of relays) deliverer.abort();
    },
    close: async () => {
      await Promise.all(relays.map(async ({ own, deliverer }) => own && (await deliverer.close())));
    },
  };
}

function openRelay(choice: RelayChoice, index: number, transport: TransportName | undefined) {
  if ('deliver' in choice)
    return { label: `relay-${index + 1}`, weight: 1, rate: null, deliverer: choice, own: false };
  if ('deliverer' in choice) {
    const { label, weight = 1, rate = null, deliverer } = choice;
    if (!(Number.isInteger(weight) && weight >= 0 && weight <= 1000) || !(rate === null || rate > 0)) {
      throw new SendstateError(
        'RELAY_URL',
        `The relay ${label} has the weight ${weight} and the rate ${rate}`,
        {
          hint: 'A weight is a whole number from 0 to 1000, a rate is more than 0 mails per second, or null.',
        },
      );
    }
    return { label, weight, rate, deliverer, own: false };
  }
  const { label, weight, rate } = choice;
  return { label, weight, rate, deliverer: createDeliverer(choice, transport), own: true };
}
