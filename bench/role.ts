import { setTimeout as wait } from 'node:timers/promises';
import { now } from './clock.ts';
import type { Answer, Deliver, Person, Place } from './contract.ts';
import { profiled, type Share } from './cpu-profile.ts';
import { emptyHand, mailHand } from './deliver.ts';
import { loadDesign } from './designs/index.ts';
import { peopleOf } from './list.ts';
import { peakMb } from './processes.ts';

/*
 * A publisher or a consumer of a run: a process of its own, so that CPU and memory are counted by part and either can be killed
 * in the middle. Its job stands in its argument; it says `ready` when everything is loaded, begins when it is told to `go`, and
 * answers with what it measured. `stop` is the gentle end; its channel's end is its own.
 */

export interface RoleJob {
  readonly role: 'publish' | 'consume';
  readonly design: string;
  readonly place: Place;
  /** smtp://… of the sink; null: queue only. */
  readonly relay: string | null;
  /** Where the process's time goes is wanted too, which costs some of it. */
  readonly profile?: boolean;
  /** A publisher that is given so many people and then no more: it says `held` and waits to be killed. */
  readonly holdAfter?: number;
}

export interface RoleResult {
  readonly kind: 'done';
  /** By the machine's monotonic clock, milliseconds. */
  readonly startedAt: number;
  /** When the design last said that everything is settled; null: it never did. */
  readonly settledAt: number | null;
  readonly endedAt: number;
  readonly answers: Readonly<Record<Answer['kind'], number>>;
  readonly cpuSeconds: number;
  readonly peakMb: number;
  /** Null unless it was asked for. */
  readonly functions: readonly Share[] | null;
}

export type RoleMessage =
  | { readonly kind: 'ready' }
  | { readonly kind: 'held' }
  | RoleResult
  | { readonly kind: 'failed'; readonly why: string };

const job = JSON.parse(process.argv[2] ?? '') as RoleJob;
const design = await loadDesign(job.design);
const stopping = new AbortController();
const answers: Record<Answer['kind'], number> = { sent: 0, retry: 0, rejected: 0 };
let settledAt: number | null = null;
const settled = (): void => {
  settledAt = now();
};

function counted(deliver: Deliver): Deliver {
  return (person, done) =>
    deliver(person, (answer) => {
      answers[answer.kind]++;
      done(answer);
    });
}

/** What a design keeps back to send it with more is on its way after this, milliseconds. */
const LINGER_MS = 300;

/** The first `count`, and then nothing for ever. */
async function* held(
  people: AsyncIterable<readonly Person[]>,
  count: number,
): AsyncGenerator<readonly Person[]> {
  let left = count;
  for await (const piece of people) {
    yield piece.slice(0, left);
    left -= piece.length;
    if (left <= 0) break;
  }
  await wait(LINGER_MS);
  say({ kind: 'held' });
  await new Promise<never>(() => undefined);
}

async function work(): Promise<void> {
  const { place, relay } = job;
  if (job.role === 'publish') {
    const people = peopleOf(place.run, place.people);
    return await design.publish(place, job.holdAfter === undefined ? people : held(people, job.holdAfter));
  }
  if (relay === null && design.drainWithoutMail !== undefined)
    return await design.drainWithoutMail(place, settled);
  const hand = relay === null ? emptyHand() : mailHand(relay);
  const { signal } = stopping;
  try {
    const { capacity } = hand;
    await design.consume(place, { deliver: counted(hand.deliver), capacity, signal, relay, settled });
  } finally {
    await hand.close();
  }
}

async function go(): Promise<RoleMessage> {
  const before = process.cpuUsage();
  const startedAt = now();
  let functions: readonly Share[] | null = null;
  try {
    if (job.profile === true) functions = await profiled(work);
    else await work();
  } catch (error) {
    return { kind: 'failed', why: error instanceof Error ? (error.stack ?? error.message) : String(error) };
  }
  const endedAt = now();
  const { user, system } = process.cpuUsage(before);
  const cpuSeconds = (user + system) / 1e6;
  const measured = { startedAt, settledAt, endedAt, answers, cpuSeconds, functions };
  return { kind: 'done', ...measured, peakMb: peakMb() };
}

const say = (message: RoleMessage): void => void process.send?.(message);
process.on('message', (message: 'go' | 'stop') => {
  if (message === 'stop') stopping.abort();
  else void go().then(say);
});
process.on('disconnect', () => process.exit());
// Ctrl-C reaches every process in the terminal; the driver decides.
process.on('SIGINT', () => undefined);
say({ kind: 'ready' });
