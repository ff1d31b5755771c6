import { inspect } from 'node:util';
import { simpleParser } from 'mailparser';
import { createTransport } from 'nodemailer';
import { describe, expect, test } from 'vitest';
import { createSmtpTransport, type SmtpTransportError } from '../../src/smtp/nodemailer-transport.ts';
import { probeRelay } from '../../src/smtp/probe.ts';
import { parseRelay } from '../../src/smtp/relay.ts';
import { captureServer, cleanUpSmtp, scripted } from '../support/smtp-client.ts';
import { agree, greet, obey } from '../support/smtp-script.ts';
import { CA_FILE, RELAY_TLS } from '../support/smtp-tls.ts';

cleanUpSmtp();

describe('the nodemailer transport', () => {
  test('sends what nodemailer composes, to each recipient on its own', async () => {
    const server = await captureServer({
      policy: (to) => (to.startsWith('no') ? { at: 'rcpt', reply: '550 5.1.1 no such user' } : null),
    });
    const transporter = createTransport(createSmtpTransport(server.url));
    const info = await transporter.sendMail({
      from: '보낸이 <sender@example.com>',
      to: ['kim@example.com', '받는이 <no@example.com>'],
      bcc: 'hidden@example.com',
      subject: '안녕하세요',
      text: '첫 줄\n.\n셋째 줄\n',
      html: '<p>안녕</p>',
    });
    expect(info).toMatchObject({
      envelope: {
        from: 'sender@example.com',
        to: ['kim@example.com', 'no@example.com', 'hidden@example.com'],
      },
      accepted: ['kim@example.com', 'hidden@example.com'],
      rejected: ['no@example.com'],
      response: expect.stringMatching(/^250 2\.0\.0 Ok/),
    });
    expect(info.rejectedErrors[0]).toMatchObject({
      code: 'EENVELOPE',
      responseCode: 550,
      recipient: 'no@example.com',
    });
    expect([...server.messageIds]).toEqual([[info.messageId, 2]]);
    const parsed = await simpleParser(server.mails[0]?.raw ?? '');
    expect([parsed.subject, parsed.text]).toEqual(['안녕하세요', '첫 줄\n.\n셋째 줄\n']);
    expect(server.mails[0]?.raw.toString()).not.toContain('hidden');
    expect(await transporter.verify()).toBe(true);
    transporter.close();
  });

  test('fails like nodemailer’s own when no recipient was accepted, and says what is in doubt', async () => {
    const server = await captureServer({ policy: () => ({ at: 'final', reply: '554 5.7.1 spam' }) });
    const refusing = createTransport(createSmtpTransport(server.url));
    const refused = await refusing
      .sendMail({ from: 'a@b', to: 'c@d', text: 'x' })
      .catch((error: SmtpTransportError) => error);
    expect(refused).toMatchObject({ code: 'EMESSAGE', responseCode: 554, response: '554 5.7.1 spam' });
    refusing.close();

    const relay = await scripted(async (peer) => {
      await greet(peer);
      for (const reply of ['250 a', '250 b', '354 go']) {
        await peer.line();
        peer.say(reply);
      }
      await peer.message();
      peer.fin();
    });
    const losing = createTransport(createSmtpTransport(relay.url));
    const lost = await losing
      .sendMail({ from: 'a@b', to: 'c@d', text: 'x' })
      .catch((error: SmtpTransportError) => error);
    expect(lost).toMatchObject({ code: 'ECONNECTION', delivery: { kind: 'ambiguous' } });
    losing.close();
  });

  test('no error holds the password that a relay says back', async () => {
    const password = 'hunter2-and-a-half';
    const relay = await scripted(async (peer) => {
      await greet(peer, 'AUTH PLAIN');
      await obey(peer, (command) =>
        command.startsWith('AUTH') ? `535 5.7.8 ${command} of ${password}?` : agree(command),
      );
    });
    const url = `${relay.url.replace('//', `//kim:${password}@`)}?tls=never&auth-in-clear=yes`;
    const transporter = createTransport(createSmtpTransport(url));
    const error = await transporter
      .sendMail({ from: 'a@b', to: 'c@d', text: 'x' })
      .catch((reason: SmtpTransportError) => reason);
    expect(error).toMatchObject({ code: 'EAUTH', response: '535 5.7.8 AUTH PLAIN *** of ***?' });
    expect(relay.peers[0]?.received).toContain('AUTH PLAIN');
    const shown = inspect(error, { depth: null, showHidden: true });
    expect(shown).not.toContain(password);
    expect(shown).not.toContain(Buffer.from(`\0kim\0${password}`).toString('base64'));
    transporter.close();
  });

  test('verify tells why not', async () => {
    const relay = await scripted(async (peer) => {
      peer.say('554 5.7.1 listed');
      peer.fin();
    });
    const transporter = createTransport(createSmtpTransport(relay.url));
    await expect(transporter.verify()).rejects.toMatchObject({ responseCode: 554 });
    const called = await new Promise((resolve) => transporter.verify(resolve));
    expect(called).toMatchObject({ responseCode: 554 });
    transporter.close();
  });
});

describe('probeRelay', () => {
  test('tells what is offered, which mode is used and why, and sends nothing', async () => {
    const server = await captureServer();
    const report = await probeRelay(parseRelay(server.url));
    expect(report).toMatchObject({
      ok: true,
      relay: server.url,
      greeting: 'capture ESMTP ready',
      tls: null,
      mechanism: null,
      mode: 'grouped',
      why: expect.stringContaining('PIPELINING'),
    });
    expect(report.ok && report.advice.join(' ')).toMatch(/not encrypted.*mode=chunked/);
    expect(server.accepted).toBe(0);
  });

  test('TLS, login and LIMITS', async () => {
    const relay = await scripted(async (peer) => {
      await greet(peer, 'AUTH PLAIN', 'LIMITS MAILMAX=10 RCPTDOMAINMAX=1');
      await obey(peer, (command) => (command.startsWith('AUTH') ? '235 welcome' : agree(command)));
    }, RELAY_TLS);
    const url = relay.url.replace('127.0.0.1', 'kim:hunter2@localhost');
    const report = await probeRelay(parseRelay(`${url}?ca=${encodeURIComponent(CA_FILE)}`));
    expect(report).toMatchObject({
      ok: true,
      tls: { protocol: 'TLSv1.3', verified: true, resumed: false },
      mechanism: 'PLAIN',
      mode: 'serial',
      offers: { limits: { mailMax: 10, rcptDomainMax: 1 } },
    });
    const advice = report.ok ? report.advice.join(' ') : '';
    expect(advice).toMatch(/10 mails on a connection/);
    expect(advice).toMatch(/1 recipient domains/);
    expect(JSON.stringify(report)).not.toContain('hunter2');
    const unverified = await probeRelay(parseRelay(`${url}?verify=no`));
    expect(unverified.ok && unverified.advice.join(' ')).toContain('certificate was not checked');
  });

  test('a relay that cannot be used', async () => {
    const server = await captureServer();
    await server.close();
    expect(await probeRelay(parseRelay(server.url))).toMatchObject({
      ok: false,
      failure: { kind: 'not-sent', code: 'ECONNREFUSED' },
    });
  });
});
