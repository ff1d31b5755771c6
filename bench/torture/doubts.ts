import { DIED } from '../../src/queue/rescue.ts';
import type { Mail } from './log.ts';
import type { ClaimRow, Row } from './rows.ts';
import { FINAL_TIMEOUT } from './stage.ts';
import type { Evidence } from './verify.ts';
import type { Silence, WorkerLife } from './workers.ts';

/** Why a client cannot have read the reply to a mail that the sink took; `none`: there is no reason, and so it is a fault. */
type Reason = 'cut' | 'overdue' | 'died' | 'none';

/** A client that left before this had not waited for its final timeout, milliseconds; the sink may be late to see the dot. */
const OVERDUE_MS = FINAL_TIMEOUT * 1000 - 1_000;
/** A dead process's connections are closed by its kernel within this, milliseconds; the sink may be late to see it. */
const CLOSED_WITHIN_MS = 10_000;

/**
 * Who may have got a mail twice or is held, and whose fault it is. Duplicates that were promised not to be exceeded:
 *
 *     window × deaths that hurt  +  mails that the sink took and never answered
 *
 * A death is a worker that was killed, or was silent beyond its lease; it hurts when the worker held a claim of any campaign
 * then. The second part is counted from the sink's file: a connection that it reset or dropped, or on which it fell silent
 * until the client gave up, between taking a mail and writing its 250. Mails that were not answered because their worker
 * was dead belong to its window, and are not counted again.
 */
export class Doubts {
  readonly bound: number;
  readonly #evidence: Evidence;
  readonly #byName: ReadonlyMap<string, WorkerLife>;
  readonly #byPid: ReadonlyMap<number, WorkerLife>;
  readonly #claims: ReadonlyMap<string, ClaimRow>;
  /** Mails that were taken and whose reply no worker can have read. */
  readonly #unread: readonly (readonly [Mail, Reason])[];

  constructor(evidence: Evidence) {
    const { lives, claims, log } = evidence;
    this.#evidence = evidence;
    this.#byName = new Map(lives.map((life) => [life.name, life]));
    this.#byPid = new Map(lives.map((life) => [life.pid, life]));
    this.#claims = new Map(claims.map((claim) => [`${claim.campaign_id}/${claim.claim_id}`, claim]));
    this.#unread = log.mails
      .filter(({ accepted, reply }) => accepted !== null && reply === null)
      .map((mail) => [mail, this.#reasonOf(mail)]);
    const unanswered = this.#unread.filter(([, reason]) => reason === 'cut' || reason === 'overdue');
    this.bound = lives.reduce((sum, life) => sum + this.#mostOf(life), unanswered.length);
  }

  /** Everything that cannot be explained, in words. */
  findUnexplained(): string[] {
    const left = this.#unread.filter(([, reason]) => reason === 'none');
    return [
      ...left.map(([{ address, client }]) => `${client} lives and left before the reply to ${address}`),
      ...this.#duplicates(),
      ...this.#held(),
    ];
  }

  #reasonOf({ connection, client, dotted }: Mail): Reason {
    const { cut, left } = this.#evidence.log;
    if (cut.has(connection)) return 'cut';
    const at = left.get(connection);
    if (at === undefined || dotted === null) return 'none';
    const deaths = this.#byName.get(client)?.deaths ?? [];
    if (deaths.some((death) => death.at <= at && at <= death.until + CLOSED_WITHIN_MS)) return 'died';
    return at - dotted >= OVERDUE_MS ? 'overdue' : 'none';
  }

  /** Claims of this worker that were open at one of these deaths. */
  #hurt({ pid }: WorkerLife, deaths: readonly Silence[]): ClaimRow[] {
    const openAt = ({ claimed, closed }: ClaimRow, { at, until }: Silence) =>
      claimed <= until && (closed === null || closed >= at);
    return this.#evidence.claims.filter(
      (claim) => claim.pid === pid && deaths.some((death) => openAt(claim, death)),
    );
  }

  /** A window for each death at which the worker held something, whatever the number of its campaigns. */
  #mostOf(life: WorkerLife): number {
    return this.#evidence.window * life.deaths.filter((death) => this.#hurt(life, [death]).length > 0).length;
  }

  /**
   * Each copy but one needs an excuse of its own: no reply was written to it, or its worker died. Of those that a death has to
   * excuse, so many at most as the windows of that worker's deaths. The one without is the last of the last owner of the row:
   * a worker that was silent may finish its mail when it wakes up, and the others have sent it meanwhile.
   */
  *#duplicates(): Generator<string> {
    const { rows, copies, policyOf } = this.#evidence;
    const reasons = new Map(this.#unread);
    const blamed = new Map<WorkerLife, number>();
    for (const row of rows) {
      const mails = copies.get(row.address) ?? [];
      if (mails.length > 1 && policyOf.get(row.campaign_id) === 'hold')
        yield `${row.address} got ${mails.length} mails although the campaign holds`;
      if (mails.length - 1 > row.maybe_sent)
        yield `${row.address} got ${mails.length} mails and maybe_sent is ${row.maybe_sent}`;
      for (const mail of this.#toExcuse(row, mails)) {
        const reason = reasons.get(mail);
        const life = this.#byName.get(mail.client);
        if (reason !== undefined && reason !== 'died') continue;
        if (life !== undefined && this.#mostOf(life) > 0) blamed.set(life, (blamed.get(life) ?? 0) + 1);
        else yield `${row.address} got a second mail although ${mail.client} had read the reply to the first`;
      }
    }
    for (const [life, count] of blamed) {
      const most = this.#mostOf(life);
      if (count > most) yield `${life.name} left ${count} duplicates; its window allows ${most}`;
    }
  }

  /** All copies but the one that had to be. */
  #toExcuse(row: Row, mails: readonly Mail[]): readonly Mail[] {
    const owner = this.#claims.get(`${row.campaign_id}/${row.claim_id}`)?.pid;
    const due = mails.findLast(({ client }) => this.#byName.get(client)?.pid === owner) ?? mails.at(-1);
    return mails.filter((mail) => mail !== due);
  }

  /**
   * A held row must really be in doubt: a rescue says so, its claim was open when its worker died and its id within the mark, or the
   * sink's file says that its mail was under way from that worker, within that claim, and never answered.
   */
  *#held(): Generator<string> {
    const { rows, policyOf } = this.#evidence;
    const perLife = new Map<WorkerLife, number>();
    for (const row of rows.filter(({ outcome }) => outcome === 'unconfirmed')) {
      if (policyOf.get(row.campaign_id) !== 'hold')
        yield `${row.address} is held although the campaign resends`;
      if (row.maybe_sent === 0) yield `${row.address} is held and maybe_sent is 0`;
      const claim = this.#claims.get(`${row.campaign_id}/${row.claim_id}`);
      const life = claim === undefined ? undefined : this.#byPid.get(claim.pid);
      if (claim === undefined || life === undefined)
        yield `${row.address} is held and no worker had claimed it`;
      else if (
        // Another reply is of the relay or of its connection, before the worker died.
        row.reply === DIED &&
        claim.rescued &&
        row.recipient_id <= claim.handed_through &&
        this.#hurt(life, life.deaths).includes(claim)
      )
        perLife.set(life, (perLife.get(life) ?? 0) + 1);
      else if (!this.#underWay(row, claim, life))
        yield `${row.address} is held and was never in doubt: ${row.reply}`;
    }
    for (const [life, count] of perLife) {
      const most = this.#mostOf(life);
      if (count > most) yield `${count} were held after the death of ${life.name}; its window allows ${most}`;
    }
  }

  #underWay({ address }: Row, { claimed, closed }: ClaimRow, { name }: WorkerLife): boolean {
    return this.#evidence.log.mails.some(
      (mail) =>
        mail.address === address &&
        mail.client === name &&
        mail.reply === null &&
        mail.named >= Math.floor(claimed) &&
        mail.named <= (closed ?? Number.POSITIVE_INFINITY),
    );
  }
}
