import { connect, type Socket } from 'node:net';
import { afterEach, describe, expect, test } from 'vitest';
import { type CaptureOptions, type CaptureServer, startCapture } from '../../src/capture/capture.ts';

const open: { close(): Promise<void> }[] = [];
const sockets: Socket[] = [];

afterEach(async () => {
  for (const socket of sockets.splice(0)) socket.destroy();
  for (const server of open.splice(0)) await server.close();
});

async function capture(options: CaptureOptions = {}): Promise<CaptureServer> {
  const server = await startCapture(options);
  open.push(server);
  return server;
}

/** Sends `pieces`, each in its own write, and gives everything the server said until it closed. */
async function talk(server: CaptureServer, pieces: readonly string[]): Promise<string> {
  const socket = connect({ port: server.port, host: server.host, noDelay: true });
  sockets.push(socket);
  let said = '';
  const closed = new Promise<void>((resolve, reject) => {
    socket.on('data', (chunk) => {
      said += chunk.toString();
    });
    socket.on('error', reject);
    socket.on('close', () => resolve());
  });
  for (const piece of pieces) {
    await new Promise<void>((resolve) => socket.write(Buffer.from(piece, 'latin1'), () => resolve()));
  }
  await closed;
  return said;
}

const codes = (said: string): string =>
  said
    .split('\r\n')
    .filter((line) => /^\d{3} /.test(line))
    .map((line) => line.slice(0, 3))
    .join(' ');

const envelope = (to: string): string => `MAIL FROM:<a@x>\r\nRCPT TO:<${to}>\r\n`;
const message = 'Subject: x\r\nMessage-ID: <1@x>\r\n\r\n..dot\r\n.. \r\nend\r\n';
const dialogue =
  `EHLO me\r\n${envelope('b@y')}DATA\r\n${message}.\r\n${envelope('c@y')}DATA\r\n.\r\n` +
  `RSET\r\n${envelope('b@y')}BDAT 6\r\nA: b\r\nBDAT 0 LAST\r\nNOOP\r\nQUIT\r\n`;

describe('the capture server', () => {
  test('takes DATA and BDAT, pipelined, and counts by recipient and Message-ID', async () => {
    const server = await capture({ keep: 2 });
    const said = await talk(server, [dialogue]);
    expect(codes(said)).toBe('220 250 250 250 354 250 250 250 354 250 250 250 250 250 250 250 221');
    expect(server.recipients).toEqual(
      new Map([
        ['b@y', 2],
        ['c@y', 1],
      ]),
    );
    expect(server.messageIds).toEqual(
      new Map([
        ['<1@x>', 1],
        ['', 2],
      ]),
    );
    expect(server.accepted).toBe(3);
    expect(server.mails.map((mail) => mail.raw.toString())).toEqual([
      'Subject: x\r\nMessage-ID: <1@x>\r\n\r\n.dot\r\n. \r\nend\r\n',
      '',
    ]);
    await server.waitFor(3);
  });

  test('how the bytes are cut makes no difference', async () => {
    const server = await capture({ keep: 10 });
    const expected = await talk(server, [dialogue]);
    expect(await talk(server, [...dialogue])).toBe(expected);
    for (let at = 1; at < dialogue.length; at += 3) {
      expect(await talk(server, [dialogue.slice(0, at), dialogue.slice(at)])).toBe(expected);
    }
    const [first, second, third] = server.mails;
    expect(server.mails.slice(3, 6)).toEqual([first, second, third]);
  });

  test('announces what it was told to, and its size', async () => {
    const server = await capture({ extensions: ['PIPELINING'], maxMessageBytes: 100 });
    const said = await talk(server, [
      `EHLO me\r\n${envelope('b@y')}DATA\r\n${'x'.repeat(200)}\r\n.\r\n${envelope('b@y')}BDAT 200 LAST\r\n${'x'.repeat(200)}QUIT\r\n`,
    ]);
    expect(said).toContain('250-PIPELINING\r\n250 SIZE 100\r\n');
    expect(said).not.toContain('CHUNKING');
    expect(codes(said)).toBe('220 250 250 250 354 552 250 250 552 221');
    expect(server.accepted).toBe(0);
  });

  test('a policy answers at RCPT, DATA or the end, by recipient and by how often it came', async () => {
    const server = await capture({
      policy: (recipient, nth) => {
        if (recipient === 'rcpt@y') return { at: 'rcpt', reply: '550 5.1.1 no' };
        if (recipient === 'data@y') return { at: 'data', reply: '451 4.3.0 no' };
        if (recipient === 'final@y') return { at: 'final', reply: '554 5.7.1 no' };
        return nth === 1 ? { at: 'rcpt', reply: '450 4.2.0 greylisted' } : null;
      },
    });
    const mail = (to: string): string => `RSET\r\n${envelope(to)}BDAT 3 LAST\r\nx\r\n`;
    const said = await talk(server, [
      `EHLO me\r\n${['rcpt@y', 'data@y', 'final@y', 'grey@y', 'grey@y'].map(mail).join('')}QUIT\r\n`,
    ]);
    expect(codes(said)).toBe(
      '220 250 250 250 550 554 250 250 250 451 250 250 250 554 250 250 450 554 250 250 250 250 221',
    );
    expect(server.recipients).toEqual(new Map([['grey@y', 1]]));
  });

  test('a connection has its fill, replies come late, and clear() forgets', async () => {
    const server = await capture({ maxMailsPerConnection: 1, replyDelayMs: 5 });
    const started = performance.now();
    const said = await talk(server, [
      `EHLO me\r\n${envelope('b@y')}DATA\r\n${message}.\r\n${envelope('b@y')}`,
    ]);
    expect(codes(said)).toBe('220 250 250 250 354 250 421');
    expect(performance.now() - started).toBeGreaterThan(4);
    server.clear();
    expect([server.accepted, server.recipients.size, server.messageIds.size]).toEqual([0, 0, 0]);
  });

  test('refuses what is out of order, and endless lines', async () => {
    const server = await capture();
    expect(
      codes(
        await talk(server, [
          'RCPT TO:<b@y>\r\nDATA\r\nMAIL FROM:a\r\nMAIL FROM:<a>\r\nMAIL FROM:<a>\r\nRCPT TO:<>\r\nEXPN\r\nVRFY x\r\nHELO x\r\nBDAT x\r\n',
        ]),
      ),
    ).toBe('220 503 554 501 250 503 501 502 252 250 501');
    expect(codes(await talk(server, ['x'.repeat(10_000)]))).toBe('220 500');
  });

  test('a used port is the caller’s to know', async () => {
    const server = await capture();
    await expect(startCapture({ port: server.port })).rejects.toMatchObject({ code: 'EADDRINUSE' });
  });
});
