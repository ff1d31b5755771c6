import { afterEach } from 'vitest';
import { type CaptureOptions, type CaptureServer, startCapture } from '../../src/capture/capture.ts';
import { createSmtpDeliverer, type SmtpDeliverer, type SmtpOptions } from '../../src/smtp/client.ts';
import { parseRelay } from '../../src/smtp/relay.ts';
import { type Peer, type ScriptedRelay, startScript } from './smtp-script.ts';

const servers: { close(): Promise<void> }[] = [];
const deliverers: SmtpDeliverer[] = [];

/** Registers the end of every client and server that a test started; call it once in a test file. */
export function cleanUpSmtp(): void {
  afterEach(async () => {
    for (const deliverer of deliverers.splice(0)) {
      deliverer.abort();
      await deliverer.close();
    }
    for (const server of servers.splice(0)) await server.close();
  });
}

/** The fast client for `url`; goodbyes take 50 ms at most unless told otherwise. */
export function clientFor(url: string, options: SmtpOptions = {}): SmtpDeliverer {
  const deliverer = createSmtpDeliverer(parseRelay(url), { closeTimeoutMs: 50, ...options });
  deliverers.push(deliverer);
  return deliverer;
}

export async function captureServer(options: CaptureOptions = {}): Promise<CaptureServer> {
  const server = await startCapture({ keep: 1000, ...options });
  servers.push(server);
  return server;
}

export async function scripted(
  script: (peer: Peer, index: number) => Promise<void>,
  tls?: { key: Buffer; cert: Buffer },
): Promise<ScriptedRelay> {
  const server = await startScript(script, tls);
  servers.push(server);
  return server;
}
