import { setTimeout as wait } from 'node:timers/promises';
import {
  type Channel,
  type ChannelModel,
  type ConsumeMessage,
  type GetMessage,
  IllegalOperationError,
} from 'amqplib';
import type { Answer, Consuming, Person, Place } from '../contract.ts';
import { answered, Link } from './amqp-link.ts';
import { Publisher } from './amqp-publisher.ts';
import { look, type Names } from './amqp-topology.ts';
import { Contiguous } from './contiguous.ts';
import { waitFor } from './waits.ts';

/** Messages that the broker hands out ahead, as a multiple of those in flight: what a round trip to it has to cover. */
export const PREFETCH = 2;
/** Without work for this long a consumer gives its place back and looks whether all is done, milliseconds. */
const IDLE_MS = 150;
/** Between two looks at the queues, milliseconds. */
const LOOK_MS = 250;
/**
 * How many looks in a row have to find nothing. One is not enough: a message that is on its way from a delay queue to
 * the work queue is counted in neither.
 */
const LOOKS = 2;
/**
 * So many times in a row there was work and none of it came. Others may have taken it; or the broker has forgotten this
 * consumer when the leader of the queue died, and only a new connection is served again.
 */
const IN_VAIN = 20;

/** One channel's deliveries. Its delivery tags mean nothing on any other. */
interface Session {
  readonly channel: Channel;
  /** For the token, whose tag would stand in the way of the others', and for looking. */
  readonly aside: Channel;
  readonly tags: Contiguous;
  /** Tags that are done and not yet acknowledged. */
  readonly done: Set<number>;
  flushing: boolean;
  /** It has a token and is given work. */
  subscribed: boolean;
}

interface Delivery {
  session: Session;
  message: ConsumeMessage;
  readonly person: Person;
  readonly attempt: number;
}

export class AmqpConsumer {
  readonly #names: Names;
  readonly #maxAttempts: number;
  readonly #people: number;
  readonly #consuming: Consuming;
  readonly #publisher: Publisher;
  readonly #link: Link;
  #session: Session | null = null;
  #workTag = '';
  #token: GetMessage | null = null;
  #ready: Delivery[] = [];
  /** By person and attempt: in flight, or waiting for the confirmation of where it went. */
  readonly #inFlight = new Map<string, Delivery>();
  /** The last ones that were answered. A lost connection brings back what was acknowledged into it: that is not sent again. */
  readonly #answered = new Set<string>();
  #lastWork = performance.now();
  #inVain = 0;
  #sent = 0;

  constructor(place: Place, names: Names, consuming: Consuming) {
    this.#names = names;
    this.#maxAttempts = place.maxAttempts;
    this.#people = place.people;
    this.#consuming = consuming;
    this.#publisher = new Publisher(names.exchange, () => this.#link.drop());
    this.#link = new Link(
      place.url,
      (connection) => this.#open(connection),
      () => {
        this.#session = null;
        this.#ready = [];
        this.#publisher.detach();
      },
    );
  }

  async run(): Promise<void> {
    try {
      await Promise.race([this.#untilDone(), this.#link.failed, this.#publisher.failed]);
    } finally {
      this.#publisher.end();
      await this.#link.close();
    }
  }

  async #open(connection: ChannelModel): Promise<void> {
    const confirms = await answered(connection.createConfirmChannel());
    const channel = await answered(connection.createChannel());
    const aside = await answered(connection.createChannel());
    for (const one of [confirms, channel, aside]) one.on('error', () => this.#link.drop());
    this.#publisher.attach(confirms);
    await answered(channel.prefetch(this.#consuming.capacity * PREFETCH));
    const session = { channel, aside, tags: new Contiguous(0), done: new Set<number>() };
    this.#session = { ...session, flushing: false, subscribed: false };
    this.#lastWork = performance.now();
    await this.#subscribe(this.#session);
  }

  /** First the token, which says that a consumer is at work, then the work: no consumer ever has work without one. */
  async #subscribe(session: Session): Promise<void> {
    const { aside } = session;
    for (;;) {
      const token = await answered(aside.get(this.#names.tokens));
      this.#token = token === false ? null : token;
      if (token !== false) break;
      // As many workers as there are tokens, or a leader is being elected.
      await wait(LOOK_MS);
    }
    await this.#subscribeToWork(session);
  }

  async #subscribeToWork(session: Session): Promise<void> {
    const work = await answered(
      session.channel.consume(this.#names.work, (message) => {
        // The queue was deleted or its leader moved: the next connection subscribes anew.
        if (message === null) this.#link.drop();
        else this.#take(session, message);
      }),
    );
    this.#workTag = work.consumerTag;
    session.subscribed = true;
  }

  #take(session: Session, message: ConsumeMessage): void {
    session.tags.begin(message.fields.deliveryTag);
    this.#lastWork = performance.now();
    this.#inVain = 0;
    const person = JSON.parse(message.content.toString('utf8')) as Person;
    const attempt = Number(message.properties.headers?.['x-attempt'] ?? 1);
    const key = `${person.id} ${attempt}`;
    const delivery = { session, message, person, attempt };
    if (message.fields.redelivered) {
      const known = this.#inFlight.get(key);
      if (known !== undefined) {
        // Still in flight from before the connection was lost: the answer goes to the new delivery.
        known.session = session;
        known.message = message;
        return;
      }
      if (this.#answered.has(key)) {
        this.#acknowledge(delivery);
        return;
      }
    }
    this.#ready.push(delivery);
    this.#fill();
  }

  #fill(): void {
    while (this.#inFlight.size < this.#consuming.capacity && !this.#consuming.signal.aborted) {
      const delivery = this.#ready.shift();
      if (delivery === undefined) return;
      this.#inFlight.set(`${delivery.person.id} ${delivery.attempt}`, delivery);
      this.#consuming.deliver(delivery.person, (answer) => this.#answer(delivery, answer));
    }
  }

  /** What goes to another queue is acknowledged here only once it is confirmed there. */
  #answer(delivery: Delivery, answer: Answer): void {
    if (answer.kind === 'sent') {
      this.#sent++;
      this.#finish(delivery);
      return;
    }
    const again = answer.kind === 'retry' && delivery.attempt < this.#maxAttempts;
    const headers = { 'x-attempt': delivery.attempt + (again ? 1 : 0), 'x-reply': answer.reply };
    const key = again ? `delay.${waitFor(answer.afterMs)}` : 'dead';
    this.#publisher.send(key, delivery.message.content, headers, () => this.#finish(delivery));
  }

  #finish(delivery: Delivery): void {
    const key = `${delivery.person.id} ${delivery.attempt}`;
    this.#inFlight.delete(key);
    this.#answered.add(key);
    // As many as can be unacknowledged in the broker, and those whose acknowledgement may be lost on the way.
    if (this.#answered.size > this.#consuming.capacity * PREFETCH * 4) {
      const { value } = this.#answered.values().next();
      if (value !== undefined) this.#answered.delete(value);
    }
    this.#lastWork = performance.now();
    this.#acknowledge(delivery);
    this.#fill();
  }

  #acknowledge({ session, message }: Delivery): void {
    if (session !== this.#session) return;
    session.tags.end(message.fields.deliveryTag);
    session.done.add(message.fields.deliveryTag);
    if (session.flushing) return;
    session.flushing = true;
    setImmediate(() => this.#flush(session, message));
  }

  /** One frame for all that are done below the lowest that is not, one each for those above: no answer waits for another. */
  #flush(session: Session, sample: ConsumeMessage): void {
    session.flushing = false;
    if (session !== this.#session) return;
    const ack = (deliveryTag: number, upTo: boolean): void =>
      session.channel.ack({ ...sample, fields: { ...sample.fields, deliveryTag } }, upTo);
    const last = session.tags.next - 1;
    // The tag itself has to be unacknowledged: one that went alone before, above a slower one, is unknown to the broker now,
    // and an unknown tag closes the channel.
    const below = Math.max(0, ...[...session.done].filter((tag) => tag <= last));
    try {
      if (below > 0) ack(below, true);
      for (const tag of session.done) if (tag > last) ack(tag, false);
      session.done.clear();
    } catch (error) {
      // Closed, and the event is still on its way: the broker will deliver them again.
      if (!(error instanceof IllegalOperationError)) throw error;
    }
  }

  get #idle(): boolean {
    return this.#inFlight.size === 0 && this.#publisher.pending === 0;
  }

  async #untilDone(): Promise<void> {
    const { signal } = this.#consuming;
    for (;;) {
      await wait(20);
      const session = this.#session;
      if (signal.aborted) {
        if (this.#idle) return;
      } else if (
        session?.subscribed === true &&
        this.#idle &&
        this.#ready.length === 0 &&
        !session.flushing &&
        // A consumer that has sent all need not wait for more.
        (this.#sent >= this.#people || performance.now() - this.#lastWork > IDLE_MS)
      ) {
        try {
          if (await this.#withdraw(session)) return;
        } catch (error) {
          // A connection that broke in between is the link's business; anything else is an error.
          if (this.#session === session && !(error instanceof IllegalOperationError)) this.#link.drop();
        }
      }
    }
  }

  /** Gives the token back and looks until all is done (true) or there is work again (false, subscribed). */
  async #withdraw(session: Session): Promise<boolean> {
    const { channel, aside } = session;
    // Its answer comes after every acknowledgement that went before it on this channel.
    await answered(channel.cancel(this.#workTag));
    session.subscribed = false;
    // What arrived before the cancellation did keeps the token.
    if (this.#inFlight.size > 0 || this.#ready.length > 0) {
      await this.#subscribeToWork(session);
      return false;
    }
    this.#consuming.settled?.();
    if (this.#token !== null) aside.nack(this.#token, false, true);
    for (let found = 0; !this.#consuming.signal.aborted; ) {
      const { published, busy, waiting, retrying } = await answered(look(aside, this.#names));
      found = published && busy === 0 && waiting === 0 && retrying === 0 ? found + 1 : 0;
      if (found >= LOOKS) return true;
      if (waiting > 0) {
        this.#inVain++;
        break;
      }
      await wait(LOOK_MS);
    }
    if (this.#inVain > IN_VAIN) {
      this.#inVain = 0;
      this.#link.drop();
      return false;
    }
    // More than all people: one comes twice, and how many are left is not known here.
    this.#sent = 0;
    await this.#subscribe(session);
    this.#lastWork = performance.now();
    return false;
  }
}
