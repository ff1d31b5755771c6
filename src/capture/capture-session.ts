import type { Socket } from 'node:net';
import { CaptureMessage, pathOf } from './capture-message.ts';

/** One accepted mail. */
export interface CapturedMail {
  readonly from: string;
  readonly to: readonly string[];
  readonly raw: Buffer;
}

/** A reply that a capture policy gives instead of accepting, and to which command. */
export interface CaptureReply {
  readonly at: 'rcpt' | 'data' | 'final';
  /** The whole reply without CRLF, such as `450 4.2.0 greylisted`. */
  readonly reply: string;
}

/** Options of the capture server; every default suits `demo`. */
export interface CaptureOptions {
  /** Default 127.0.0.1: the server accepts everything, so it must not be reachable from elsewhere. */
  readonly host?: string;
  /** Default 0: any free port. */
  readonly port?: number;
  /** EHLO keywords. Default CAPTURE_EXTENSIONS. */
  readonly extensions?: readonly string[];
  /** Milliseconds that every group of replies is held back, as a distant relay's would be. Default 0. */
  readonly replyDelayMs?: number;
  /** Largest message taken, in bytes; also announced as SIZE. Default 50 MiB. */
  readonly maxMessageBytes?: number;
  /** Decides about the `nth` (from 1) time that `recipient` is named; null accepts. Default: accepts everything. */
  readonly policy?: (recipient: string, nth: number) => CaptureReply | null;
  /** After this many mails on one connection the next MAIL is answered 421 and the connection closed. Default: never. */
  readonly maxMailsPerConnection?: number;
  /** Called for every accepted mail. `raw` is the message, dots removed; it is only valid during the call. */
  readonly onMail?: (mail: CapturedMail) => void;
  /** How many accepted mails to keep whole in `mails`. Default 0. */
  readonly keep?: number;
}

/** What EHLO announces by default. SIZE is added with its number. */
export const CAPTURE_EXTENSIONS: readonly string[] = [
  'PIPELINING',
  '8BITMIME',
  'SMTPUTF8',
  'CHUNKING',
  'ENHANCEDSTATUSCODES',
];

/** Where a session reports what it took. */
export interface CaptureSink {
  judge(recipient: string): CaptureReply | null;
  accept(from: string, to: readonly string[], raw: Buffer): void;
}

const LF = 10;
const CR = 13;
const DOT = 46;
const MEBIBYTE = 1_048_576;
/** Longest command line taken, in bytes: RFC 5321 section 4.5.3.1.4 says 512, SMTPUTF8 and AUTH say more. */
const MAX_LINE = 8192;
const END_OF_DATA = Buffer.from('\r\n.\r\n');

/**
 * One connection to the capture server. Reads whole chunks and writes all of a chunk's replies at once, so that a
 * client that pipelines costs one system call in each direction for many mails.
 */
export class CaptureSession {
  readonly #socket: Socket;
  readonly #options: CaptureOptions;
  readonly #sink: CaptureSink;
  readonly #maxBytes: number;
  #pending: Buffer = Buffer.alloc(0);
  #output = '';
  #state: 'command' | 'data' | 'chunk' | 'closed' = 'command';
  #from: string | null = null;
  #to: string[] = [];
  /** What the policy wants said later in the current mail. */
  #later: CaptureReply | null = null;
  readonly #message: CaptureMessage;
  #chunkLeft = 0;
  #chunkLast = false;
  #mails = 0;

  constructor(socket: Socket, options: CaptureOptions, sink: CaptureSink) {
    this.#socket = socket;
    this.#options = options;
    this.#sink = sink;
    this.#maxBytes = options.maxMessageBytes ?? 50 * MEBIBYTE;
    this.#message = new CaptureMessage(this.#maxBytes);
    socket.on('data', (chunk) => this.#onData(chunk));
    // A client that vanishes is an ordinary event here; 'close' follows.
    socket.on('error', () => socket.destroy());
    this.#say('220 capture ESMTP ready');
    this.#flush();
  }

  #onData(chunk: Buffer): void {
    if (this.#state === 'closed') return;
    const buffer = this.#pending.length === 0 ? chunk : Buffer.concat([this.#pending, chunk]);
    let at = 0;
    while (at < buffer.length && !this.#isClosed()) {
      const next = this.#step(buffer, at);
      if (next < 0) break;
      at = next;
    }
    this.#pending = at >= buffer.length ? Buffer.alloc(0) : buffer.subarray(at);
    this.#flush();
  }

  #isClosed(): boolean {
    return this.#state === 'closed';
  }

  /** Reads one command, message or chunk at `at`; returns where the next one begins, or -1 for "more bytes needed". */
  #step(buffer: Buffer, at: number): number {
    if (this.#state === 'data') return this.#readData(buffer, at);
    if (this.#state === 'chunk') return this.#readChunk(buffer, at);
    const lf = buffer.indexOf(LF, at);
    if ((lf < 0 ? buffer.length : lf) - at > MAX_LINE) {
      this.#say(this.#hangUp('500 5.5.2 Line too long'));
      return -1;
    }
    if (lf < 0) return -1;
    this.#say(this.#command(buffer.toString('utf8', at, buffer[lf - 1] === CR ? lf - 1 : lf)));
    return lf + 1;
  }

  /** Obeys one command line; returns the reply, '' for "later". */
  #command(line: string): string {
    switch (line.slice(0, 4).toUpperCase()) {
      case 'MAIL':
        return this.#mail(line);
      case 'RCPT':
        return this.#rcpt(line);
      case 'DATA':
        return this.#data();
      case 'BDAT':
        return this.#bdat(line);
      case 'RSET':
        return this.#reset('250 2.0.0 Ok');
      case 'EHLO':
        return this.#reset(this.#greeting());
      case 'HELO':
        return this.#reset('250 capture');
      case 'NOOP':
        return '250 2.0.0 Ok';
      case 'VRFY':
        return '252 2.5.0 Send it and see';
      case 'QUIT':
        return this.#hangUp('221 2.0.0 Bye');
      default:
        return '502 5.5.2 Command not recognized';
    }
  }

  #greeting(): string {
    const lines = ['capture', ...(this.#options.extensions ?? CAPTURE_EXTENSIONS), `SIZE ${this.#maxBytes}`];
    return lines.map((line, i) => `250${i === lines.length - 1 ? ' ' : '-'}${line}`).join('\r\n');
  }

  #mail(line: string): string {
    if (this.#from !== null) return '503 5.5.1 Nested MAIL command';
    if (this.#mails >= (this.#options.maxMailsPerConnection ?? Number.POSITIVE_INFINITY)) {
      return this.#hangUp('421 4.7.0 Enough for one connection');
    }
    const from = pathOf(line, 'MAIL FROM:');
    if (from === null) return '501 5.5.4 Syntax: MAIL FROM:<address>';
    this.#from = from;
    return '250 2.1.0 Ok';
  }

  #rcpt(line: string): string {
    if (this.#from === null) return '503 5.5.1 MAIL first';
    const to = pathOf(line, 'RCPT TO:');
    if (to === null || to === '') return '501 5.5.4 Syntax: RCPT TO:<address>';
    const verdict = this.#sink.judge(to);
    if (verdict?.at === 'rcpt') return verdict.reply;
    if (verdict !== null) this.#later = verdict;
    this.#to.push(to);
    return '250 2.1.5 Ok';
  }

  #data(): string {
    if (this.#to.length === 0) return '554 5.5.1 No valid recipients';
    if (this.#later?.at === 'data') return this.#reset(this.#later.reply);
    this.#state = 'data';
    return '354 End data with <CR><LF>.<CR><LF>';
  }

  #readData(buffer: Buffer, at: number): number {
    // An empty message is its terminator alone: the CRLF before the dot belongs to the DATA command.
    const empty =
      this.#message.size === 0 && buffer[at] === DOT && buffer[at + 1] === CR && buffer[at + 2] === LF;
    const end = empty ? at - 2 : buffer.indexOf(END_OF_DATA, at);
    if (end < 0 && !empty) {
      // All but what may be the beginning of the terminator is put aside, so that no byte is searched twice.
      const done = buffer.length - (END_OF_DATA.length - 1);
      if (done <= at) return -1;
      this.#message.add(Buffer.from(buffer.subarray(at, done)));
      return done;
    }
    if (!empty) this.#message.add(buffer.subarray(at, end + 2));
    this.#state = 'command';
    this.#say(this.#finish(true));
    return end + END_OF_DATA.length;
  }

  #bdat(line: string): string {
    const match = /^BDAT (\d{1,10})( LAST)?\s*$/i.exec(line);
    // RFC 3030 section 2: without a length it is unknown where the next command begins.
    if (match === null) return this.#hangUp('501 5.5.4 Syntax: BDAT size [LAST]');
    this.#chunkLeft = Number(match[1]);
    this.#chunkLast = match[2] !== undefined;
    this.#state = 'chunk';
    return this.#chunkLeft === 0 ? this.#endChunk() : '';
  }

  #readChunk(buffer: Buffer, at: number): number {
    const end = Math.min(buffer.length, at + this.#chunkLeft);
    const whole = end - at === this.#chunkLeft;
    this.#chunkLeft -= end - at;
    const piece = buffer.subarray(at, end);
    this.#message.add(whole && this.#chunkLast ? piece : Buffer.from(piece));
    if (whole) this.#say(this.#endChunk());
    return end;
  }

  #endChunk(): string {
    this.#state = 'command';
    if (this.#to.length === 0) return this.#reset('554 5.5.1 No valid recipients');
    if (this.#later?.at === 'data') return this.#reset(this.#later.reply);
    return this.#chunkLast ? this.#finish(false) : '250 2.0.0 Chunk received';
  }

  #finish(stuffed: boolean): string {
    if (this.#later !== null) return this.#reset(this.#later.reply);
    const raw = this.#message.take(stuffed);
    if (raw === null) return this.#reset('552 5.3.4 Message too big');
    this.#mails++;
    this.#sink.accept(this.#from ?? '', this.#to, raw);
    return this.#reset(`250 2.0.0 Ok: captured ${raw.length} bytes`);
  }

  #reset(reply: string): string {
    this.#from = null;
    this.#to = [];
    this.#later = null;
    this.#message.clear();
    return reply;
  }

  #say(reply: string): void {
    if (reply !== '') this.#output += `${reply}\r\n`;
  }

  #hangUp(reply: string): string {
    this.#state = 'closed';
    return reply;
  }

  #flush(): void {
    const output = this.#output;
    const last = this.#isClosed();
    if (output === '') return;
    this.#output = '';
    const { replyDelayMs = 0 } = this.#options;
    const write = (): void => {
      if (!this.#socket.writable) return;
      if (last) this.#socket.end(output);
      else this.#socket.write(output);
    };
    // Timers of one length fire in the order they were set, so replies keep theirs.
    if (replyDelayMs === 0) write();
    else setTimeout(write, replyDelayMs);
  }
}
