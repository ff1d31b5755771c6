import { describe, expect, test } from 'vitest';
import { deliveryWords } from '../../src/smtp/deliverer.ts';
import { captureServer, cleanUpSmtp, clientFor, scripted } from '../support/smtp-client.ts';
import { brief, deliver, deliverAll, mailTo } from '../support/smtp-mail.ts';
import { agree, greet, obey, type Peer } from '../support/smtp-script.ts';

cleanUpSmtp();

const many = (count: number, domain = 'x.example') =>
  Array.from({ length: count }, (_, i) => mailTo(`user${i}@${domain}`));

const agreeable =
  (...keywords: string[]) =>
  async (peer: Peer): Promise<void> => {
    if (await greet(peer, ...keywords)) await obey(peer, agree);
  };

describe.each(['serial', 'grouped', 'chunked'] as const)('%s mode', (mode) => {
  test('mixed refusals in a stream of mails: each gets its own', async () => {
    const server = await captureServer({
      policy: (to) => {
        if (to.startsWith('defer')) return { at: 'rcpt', reply: '450 4.2.0 greylisted' };
        if (to.startsWith('reject')) return { at: 'rcpt', reply: '550 5.1.1 no such user' };
        if (to.startsWith('data')) return { at: 'data', reply: '451 4.3.0 no' };
        if (to.startsWith('final')) return { at: 'final', reply: '554 5.7.1 spam' };
        return null;
      },
    });
    // BDAT is DATA and the end of data in one.
    const data = mode === 'chunked' ? 'final 451' : 'data 451';
    const kinds = [
      ['ok', 'sent'],
      ['defer', 'rcpt 450'],
      ['reject', 'rcpt 550'],
      ['data', data],
      ['final', 'final 554'],
      ['fine', 'sent'],
    ] as const;
    const mails = Array.from({ length: 600 }, (_, i) => mailTo(`${kinds[(i * 7) % 6]?.[0]}${i}@x.example`));
    const client = clientFor(`${server.url}?mode=${mode}&connections=3`);
    const deliveries = await deliverAll(client, mails);
    expect(deliveries.map(brief)).toEqual(mails.map((_, i) => kinds[(i * 7) % 6]?.[1]));
    expect(client.mode).toBe(mode);
    expect([server.accepted, server.recipients.size, server.messageIds.size]).toEqual([200, 200, 200]);
  });

  test('messages of every size arrive as they were', async () => {
    const server = await captureServer();
    const sizes = [0, 1, 2, 100, 32_760, 32_768, 32_769, 65_536, 300_000, 5_000_000];
    const mails = sizes.map((size) =>
      mailTo(`s${size}@x.example`, { raw: Buffer.from(`${'y'.repeat(size)}\r\n`) }),
    );
    const deliveries = await deliverAll(clientFor(`${server.url}?mode=${mode}&connections=2`), mails);
    expect(deliveries.map(brief)).toEqual(mails.map(() => 'sent'));
    const captured = new Map(server.mails.map((mail) => [mail.to[0], mail.raw]));
    for (const mail of mails) expect(captured.get(mail.to)?.equals(mail.raw), mail.to).toBe(true);
  });

  test('max-messages, LIMITS MAILMAX and RCPTDOMAINMAX end connections politely', async () => {
    const server = await captureServer({
      extensions: ['PIPELINING', 'CHUNKING', 'LIMITS MAILMAX=5 RCPTDOMAINMAX=1'],
    });
    const client = clientFor(`${server.url}?mode=${mode}&connections=1`);
    expect((await deliverAll(client, many(12))).map(brief)).toEqual(Array(12).fill('sent'));
    expect(server.connections).toBe(3);
    await deliverAll(client, [...many(2, 'one.example'), ...many(1, 'two.example')]);
    expect(server.connections).toBe(5);
    server.clear();
    await deliverAll(clientFor(`${server.url}?mode=${mode}&connections=1&max-messages=2`), many(6));
    expect(server.connections).toBe(3);
  });
});

test('grouped: body and next envelope leave in one write', async () => {
  const groups: string[] = [];
  const relay = await scripted(async (peer) => {
    peer.socket.on('data', (chunk) => groups.push(chunk.toString('latin1').replace(/<[^>]*>/g, '<>')));
    await agreeable('PIPELINING')(peer);
  });
  const client = clientFor(`${relay.url}?connections=1`);
  const raw = Buffer.from('hi\r\n');
  await deliverAll(
    client,
    ['a@x', 'b@x', 'c@x'].map((to) => mailTo(to, { raw })),
  );
  await client.close();
  const envelope = 'MAIL FROM:<>\r\nRCPT TO:<>\r\nDATA\r\n';
  expect(groups.slice(1)).toEqual([
    envelope,
    `hi\r\n.\r\n${envelope}`,
    `hi\r\n.\r\n${envelope}`,
    'hi\r\n.\r\n',
    'QUIT\r\n',
  ]);
});

describe('chunked: the window', () => {
  /** A relay that answers nothing until it has these many mails, then all of them, and so on. */
  async function rounds(windows: readonly number[], answer: (mail: number) => string): Promise<string> {
    const relay = await scripted(async (peer) => {
      await greet(peer, 'PIPELINING', 'CHUNKING');
      let mails = 0;
      for (const window of windows) {
        const answers: string[] = [];
        for (const last = mails + window; mails < last; mails++) {
          for (let n = 0; n < 3; n++) await peer.line();
          const size = /^BDAT (\d+)/.exec((await peer.line()) ?? '')?.[1];
          await peer.bytes(Number(size));
          answers.push('250 reset', '250 sender', '250 recipient', answer(mails));
        }
        expect(peer.received.match(/^BDAT/gm)).toHaveLength(mails);
        peer.say(...answers);
      }
      await obey(peer, agree);
    });
    return `${relay.url}?mode=chunked&connections=1`;
  }

  test('doubles with every window that went well, up to its depth', async () => {
    const url = await rounds([2, 4, 8, 8, 8, 8, 2], () => '250 2.0.0 ok');
    expect((await deliverAll(clientFor(url, { depth: 8 }), many(40))).map(brief)).toEqual(
      Array(40).fill('sent'),
    );
  });

  test('is bounded by bytes', async () => {
    const mails = many(20);
    const size = mails[0]?.raw.length ?? 0;
    const url = await rounds([2, 3, 3, 3, 3, 3, 3], () => '250 2.0.0 ok');
    const same = mails.map((mail, i) => ({
      ...mail,
      raw: Buffer.alloc(size, `${i % 10}\r\n`.padStart(size)),
    }));
    const deliveries = await deliverAll(clientFor(url, { windowBytes: 3 * size }), same);
    expect(deliveries.map(brief)).toEqual(Array(20).fill('sent'));
  });

  test('falls back when the relay is in trouble', async () => {
    const url = await rounds([2, 4, 2], (mail) => (mail === 5 ? '451 4.3.2 busy' : '250 2.0.0 ok'));
    const deliveries = await deliverAll(clientFor(url), many(8));
    expect(deliveries.map(brief)).toEqual(many(8).map((_, i) => (i === 5 ? 'final 451' : 'sent')));
  });
});

describe('connections', () => {
  test('no more than asked for, and no more than there are mails', async () => {
    const server = await captureServer();
    const client = clientFor(`${server.url}?connections=4`);
    await deliverAll(client, many(1));
    expect([server.connections, client.connections]).toEqual([1, 1]);
    await deliverAll(client, many(100));
    expect([server.connections, client.connections]).toEqual([4, 4]);
  });

  test('capacity follows the mode', async () => {
    const server = await captureServer();
    for (const [mode, capacity] of [
      ['serial', 3],
      ['grouped', 6],
      ['auto', 6],
      ['chunked', 96],
    ] as const) {
      const client = clientFor(`${server.url}?connections=3&mode=${mode}`);
      expect(client.capacity).toBe(capacity);
      await deliver(client, mailTo('a@b'));
      expect(client.capacity).toBe(capacity);
    }
    const plain = await captureServer({ extensions: [] });
    const client = clientFor(`${plain.url}?connections=3&mode=chunked`);
    await deliver(client, mailTo('a@b'));
    expect(client.capacity).toBe(3);
  });

  test('an idle connection sends QUIT; one that the relay closed is replaced', async () => {
    const relay = await scripted(agreeable());
    const client = clientFor(`${relay.url}?connections=1&idle-timeout=0.05`);
    await deliver(client, mailTo('a@b'));
    await relay.peers[0]?.gone();
    expect(relay.peers[0]?.received).toMatch(/QUIT\r\n$/);
    expect(brief(await deliver(client, mailTo('a@b')))).toBe('sent');
    expect(relay.peers).toHaveLength(2);
  });

  test('a mail that meets a connection which is just being closed goes over another one, once', async () => {
    const relay = await scripted(async (peer) => {
      await greet(peer);
      let mails = 0;
      for (let line = await peer.line(); line !== null; line = await peer.line()) {
        if (line.startsWith('MAIL') && mails++ > 0) return peer.rst();
        peer.say(agree(line));
        if (line === 'DATA') {
          await peer.message();
          peer.say('250 ok');
        }
      }
    });
    const client = clientFor(`${relay.url}?connections=1`);
    const deliveries = await deliverAll(client, many(4));
    expect(deliveries.map(brief)).toEqual(Array(4).fill('sent'));
    expect(relay.peers).toHaveLength(4);
  });

  test('a relay that allows fewer connections gets fewer; no mail is refused for it', async () => {
    let live = 0;
    const relay = await scripted(async (peer) => {
      if (live >= 2) {
        peer.say('421 4.7.0 too many connections');
        return peer.fin();
      }
      live++;
      await agreeable('PIPELINING')(peer);
      live--;
    });
    const client = clientFor(`${relay.url}?connections=6`);
    const deliveries = await deliverAll(client, many(300));
    expect(new Set(deliveries.map(brief))).toEqual(new Set(['sent']));
    // Those that were refused were not tried again at once.
    expect(relay.peers.length).toBeLessThanOrEqual(6);
  });

  test('when none can be made every waiting mail hears why, and the next mail tries again', async () => {
    const relay = await scripted(async (peer) => {
      peer.say('554 5.7.1 listed');
      peer.fin();
    });
    const client = clientFor(`${relay.url}?connections=3`);
    expect(new Set((await deliverAll(client, many(10))).map(brief))).toEqual(new Set(['connect 554']));
    expect(relay.peers).toHaveLength(3);
    expect(brief(await deliver(client, mailTo('a@b')))).toBe('connect 554');
    expect(relay.peers).toHaveLength(4);
  });

  test('a relay that greets and hangs up is not tried without end', async () => {
    const relay = await scripted(async (peer) => {
      await greet(peer);
      peer.say('421 4.3.2 not today');
      peer.fin();
    });
    const deliveries = await deliverAll(clientFor(`${relay.url}?connections=2`), many(5));
    for (const delivery of deliveries) expect(brief(delivery)).toMatch(/^(connect|mail) 421$/);
    expect(relay.peers.length).toBeLessThanOrEqual(7);
  });

  test('HELO when EHLO is not known', async () => {
    const relay = await scripted(async (peer) => {
      peer.say('220 very old');
      await obey(peer, (command) => (command.startsWith('EHLO') ? '502 what?' : agree(command)));
    });
    const client = clientFor(relay.url);
    expect(brief(await deliver(client, mailTo('a@b')))).toBe('sent');
    expect(client.mode).toBe('serial');
  });
});

describe('a relay that does not understand us', () => {
  test('everything goes serially from then on, when that helps', async () => {
    const relay = await scripted(async (peer) => {
      await greet(peer, 'PIPELINING');
      let bytes = 0;
      peer.socket.on('data', (chunk) => {
        bytes = Math.max(bytes, chunk.length);
      });
      await obey(peer, (command) => {
        if (!command.startsWith('\0') && bytes > 60 && !peer.received.includes('RSET'))
          return '503 5.5.1 one at a time';
        return agree(command);
      });
    });
    const client = clientFor(`${relay.url}?connections=2`);
    const deliveries = await deliverAll(client, [mailTo('a@b'), mailTo('c@d'), mailTo('e@f')]);
    expect(deliveries.map(brief)).toEqual(['sent', 'sent', 'sent']);
    expect(client.mode).toBe('serial');
  });

  test('when it does not help, the reply is the delivery, and serial mode is not tried again', async () => {
    const relay = await scripted(async (peer) => {
      await greet(peer, 'PIPELINING');
      await obey(peer, (command) =>
        command.startsWith('RCPT') || command === 'DATA' ? '503 5.5.1 no' : agree(command),
      );
    });
    const client = clientFor(`${relay.url}?connections=1`);
    expect(brief(await deliver(client, mailTo('a@b')))).toBe('rcpt 503');
    expect(brief(await deliver(client, mailTo('a@b')))).toBe('rcpt 503');
    await client.close();
    const modes = relay.peers.map((peer) => (peer.received.includes('DATA') ? 'grouped' : 'serial'));
    expect(modes).toEqual(['grouped', 'serial']);
  });
});

describe('one mail that is not understood', () => {
  test('does not keep the others in serial mode, though they are understood in it', async () => {
    const asked = Promise.withResolvers<void>();
    const answer = Promise.withResolvers<void>();
    let times = 0;
    const relay = await scripted(async (peer) => {
      await greet(peer, 'PIPELINING');
      for (let line = await peer.line(); line !== null; line = await peer.line()) {
        if (line === 'RCPT TO:<odd@b>') {
          if (++times === 2) {
            asked.resolve();
            await answer.promise;
          }
          peer.say('503 5.5.1 no');
        } else if (line !== 'DATA') peer.say('250 ok');
        else {
          peer.say('354 go');
          await peer.message();
          peer.say('250 taken');
        }
      }
    });
    const client = clientFor(`${relay.url}?connections=2&max-messages=1`);
    const odd = deliver(client, mailTo('odd@b'));
    await asked.promise;
    expect(brief(await deliver(client, mailTo('a@b')))).toBe('sent');
    expect(client.mode).toBe('serial');
    answer.resolve();
    expect(brief(await odd)).toBe('rcpt 503');
    expect(brief(await deliver(client, mailTo('c@d')))).toBe('sent');
    expect(client.mode).toBe('grouped');
  });

  test('a connection that is lost meanwhile is no evidence', async () => {
    const relay = await scripted(async (peer, index) => {
      if (index === 1) return peer.fin();
      await greet(peer, 'PIPELINING');
      await obey(peer, (command) =>
        command === 'RCPT TO:<odd@b>' && index === 0 ? '503 5.5.1 no' : agree(command),
      );
    });
    const client = clientFor(`${relay.url}?connections=1`);
    expect(brief(await deliver(client, mailTo('odd@b')))).toBe('not-sent ECONNECTION');
    expect(brief(await deliver(client, mailTo('a@b')))).toBe('sent');
    expect(client.mode).toBe('grouped');
  });
});

describe('the end', () => {
  test('close waits for what is in flight, says QUIT, and refuses what comes later', async () => {
    const relay = await scripted(agreeable('PIPELINING'));
    const client = clientFor(`${relay.url}?connections=2`);
    const deliveries = deliverAll(client, many(10));
    await Promise.all([client.close(), client.close()]);
    expect((await deliveries).map(brief)).toEqual(Array(10).fill('sent'));
    for (const peer of relay.peers) expect(peer.received).toMatch(/QUIT\r\n$/);
    expect(brief(await deliver(client, mailTo('a@b')))).toBe('not-sent EABORTED');
  });

  test('close without a connection, and while one is being made', async () => {
    await clientFor('smtp://127.0.0.1:1').close();
    const relay = await scripted(agreeable());
    const client = clientFor(`${relay.url}?connections=5`);
    const deliveries = deliverAll(client, many(5));
    await client.close();
    expect((await deliveries).map(brief)).toEqual(Array(5).fill('sent'));
  });

  test('abort answers everything at once, whatever it was doing', async () => {
    const handed = Promise.withResolvers<void>();
    const relay = await scripted(async (peer, index) => {
      if (index > 0) return peer.gone();
      await greet(peer, 'PIPELINING');
      for (const reply of ['250 a', '250 b', '354 go']) {
        await peer.line();
        peer.say(reply);
      }
      await peer.message();
      handed.resolve();
      await peer.gone();
    });
    const client = clientFor(`${relay.url}?connections=3`);
    const deliveries = deliverAll(client, many(10));
    await handed.promise;
    client.abort();
    const briefs = (await deliveries).map(brief);
    expect(briefs.filter((one) => one === 'ambiguous EABORTED')).toHaveLength(1);
    expect(briefs.filter((one) => one === 'not-sent EABORTED')).toHaveLength(9);
    await client.close();
  });

  test('a relay that never answers QUIT delays nothing', async () => {
    const relay = await scripted(async (peer) => {
      await greet(peer);
      await obey(peer, (command) => (command === 'QUIT' ? '250-wait' : agree(command)));
    });
    const client = clientFor(relay.url);
    await deliver(client, mailTo('a@b'));
    await client.close();
    expect(client.connections).toBe(0);
  });
});

test('after an outage in which ten attempts failed together, all connections are tried at once again', async () => {
  const first = await captureServer();
  const { port } = first;
  const client = clientFor(`${first.url}?connections=10&mode=serial`);
  const mails = (from: number) => Array.from({ length: 40 }, (_, i) => mailTo(`p${from + i}@x.example`));
  await first.close();
  expect((await deliverAll(client, mails(0))).map(brief)).toEqual(Array(40).fill('not-sent ECONNREFUSED'));
  const again = await captureServer({ port });
  expect(brief(await deliver(client, mailTo('probe@x.example')))).toBe('sent');
  expect((await deliverAll(client, mails(100))).map(brief)).toEqual(Array(40).fill('sent'));
  expect(again.connections).toBe(10);
});

test('a relay that offers STARTTLS and refuses it: its words, and what to set', async () => {
  const relay = await scripted(async (peer) => {
    if (!(await greet(peer, 'STARTTLS'))) return;
    await peer.line();
    peer.say('454 4.7.0 TLS not available due to local problem');
    await peer.gone();
  });
  const words = async (query: string) =>
    deliveryWords(await deliver(clientFor(`${relay.url}${query}`), mailTo('a@b')));
  expect(await words('')).toMatch(/^454 4\.7\.0 TLS not available.*set tls=never in SMTP_URL/);
  expect(await words('?tls=required')).toMatch(/^454 4\.7\.0 TLS not available.*correct the certificate/);
  expect(await words('?tls=required')).not.toContain('tls=never');
});
