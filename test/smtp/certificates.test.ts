import { describe, expect, test } from 'vitest';
import { createNodemailerDeliverer } from '../../src/smtp/nodemailer.ts';
import { parseRelay } from '../../src/smtp/relay.ts';
import { cleanUpSmtp, clientFor, scripted } from '../support/smtp-client.ts';
import { brief, deliver, mailTo } from '../support/smtp-mail.ts';
import { agree, greet, obey, type Peer } from '../support/smtp-script.ts';
import { ADDRESS_TLS, NAME_TLS } from '../support/smtp-tls.ts';

cleanUpSmtp();

type Certificate = typeof NAME_TLS;

/** A relay that wants a login, after STARTTLS or with TLS from the first byte. */
async function relayWith(
  certificate: Certificate,
  scheme: string,
): Promise<{ port: number; heard(): string }> {
  const speak = async (peer: Peer): Promise<void> => {
    await greet(peer, 'AUTH PLAIN');
    await obey(peer, (command) => (command.startsWith('AUTH') ? '235 2.7.0 welcome' : agree(command)));
  };
  const relay = await scripted(
    scheme === 'smtps'
      ? speak
      : async (peer) => {
          await greet(peer, 'STARTTLS');
          await peer.line();
          peer.say('220 go');
          await peer.startTls(certificate);
          await obey(peer, (command) => {
            if (command.startsWith('EHLO')) return '250-scripted\r\n250 AUTH PLAIN';
            return command.startsWith('AUTH') ? '235 2.7.0 welcome' : agree(command);
          });
        },
    scheme === 'smtps' ? certificate : undefined,
  );
  return { port: relay.port, heard: () => relay.peers.map(({ received }) => received).join('') };
}

describe.each(['smtp', 'smtps'])('%s: a certificate is for the host that was dialled', (scheme) => {
  test.each([
    ['127.0.0.1', 'for this address', ADDRESS_TLS, ''],
    ['localhost', 'for this name', NAME_TLS, ''],
    ['127.0.0.1', 'for servername=', NAME_TLS, '&servername=localhost'],
  ])('%s with a certificate %s is sent to', async (host, _, certificate, more) => {
    const relay = await relayWith(certificate, scheme);
    const url = `${scheme}://kim:hunter2@${host}:${relay.port}?ca=${encodeURIComponent(certificate.ca)}${more}`;
    expect(brief(await deliver(clientFor(url), mailTo('a@b')))).toBe('sent');
    expect(relay.heard()).toContain('AUTH PLAIN');
  });

  test.each([
    ['127.0.0.1', 'for localhost', NAME_TLS, ''],
    ['localhost', 'for its address', ADDRESS_TLS, ''],
    ['127.0.0.1', 'for the address, not servername=', ADDRESS_TLS, '&servername=localhost'],
    ['localhost', 'for the host, not servername=', NAME_TLS, '&servername=mail.example'],
  ])('%s with a certificate %s gets no password', async (host, _, certificate, more) => {
    const relay = await relayWith(certificate, scheme);
    const url = `${scheme}://kim:hunter2@${host}:${relay.port}?ca=${encodeURIComponent(certificate.ca)}${more}`;
    expect(brief(await deliver(clientFor(url), mailTo('a@b')))).toBe('not-sent ERR_TLS_CERT_ALTNAME_INVALID');
    const nodemailer = createNodemailerDeliverer(parseRelay(url));
    expect((await deliver(nodemailer, mailTo('a@b'))).kind).toBe('not-sent');
    await nodemailer.close();
    expect(relay.heard()).not.toMatch(/AUTH|MAIL/);
  });
});
