import { createServer, type Socket } from 'node:net';

/** The server's end of one connection, for scripts that say exactly what a relay says and when. */
export class Peer {
  readonly socket: Socket;
  /** Everything the client has sent so far. */
  received = '';
  #at = 0;
  #ended = false;
  #wake: () => void = () => {};

  constructor(socket: Socket) {
    this.socket = socket;
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
): Promise<ScriptedRelay> {
  const peers: Peer[] = [];
  const errors: unknown[] = [];
  const server = createServer({ noDelay: true, allowHalfOpen: true }, (socket) => {
    const peer = new Peer(socket);
    peers.push(peer);
    script(peer, peers.length - 1).catch((error: unknown) => {
      errors.push(error);
      socket.destroy();
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('the scripted relay has no port');
  return {
    port: address.port,
    url: `smtp://127.0.0.1:${address.port}`,
    peers,
    close: async () => {
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      for (const peer of peers) peer.socket.destroy();
      await closed;
      if (errors.length > 0) throw errors[0];
    },
  };
}

/** Greeting and EHLO with these keywords; false when the client left. */
export async function greet(peer: Peer, ...keywords: string[]): Promise<boolean> {
  peer.say('220 scripted ESMTP');
  if ((await peer.line()) === null) return false;
  const lines = ['scripted', ...keywords];
  peer.say(...lines.map((line, i) => `250${i === lines.length - 1 ? ' ' : '-'}${line}`));
  return true;
}
