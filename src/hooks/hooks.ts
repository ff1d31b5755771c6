import { run } from './command.ts';
import { post, type Told } from './post.ts';
import type { Target } from './target.ts';

export const HOOK_EVENTS = ['finished', 'paused', 'failing'] as const;
export type HookEvent = (typeof HOOK_EVENTS)[number];

/** What is told. */
export interface Happening {
  readonly event: HookEvent;
  /** The same from every process that tells the same: who gets it twice knows. */
  readonly id: string;
  /** Null: it is about no single campaign. */
  readonly campaign: string | null;
  readonly status: string | null;
  readonly reason: string | null;
  /** Recipients by outcome. */
  readonly outcomes: Readonly<Record<string, number>> | null;
  /** ISO 8601 */
  readonly at: string;
}

export interface HookOptions {
  readonly targets: Readonly<Partial<Record<HookEvent, Target>>>;
  /** What requests are signed with; null: they are not. */
  readonly secret: string | null;
  /** What a command's environment holds besides what happened. */
  readonly env: Readonly<Record<string, string | undefined>>;
  /** What became of it, in words. */
  readonly note: (words: string) => void;
  /** Waits between tries, milliseconds. */
  readonly waitsMs?: readonly number[];
  readonly requestMs?: number;
  readonly commandMs?: number;
  readonly endWithinMs?: number;
}

/** Five tries over about five minutes: longer than a deployment or a restart of the receiver. */
const WAITS_MS: readonly number[] = [2_000, 10_000, 60_000, 240_000];
/** One request, milliseconds. */
const REQUEST_MS = 10_000;
/** One command, milliseconds. */
const COMMAND_MS = 60_000;
/** At the end, milliseconds: what is under way may finish, and what waits for another try has it now. */
const END_WITHIN_MS = 10_000;
/** After that, milliseconds: what was cut off says so. */
const LAST_WORDS_MS = 500;
/** Happenings under way at most. There are a handful a campaign; more is a storm, and memory is not for that. */
const UNDER_WAY = 100;

/** Tells others what happened, beside the sending: nothing here is ever waited for but at the end. */
export class Hooks {
  readonly #options: Required<HookOptions>;
  readonly #underWay = new Set<Promise<void>>();
  readonly #told = new Set<string>();
  readonly #hurry = new AbortController();
  readonly #end = new AbortController();

  constructor(options: HookOptions) {
    this.#options = {
      waitsMs: WAITS_MS,
      requestMs: REQUEST_MS,
      commandMs: COMMAND_MS,
      endWithinMs: END_WITHIN_MS,
      ...options,
    };
    const { targets, secret, note } = this.#options;
    if (secret === null && Object.values(targets).some((target) => target.kind === 'url'))
      note('Hooks are not signed: SENDSTATE_HOOK_SECRET is not set.');
  }

  wants(event: HookEvent): boolean {
    return this.#options.targets[event] !== undefined;
  }

  /** Begins to tell; returns at once. The same id is told once. */
  tell(happening: Happening): void {
    const target = this.#options.targets[happening.event];
    if (target === undefined || this.#told.has(happening.id)) return;
    if (this.#underWay.size >= UNDER_WAY) {
      this.#options.note(`The hook for ${happening.event} is left out: ${UNDER_WAY} others are under way.`);
      return;
    }
    this.#told.add(happening.id);
    const telling = this.#tell(target, happening).finally(() => this.#underWay.delete(telling));
    this.#underWay.add(telling);
  }

  /** Waits for what is under way, ten seconds at most. @param before what may still tell something, waited for first */
  async close(before: Iterable<Promise<void>> = []): Promise<void> {
    this.#hurry.abort();
    const all = async () => {
      await Promise.all(before);
      await Promise.all(this.#underWay);
    };
    await atMost(all(), this.#options.endWithinMs);
    this.#end.abort();
    await atMost(Promise.all(this.#underWay), LAST_WORDS_MS);
  }

  async #tell(target: Target, happening: Happening): Promise<void> {
    const { waitsMs, note } = this.#options;
    const about = `The hook for ${happening.event}${happening.campaign === null ? '' : ` of ${happening.campaign}`} (${target.shown})`;
    const body = JSON.stringify(happening);
    let failed = '';
    for (let tries = 1; tries <= waitsMs.length + 1; tries++) {
      const hurried = this.#hurry.signal.aborted;
      const told = await this.#once(target, happening, body, about);
      if (told.ok) {
        note(`${about} was told${tries > 1 ? `, at try ${tries}` : ''}.`);
        return;
      }
      failed = `${told.why}, after ${tries} ${tries === 1 ? 'try' : 'tries'}`;
      // What is told for the first time at the end has its second try as well.
      if (!told.again || (hurried && tries > 1) || this.#end.signal.aborted) break;
      if (tries <= waitsMs.length) await this.#wait(waitsMs[tries - 1] as number);
    }
    note(`${about} could not be told: ${failed}.`);
  }

  async #once(target: Target, happening: Happening, body: string, about: string): Promise<Told> {
    const { secret, env, requestMs, commandMs, note } = this.#options;
    if (target.kind === 'url') return await post(target, body, secret, requestMs, this.#end.signal);
    const told = await run(
      target.command,
      body,
      { ...env, ...variables(happening) },
      commandMs,
      this.#end.signal,
    );
    if (told.output.trim() !== '') note(`${about} says: ${told.output.trim()}`);
    return told;
  }

  async #wait(ms: number): Promise<void> {
    const { signal } = this.#hurry;
    await new Promise<void>((resolve) => {
      const done = () => {
        clearTimeout(timer);
        signal.removeEventListener('abort', done);
        resolve();
      };
      const timer = setTimeout(done, ms);
      signal.addEventListener('abort', done);
      if (signal.aborted) done();
    });
  }
}

async function atMost(work: Promise<unknown>, ms: number): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, ms);
  });
  await Promise.race([work, late]);
  clearTimeout(timer);
}

/** What a command finds in its environment. */
function variables({ event, id, campaign, status, reason }: Happening): Record<string, string> {
  const values = {
    SENDSTATE_EVENT: event,
    SENDSTATE_EVENT_ID: id,
    SENDSTATE_CAMPAIGN: campaign,
    SENDSTATE_STATUS: status,
    SENDSTATE_REASON: reason,
  };
  // A NUL would end a variable, and the operating system refuses it.
  return Object.fromEntries(
    Object.entries(values).map(([name, value]) => [name, (value ?? '').replaceAll('\0', '')]),
  );
}
