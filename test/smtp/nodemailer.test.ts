import { afterEach, describe, expect, test } from 'vitest';
import { type CaptureOptions, startCapture } from '../../src/capture/capture.ts';
import type { Deliverer } from '../../src/smtp/deliverer.ts';
import { createNodemailerDeliverer } from '../../src/smtp/nodemailer.ts';
import { parseRelay } from '../../src/smtp/relay.ts';
import { brief, deliver, deliverAll, mailTo } from '../support/smtp-mail.ts';
import { greet, type Peer, type ScriptedRelay, startScript } from '../support/smtp-script.ts';

const servers: { close(): Promise<void> }[] = [];
const deliverers: Deliverer[] = [];

afterEach(async () => {
  for (const deliverer of deliverers.splice(0)) {
    deliverer.abort();
    await deliverer.close();
  }
  for (const server of servers.splice(0)) await server.close();
});

function through(url: string): Deliverer {
  const deliverer = createNodemailerDeliverer(parseRelay(url));
  deliverers.push(deliverer);
  return deliverer;
}

async function capture(options: CaptureOptions = {}) {
  const server = await startCapture({ keep: 100, ...options });
  servers.push(server);
  return server;
}

async function script(steps: (peer: Peer, index: number) => Promise<void>): Promise<ScriptedRelay> {
  const server = await startScript(steps);
  servers.push(server);
  return server;
}

describe('what the relay said', () => {
  test('is sent with the reply to the end of data; the message arrives as it was', async () => {
    const server = await capture();
    const raw = Buffer.from('Subject: dots\r\n\r\n.\r\n..\r\n.a\r\nend\r\n');
    const deliverer = through(server.url);
    const delivery = await deliver(deliverer, mailTo('kim@example.com', { raw, from: '' }));
    expect(delivery).toEqual({
      kind: 'replied',
      stage: 'final',
      reply: { code: 250, enhanced: '2.0.0', text: `2.0.0 Ok: captured ${raw.length} bytes` },
    });
    expect(server.mails).toEqual([{ from: '', to: ['kim@example.com'], raw }]);
    await deliverer.close();
  });

  test.each([
    ['with PIPELINING', ['PIPELINING']],
    ['without', []],
  ])('mixed refusals %s: the first failing reply of each mail decides', async (_, extensions) => {
    const server = await capture({
      extensions,
      policy: (to) => {
        if (to.startsWith('defer')) return { at: 'rcpt', reply: '450 4.2.0 greylisted' };
        if (to.startsWith('reject')) return { at: 'rcpt', reply: '550 5.1.1 no such user' };
        if (to.startsWith('data')) return { at: 'data', reply: '451 4.3.0 no' };
        if (to.startsWith('final')) return { at: 'final', reply: '554 5.7.1 spam' };
        return null;
      },
    });
    const words = ['ok', 'defer', 'reject', 'data', 'final'];
    const mails = Array.from({ length: 50 }, (_, i) => mailTo(`${words[i % 5]}${i}@example.com`));
    const expected = ['sent', 'rcpt 450', 'rcpt 550', 'data 451', 'final 554'];
    const deliveries = await deliverAll(through(`${server.url}?connections=3`), mails);
    expect(deliveries.map(brief)).toEqual(mails.map((_, i) => expected[i % 5]));
    expect(server.accepted).toBe(10);
  });

  test('a refused sender, a refused connection and a refused password name their stage', async () => {
    const server = await script(async (peer, index) => {
      if (index === 0) {
        peer.say('554 5.7.1 go away');
        return;
      }
      await greet(peer, 'AUTH PLAIN');
      const command = await peer.line();
      peer.say(command?.startsWith('AUTH') ? '535 5.7.8 wrong' : '550 5.7.1 sender refused');
      await peer.gone();
    });
    const url = server.url.replace('//', '//kim:hunter2@');
    expect(brief(await deliver(through(server.url), mailTo('a@b')))).toBe('connect 554');
    expect(brief(await deliver(through(server.url), mailTo('a@b')))).toBe('mail 550');
    const refused = await deliver(through(`${url}?auth-in-clear=yes`), mailTo('a@b'));
    expect(brief(refused)).toBe('auth 535');
    expect(JSON.stringify(refused)).not.toContain('hunter2');
  });
});

/** A relay that takes the mail up to and including its terminator, then does `end`. */
async function afterTheDot(end: (peer: Peer) => void): Promise<ScriptedRelay> {
  return await script(async (peer) => {
    await greet(peer);
    for (const reply of ['250 sender', '250 recipient', '354 go']) {
      await peer.line();
      peer.say(reply);
    }
    await peer.message();
    end(peer);
    await peer.gone();
  });
}

describe('safety rule 5: what was not answered is not sent before its terminator left, and ambiguous after', () => {
  test.each([
    ['connection refused', null, 'not-sent ECONNREFUSED'],
    ['closed before the greeting', 0, 'not-sent ECONNECTION'],
    ['closed after MAIL', 3, 'not-sent ECONNECTION'],
    ['closed after RCPT', 4, 'not-sent ECONNECTION'],
    ['closed after DATA', 5, 'not-sent ECONNECTION'],
  ])('%s', async (_, closeAt, expected) => {
    const server = await script(async (peer) => {
      const replies = ['220 hi', '250 scripted', '250 a', '250 b'];
      for (const [i, reply] of replies.entries()) {
        if (i + 1 > (closeAt ?? 0)) break;
        peer.say(reply);
        await peer.line();
      }
      peer.fin();
    });
    if (closeAt === null) await servers.pop()?.close();
    expect(brief(await deliver(through(server.url), mailTo('a@b')))).toBe(expected);
    expect(server.peers).toHaveLength(closeAt === null ? 0 : 1);
  });

  test.each([
    ['FIN', (peer: Peer) => peer.fin(), 'ambiguous ECONNECTION'],
    ['RST', (peer: Peer) => peer.rst(), 'ambiguous ECONNRESET'],
    ['no reply at all', () => {}, 'ambiguous ETIMEDOUT'],
    ['half a reply', (peer: Peer) => peer.socket.end('250 Ok but no line end'), 'ambiguous ECONNECTION'],
    ['half a refusal', (peer: Peer) => peer.socket.end('550 5.7.1 no line end'), 'ambiguous ECONNECTION'],
    ['a reply that is none', (peer: Peer) => peer.say('2 Ok'), 'ambiguous EPROTOCOL'],
    ['a 354', (peer: Peer) => peer.say('354 once more'), 'ambiguous EMESSAGE'],
    ['421', (peer: Peer) => peer.say('421 4.3.2 closing'), 'final 421'],
    ['a refusal', (peer: Peer) => peer.say('550 5.7.1 spam'), 'final 550'],
  ])('after the terminator: %s', async (_, end, expected) => {
    const server = await afterTheDot(end);
    const deliverer = through(`${server.url}?final-timeout=1`);
    expect(brief(await deliver(deliverer, mailTo('a@b')))).toBe(expected);
    expect(server.peers).toHaveLength(1);
  });

  test('a connection that died idle: the next mail is not sent, and nothing is sent twice', async () => {
    const server = await script(async (peer) => {
      await greet(peer);
      for (const reply of ['250 a', '250 b', '354 go']) {
        await peer.line();
        peer.say(reply);
      }
      await peer.message();
      peer.say('250 taken');
      await peer.line();
      peer.rst();
    });
    const deliverer = through(`${server.url}?connections=1`);
    expect(brief(await deliver(deliverer, mailTo('a@b')))).toBe('sent');
    expect(brief(await deliver(deliverer, mailTo('c@d')))).toMatch(/^not-sent /);
    expect(server.peers).toHaveLength(1);
  });

  test('abort: what waits is not sent, what was handed over is ambiguous', async () => {
    const reached = Promise.withResolvers<void>();
    const server = await afterTheDot(() => reached.resolve());
    const deliverer = through(`${server.url}?connections=1`);
    const deliveries = deliverAll(deliverer, [mailTo('a@b'), mailTo('c@d')]);
    await reached.promise;
    deliverer.abort();
    expect((await deliveries).map(brief)).toEqual(['ambiguous EABORTED', 'not-sent EABORTED']);
    await deliverer.close();
  });
});

describe('safety rules 8 and 10', () => {
  test.each(['a@b\r\nRSET', 'a@b>', '<a@b', 'a b@c', 'a@b\0', ''])(
    'the recipient %j is refused here',
    async (to) => {
      const server = await capture();
      expect(brief(await deliver(through(server.url), mailTo('x@y', { to })))).toBe('not-sent EADDRESS');
      expect(server.connections).toBe(0);
    },
  );

  test('a local part that is not ASCII is refused here', async () => {
    const server = await capture();
    const mail = mailTo('김@example.com', { smtputf8: true });
    expect(brief(await deliver(through(server.url), mail))).toBe('not-sent ESMTPUTF8');
  });

  test('the password is never spoken in the clear, unless told so', async () => {
    const server = await script(async (peer) => {
      await greet(peer, 'AUTH PLAIN');
      for (let line = await peer.line(); line !== null; line = await peer.line()) peer.say('502 no');
    });
    const url = server.url.replace('//', '//kim:hunter2@');
    expect(brief(await deliver(through(url), mailTo('a@b')))).toMatch(/^(not-sent|connect)/);
    expect(brief(await deliver(through(`${url}?tls=never`), mailTo('a@b')))).toMatch(/^(not-sent|connect)/);
    for (const peer of server.peers) expect(peer.received).not.toContain('AUTH');
    expect(brief(await deliver(through(`${url}?auth-in-clear=yes`), mailTo('a@b')))).toBe('auth 502');
  });
});

test('close waits for what is in flight; afterwards everything is refused', async () => {
  const server = await capture({ replyDelayMs: 5 });
  const deliverer = through(`${server.url}?connections=2`);
  const deliveries = deliverAll(deliverer, [mailTo('a@b'), mailTo('c@d'), mailTo('e@f')]);
  await deliverer.close();
  expect(server.accepted).toBe(3);
  expect((await deliveries).map(brief)).toEqual(['sent', 'sent', 'sent']);
  expect(brief(await deliver(deliverer, mailTo('g@h')))).toBe('not-sent EABORTED');
});
