import type { Socket } from 'node:net';
import { messageOf } from '../errors.ts';
import { ReplyParser } from './reply.ts';
import { cleanText } from './reply-text.ts';

/** Collected before it is written, in bytes: a dozen ordinary mails; larger messages are written in pieces of it. */
const SLAB_BYTES = 32_768;

/** The user of a wire at the moment: first the handshake, then the session. */
export interface WireUser {
  /** Bytes came: step through `wire.parser`. */
  onReplies(): void;
  /** The connection is over; nothing follows. `code` is a system error's, or one of DELIVERY_CODES. */
  onEnd(why: string, code: string): void;
  /** The deadline has passed. */
  onTimeout(): void;
}

/**
 * A socket that knows what has left this process.
 *
 * At most one write is with the socket at a time; everything else waits here. So what was never given to the socket
 * has certainly not left (safety rule 5), and what was may have. `left` counts the replies that are due for what was
 * given. Counting the replies can tell one that answers nothing that was said.
 */
export class Wire {
  readonly parser = new ReplyParser();
  /** Replies that may come for what was given to the socket so far. */
  left = 0;
  socket: Socket;
  #user: WireUser;
  #slab: Buffer = Buffer.allocUnsafeSlow(SLAB_BYTES);
  #used = 0;
  /** Replies that will be due when everything put so far has arrived. */
  #due = 0;
  readonly #waiting: { bytes: Buffer; due: number }[] = [];
  #writing = false;
  #ended = false;
  #silent = false;
  #deadline = Number.POSITIVE_INFINITY;
  #timer: NodeJS.Timeout | null = null;
  #timerAt = Number.POSITIVE_INFINITY;
  #patience = 0;
  readonly #onWritten = (error?: Error | null): void => {
    // What waits behind a write that failed must not look as if it had left; 'error' follows.
    if (error === null || error === undefined) this.#written();
  };
  readonly #onData = (chunk: Buffer): void => {
    if (this.#ended) return;
    this.parser.push(chunk);
    this.#user.onReplies();
  };
  readonly #onError = (error: NodeJS.ErrnoException): void => {
    this.end(cleanText(messageOf(error)), error.code ?? 'ECONNECTION');
  };
  readonly #onClose = (): void => this.end('the relay closed the connection', 'ECONNECTION');

  constructor(socket: Socket, user: WireUser) {
    this.socket = socket;
    this.#user = user;
    this.#listen(socket);
  }

  use(user: WireUser): void {
    this.#user = user;
  }

  /**
   * Puts text at the end of what is written next, at the latest by flush(). `replies`: how many replies are due when
   * the relay has all of it. Text of a few thousand characters at most.
   */
  put(text: string, replies: number, encoding: 'latin1' | 'utf8' = 'latin1'): void {
    const room = encoding === 'utf8' ? 3 * text.length : text.length;
    if (this.#used + room > this.#slab.length) this.flush();
    this.#used += this.#slab.write(text, this.#used, encoding);
    this.#due += replies;
  }

  /** Like put(). What does not fit is written in pieces, and the replies are due with the last one. */
  putBytes(bytes: Buffer, replies: number): void {
    if (bytes.length <= this.#slab.length - this.#used) {
      bytes.copy(this.#slab, this.#used);
      this.#used += bytes.length;
      this.#due += replies;
      return;
    }
    this.flush();
    for (let at = 0; at < bytes.length; at += SLAB_BYTES) {
      if (at + SLAB_BYTES >= bytes.length) this.#due += replies;
      this.#emit(bytes.subarray(at, at + SLAB_BYTES), false);
    }
  }

  /** Writes what was put, or queues it behind a write that is still with the socket. */
  flush(): void {
    if (this.#used === 0) return;
    const bytes = this.#slab.subarray(0, this.#used);
    this.#used = 0;
    this.#emit(bytes, true);
  }

  /** Calls onTimeout unless this is called again within `ms`. A write that gets done starts the time anew. */
  expectWithin(ms: number): void {
    const now = performance.now();
    this.#patience = ms;
    this.#deadline = now + ms;
    // The timer runs late rather than being set again for every reply; it looks at the deadline when it fires.
    if (this.#timerAt <= this.#deadline || this.#ended) return;
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timerAt = this.#deadline;
    this.#timer = setTimeout(() => this.#tick(), ms);
  }

  /** Writes nothing more: what waits here is forgotten, FIN follows what is with the socket. Reading goes on. */
  fin(): void {
    this.#silent = true;
    this.#used = 0;
    this.#waiting.length = 0;
    this.socket.end();
  }

  /** Ends the connection now and tells the user. Only the first call does anything. */
  end(why: string, code: string): void {
    if (this.#ended) return;
    this.#ended = true;
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.socket.destroy();
    this.#user.onEnd(why, code);
  }

  /** Goes on with another socket that speaks through the old one: TLS. What the old one has said is forgotten. */
  replaceSocket(socket: Socket): void {
    this.socket.off('data', this.#onData);
    this.socket.off('end', this.#onClose);
    this.socket = socket;
    this.parser.clear();
    this.#listen(socket);
  }

  #listen(socket: Socket): void {
    socket.on('data', this.#onData);
    socket.on('error', this.#onError);
    socket.on('end', this.#onClose);
    socket.on('close', this.#onClose);
  }

  #emit(bytes: Buffer, slab: boolean): void {
    if (this.#ended || this.#silent) return;
    if (!this.#writing) this.#write(bytes, this.#due);
    else this.#waiting.push({ bytes: slab ? Buffer.from(bytes) : bytes, due: this.#due });
  }

  #write(bytes: Buffer, due: number): void {
    if (!this.socket.writable) return;
    this.left = due;
    this.socket.write(bytes, this.#onWritten);
    if (this.socket.writableLength === 0) return;
    // The kernel did not take all of it at once: the socket still reads from the slab.
    this.#writing = true;
    if (bytes.buffer === this.#slab.buffer) this.#slab = Buffer.allocUnsafeSlow(SLAB_BYTES);
  }

  #written(): void {
    if (!this.#writing || this.socket.writableLength > 0) return;
    this.#writing = false;
    this.#deadline = performance.now() + this.#patience;
    while (!this.#writing && !this.#ended) {
      const next = this.#waiting.shift();
      if (next === undefined) return;
      this.#write(next.bytes, next.due);
    }
  }

  #tick(): void {
    this.#timer = null;
    this.#timerAt = Number.POSITIVE_INFINITY;
    if (this.#ended) return;
    const left = this.#deadline - performance.now();
    if (left <= 0) this.#user.onTimeout();
    else {
      this.#timerAt = this.#deadline;
      this.#timer = setTimeout(() => this.#tick(), Math.ceil(left));
    }
  }
}
