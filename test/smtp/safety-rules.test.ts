import { connect, createServer, type Socket } from 'node:net';
import { describe, expect, test } from 'vitest';
import { parseRelay } from '../../src/smtp/relay.ts';
import { captureServer, cleanUpSmtp, clientFor, scripted } from '../support/smtp-client.ts';
import { brief, deliver, deliverAll, mailTo } from '../support/smtp-mail.ts';
import { agree, greet, obey, type Peer } from '../support/smtp-script.ts';
import { CA_FILE, EXPIRED_TLS, RELAY_TLS } from '../support/smtp-tls.ts';

cleanUpSmtp();

const GROUPED = ['PIPELINING'];
const CHUNKED = ['PIPELINING', 'CHUNKING'];

/** Answers MAIL, RCPT and DATA of a pipelined envelope with these; the commands are read first. */
async function envelope(peer: Peer, ...replies: string[]): Promise<void> {
  for (const _ of replies) await peer.line();
  peer.say(...replies);
}

describe('safety rule 1: replies are matched by count only; one that fits nowhere destroys the connection', () => {
  test('an early answer to a message that has not left is not taken for its answer', async () => {
    const relay = await scripted(async (peer) => {
      await greet(peer);
      await envelope(peer, '250 a');
      await envelope(peer, '250 b');
      await peer.line();
      peer.say('354 go', '250 2.0.0 taken, before it came');
      await peer.gone();
    });
    expect(brief(await deliver(clientFor(relay.url), mailTo('a@b')))).toBe('not-sent EPROTOCOL');
    expect(relay.peers).toHaveLength(1);
  });

  test('an idle connection that says something is not used again', async () => {
    const spoke = Promise.withResolvers<void>();
    const relay = await scripted(async (peer, index) => {
      await greet(peer, ...GROUPED);
      if (index > 0) return obey(peer, agree);
      await envelope(peer, '250 a', '250 b', '354 go');
      await peer.message();
      peer.say('250 taken');
      peer.say('250 and another one');
      await peer.gone();
      spoke.resolve();
    });
    const client = clientFor(relay.url);
    expect(brief(await deliver(client, mailTo('a@b')))).toBe('sent');
    await spoke.promise;
    expect(brief(await deliver(client, mailTo('c@d')))).toBe('sent');
    expect(relay.peers).toHaveLength(2);
  });

  test('250 to DATA is no 354', async () => {
    const relay = await scripted(async (peer) => {
      await greet(peer);
      await obey(peer, () => '250 ok');
    });
    expect(brief(await deliver(clientFor(relay.url), mailTo('a@b')))).toBe('not-sent EPROTOCOL');
  });
});

describe('safety rule 2: sent only on the mail’s own 2xx after its end of data', () => {
  test.each(['serial', 'grouped', 'chunked'])(
    '%s: each mail has its own answer, and its words are kept',
    async (mode) => {
      const server = await captureServer({
        policy: (to) => (to.startsWith('late') ? { at: 'final', reply: '554 5.7.1 spam' } : null),
      });
      const mails = Array.from({ length: 40 }, (_, i) =>
        mailTo(`${i % 3 === 1 ? 'late' : 'ok'}${i}@x.example`),
      );
      const deliveries = await deliverAll(clientFor(`${server.url}?mode=${mode}&connections=2`), mails);
      expect(deliveries.map(brief)).toEqual(mails.map((_, i) => (i % 3 === 1 ? 'final 554' : 'sent')));
      expect(deliveries[0]).toEqual({
        kind: 'replied',
        stage: 'final',
        reply: { code: 250, enhanced: '2.0.0', text: `2.0.0 Ok: captured ${mails[0]?.raw.length} bytes` },
      });
    },
  );

  test('354 after the end of data is no answer: ambiguous', async () => {
    const relay = await scripted(async (peer) => {
      await greet(peer);
      await obey(peer, (command) => (command.startsWith('\0') ? '354 more?' : agree(command)));
    });
    expect(brief(await deliver(clientFor(relay.url), mailTo('a@b')))).toBe('ambiguous EPROTOCOL');
  });

  test('an answer about an address is no answer to a message', async () => {
    const relay = await scripted(async (peer) => {
      await greet(peer);
      await obey(peer, (command) => (command.startsWith('\0') ? '250 2.1.0 Ok' : agree(command)));
    });
    expect(brief(await deliver(clientFor(relay.url), mailTo('a@b')))).toBe('ambiguous EPROTOCOL');
  });
});

describe('safety rule 3: the first failing reply decides', () => {
  test.each([
    ['grouped', GROUPED],
    ['chunked', CHUNKED],
  ])('%s: RCPT 450 and then 554 no valid recipients is a temporary failure', async (mode, extensions) => {
    const relay = await scripted(async (peer) => {
      await greet(peer, ...extensions);
      if (mode === 'chunked') {
        await peer.line();
        await envelope(peer, '250 reset', '250 a');
      } else await envelope(peer, '250 a');
      await peer.line();
      peer.say('450 4.2.0 greylisted', '554 5.5.1 no valid recipients');
      await peer.gone();
    });
    expect(brief(await deliver(clientFor(`${relay.url}?mode=${mode}`), mailTo('a@b')))).toBe('rcpt 450');
  });

  test.each(['grouped', 'chunked'])('%s: a refused sender is not a refused recipient', async (mode) => {
    const relay = await scripted(async (peer) => {
      await greet(peer, ...CHUNKED);
      await obey(peer, (command) => {
        if (command.startsWith('MAIL')) return '451 4.3.0 sender';
        return command.startsWith('RSET') ? '250 ok' : '503 5.5.1 MAIL first';
      });
    });
    const raw = Buffer.from('x\r\n');
    const delivery = await deliver(clientFor(`${relay.url}?mode=${mode}`), mailTo('a@b', { raw }));
    expect(brief(delivery)).toBe('mail 451');
  });
});

describe('safety rule 4: after a failure', () => {
  test('DATA taken with no good recipient is ended by a lone dot, and RSET leads the next group', async () => {
    const relay = await scripted(async (peer) => {
      await greet(peer, ...GROUPED);
      await envelope(peer, '250 a', '550 5.1.1 no', '354 go on then');
      expect(await peer.message()).toBe('');
      peer.say('554 5.5.1 nobody');
      await obey(peer, agree);
    });
    const client = clientFor(`${relay.url}?connections=1`);
    const deliveries = await deliverAll(client, [mailTo('no@x.example'), mailTo('yes@x.example')]);
    expect(deliveries.map(brief)).toEqual(['rcpt 550', 'sent']);
    expect(relay.peers).toHaveLength(1);
    expect(relay.peers[0]?.received).toContain('DATA\r\n.\r\nRSET\r\nMAIL FROM:');
    expect(relay.peers[0]?.received).not.toContain('Hello no@x.example');
  });

  test('DATA taken after a refused sender: the connection is dropped, nothing is sent', async () => {
    const relay = await scripted(async (peer) => {
      await greet(peer, ...GROUPED);
      await envelope(peer, '550 5.7.1 sender', '250 b', '354 go on then');
      await peer.gone();
    });
    expect(brief(await deliver(clientFor(relay.url), mailTo('a@b')))).toBe('mail 550');
    expect(relay.peers[0]?.received).toMatch(/DATA\r\n$/);
  });

  test.each([
    ['serial', 'MAIL'],
    ['serial', 'RCPT'],
    ['serial', 'DATA'],
    ['grouped', 'RCPT'],
  ])('%s: RSET leads the next mail after %s was refused', async (mode, verb) => {
    let refused = false;
    const relay = await scripted(async (peer) => {
      await greet(peer, ...GROUPED);
      await obey(peer, (command) => {
        if (refused || !command.startsWith(verb))
          return refused && command === 'DATA' && verb !== 'DATA' ? '354 go' : agree(command);
        refused = true;
        return '550 5.7.1 no';
      });
    });
    const client = clientFor(`${relay.url}?connections=1&mode=${mode}`);
    const deliveries = await deliverAll(client, [mailTo('a@x.example'), mailTo('b@x.example')]);
    expect(deliveries.map(brief)).toEqual([`${verb.toLowerCase()} 550`, 'sent']);
    expect(relay.peers[0]?.received).toMatch(/RSET\r\nMAIL FROM:<[^>]*>\r\nRCPT TO:<b@x.example>/);
  });

  test('chunked: RSET leads every mail', async () => {
    const server = await captureServer();
    const commands: string[] = [];
    const relay = await scripted(async (peer) => {
      await greet(peer, ...CHUNKED);
      for (let line = await peer.line(); line !== null; line = await peer.line()) {
        commands.push(line.slice(0, 4));
        const size = /^BDAT (\d+) LAST$/.exec(line)?.[1];
        if (size !== undefined) await peer.bytes(Number(size));
        peer.say(line === 'QUIT' ? '221 bye' : '250 ok');
      }
    });
    expect(server.accepted).toBe(0);
    const client = clientFor(`${relay.url}?mode=chunked&connections=1`);
    await deliverAll(client, [mailTo('a@b'), mailTo('c@d')]);
    await client.close();
    expect(commands.join(' ')).toBe('RSET MAIL RCPT BDAT RSET MAIL RCPT BDAT QUIT');
  });

  test('a relay that refuses RSET is left', async () => {
    const relay = await scripted(async (peer, index) => {
      await greet(peer);
      await obey(peer, (command) => {
        if (command === 'RSET') return '502 no';
        return index === 0 && command.startsWith('RCPT TO:<no') ? '550 5.1.1 no' : agree(command);
      });
    });
    const client = clientFor(`${relay.url}?connections=1`);
    const mails = ['yes@x', 'no@x', 'also@x'].map((to) => mailTo(to));
    expect((await deliverAll(client, mails)).map(brief)).toEqual(['sent', 'rcpt 550', 'sent']);
    expect(relay.peers).toHaveLength(2);
  });
});

/** A relay that says 354 and then reads no more; gives the socket to end it with. */
async function deaf(
  extensions: readonly string[],
): Promise<{ url: string; stuck: Promise<Socket>; close(): Promise<void> }> {
  const stuck = Promise.withResolvers<Socket>();
  const server = createServer((socket) => {
    socket.on('error', () => socket.destroy());
    socket.write('220 deaf\r\n');
    let received = '';
    socket.on('data', (chunk) => {
      received += chunk.toString('latin1');
      if (/EHLO/.test(received))
        socket.write(`250-deaf\r\n${extensions.map((one) => `250-${one}\r\n`).join('')}250 HELP\r\n`);
      if (/DATA\r\n$/.test(received)) {
        socket.pause();
        socket.write('250 a\r\n250 b\r\n354 go\r\n');
        stuck.resolve(socket);
      }
      received = '';
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  const port = typeof address === 'object' && address !== null ? address.port : 0;
  const close = (): Promise<void> => new Promise((resolve) => server.close(() => resolve()));
  return { url: `smtp://127.0.0.1:${port}`, stuck: stuck.promise, close };
}

describe('safety rule 5: ambiguous exactly when the terminator left', () => {
  test('a message that is too large for the buffers on the way is not sent when the connection breaks', async () => {
    const relay = await deaf(GROUPED);
    const raw = Buffer.alloc(32 * 1024 * 1024, `${'x'.repeat(76)}\r\n`);
    const client = clientFor(relay.url);
    const delivery = deliver(client, mailTo('a@b', { raw }));
    const socket = await relay.stuck;
    socket.resetAndDestroy();
    expect(brief(await delivery)).toMatch(/^not-sent E(CONNRESET|PIPE|CONNECTION)$/);
    await relay.close();
  });

  test('a message that fitted is ambiguous', async () => {
    const relay = await deaf(GROUPED);
    const client = clientFor(`${relay.url}?final-timeout=0.05`);
    const delivery = deliver(client, mailTo('a@b'));
    const socket = await relay.stuck;
    expect(brief(await delivery)).toBe('ambiguous ETIMEDOUT');
    socket.destroy();
    await relay.close();
  });

  test('of several mails in flight each gets its own', async () => {
    const relay = await scripted(async (peer, index) => {
      await greet(peer, ...GROUPED);
      if (index > 0) return;
      await envelope(peer, '250 a', '250 b', '354 go');
      await peer.message();
      // The next mail's envelope came with the body.
      await peer.line();
      peer.rst();
    });
    const client = clientFor(`${relay.url}?connections=1`);
    const deliveries = await deliverAll(client, [mailTo('a@b'), mailTo('c@d')]);
    expect(deliveries.map(brief)).toEqual(['ambiguous ECONNRESET', 'not-sent ECONNRESET']);
  });

  test('refused, unknown and unreachable relays: not sent', async () => {
    const server = await captureServer();
    await server.close();
    expect(brief(await deliver(clientFor(server.url), mailTo('a@b')))).toBe('not-sent ECONNREFUSED');
    expect(brief(await deliver(clientFor('smtp://relay.invalid'), mailTo('a@b')))).toMatch(
      /^not-sent (ENOTFOUND|EAI_AGAIN)$/,
    );
    const silent = await scripted((peer) => peer.gone());
    const delivery = await deliver(clientFor(`${silent.url}?command-timeout=0.2`), mailTo('a@b'));
    expect(brief(delivery)).toBe('not-sent ETIMEDOUT');
  });
});

describe('safety rule 6: the answer to the message may take long', () => {
  test('ten minutes by default', () => {
    expect(parseRelay('smtp://h').finalTimeoutMs).toBe(600_000);
  });

  test('the time for other replies does not apply to it', async () => {
    const relay = await scripted(async (peer) => {
      await greet(peer, ...GROUPED);
      await envelope(peer, '250 a', '250 b', '354 go');
      await peer.message();
      setTimeout(() => peer.say('250 taken after a while'), 800);
      await peer.gone();
    });
    const client = clientFor(`${relay.url}?command-timeout=0.4&final-timeout=20&idle-timeout=0.1`);
    expect(brief(await deliver(client, mailTo('a@b')))).toBe('sent');
  });

  test.each([
    ['final', 'ambiguous ETIMEDOUT'],
    ['rcpt', 'not-sent ETIMEDOUT'],
  ])('a reply that trickles, a byte at a time, has one time limit: %s', async (stage, fate) => {
    const relay = await scripted(async (peer) => {
      await greet(peer, ...GROUPED);
      const trickle = () => {
        let at = 0;
        const drip = setInterval(
          () => peer.write('250-still thinking about this mail, please wait '.charAt(at++) || '.'),
          50,
        );
        peer.socket.once('close', () => clearInterval(drip));
      };
      if (stage === 'rcpt') {
        await peer.line();
        peer.say('250 a');
        trickle();
      } else {
        await envelope(peer, '250 a', '250 b', '354 go');
        await peer.message();
        trickle();
      }
      await peer.gone();
    });
    const client = clientFor(`${relay.url}?command-timeout=0.6&final-timeout=0.6`);
    const began = performance.now();
    expect(brief(await deliver(client, mailTo('a@b')))).toBe(fate);
    // Ten seconds of bytes would come; the limit counts from the question.
    expect(performance.now() - began).toBeLessThan(2_000);
  });

  test('when it runs out the mail is ambiguous, and it applies to nothing else', async () => {
    const relay = await scripted(async (peer, index) => {
      await greet(peer, ...GROUPED);
      if (index === 0) return peer.gone();
      await envelope(peer, '250 a', '250 b', '354 go');
      await peer.gone();
    });
    const client = clientFor(`${relay.url}?command-timeout=0.5&final-timeout=0.1`);
    expect(brief(await deliver(client, mailTo('a@b')))).toBe('not-sent ETIMEDOUT');
    expect(brief(await deliver(client, mailTo('a@b')))).toBe('ambiguous ETIMEDOUT');
  });
});

describe('safety rule 7: 421 anywhere: stop writing, read what comes, close', () => {
  test('what still comes counts, nothing more is written', async () => {
    const relay = await scripted(async (peer, index) => {
      await greet(peer, ...CHUNKED);
      if (index > 0) {
        peer.say('421 still no');
        return;
      }
      for (let i = 0; i < 2; i++) {
        for (let n = 0; n < 3; n++) await peer.line();
        const size = /(\d+)/.exec((await peer.line()) ?? '')?.[1];
        await peer.bytes(Number(size));
      }
      peer.say('250 r', '250 m', '250 r', '421 4.3.2 first', '250 r', '250 m', '250 r', '250 2.0.0 second');
      await peer.gone();
      peer.fin();
    });
    const client = clientFor(`${relay.url}?mode=chunked&connections=1`);
    const deliveries = await deliverAll(
      client,
      ['a@x', 'b@x', 'c@x'].map((to) => mailTo(to)),
    );
    expect(deliveries.map(brief).slice(0, 2)).toEqual(['final 421', 'sent']);
    expect(relay.peers[0]?.received).not.toContain('c@x');
    expect(relay.peers[0]?.received).not.toContain('QUIT');
  });

  test('421 in the greeting, to EHLO, to MAIL of the first mail', async () => {
    for (const at of [0, 1, 2]) {
      const relay = await scripted(async (peer) => {
        for (let i = 0; i < at; i++) {
          peer.say('220 go on');
          await peer.line();
        }
        peer.say('421 4.3.2 closing');
        await peer.gone();
      });
      expect(brief(await deliver(clientFor(relay.url), mailTo('a@b')))).toBe(
        at === 2 ? 'mail 421' : 'connect 421',
      );
    }
  });

  test('a relay that takes n mails on a connection and then says 421 costs a connection, not a failure', async () => {
    for (const mode of ['serial', 'grouped']) {
      const server = await captureServer({ maxMailsPerConnection: 3 });
      const mails = Array.from({ length: 20 }, (_, i) => mailTo(`user${i}@x.example`));
      const deliveries = await deliverAll(clientFor(`${server.url}?mode=${mode}&connections=2`), mails);
      expect(new Set(deliveries.map(brief))).toEqual(new Set(['sent']));
      expect([server.accepted, server.recipients.size]).toEqual([20, 20]);
      await server.close();
    }
  });
});

describe('safety rule 8: addresses', () => {
  const hostile = [
    'a@b\r\nRSET',
    'a@b\nRSET',
    'a@b\0',
    'a@b>',
    '<a@b',
    'a b@c',
    'a@b\t',
    'a@b\u0085',
    '',
    `${'a'.repeat(320)}@b`,
  ];
  test.each(hostile)('the recipient %j is refused here', async (to) => {
    const server = await captureServer();
    const client = clientFor(server.url);
    for (const smtputf8 of [false, true]) {
      expect(brief(await deliver(client, mailTo('x@y', { to, smtputf8 })))).toBe('not-sent EADDRESS');
      expect(brief(await deliver(client, mailTo('x@y', { from: to === '' ? '>' : to, smtputf8 })))).toBe(
        'not-sent EADDRESS',
      );
    }
    expect(server.accepted).toBe(0);
  });

  test('non-ASCII only with SMTPUTF8, on both sides', async () => {
    const server = await captureServer();
    const mail = mailTo('김@example.com', { smtputf8: true });
    expect(brief(await deliver(clientFor(server.url), mail))).toBe('sent');
    expect([...server.recipients.keys()]).toEqual(['김@example.com']);
    expect(brief(await deliver(clientFor(server.url), { ...mail, smtputf8: false }))).toBe(
      'not-sent EADDRESS',
    );
    const old = await captureServer({ extensions: ['PIPELINING'] });
    expect(brief(await deliver(clientFor(old.url), mail))).toBe('not-sent ESMTPUTF8');
    const from = await deliver(clientFor(old.url), mailTo('a@b', { from: '뉴스@c', smtputf8: true }));
    expect(from).toMatchObject({ code: 'ESENDERUTF8', why: expect.stringContaining('the sender 뉴스@c') });
    const replyTo = await deliver(clientFor(old.url), mailTo('a@b', { smtputf8: true }));
    expect(replyTo).toMatchObject({ code: 'ESENDERUTF8', why: expect.stringContaining('Reply-To') });
    expect(old.accepted).toBe(0);
  });

  test('8BITMIME and SIZE are kept to', async () => {
    const server = await captureServer({ extensions: ['PIPELINING'], maxMessageBytes: 100 });
    const eightBit = mailTo('a@b', { raw: Buffer.from('é\r\n'), eightBit: true });
    expect(brief(await deliver(clientFor(server.url), eightBit))).toBe('not-sent E8BITMIME');
    const large = await deliver(clientFor(server.url), mailTo('a@b', { raw: Buffer.alloc(101, 'x') }));
    expect(large).toMatchObject({ code: 'EMESSAGESIZE', why: expect.stringContaining('than the 100 bytes') });
    expect(server.accepted).toBe(0);
  });
});

describe('safety rule 9: nothing in a message is a command', () => {
  const smuggling = ['\n.\n', '\r.\r', '\r\n.\r\n', '\n.\r\n', '\r\n.\n', '\r.\r\n'].map(
    (end) => `a${end}MAIL FROM:<evil@x>${end.replace('.', '')}RCPT TO:<victim@x>\r\n`,
  );
  test.each(['serial', 'grouped', 'chunked'])(
    '%s: what looks like an end of data arrives as text',
    async (mode) => {
      const server = await captureServer();
      const mails = smuggling.map((text, i) => mailTo(`user${i}@x.example`, { raw: Buffer.from(text) }));
      const deliveries = await deliverAll(clientFor(`${server.url}?mode=${mode}&connections=1`), mails);
      expect(deliveries.map(brief)).toEqual(mails.map(() => 'sent'));
      expect(server.mails.map((mail) => mail.raw.toString())).toEqual(
        smuggling.map((text) => text.replace(/\r\n|\r|\n/g, '\r\n')),
      );
      expect([...server.recipients.keys()]).not.toContain('victim@x');
    },
  );
});

describe('safety rule 10: TLS and passwords', () => {
  const user = (url: string): string => url.replace('//', '//kim:hunter2@').replace('127.0.0.1', 'localhost');
  const trust = `ca=${encodeURIComponent(CA_FILE)}`;

  /** STARTTLS, then these keywords. `injected` is said in the clear behind the 220. */
  function starttls(before: string[], after: string[], injected = ''): (peer: Peer) => Promise<void> {
    return async (peer) => {
      await greet(peer, 'STARTTLS', ...before);
      if ((await peer.line()) !== 'STARTTLS') return;
      peer.write(`220 go\r\n${injected}`);
      await peer.startTls(RELAY_TLS);
      await obey(peer, (command) => {
        if (command.startsWith('EHLO'))
          return ['scripted', ...after, 'HELP']
            .map((one, i) => `250${i > after.length ? ' ' : '-'}${one}`)
            .join('\r\n');
        if (command.startsWith('AUTH LOGIN')) return '334 VXNlcm5hbWU6';
        if (command === Buffer.from('kim').toString('base64')) return '334 UGFzc3dvcmQ6';
        if (/^AUTH PLAIN|^aHVudGVyMg==$/.test(command)) return '235 2.7.0 welcome';
        return agree(command);
      });
    };
  }

  test('what was offered before TLS is forgotten, what was said before it is dropped', async () => {
    const relay = await scripted(
      starttls(['PIPELINING', 'AUTH PLAIN'], ['AUTH LOGIN'], '250-evil\r\n250 AUTH PLAIN\r\n'),
    );
    const client = clientFor(`${user(relay.url)}?${trust}`);
    expect(brief(await deliver(client, mailTo('a@b')))).toBe('sent');
    expect(client.mode).toBe('serial');
    expect(relay.peers[0]?.received).toContain('AUTH LOGIN');
  });

  test('implicit TLS, sessions resumed on the next connection', async () => {
    const relay = await scripted(async (peer) => {
      await greet(peer, ...GROUPED);
      await obey(peer, agree);
    }, RELAY_TLS);
    const client = clientFor(`${relay.url.replace('127.0.0.1', 'localhost')}?${trust}&max-messages=1`);
    expect(brief(await deliver(client, mailTo('a@b')))).toBe('sent');
    expect(brief(await deliver(client, mailTo('c@d')))).toBe('sent');
    const sockets = relay.peers.map((peer) => peer.socket);
    expect(
      sockets.map(
        (socket) =>
          'isSessionReused' in socket && (socket as { isSessionReused(): boolean }).isSessionReused(),
      ),
    ).toEqual([false, true]);
  });

  test.each([
    ['of nobody known', RELAY_TLS, 'localhost', '', /^not-sent (UNABLE_TO|SELF_SIGNED|DEPTH_ZERO)/],
    ['that expired', EXPIRED_TLS, 'localhost', trust, /^not-sent CERT_HAS_EXPIRED$/],
    [
      'for another name',
      RELAY_TLS,
      'localhost',
      `${trust}&servername=other.example`,
      /^not-sent ERR_TLS_CERT_ALTNAME_INVALID$/,
    ],
  ])('a certificate %s: not sent', async (_, tls, host, options, expected) => {
    const implicit = await scripted((peer) => peer.gone(), tls);
    expect(
      brief(await deliver(clientFor(`${implicit.url.replace('127.0.0.1', host)}?${options}`), mailTo('a@b'))),
    ).toMatch(expected);
    const explicit = await scripted(async (peer) => {
      await greet(peer, 'STARTTLS');
      await peer.line();
      peer.say('220 go');
      await peer.startTls(tls);
      await peer.gone();
    });
    const url = `${user(explicit.url).replace('localhost', host)}?${options}`;
    expect(brief(await deliver(clientFor(url), mailTo('a@b')))).toMatch(expected);
    for (const peer of [...implicit.peers, ...explicit.peers]) expect(peer.received).not.toMatch(/AUTH|MAIL/);
  });

  test('verify=no accepts any certificate, when told so', async () => {
    const relay = await scripted(starttls([], ['AUTH PLAIN']));
    expect(brief(await deliver(clientFor(`${user(relay.url)}?verify=no`), mailTo('a@b')))).toBe('sent');
  });

  test.each([
    ['not offered', async (peer: Peer) => void (await greet(peer, 'AUTH PLAIN')), 'not-sent ETLS'],
    [
      'refused',
      async (peer: Peer) => {
        await greet(peer, 'STARTTLS', 'AUTH PLAIN');
        await peer.line();
        peer.say('454 4.7.0 TLS not available');
      },
      'connect 454',
    ],
  ])('TLS that is %s is never done without: no password, no mail', async (_, first, expected) => {
    const relay = await scripted(async (peer) => {
      await first(peer);
      await obey(peer, agree);
    });
    for (const url of [user(relay.url), `${relay.url}?tls=required`, `${user(relay.url)}?tls=never`]) {
      expect(brief(await deliver(clientFor(url), mailTo('a@b'))), url).toBe(expected);
    }
    for (const peer of relay.peers) expect(peer.received).not.toMatch(/AUTH|MAIL/);
  });

  test('a relay that offered TLS once is not believed when it does not any more', async () => {
    const relay = await scripted(async (peer, index) => {
      if (index === 0) return starttls([], [])(peer);
      await greet(peer);
      await obey(peer, agree);
    });
    const client = clientFor(`${relay.url}?verify=no&max-messages=1`);
    expect(brief(await deliver(client, mailTo('a@b')))).toBe('sent');
    expect(brief(await deliver(client, mailTo('c@d')))).toBe('not-sent ETLS');
  });

  test('PLAIN and LOGIN in the clear only when told so; the password is in no answer', async () => {
    for (const auth of ['plain', 'login']) {
      const relay = await scripted(async (peer) => {
        await greet(peer, `AUTH ${auth.toUpperCase()}`);
        await obey(peer, (command) =>
          command === 'AUTH LOGIN' || command === 'a2lt' ? '334 more' : '535 5.7.8 hunter3 is wrong',
        );
      });
      const delivery = await deliver(
        clientFor(`${user(relay.url)}?auth-in-clear=yes&tls=never`),
        mailTo('a@b'),
      );
      expect(brief(delivery)).toBe('auth 535');
      expect(relay.peers[0]?.received).toContain(`AUTH ${auth.toUpperCase()}`);
      expect(JSON.stringify(delivery)).not.toContain('hunter2');
    }
  });

  test('XOAUTH2 sends the token as it is asked for, and answers the reason of a refusal with an empty line', async () => {
    const wanted = `AUTH XOAUTH2 ${Buffer.from('user=kim\u0001auth=Bearer hunter2\u0001\u0001').toString('base64')}`;
    const answers = { taken: '235 2.7.0 welcome', refused: '334 eyJzdGF0dXMiOiI0MDEifQ==' };
    for (const [how, answer] of Object.entries(answers)) {
      const relay = await scripted(async (peer) => {
        await greet(peer, 'PIPELINING', 'AUTH PLAIN XOAUTH2');
        await obey(peer, (command) => {
          if (command.startsWith('AUTH')) return answer;
          return command === '' ? '535 5.7.8 the token has expired' : agree(command);
        });
      });
      const client = clientFor(`${user(relay.url)}?auth=xoauth2&auth-in-clear=yes&tls=never`);
      expect(brief(await deliver(client, mailTo('a@b')))).toBe(how === 'taken' ? 'sent' : 'auth 535');
      expect(relay.peers[0]?.received).toContain(`${wanted}\r\n${how === 'taken' ? 'MAIL' : '\r\n'}`);
    }
  });

  test('no way to log in is said as such', async () => {
    const relay = await scripted(async (peer) => {
      await greet(peer, 'AUTH CRAM-MD5');
      await peer.gone();
    });
    const delivery = await deliver(clientFor(`${user(relay.url)}?auth-in-clear=yes`), mailTo('a@b'));
    expect(delivery).toMatchObject({
      kind: 'not-sent',
      code: 'EAUTH',
      why: expect.stringContaining('CRAM-MD5'),
    });
  });
});

describe('safety rule 11: read while writing, bounded buffers', () => {
  test('a relay that answers at length before it reads on does not deadlock', async () => {
    const lines = Array.from({ length: 100 }, (_, i) => `250${i < 99 ? '-' : ' '}${'y'.repeat(4000)}`);
    const relay = await scripted(async (peer) => {
      await greet(peer, ...CHUNKED);
      for (let line = await peer.line(); line !== null; line = await peer.line()) {
        const size = /^BDAT (\d+) LAST$/.exec(line)?.[1];
        if (size !== undefined) await peer.bytes(Number(size));
        if (line === 'QUIT') return peer.say('221 bye');
        peer.socket.pause();
        peer.say(...(size === undefined ? ['250 ok'] : lines));
        if (peer.socket.writableNeedDrain) await new Promise((resolve) => peer.socket.once('drain', resolve));
        peer.socket.resume();
      }
    });
    const raw = Buffer.alloc(1024 * 1024, `${'x'.repeat(76)}\r\n`);
    const client = clientFor(`${relay.url}?mode=chunked&connections=1`, { windowBytes: 64 * 1024 * 1024 });
    const deliveries = await deliverAll(
      client,
      Array.from({ length: 12 }, (_, i) => mailTo(`user${i}@x`, { raw })),
    );
    expect(new Set(deliveries.map(brief))).toEqual(new Set(['sent']));
  });

  test('an endless reply is cut off', async () => {
    let written = 0;
    const relay = await scripted(async (peer) => {
      peer.write('220-');
      while (peer.socket.writable && written < 50_000_000) {
        written += 10_000;
        peer.write('x'.repeat(10_000));
        await new Promise((resolve) => setImmediate(resolve));
      }
    });
    expect(brief(await deliver(clientFor(relay.url), mailTo('a@b')))).toBe('not-sent EPROTOCOL');
    expect(written).toBeLessThan(50_000_000);
  });
});

test('one envelope recipient per mail, whatever the transport', async () => {
  const server = await captureServer();
  const socket = connect({ port: server.port, host: server.host });
  socket.destroy();
  await deliverAll(clientFor(server.url), [mailTo('a@b'), mailTo('c@d')]);
  expect(server.mails.map((mail) => mail.to)).toEqual([['a@b'], ['c@d']]);
});
