/**
 * The sink's own account of what it saw, a line an event, appended to a file before anything is answered:
 *
 *     N ms mail connection client address    the recipient was named and taken
 *     D ms mail                              the final dot has come
 *     A ms mail                              the mail was accepted: from now on it will be delivered
 *     W ms mail                              as A, but the body is not that person's
 *     R ms mail code                         the reply that decides was written, to a client that was still there
 *     C ms connection why                    the sink ended the connection, or fell silent on it for good
 *     Q ms connection                        the client ended the connection without a farewell
 */
export interface Mail {
  readonly number: number;
  readonly connection: number;
  /** What the client called itself in EHLO: each worker process has a name of its own. */
  readonly client: string;
  readonly address: string;
  /** Milliseconds since the epoch, as the others; null: never. */
  readonly named: number;
  dotted: number | null;
  accepted: number | null;
  /** The reply that decides; null: the client cannot have read one. */
  reply: number | null;
}

export interface SinkLog {
  readonly mails: readonly Mail[];
  /** Connections that the sink ended or fell silent on, and why. */
  readonly cut: ReadonlyMap<number, string>;
  /** Connections that the client ended without a farewell, and when. */
  readonly left: ReadonlyMap<number, number>;
  /** Mails with another person's body. */
  readonly wrong: readonly string[];
}

export const NAMED = 'N';
export const DOTTED = 'D';
export const ACCEPTED = 'A';
export const WRONG = 'W';
export const REPLIED = 'R';
export const CUT = 'C';
export const LEFT = 'Q';

/** Reads the account. A last line that is not whole is of a sink that is still writing, and left out. */
export function readLog(text: string): SinkLog {
  const mails = new Map<number, Mail>();
  const cut = new Map<number, string>();
  const left = new Map<number, number>();
  const wrong: string[] = [];
  for (const line of text.split('\n').slice(0, -1)) {
    const [event, time, subject, ...rest] = line.split(' ');
    const number = Number(subject);
    if (event === NAMED) {
      const [connection, client = '', address = ''] = rest;
      mails.set(number, {
        number,
        connection: Number(connection),
        client,
        address,
        named: Number(time),
        dotted: null,
        accepted: null,
        reply: null,
      });
      continue;
    }
    if (event === CUT) {
      cut.set(number, rest.join(' '));
      continue;
    }
    if (event === LEFT) {
      left.set(number, Number(time));
      continue;
    }
    const mail = mails.get(number);
    if (mail === undefined) throw new Error(`the sink's log speaks of a mail that was never named: ${line}`);
    if (event === DOTTED) mail.dotted = Number(time);
    else if (event === REPLIED) mail.reply = Number(rest[0]);
    else if (event === ACCEPTED || event === WRONG) mail.accepted = Number(time);
    else throw new Error(`the sink's log has a line of no known kind: ${line}`);
    if (event === WRONG) wrong.push(mail.address);
  }
  return { mails: [...mails.values()], cut, left, wrong };
}

/** The mails that the sink took, by reader, in their order. */
export function copiesByAddress({ mails }: SinkLog): Map<string, Mail[]> {
  const taken = mails.filter(({ accepted }) => accepted !== null);
  taken.sort((a, b) => (a.accepted ?? 0) - (b.accepted ?? 0));
  return Map.groupBy(taken, ({ address }) => address);
}
