import type { Delivery, OutgoingMail } from './deliverer.ts';

/** A mail on its way, from deliver() to its delivery. */
export interface OpenMail {
  readonly mail: OutgoingMail;
  readonly done: (result: Delivery) => void;
  /** Its delivery is known; replies that still come for it are consumed and ignored (safety rule 3). */
  settled: boolean;
  /** It was taken back once from a connection that ended before the mail was sent, so it will not be a second time. */
  moved: boolean;
  /** It was not understood, and is sent once more over a serial connection. */
  readonly again: boolean;
}

/** What a reply answers. */
export type Asked = 'rset' | 'mail' | 'rcpt' | 'data' | 'final' | 'dot' | 'quit';

/**
 * What was asked on a connection and is not answered yet, in order. Replies are matched to it by count alone (safety
 * rule 1).
 */
export class Unanswered {
  /** What the reply at hand answers; it stands in the queue no more. */
  nowAsked: Asked = 'quit';
  nowMail: OpenMail | null = null;
  /** Replies matched so far: the absolute number of the reply that is due next. */
  answered: number;
  /** A queue in two arrays that begins at #head. */
  #asked: Asked[] = [];
  #mails: (OpenMail | null)[] = [];
  #head = 0;

  /** `answered`: how many replies the connection has had before. */
  constructor(answered: number) {
    this.answered = answered;
  }

  get isEmpty(): boolean {
    return this.#head === this.#asked.length;
  }

  /** What the next reply answers; undefined when none is due. */
  get first(): Asked | undefined {
    return this.#asked[this.#head];
  }

  add(asked: Asked, open: OpenMail | null): void {
    this.#asked.push(asked);
    this.#mails.push(open);
  }

  /** Takes what the reply at hand answers off the queue. */
  next(): void {
    this.nowAsked = this.#asked[this.#head] ?? 'quit';
    this.nowMail = this.#mails[this.#head] ?? null;
    this.#head++;
    this.answered++;
    if (this.#head < this.#asked.length) return;
    this.#asked.length = 0;
    this.#mails.length = 0;
    this.#head = 0;
  }

  /**
   * Empties the queue of a connection that is gone. Safety rule 5: a mail is ambiguous exactly if its terminator was
   * given to the socket; `left` is how many replies are due for what was given, counted from the beginning. A mail may
   * be named more than once.
   */
  clear(left: number): { ambiguous: OpenMail[]; notSent: OpenMail[] } {
    const ambiguous: OpenMail[] = [];
    const notSent: OpenMail[] = [];
    if (this.nowMail !== null) (this.nowAsked === 'final' ? ambiguous : notSent).push(this.nowMail);
    for (let i = this.#head; i < this.#asked.length; i++) {
      const open = this.#mails[i] ?? null;
      const terminatorLeft = this.#asked[i] === 'final' && i - this.#head < left - this.answered;
      if (open !== null) (terminatorLeft ? ambiguous : notSent).push(open);
    }
    this.#asked = [];
    this.#mails = [];
    this.#head = 0;
    this.nowMail = null;
    return { ambiguous, notSent };
  }
}
