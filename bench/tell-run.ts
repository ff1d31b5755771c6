import { setTimeout as wait } from 'node:timers/promises';
import { messageOf } from '../src/errors.ts';
import { jobOf, playWithin } from './campaign-run.ts';
import { now, within } from './clock.ts';
import type { Person, Place, Standing } from './contract.ts';
import { countOf, type Failures } from './fate.ts';
import { personOf } from './list.ts';
import { RoleProcess } from './role-process.ts';
import type { Line, Stage } from './stage.ts';

/** An answer to a question of an operator, and what was seen when it was tried. */
export interface Told {
  readonly yes: boolean;
  readonly observed: string;
}

/** What a design can tell and do while it runs, each really asked. */
export interface TellRun {
  readonly line: string;
  readonly progress: Told;
  readonly failures: Told;
  readonly stopOne: Told;
  readonly pause: Told;
}

export interface TellOptions {
  readonly people: number;
  readonly delayMs: number;
  readonly failures: Failures;
  readonly patienceMs: number;
}

/** After a pause: until what was in flight has come through, and how long nothing may come after that, milliseconds. */
const SETTLE_MS = 1_500;
const QUIET_MS = 700;
/** How far behind the sink an answer may be, and the time between two questions, milliseconds. */
const CATCH_UP_MS = 10_000;
const LOOK_MS = 50;
/** A question that takes longer has no answer, milliseconds. */
const ANSWER_MS = 20_000;

async function told(what: () => Promise<Told>): Promise<Told> {
  try {
    return await within(ANSWER_MS, 'the answer', what());
  } catch (error) {
    return { yes: false, observed: `it failed: ${messageOf(error)}` };
  }
}

const shown = (standing: Standing): string =>
  Object.entries(standing)
    .map(([name, count]) => `${name} ${count ?? '?'}`)
    .join(', ');

/** A campaign that is slow enough to be asked in the middle. */
export async function runTell(stage: Stage, line: Line, options: TellOptions): Promise<TellRun> {
  const { people, delayMs, failures, patienceMs } = options;
  const { design } = line;
  const { sink } = stage;
  const { place } = await stage.set(line, people);
  await sink.begin({ run: place.run, people, failures, check: true }, delayMs);
  await design.prepare(place);
  let consumer: RoleProcess | null = null;
  try {
    await playWithin(patienceMs, jobOf(stage, line, place, 'publish'));
    // The last of the list whose mail would be taken.
    const stopped = lastGood(place, failures);
    const taken = await askStop(line, place, stopped);
    consumer = await RoleProcess.start(jobOf(stage, line, place, 'consume'));
    const end = consumer.go();
    await sink.reaches(Math.ceil(people / 10), patienceMs);
    const progress = await told(() => askProgress(stage, line, place, people));
    const pause = await told(() => askPause(stage, line, place, people));
    const enough = new AbortController();
    await within(
      patienceMs,
      `${line.key} to finish`,
      Promise.race([end, missing(stage, people, failures, taken, enough.signal)]),
    ).finally(() => enough.abort());
    const stopOne = await checkStop(stage, taken, stopped);
    const failed = await told(() => askFailures(line, place, countOf(failures, people, 'permanent')));
    return { line: line.key, progress, failures: failed, stopOne, pause };
  } finally {
    await consumer?.kill();
    await design.dispose(place);
  }
}

/** A design that waits for a person who was taken out would wait for ever; when all others have their mail it is enough. */
async function missing(
  stage: Stage,
  people: number,
  failures: Failures,
  taken: Told,
  signal: AbortSignal,
): Promise<void> {
  const wanted = people - countOf(failures, people, 'permanent') - (taken.yes ? 1 : 0);
  await stage.sink.reaches(wanted, Number.POSITIVE_INFINITY, signal);
  // What was answered last has to be written too.
  await wait(SETTLE_MS);
}

function lastGood(place: Place, failures: Failures): Person {
  for (let number = place.people; number > 0; number--) {
    const accepted = countOf(failures, number, 'accepted') - countOf(failures, number - 1, 'accepted');
    if (accepted === 1) return personOf(place.run, number);
  }
  throw new Error('no person of the list would get a mail');
}

/**
 * What it says has to catch up with what the sink had when it was asked, and must never be ahead of what the sink has by then. A
 * design that does not know who was sent can say who waits: each person that the sink had waits no more.
 */
async function askProgress(stage: Stage, { design }: Line, place: Place, people: number): Promise<Told> {
  const accepted = await stage.sink.accepted();
  const end = now() + CATCH_UP_MS;
  for (;;) {
    const standing = await design.standing(place);
    const done = standing.sent ?? (standing.waiting === null ? null : people - standing.waiting);
    const observed = `${shown(standing)} (of ${people}, of which the sink had ${accepted})`;
    if (done === null) return { yes: false, observed };
    const later = await stage.sink.accepted();
    if (standing.sent !== null && standing.sent > later)
      return { yes: false, observed: `${observed}; more than the ${later} that the sink has` };
    if (done >= accepted) return { yes: true, observed };
    if (now() > end) return { yes: false, observed: `${observed}; it never caught up` };
    await wait(LOOK_MS);
  }
}

async function askStop({ design }: Line, place: Place, person: Person): Promise<Told> {
  return await told(async () => {
    const done = await design.stopOne(place, person);
    return { yes: done === true, observed: done === null ? 'it cannot' : done ? 'taken out' : 'too late' };
  });
}

async function checkStop(stage: Stage, taken: Told, person: Person): Promise<Told> {
  if (!taken.yes) return taken;
  const got = await stage.sink.has(person.id);
  return got
    ? { yes: false, observed: 'it said that the person was taken out, and the mail came all the same' }
    : { yes: true, observed: 'taken out before sending, no mail came' };
}

async function askPause(stage: Stage, { design }: Line, place: Place, people: number): Promise<Told> {
  const before = await stage.sink.accepted();
  if (!(await design.pause(place))) return { yes: false, observed: 'only by stopping the consumers' };
  await wait(SETTLE_MS);
  const settled = await stage.sink.accepted();
  await wait(QUIET_MS);
  const later = await stage.sink.accepted();
  await design.resume(place);
  if (settled >= people) return { yes: false, observed: 'every person had a mail before it took hold' };
  return {
    yes: later === settled,
    observed: `${settled - before} mails came after the pause was asked for, then ${later - settled} in ${QUIET_MS} ms`,
  };
}

async function askFailures({ design }: Line, place: Place, refused: number): Promise<Told> {
  const dead = await design.deadLetters(place);
  if (dead === null) return { yes: false, observed: 'it cannot' };
  const example = dead.find(({ reply }) => reply !== '')?.reply;
  return {
    yes: dead.length >= refused && (refused === 0 || example !== undefined),
    observed: `${dead.length} named, ${refused} were refused${example === undefined ? '' : `; "${example}"`}`,
  };
}
