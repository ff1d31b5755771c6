import { createServer, type Socket } from 'node:net';

/** What goes wrong on the first connection; later ones behave. Positions count from 0. */
export interface Disturbance {
  /** The bytes to say instead of the nth reply (0 is the greeting, 1 the answer to EHLO), CRLF included. */
  readonly reply?: (nth: number, reply: string) => string;
  /** After how many bytes of replies the connection is cut. */
  readonly cutReplies?: number;
  /** After how many bytes from the client the connection is cut; none of what follows counts as received. */
  readonly cutInput?: number;
  /** Cut as soon as the nth reply is out. */
  readonly cutAfterReply?: number;
  readonly how?: 'fin' | 'rst';
  /** The reply stream is written in two parts, the first of this many bytes. */
  readonly splitAt?: number;
  /** The reply stream is written byte by byte. */
  readonly trickle?: boolean;
}

/** What one disturbed dialogue came to. */
export interface Seen {
  /** Mails taken, by recipient: the end of data was seen and not refused, whether or not the answer got out. */
  readonly taken: Map<string, number>;
  /** Bytes of replies and of input on the first connection, to know which positions exist. */
  readonly first: { replies: number; replyBytes: number; input: number };
  connections: number;
}

export interface HostileRelay {
  readonly url: string;
  /** From now on the next connection is the first one, and goes wrong like this. */
  begin(wrong: Disturbance): Seen;
  close(): Promise<void>;
}

/**
 * A relay that does one thing wrong. Recipients may say how they are answered: `reject…` 550, `defer…` 450 at RCPT,
 * `late…` 554 at the end.
 */
export async function startHostile(extensions: readonly string[]): Promise<HostileRelay> {
  const sockets = new Set<Socket>();
  let seen: Seen = { taken: new Map(), first: { replies: 0, replyBytes: 0, input: 0 }, connections: 0 };
  let wrong: Disturbance = {};
  const server = createServer({ noDelay: true }, (socket) => {
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket));
    const isFirst = seen.connections++ === 0;
    new HostileSession(socket, extensions, isFirst ? wrong : {}, seen.taken, isFirst ? seen.first : null);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('the hostile relay has no port');
  return {
    url: `smtp://127.0.0.1:${address.port}`,
    begin: (next) => {
      wrong = next;
      seen = { taken: new Map(), first: { replies: 0, replyBytes: 0, input: 0 }, connections: 0 };
      return seen;
    },
    close: async () => {
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      for (const socket of sockets) socket.destroy();
      await closed;
    },
  };
}

class HostileSession {
  readonly #socket: Socket;
  readonly #extensions: readonly string[];
  readonly #wrong: Disturbance;
  readonly #taken: Map<string, number>;
  readonly #seen: { replies: number; replyBytes: number; input: number } | null;
  #input = '';
  #received = 0;
  #replies = 0;
  #written = 0;
  #pending = '';
  #draining = false;
  #cut = false;
  #cutWhenDrained = false;
  #sender = false;
  #recipient = '';
  #inData = false;
  #deaf = false;
  /** Lines of AUTH LOGIN that are still asked for. */
  #asked = 0;

  constructor(
    socket: Socket,
    extensions: readonly string[],
    wrong: Disturbance,
    taken: Map<string, number>,
    seen: { replies: number; replyBytes: number; input: number } | null,
  ) {
    this.#socket = socket;
    this.#extensions = extensions;
    this.#wrong = wrong;
    this.#taken = taken;
    this.#seen = seen;
    socket.on('error', () => socket.destroy());
    socket.on('data', (chunk) => this.#onData(chunk.toString('latin1')));
    this.#say('220 hostile ESMTP');
    this.#drain();
  }

  #onData(text: string): void {
    if (this.#cut) return;
    const allowed = (this.#wrong.cutInput ?? Number.POSITIVE_INFINITY) - this.#received;
    const counted = text.slice(0, Math.min(text.length, allowed));
    this.#received += counted.length;
    if (this.#seen !== null) this.#seen.input = this.#received;
    this.#input += counted;
    while (!this.#cut && !this.#cutWhenDrained && !this.#deaf && this.#step());
    if (counted.length === allowed) this.#cutWhenDrained = true;
    this.#drain();
  }

  #step(): boolean {
    if (this.#inData) return this.#readData();
    const end = this.#input.indexOf('\r\n');
    if (end < 0) return false;
    const line = this.#input.slice(0, end);
    const bdat = /^BDAT (\d+) LAST$/.exec(line);
    if (bdat === null) {
      this.#input = this.#input.slice(end + 2);
      if (this.#asked > 0) {
        this.#asked--;
        this.#answerLogin();
      } else this.#command(line);
      return true;
    }
    const size = Number(bdat[1]);
    if (this.#input.length < end + 2 + size) return false;
    this.#input = this.#input.slice(end + 2 + size);
    if (this.#recipient === '') this.#say('554 5.5.1 no valid recipients');
    else this.#finish();
    return true;
  }

  #readData(): boolean {
    const end = this.#input.startsWith('.\r\n') ? -2 : this.#input.indexOf('\r\n.\r\n');
    if (end === -1) return false;
    this.#input = this.#input.slice(end + 5);
    this.#inData = false;
    this.#finish();
    return true;
  }

  #finish(): void {
    const to = this.#recipient;
    this.#sender = false;
    this.#recipient = '';
    if (to.startsWith('late')) {
      this.#say('554 5.7.1 spam');
      return;
    }
    const said = this.#say('250 2.0.0 taken');
    // What it refuses it does not take; what it answers with garbage or not at all it has taken.
    if (!/^[45]/.test(said)) this.#taken.set(to, (this.#taken.get(to) ?? 0) + 1);
  }

  #command(line: string): void {
    const verb = line.slice(0, 4).toUpperCase();
    if (verb === 'EHLO') {
      const lines = ['hostile', ...this.#extensions];
      this.#say(lines.map((one, i) => `250${i === lines.length - 1 ? ' ' : '-'}${one}`).join('\r\n'));
    } else if (verb === 'MAIL') {
      const said = this.#say(this.#sender ? '503 5.5.1 nested MAIL' : '250 2.1.0 sender');
      this.#sender ||= !/^[45]/.test(said);
    } else if (verb === 'RCPT') {
      this.#rcpt(line.slice(9, -1));
    } else if (verb === 'DATA') {
      this.#inData = this.#recipient !== '';
      this.#say(this.#inData ? '354 go' : '554 5.5.1 no valid recipients');
    } else if (verb === 'RSET') {
      this.#sender = false;
      this.#recipient = '';
      this.#say('250 2.0.0 reset');
    } else if (verb === 'AUTH') {
      // PLAIN says all at once; LOGIN is asked for the name and the password.
      this.#asked = / PLAIN /.test(line) ? 0 : 2;
      this.#answerLogin();
    } else if (verb === 'QUIT') {
      this.#say('221 2.0.0 bye');
      this.#cutWhenDrained = true;
    } else {
      this.#say('500 5.5.2 what?');
    }
  }

  #answerLogin(): void {
    this.#say(this.#asked > 0 ? '334 VXNlcm5hbWU6' : '235 2.7.0 welcome');
  }

  #rcpt(to: string): void {
    if (!this.#sender) this.#say('503 5.5.1 MAIL first');
    else if (to.startsWith('reject')) this.#say('550 5.1.1 no such user');
    else if (to.startsWith('defer')) this.#say('450 4.2.0 later');
    else {
      const said = this.#say('250 2.1.5 recipient');
      // Whom it refuses it does not know, whatever comes next.
      if (!/^[45]/.test(said)) this.#recipient = to;
    }
  }

  /** Gives what it really says. */
  #say(reply: string): string {
    if (this.#cutWhenDrained || this.#deaf) return '421';
    const nth = this.#replies++;
    const bytes = this.#wrong.reply?.(nth, `${reply}\r\n`) ?? `${reply}\r\n`;
    this.#pending += bytes;
    if (this.#seen !== null) {
      this.#seen.replies = this.#replies;
      this.#seen.replyBytes += bytes.length;
    }
    if (this.#wrong.cutAfterReply === nth) this.#cutWhenDrained = true;
    // Who has said 421 takes nothing more.
    if (/^421/m.test(bytes)) this.#deaf = true;
    return bytes;
  }

  /** Writes what is pending, in the parts that were asked for. */
  #drain(): void {
    if (this.#draining || this.#cut) return;
    const { cutReplies = Number.POSITIVE_INFINITY, splitAt = 0, trickle = false } = this.#wrong;
    let size = this.#pending.length;
    if (trickle) size = Math.min(size, 1);
    if (this.#written < splitAt) size = Math.min(size, splitAt - this.#written);
    size = Math.min(size, cutReplies - this.#written);
    const part = this.#pending.slice(0, size);
    this.#pending = this.#pending.slice(size);
    this.#written += part.length;
    if (part !== '') {
      this.#draining = true;
      this.#socket.write(part, 'latin1', () => {
        this.#draining = false;
        // Not before the client had a chance to read this part alone.
        setImmediate(() => this.#drain());
      });
    }
    if (this.#written >= cutReplies || (this.#cutWhenDrained && this.#pending === '')) this.#end();
  }

  #end(): void {
    this.#cut = true;
    if (this.#wrong.how === 'rst') this.#socket.resetAndDestroy();
    else this.#socket.end();
  }
}
