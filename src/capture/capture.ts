import { createServer, type Server, type Socket } from 'node:net';
import {
  type CapturedMail,
  type CaptureOptions,
  type CaptureReply,
  CaptureSession,
  type CaptureSink,
} from './capture-session.ts';

export type { CapturedMail, CaptureOptions, CaptureReply } from './capture-session.ts';

/** A running capture server and what it saw. */
export interface CaptureServer {
  readonly host: string;
  readonly port: number;
  /** `smtp://host:port`. */
  readonly url: string;
  /** Accepted mails by envelope recipient. */
  readonly recipients: ReadonlyMap<string, number>;
  /** Accepted mails by Message-ID, angle brackets included; mails without one count as ''. */
  readonly messageIds: ReadonlyMap<string, number>;
  /** The first `keep` accepted mails. */
  readonly mails: readonly CapturedMail[];
  /** Mails accepted; with one recipient each it is the sum of `recipients`. */
  readonly accepted: number;
  /** Connections taken so far. */
  readonly connections: number;
  /** Resolves when `accepted` is at least `count`. */
  waitFor(count: number): Promise<void>;
  /** Forgets everything seen. */
  clear(): void;
  /** Destroys what is open and stops listening. */
  close(): Promise<void>;
}

/**
 * Starts an SMTP server that takes every mail and counts it: the other end of `demo`, of tests and of benchmarks.
 * It delivers nothing. Throws the listen error (EADDRINUSE, EACCES).
 */
export async function startCapture(options: CaptureOptions = {}): Promise<CaptureServer> {
  const book = new CaptureBook(options);
  const sockets = new Set<Socket>();
  const server = createServer({ noDelay: true }, (socket) => {
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket));
    book.connections++;
    new CaptureSession(socket, options, book);
  });
  const host = options.host ?? '127.0.0.1';
  await listen(server, options.port ?? 0, host);
  const address = server.address();
  const port = typeof address === 'object' && address !== null ? address.port : 0;
  return book.face(host, port, async () => {
    const closed = new Promise<void>((resolve) => server.close(() => resolve()));
    for (const socket of sockets) socket.destroy();
    await closed;
  });
}

function listen(server: Server, port: number, host: string): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen({ port, host, backlog: 511 }, () => {
      server.off('error', reject);
      resolve();
    });
  });
}

/** What all sessions of one server write into. */
class CaptureBook implements CaptureSink {
  connections = 0;
  accepted = 0;
  readonly #options: CaptureOptions;
  readonly #recipients = new Map<string, number>();
  readonly #messageIds = new Map<string, number>();
  readonly #named = new Map<string, number>();
  readonly #mails: CapturedMail[] = [];
  #waiting: { count: number; resolve: () => void }[] = [];

  constructor(options: CaptureOptions) {
    this.#options = options;
  }

  judge(recipient: string): CaptureReply | null {
    const { policy } = this.#options;
    if (policy === undefined) return null;
    const nth = (this.#named.get(recipient) ?? 0) + 1;
    this.#named.set(recipient, nth);
    return policy(recipient, nth);
  }

  accept(from: string, to: readonly string[], raw: Buffer): void {
    this.accepted++;
    for (const recipient of to) count(this.#recipients, recipient);
    count(this.#messageIds, messageIdOf(raw));
    const { keep = 0, onMail } = this.#options;
    if (this.#mails.length < keep) this.#mails.push({ from, to, raw: Buffer.from(raw) });
    onMail?.({ from, to, raw });
    if (this.#waiting.length > 0) this.#wake();
  }

  face(host: string, port: number, close: () => Promise<void>): CaptureServer {
    const book = this;
    return {
      host,
      port,
      url: `smtp://${host.includes(':') ? `[${host}]` : host}:${port}`,
      recipients: this.#recipients,
      messageIds: this.#messageIds,
      mails: this.#mails,
      get accepted() {
        return book.accepted;
      },
      get connections() {
        return book.connections;
      },
      waitFor: (wanted) => book.#waitFor(wanted),
      clear: () => book.#clear(),
      close,
    };
  }

  async #waitFor(wanted: number): Promise<void> {
    if (this.accepted >= wanted) return;
    const reached = Promise.withResolvers<void>();
    this.#waiting.push({ count: wanted, resolve: reached.resolve });
    await reached.promise;
  }

  #wake(): void {
    const [reached, waiting] = [
      this.#waiting.filter((one) => one.count <= this.accepted),
      this.#waiting.filter((one) => one.count > this.accepted),
    ];
    this.#waiting = waiting;
    for (const one of reached) one.resolve();
  }

  #clear(): void {
    this.accepted = 0;
    this.connections = 0;
    this.#mails.length = 0;
    for (const map of [this.#recipients, this.#messageIds, this.#named]) map.clear();
  }
}

function count(map: Map<string, number>, key: string): void {
  map.set(key, (map.get(key) ?? 0) + 1);
}

/** The Message-ID of a message's header section, or ''. Both usual spellings are found without decoding the header. */
function messageIdOf(raw: Buffer): string {
  const at = raw.indexOf('Message-ID:');
  const start = at >= 0 && (at === 0 || raw[at - 1] === 10) ? at : foldedSearch(raw);
  if (start < 0) return '';
  const open = raw.indexOf('<', start);
  const close = raw.indexOf('>', open);
  return open < 0 || close < 0 || close - open > 998 ? '' : raw.toString('latin1', open, close + 1);
}

function foldedSearch(raw: Buffer): number {
  const end = raw.indexOf('\r\n\r\n');
  const header = raw.toString('latin1', 0, end < 0 ? raw.length : end);
  return header.search(/^message-id:/im);
}
