import { randomUUID } from 'node:crypto';
import { standing } from '../api/happening.ts';
import type { App } from '../api/sendstate.ts';
import { messageOf } from '../errors.ts';
import { type Failing, FailingWatch } from '../hooks/failing.ts';
import { HOOK_EVENTS, type HookEvent, Hooks } from '../hooks/hooks.ts';
import { parseTarget, type Target } from '../hooks/target.ts';
import type { SendEvent } from '../model/events.ts';
import type { Context } from './context.ts';

export interface HookFlags {
  readonly onFinished?: string;
  readonly onPaused?: string;
  readonly onFailing?: string;
  /** Seconds. */
  readonly failingAfter?: number;
}

/** How long a relay or the database may be in trouble before that is told, seconds: a restart is no news. */
const FAILING_AFTER = 60;
/** How often the clock is looked at for that, milliseconds. */
const TICK_MS = 500;

/** The targets that the options name. @throws SendstateError `hook-url` */
export function targetsOf(flags: HookFlags): Partial<Record<HookEvent, Target>> {
  const texts: Record<HookEvent, string | undefined> = {
    finished: flags.onFinished,
    paused: flags.onPaused,
    failing: flags.onFailing,
  };
  const targets: Partial<Record<HookEvent, Target>> = {};
  for (const event of HOOK_EVENTS) {
    const text = texts[event];
    if (text !== undefined) targets[event] = parseTarget(text);
  }
  return targets;
}

/** Makes happenings of a worker's events and gives them to the hooks. The sending never waits for any of it. */
export class HookDesk {
  readonly #app: App;
  readonly #hooks: Hooks;
  readonly #note: (words: string) => void;
  readonly #failing: FailingWatch | null;
  readonly #asking = new Set<Promise<void>>();
  readonly #timer: NodeJS.Timeout | undefined;

  constructor(context: Context, app: App, flags: HookFlags, note: (words: string) => void) {
    const { SENDSTATE_HOOK_SECRET: _, ...env } = process.env;
    const secret = context.config.hookSecret?.reveal() ?? null;
    this.#app = app;
    this.#note = note;
    this.#hooks = new Hooks({ targets: targetsOf(flags), secret, env, note });
    this.#failing = this.#hooks.wants('failing')
      ? new FailingWatch((flags.failingAfter ?? FAILING_AFTER) * 1000)
      : null;
    if (this.#failing !== null) this.#timer = setInterval(() => this.#tick(), TICK_MS);
  }

  event(event: SendEvent): void {
    // A claim that finds the campaign paused finds no recipient, and the worker says that it is idle before it knows why.
    if (event.kind === 'campaign' && (event.now === 'paused' || event.now === 'idle'))
      this.#campaign('paused', event.name);
    else if (event.kind === 'campaign' && event.now === 'finished') this.#campaign('finished', event.name);
    else if (event.kind === 'refused') this.#campaign('paused', event.name);
    if (this.#failing === null) return;
    const failing = this.#failing.event(event, performance.now());
    if (failing !== null) this.#fails(failing);
  }

  /** Ends when everything is told, or after ten seconds. */
  async close(): Promise<void> {
    clearInterval(this.#timer);
    await this.#hooks.close(this.#asking);
  }

  #tick(): void {
    for (const failing of this.#failing?.tick(performance.now()) ?? []) this.#fails(failing);
  }

  #fails({ campaign, reason }: Failing): void {
    this.#hooks.tell({
      event: 'failing',
      id: `failing-${randomUUID()}`,
      campaign,
      status: campaign === null ? null : 'running',
      reason,
      outcomes: null,
      at: new Date().toISOString(),
    });
  }

  #campaign(event: 'finished' | 'paused', name: string): void {
    if (!this.#hooks.wants(event)) return;
    const asking = this.#ask(event, name).finally(() => this.#asking.delete(asking));
    this.#asking.add(asking);
  }

  async #ask(event: 'finished' | 'paused', campaign: string): Promise<void> {
    const at = new Date().toISOString();
    try {
      const found = await standing(this.#app, campaign);
      // It goes on already, or it is forgotten.
      if (found?.progress.status !== event) return;
      const { campaignId, status, statusReason: reason, outcomes } = found.progress;
      const id = `${event}-${campaignId}-${found.version}`;
      this.#hooks.tell({ event, id, campaign, status, reason, outcomes, at });
    } catch (error) {
      this.#note(`The hook for ${event} of ${campaign} has no numbers: ${messageOf(error)}`);
      const id = `${event}-${randomUUID()}`;
      this.#hooks.tell({ event, id, campaign, status: event, reason: null, outcomes: null, at });
    }
  }
}
