import { type Capabilities, chooseMode, type Mode } from './capabilities.ts';
import type { Delivery } from './deliverer.ts';
import { establish } from './handshake.ts';
import { HandshakeFailure } from './handshake-failure.ts';
import { redactDelivery, secretsOf } from './redact.ts';
import { describeRelay, type RelayOptions, tlsOptions } from './relay.ts';
import type { TlsState } from './tls-state.ts';

/** What `doctor --relay` tells about a relay. */
export type RelayReport =
  | {
      readonly ok: false;
      /** The relay without its password. */
      readonly relay: string;
      /** What a mail would have got. */
      readonly failure: Delivery;
    }
  | {
      readonly ok: true;
      readonly relay: string;
      /** The relay's own words. */
      readonly greeting: string;
      /** From the start of the connection until it was ready for mails, in milliseconds. */
      readonly readyMs: number;
      /** null: not encrypted. */
      readonly tls: TlsState | null;
      /** How the client logged in; null: it did not. */
      readonly mechanism: string | null;
      /** What the relay offers, as of the last EHLO. */
      readonly offers: Capabilities;
      readonly mode: Mode;
      /** Why that mode. */
      readonly why: string;
      /** What could be better, in sentences. */
      readonly advice: readonly string[];
    };

/**
 * Connects to a relay as a worker would, logs in, reads the capabilities and quits; sends nothing. Whatever the relay
 * does ends up in the report; throws only SendstateError `RELAY_CA`.
 */
export async function probeRelay(relay: RelayOptions): Promise<RelayReport> {
  const setup = { relay, tls: tlsOptions(relay), memory: { tlsSession: null, sawTls: false } };
  const started = performance.now();
  try {
    const { wire, capabilities, greeting, tls, mechanism } = await establish(
      setup,
      new AbortController().signal,
    );
    const readyMs = Math.round(performance.now() - started);
    const { mode, why } = chooseMode(capabilities, relay.mode);
    wire.put('QUIT\r\n', 1);
    wire.flush();
    wire.fin();
    return {
      ok: true,
      relay: describeRelay(relay),
      greeting: greeting.text,
      readyMs,
      tls,
      mechanism,
      offers: capabilities,
      mode,
      why,
      advice: advise(relay, capabilities, tls, mode),
    };
  } catch (error) {
    if (!(error instanceof HandshakeFailure)) throw error;
    return {
      ok: false,
      relay: describeRelay(relay),
      failure: redactDelivery(error.delivery, secretsOf(relay)),
    };
  }
}

function advise(relay: RelayOptions, offered: Capabilities, tls: TlsState | null, mode: Mode): string[] {
  const advice: string[] = [];
  if (tls === null && offered.starttls) advice.push('The relay offers TLS and tls=never forgoes it.');
  else if (tls === null)
    advice.push('The connection is not encrypted: an attacker on the way can read the mails.');
  else if (!tls.verified)
    advice.push('The certificate was not checked (verify=no): an attacker on the way can pose as the relay.');
  if (tls === null && relay.user !== null) advice.push('The password crosses the network in the clear.');
  if (mode === 'grouped' && offered.chunking) {
    advice.push(
      'It offers CHUNKING: when it is far away, mode=chunked sends many times more over each connection.',
    );
  }
  if (mode === 'serial' && relay.mode !== 'serial') {
    advice.push('Without PIPELINING each mail costs four round trips: more connections=… is all that helps.');
  }
  const { mailMax, rcptDomainMax } = offered.limits;
  if (mailMax < relay.maxMessages)
    advice.push(`It takes ${mailMax} mails on a connection (LIMITS); the client obeys.`);
  if (rcptDomainMax !== Number.POSITIVE_INFINITY) {
    advice.push(`It takes ${rcptDomainMax} recipient domains on a connection (LIMITS); the client obeys.`);
  }
  if (!offered.smtputf8)
    advice.push('It does not offer SMTPUTF8: addresses whose local part is not ASCII end as invalid.');
  return advice;
}
