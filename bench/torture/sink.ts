import { openSync, writeSync } from 'node:fs';
import { createServer, type Socket } from 'node:net';
import { ACCEPTED, CUT, DOTTED, LEFT, NAMED, REPLIED, WRONG } from './log.ts';
import { greetingOf } from './people.ts';

/** How the sink is told to misbehave. `count`: so many times; `ms`: for so long. */
export type Misbehaviour =
  /** Every connection is reset and new ones are refused. */
  | { readonly kind: 'refuse'; readonly ms: number }
  /** Every connection is reset. */
  | { readonly kind: 'reset' }
  /** Nothing more is said on any connection, and new ones get no greeting. */
  | { readonly kind: 'hang'; readonly ms: number }
  /** After the final dot the connection ends without a reply; every other mail is accepted nevertheless. */
  | { readonly kind: 'drop'; readonly count: number }
  /** 421 to MAIL, to RCPT and to the final dot in turn. */
  | { readonly kind: 'answer-421'; readonly count: number }
  /** A temporary failure to RCPT and to the final dot in turn. */
  | { readonly kind: 'answer-4xx'; readonly count: number };

export type ToSink =
  | Misbehaviour
  /** The delay of a reply to the final dot, and beyond how many accepted mails the long one holds. */
  | { readonly kind: 'pace'; readonly delayMs: number; readonly ceiling: number };

export type FromSink =
  | { readonly kind: 'listening'; readonly port: number }
  | { readonly kind: 'accepted'; readonly count: number };

/** Reply delay beyond the ceiling, milliseconds: mails trickle until the bench is ready for the next fault. */
const TRICKLE_MS = 1_000;

const log = openSync(process.argv[2] ?? '', 'a');
const note = (event: string, ...rest: readonly (string | number)[]) =>
  writeSync(log, `${event} ${Date.now()} ${rest.join(' ')}\n`);
const tell = (message: FromSink) => process.send?.(message);

const left = { drop: 0, 'answer-421': 0, 'answer-4xx': 0 };
let turn = 0;
let delayMs = 0;
let ceiling = Number.POSITIVE_INFINITY;
let accepted = 0;
let mails = 0;
let connections = 0;
let silentUntil = 0;
const open = new Set<Session>();

/** Whether the misbehaviour of this kind is due, and due at this place of the dialogue; then it is used up. */
function misbehaves(kind: keyof typeof left, place: number, places: number): boolean {
  if (left[kind] === 0 || turn % places !== place) return false;
  left[kind]--;
  turn++;
  return true;
}

/** One connection: reads a command or a message at a time and answers it before the next is looked at. */
class Session {
  readonly number = ++connections;
  readonly #socket: Socket;
  #input = '';
  #client = '?';
  #mail = 0;
  #address = '';
  #state: 'command' | 'data' | 'judging' | 'over' = 'command';
  /** A whole message that waits for its acceptance. */
  #judged: NodeJS.Timeout | null = null;
  #accept: () => void = () => undefined;

  constructor(socket: Socket) {
    this.#socket = socket;
    open.add(this);
    socket.setEncoding('latin1');
    socket.on('data', (text: string) => {
      this.#input += text;
      this.#read();
    });
    socket.on('error', () => socket.destroy());
    socket.on('close', () => {
      open.delete(this);
      if (this.#state !== 'over') note(LEFT, this.number);
      this.#state = 'over';
    });
    // A connection that comes while the sink hangs waits with it.
    if (Date.now() < silentUntil) this.hang();
    else this.#say('220 torture ESMTP');
  }

  /** Nothing more is said on this connection. What it has taken with the final dot will be delivered. */
  hang(): void {
    note(CUT, this.number, 'hang');
    this.#settle(true);
    this.#state = 'over';
  }

  end(why: string, reset: boolean): void {
    if (this.#state !== 'over') note(CUT, this.number, why);
    // A server that dies has put some of what it took on its disk already.
    this.#settle(this.number % 2 === 0);
    this.#state = 'over';
    if (reset) this.#socket.resetAndDestroy();
    else this.#socket.destroy();
  }

  #settle(accept: boolean): void {
    if (this.#judged === null) return;
    clearTimeout(this.#judged);
    this.#judged = null;
    if (accept) this.#accept();
  }

  #read(): void {
    while (this.#state === 'command' || this.#state === 'data') {
      const end = this.#state === 'data' ? '\r\n.\r\n' : '\r\n';
      const at = this.#input.indexOf(end);
      if (at < 0) return;
      const piece = this.#input.slice(0, at);
      this.#input = this.#input.slice(at + end.length);
      if (this.#state === 'data') this.#message(piece);
      else this.#command(piece);
    }
  }

  #command(line: string): void {
    switch (line.slice(0, 4).toUpperCase()) {
      case 'EHLO':
        this.#client = line.slice(5);
        this.#say('250-torture\r\n250-PIPELINING\r\n250-8BITMIME\r\n250-SMTPUTF8\r\n250 ENHANCEDSTATUSCODES');
        break;
      case 'MAIL':
        if (misbehaves('answer-421', 0, 3)) this.#farewell();
        else this.#say('250 2.1.0 Ok');
        break;
      case 'RCPT':
        this.#rcpt(line);
        break;
      case 'DATA':
        if (this.#mail === 0) this.#say('554 5.5.1 No valid recipients');
        else {
          this.#state = 'data';
          this.#say('354 Go on');
        }
        break;
      case 'QUIT':
        this.#say('221 2.0.0 Bye');
        this.#state = 'over';
        this.#socket.end();
        break;
      default:
        // RSET and NOOP.
        this.#say('250 2.0.0 Ok');
    }
  }

  #rcpt(line: string): void {
    this.#mail = 0;
    if (misbehaves('answer-421', 1, 3)) {
      this.#farewell();
      return;
    }
    if (misbehaves('answer-4xx', 0, 2)) {
      this.#say('452 4.2.2 Mailbox full for a moment');
      return;
    }
    this.#mail = ++mails;
    this.#address = /<(.*)>/.exec(line)?.[1] ?? '?';
    note(NAMED, this.#mail, this.number, this.#client, this.#address);
    this.#say('250 2.1.5 Ok');
  }

  #message(body: string): void {
    const number = this.#mail;
    this.#mail = 0;
    note(DOTTED, number);
    this.#accept = () => {
      accepted++;
      note(body.includes(greetingOf(this.#address)) ? ACCEPTED : WRONG, number);
      tell({ kind: 'accepted', count: accepted });
    };
    if (misbehaves('answer-421', 2, 3)) {
      note(REPLIED, number, 421);
      this.#farewell();
    } else if (misbehaves('answer-4xx', 1, 2)) {
      note(REPLIED, number, 452);
      this.#state = 'command';
      this.#say('452 4.3.1 No room for a moment');
    } else if (left.drop > 0) {
      left.drop--;
      if (left.drop % 2 === 0) this.#accept();
      this.end('drop', left.drop % 4 < 2);
    } else this.#judge(number);
  }

  /** Half of the delay before the mail is accepted, half between that and the reply: the moment that makes duplicates. */
  #judge(number: number): void {
    this.#state = 'judging';
    const half = (accepted >= ceiling ? TRICKLE_MS : delayMs) / 2;
    this.#judged = setTimeout(() => {
      this.#judged = null;
      this.#accept();
      setTimeout(() => {
        if (this.#state !== 'judging' || !this.#socket.writable) return;
        note(REPLIED, number, 250);
        this.#state = 'command';
        this.#say('250 2.0.0 Ok: queued');
        this.#read();
      }, half);
    }, half);
  }

  #farewell(): void {
    note(CUT, this.number, '421');
    this.#say('421 4.3.2 Closing for a moment');
    this.#state = 'over';
    this.#socket.end();
  }

  #say(line: string): void {
    if (this.#socket.writable) this.#socket.write(`${line}\r\n`);
  }
}

const server = createServer({ noDelay: true }, (socket) => new Session(socket));
const cutAll = (why: string) => {
  for (const session of [...open]) session.end(why, true);
};

/** The port may be taken for a moment by an outgoing connection of another process. */
function listenAgain(port: number): void {
  server.once('error', () => setTimeout(() => listenAgain(port), 50));
  server.listen(port, '127.0.0.1', () => server.removeAllListeners('error'));
}

function obey(message: ToSink): void {
  switch (message.kind) {
    case 'pace':
      ({ delayMs, ceiling } = message);
      break;
    case 'refuse': {
      const address = server.address();
      const port = typeof address === 'object' && address !== null ? address.port : 0;
      if (!server.listening) break;
      server.close();
      cutAll('refuse');
      setTimeout(() => listenAgain(port), message.ms);
      break;
    }
    case 'reset':
      cutAll('reset');
      break;
    case 'hang':
      silentUntil = Date.now() + message.ms;
      for (const session of open) session.hang();
      setTimeout(() => cutAll('hang'), message.ms);
      break;
    default:
      left[message.kind] += message.count;
  }
}

process.on('message', obey);
process.on('disconnect', () => process.exit());
server.listen(0, '127.0.0.1', () => {
  const address = server.address();
  tell({ kind: 'listening', port: typeof address === 'object' && address !== null ? address.port : 0 });
});
