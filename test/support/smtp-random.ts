import fc from 'fast-check';
import type { Peer } from './smtp-script.ts';

/** One reply of a relay that follows the protocol but for what it is told here. */
export interface Step {
  /** The code to refuse with (4xx, 5xx), garbage to say in place of a reply, or null: it agrees. */
  readonly refuse: number | string | null;
  /** Lines of the reply. */
  readonly lines: number;
  /** Bytes in one write; 0: all of them. */
  readonly piece: number;
  /** The connection ends after so many bytes of the reply. */
  readonly end: { readonly after: number; readonly how: 'fin' | 'rst' } | null;
  /** DATA without a recipient is answered by 354 all the same, as some do. */
  readonly lenient: boolean;
  /** Said behind the reply, and never asked for. */
  readonly extra: string | null;
}

export const AGREE: Step = { refuse: null, lines: 1, piece: 0, end: null, lenient: false, extra: null };

const refusals = fc.constantFrom(421, 450, 451, 452, 500, 501, 503, 530, 550, 552, 554, 555, 599);
const garbage = fc.constantFrom('hello', '250-yes\r\n550 no', '999 what', '250\0 nul', '399 hm', '');

/** Mostly in order, now and then wrong in one or several ways. */
export const step: fc.Arbitrary<Step> = fc.record({
  refuse: fc.oneof(
    { weight: 40, arbitrary: fc.constant(null) },
    { weight: 8, arbitrary: refusals },
    { weight: 1, arbitrary: garbage },
  ),
  lines: fc.integer({ min: 1, max: 4 }),
  piece: fc.constantFrom(0, 0, 1, 2, 7),
  end: fc.oneof(
    { weight: 30, arbitrary: fc.constant(null) },
    {
      weight: 1,
      arbitrary: fc.record({ after: fc.nat(30), how: fc.constantFrom('fin' as const, 'rst' as const) }),
    },
  ),
  lenient: fc.boolean(),
  extra: fc.constant(null),
});

/** What the relay did, by recipient. */
export class Ledger {
  /** Mails it took: a 2xx to the end of data was said, or garbage was. */
  readonly taken = new Map<string, number>();
  /** Codes it said to a command or message of this recipient. */
  readonly said = new Map<string, Set<number>>();
  /** Recipients to whom it got a message that is not theirs. */
  readonly mixedUp: string[] = [];
}

/** Serves connections one after the other or at once; they share the steps, and behave when those are used up. */
export function randomRelay(
  steps: readonly Step[],
  keywords: readonly string[],
  messageOf: (to: string) => string,
  ledger: Ledger,
): (peer: Peer) => Promise<void> {
  let nth = 0;
  return async (peer) => {
    const session = new RandomSession(peer, () => steps[nth++] ?? AGREE, messageOf, ledger);
    await session.serve(keywords);
  };
}

class RandomSession {
  readonly #peer: Peer;
  readonly #next: () => Step;
  readonly #messageOf: (to: string) => string;
  readonly #ledger: Ledger;
  #over = false;
  #sender = false;
  #senderCode = 0;
  /** Of the mail at hand, taken or not. */
  #to = '';
  #accepted = false;

  constructor(peer: Peer, next: () => Step, messageOf: (to: string) => string, ledger: Ledger) {
    this.#peer = peer;
    this.#next = next;
    this.#messageOf = messageOf;
    this.#ledger = ledger;
  }

  async serve(keywords: readonly string[]): Promise<void> {
    this.#peer.say('220 random ESMTP');
    for (let line = await this.#peer.line(); line !== null && !this.#over; ) {
      await this.#command(line, keywords);
      line = this.#over ? null : await this.#peer.line();
    }
  }

  async #command(line: string, keywords: readonly string[]): Promise<void> {
    const verb = line.slice(0, 4);
    if (verb === 'EHLO') {
      const lines = ['random', ...keywords];
      this.#peer.say(...lines.map((one, i) => `250${i === lines.length - 1 ? ' ' : '-'}${one}`));
    } else if (verb === 'MAIL') {
      this.#senderCode = await this.#reply(this.#sender ? 503 : 250);
      this.#sender ||= this.#senderCode < 300;
    } else if (verb === 'RCPT') await this.#rcpt(line.slice(9, -1));
    else if (verb === 'DATA') await this.#data();
    else if (verb === 'BDAT') await this.#bdat(Number(/^BDAT (\d+) LAST$/.exec(line)?.[1]));
    else if (verb === 'RSET') {
      if ((await this.#reply(250)) < 300) this.#reset();
    } else {
      this.#over = true;
      this.#peer.say('221 bye');
      this.#peer.fin();
    }
  }

  async #rcpt(to: string): Promise<void> {
    this.#to = to;
    this.#note(this.#senderCode);
    const code = await this.#reply(this.#sender ? 250 : 503);
    this.#note(code);
    this.#accepted = this.#sender && code < 300;
  }

  async #data(): Promise<void> {
    const step = this.#next();
    const open = this.#accepted || step.lenient;
    const code = await this.#reply(open ? 354 : 554, step);
    this.#note(code);
    if (code !== 354 || this.#over) return;
    const message = await this.#peer.message();
    if (message !== null) await this.#finish(message.replace(/(^|\r\n)\.\./g, '$1.'));
  }

  async #bdat(size: number): Promise<void> {
    const message = await this.#peer.bytes(size);
    if (message === null) return;
    if (this.#accepted) await this.#finish(message);
    else this.#note(await this.#reply(503));
  }

  async #finish(message: string): Promise<void> {
    const { taken, mixedUp } = this.#ledger;
    const [to, accepted] = [this.#to, this.#accepted];
    this.#reset();
    const step = this.#next();
    if (accepted && message !== this.#messageOf(to)) mixedUp.push(to);
    // Before the first byte of the answer: what is sent is taken, whatever becomes of the connection.
    if (accepted && typeof step.refuse !== 'number') taken.set(to, (taken.get(to) ?? 0) + 1);
    const code = await this.#reply(accepted ? 250 : 554, step);
    if (accepted) this.#note(code, to);
  }

  #reset(): void {
    this.#sender = this.#accepted = false;
  }

  #note(code: number, to = this.#to): void {
    const codes = this.#ledger.said.get(to) ?? new Set();
    this.#ledger.said.set(to, codes.add(code));
  }

  /** Gives the code that counts: garbage is no refusal. */
  async #reply(honest: number, step = this.#next()): Promise<number> {
    const refused = honest < 400 && typeof step.refuse === 'number';
    const code = refused ? Number(step.refuse) : honest;
    const line = (at: number): string =>
      `${code}${at === step.lines - 1 ? ' ' : '-'}${code < 300 ? '2.0.0' : 'said'} line ${at}\r\n`;
    const reply = Array.from({ length: step.lines }, (_, at) => line(at)).join('');
    const bytes = typeof step.refuse === 'string' && step.refuse !== '' ? `${step.refuse}\r\n` : reply;
    await this.#write(bytes + (step.extra === null ? '' : `${step.extra}\r\n`), step);
    if (code === 421 && !this.#over) {
      this.#over = true;
      this.#peer.fin();
    }
    return code;
  }

  async #write(bytes: string, { piece, end }: Step): Promise<void> {
    const all = end === null ? bytes : bytes.slice(0, end.after);
    const size = piece === 0 ? Math.max(all.length, 1) : piece;
    for (let at = 0; at < all.length; at += size) {
      this.#peer.write(all.slice(at, at + size));
      // The client may read this part alone.
      await new Promise((resolve) => setImmediate(resolve));
    }
    if (end === null) return;
    this.#over = true;
    if (end.how === 'rst') this.#peer.rst();
    else this.#peer.fin();
  }
}
