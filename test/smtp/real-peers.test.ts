import { SMTPServer } from 'smtp-server';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { probeRelay } from '../../src/smtp/probe.ts';
import { parseRelay } from '../../src/smtp/relay.ts';
import { cleanUpSmtp, clientFor } from '../support/smtp-client.ts';
import { brief, deliverAll, mailTo } from '../support/smtp-mail.ts';
import {
  type RealPeer,
  startExim,
  startOpenSmtpd,
  startPostfix,
  startSmtpSink,
} from '../support/smtp-peers.ts';
import { CA_FILE, RELAY_TLS } from '../support/smtp-tls.ts';

cleanUpSmtp();

/** Mails of all kinds in an order in which every kind follows every other one. */
function mixture(kinds: readonly string[], label: string) {
  const order = kinds.flatMap((one, i) => kinds.slice(i).flatMap((other) => [one, other]));
  return [...order, ...order].map((kind, i) => {
    const to = `${kind}${i}.${label}@x.example`;
    const raw = Buffer.from(
      `From: s@x.example\r\nTo: ${to}\r\nSubject: ${kind === 'spam' ? 'spam' : 'hello'}\r\nMessage-ID: <${to}>\r\n\r\n.dot\r\n${'text '.repeat(14)}\r\n`,
    );
    return { kind, mail: mailTo(to, { raw }) };
  });
}

interface PeerCase {
  readonly name: string;
  readonly start: () => Promise<RealPeer>;
  readonly modes: readonly string[];
  /** What each kind of mail ends as. */
  readonly outcomes: Readonly<Record<string, string>>;
  readonly tls: boolean;
}

const PEERS: readonly PeerCase[] = [
  {
    name: 'Postfix',
    start: startPostfix,
    modes: ['serial', 'grouped', 'chunked'],
    outcomes: { ok: 'sent', reject: 'rcpt 554', defer: 'rcpt 450', spam: 'final 550' },
    tls: true,
  },
  {
    name: 'Exim',
    start: startExim,
    modes: ['serial', 'grouped', 'chunked'],
    outcomes: { ok: 'sent', reject: 'rcpt 550', defer: 'rcpt 451', spam: 'final 550' },
    tls: true,
  },
  {
    name: 'OpenSMTPD',
    start: startOpenSmtpd,
    modes: ['serial'],
    outcomes: { ok: 'sent', reject: 'rcpt 550', defer: 'rcpt 450' },
    tls: false,
  },
  {
    name: 'smtp-sink',
    start: startSmtpSink,
    modes: ['serial', 'grouped'],
    outcomes: { ok: 'sent', fine: 'sent' },
    tls: false,
  },
];

describe.each(PEERS)('$name', ({ start, modes, outcomes, tls }) => {
  let peer: RealPeer;
  let total = 0;

  beforeAll(async () => {
    peer = await start();
  });
  afterAll(async () => {
    await peer.close();
  });

  async function send(label: string, options: string): Promise<string | null> {
    const mails = mixture(Object.keys(outcomes), label);
    const client = clientFor(`smtp://localhost:${peer.port}?connections=3&${options}`);
    const deliveries = await deliverAll(
      client,
      mails.map(({ mail }) => mail),
    );
    expect(deliveries.map(brief)).toEqual(mails.map(({ kind }) => outcomes[kind]));
    const { mode } = client;
    await client.close();
    const good = mails.filter(({ kind }) => outcomes[kind] === 'sent').map(({ mail }) => mail.to);
    total += good.length;
    const taken = await peer.taken(total);
    const ours = [...taken].filter(([address]) => address.includes(`.${label}@`));
    expect(new Map(ours)).toEqual(new Map(good.map((address) => [address, 1])));
    return mode;
  }

  test.each(modes)(
    '%s: each mail of a mixed stream gets its own verdict, and what was sent was taken once',
    async (mode) => {
      expect(await send(mode, `mode=${mode}&tls=never`)).toBe(mode);
    },
  );

  test('auto chooses the best mode it offers, but never chunked', async () => {
    expect(await send('auto', 'tls=never')).toBe(modes.includes('grouped') ? 'grouped' : 'serial');
  });

  test('doctor sees what it offers', async () => {
    const report = await probeRelay(parseRelay(`smtp://127.0.0.1:${peer.port}?tls=never`));
    expect(report.ok && [report.offers.pipelining, report.offers.chunking]).toEqual([
      modes.includes('grouped'),
      modes.includes('chunked'),
    ]);
  });

  if (!tls) return;
  test('STARTTLS, with the certificate checked, in every mode', async () => {
    for (const mode of modes)
      await send(`tls-${mode}`, `mode=${mode}&tls=required&ca=${encodeURIComponent(CA_FILE)}`);
    const report = await probeRelay(
      parseRelay(`smtp://localhost:${peer.port}?ca=${encodeURIComponent(CA_FILE)}`),
    );
    expect(report).toMatchObject({ ok: true, tls: { verified: true } });
  });
});

describe('smtp-server (npm)', () => {
  test.each(['PLAIN', 'LOGIN'])(
    'STARTTLS and AUTH %s, grouped and serial, mixed refusals',
    async (method) => {
      const taken: string[] = [];
      const server = new SMTPServer({
        ...RELAY_TLS,
        authMethods: [method],
        onAuth: (auth, _session, callback) => {
          if (auth.username === 'kim' && auth.password === 'hunter2 한글') callback(null, { user: 'kim' });
          else callback(new Error('wrong'));
        },
        onRcptTo: ({ address }, _session, callback) => {
          const code = address.startsWith('reject') ? 550 : address.startsWith('defer') ? 450 : 0;
          callback(code === 0 ? null : Object.assign(new Error('no'), { responseCode: code }));
        },
        onData: (stream, session, callback) => {
          let text = '';
          stream.on('data', (chunk: Buffer) => {
            text += chunk.toString();
          });
          stream.on('end', () => {
            if (text.includes('Subject: spam')) {
              callback(Object.assign(new Error('spam'), { responseCode: 554 }));
              return;
            }
            taken.push(...session.envelope.rcptTo.map(({ address }) => address));
            callback();
          });
        },
      });
      await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', () => resolve()));
      const address = server.server.address();
      const port = typeof address === 'object' && address !== null ? address.port : 0;
      const outcomes: Record<string, string> = {
        ok: 'sent',
        reject: 'rcpt 550',
        defer: 'rcpt 450',
        spam: 'final 554',
      };
      const login = `kim:${encodeURIComponent('hunter2 한글')}`;
      for (const mode of ['serial', 'grouped']) {
        const client = clientFor(
          `smtp://${login}@localhost:${port}?mode=${mode}&connections=2&ca=${encodeURIComponent(CA_FILE)}`,
        );
        const mails = mixture(Object.keys(outcomes), mode);
        const deliveries = await deliverAll(
          client,
          mails.map(({ mail }) => mail),
        );
        expect(deliveries.map(brief)).toEqual(mails.map(({ kind }) => outcomes[kind]));
        const good = mails.filter(({ kind }) => kind === 'ok').map(({ mail }) => mail.to);
        expect(taken.splice(0).sort()).toEqual(good.sort());
        await client.close();
      }
      const wrong = clientFor(`smtp://kim:wrong@localhost:${port}?ca=${encodeURIComponent(CA_FILE)}`);
      expect((await deliverAll(wrong, [mailTo('a@b')])).map(brief)).toEqual(['auth 535']);
      await wrong.close();
      await new Promise<void>((resolve) => server.close(() => resolve()));
    },
  );
});
