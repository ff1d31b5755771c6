import { createServer, type Server, type Socket } from 'node:net';
import { createServer as createTlsServer, TLSSocket } from 'node:tls';

/** The server's end of one connection, for scripts that say exactly what a relay says and when. */
export class Peer {
  socket: Socket;
  /** Everything the client has sent so far. */
  received = '';
  #at = 0;
  #ended = false;
  #wake: () => void = () => {};

  constructor(socket: Socket) {
    this.socket = socket;
    this.#listen(socket);
  }

  #listen(socket: Socket): void {
    socket.on('data', (chunk) => {
      this.received += chunk.toString('latin1');
      this.#wake();
    });
    const end = (): void => {
      this.#ended = true;
      this.#wake();
    };
    socket.on('end', end);
    socket.on('close', end);
    socket.on('error', end);
  }

  /** The next command without CRLF; null when the client is gone. */
  line(): Promise<string | null> {
    return this.#until('\r\n');
  }

  /** The message up to its lone dot, dots not removed; null when the client is gone before. */
  async message(): Promise<string | null> {
    // An empty message is its dot alone; the CRLF before it ended the DATA command.
    while (this.received.length - this.#at < 3 && !this.#ended) await this.#more();
    if (this.received.startsWith('.\r\n', this.#at)) {
      this.#at += 3;
      return '';
    }
    const text = await this.#until('\r\n.\r\n');
    return text === null ? null : `${text}\r\n`;
  }

  /** Exactly `count` bytes; null when the client is gone before. */
  async bytes(count: number): Promise<string | null> {
    while (this.received.length - this.#at < count) {
      if (this.#ended) return null;
      await this.#more();
    }
    this.#at += count;
    return this.received.slice(this.#at - count, this.#at);
  }

  /** Resolves when the client has closed its side. */
  async gone(): Promise<void> {
    while (!this.#ended) await this.#more();
  }

  write(text: string): void {
    if (this.socket.writable) this.socket.write(Buffer.from(text, 'latin1'));
  }

  say(...lines: string[]): void {
    this.write(`${lines.join('\r\n')}\r\n`);
  }

  /** Goes on through TLS; call it right after the 220 to STARTTLS was written. */
  async startTls(tls: { key: Buffer; cert: Buffer }): Promise<void> {
    this.socket.removeAllListeners('data');
    const secure = new TLSSocket(this.socket, { ...tls, isServer: true });
    this.socket = secure;
    this.#listen(secure);
    await new Promise<void>((resolve) => {
      secure.once('secure', () => resolve());
      secure.once('close', () => resolve());
    });
  }

  /** FIN after everything that was written. */
  fin(): void {
    this.socket.end();
  }

  /** RST. */
  rst(): void {
    this.socket.resetAndDestroy();
  }

  async #until(mark: string): Promise<string | null> {
    for (;;) {
      const end = this.received.indexOf(mark, this.#at);
      if (end >= 0) {
        const text = this.received.slice(this.#at, end);
        this.#at = end + mark.length;
        return text;
      }
      if (this.#ended) return null;
      await this.#more();
    }
  }

  #more(): Promise<void> {
    return new Promise((resolve) => {
      this.#wake = resolve;
    });
  }
}

export interface ScriptedRelay {
  readonly port: number;
  readonly url: string;
  /** Every connection so far, in order. */
  readonly peers: readonly Peer[];
  close(): Promise<void>;
}

/** A relay that follows `script` on every connection (numbered from 0). An error in a script fails `close()`. */
export async function startScript(
  script: (peer: Peer, index: number) => Promise<void>,
  tls?: { key: Buffer; cert: Buffer },
): Promise<ScriptedRelay> {
  const peers: Peer[] = [];
  const errors: unknown[] = [];
  const sockets: Socket[] = [];
  const onConnection = (socket: Socket): void => {
    const peer = new Peer(socket);
    peers.push(peer);
    script(peer, peers.length - 1).catch((error: unknown) => {
      errors.push(error);
      socket.destroy();
    });
  };
  const options = { noDelay: true, allowHalfOpen: true };
  const server: Server =
    tls === undefined
      ? createServer(options, onConnection)
      : createTlsServer({ ...options, ...tls }, onConnection);
  // Those whose handshake fails never become peers.
  server.on('connection', (socket: Socket) => sockets.push(socket));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('the scripted relay has no port');
  return {
    port: address.port,
    url: `${tls === undefined ? 'smtp' : 'smtps'}://127.0.0.1:${address.port}`,
    peers,
    close: async () => {
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      for (const socket of sockets) socket.destroy();
      await closed;
      if (errors.length > 0) throw errors[0];
    },
  };
}

/** Answers each command by `reply` until the client leaves; messages after a 354 are read whole and passed as `\0…`. */
export async function obey(peer: Peer, reply: (command: string) => string): Promise<void> {
  for (let line = await peer.line(); line !== null; line = await peer.line()) {
    const said = reply(line);
    peer.say(said);
    if (!said.startsWith('354')) continue;
    const message = await peer.message();
    if (message === null) return;
    peer.say(reply(`\0${message}`));
  }
}

/** What an agreeable relay says. */
export function agree(command: string): string {
  if (command.startsWith('\0')) return '250 2.0.0 queued';
  if (command === 'DATA') return '354 go';
  return command === 'QUIT' ? '221 bye' : '250 ok';
}

/** Greeting and EHLO with these keywords; false when the client left. */
export async function greet(peer: Peer, ...keywords: string[]): Promise<boolean> {
  peer.say('220 scripted ESMTP');
  if ((await peer.line()) === null) return false;
  const lines = ['scripted', ...keywords];
  peer.say(...lines.map((line, i) => `250${i === lines.length - 1 ? ' ' : '-'}${line}`));
  return true;
}
