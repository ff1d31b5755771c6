import { type App, open } from '../../src/api/sendstate.ts';
import type { WorkOptions } from '../../src/api/work.ts';
import { send, work } from '../../src/api/work.ts';
import type { SendEvent } from '../../src/model/events.ts';
import { parseRelays } from '../../src/smtp/relay.ts';
import type { WorkEnd } from '../../src/worker/worker.ts';

/** A worker in this process, with a pool of its own as a process of its own would have. */
export interface Sender {
  readonly app: App;
  /** How it ended; its errors. */
  readonly end: Promise<WorkEnd>;
  readonly events: readonly SendEvent[];
  /** Resolves with the first event, past or future, that fits; rejects when the worker ends without. */
  event<K extends SendEvent['kind']>(
    kind: K,
    fits?: (event: Extract<SendEvent, { kind: K }>) => boolean,
  ): Promise<Extract<SendEvent, { kind: K }>>;
  /** Graceful. */
  stop(): void;
  /** Gives up what it cannot write. */
  abort(): void;
}

export interface SenderOptions
  extends Omit<Partial<WorkOptions>, 'relay' | 'signal' | 'abortSignal' | 'onEvent'> {
  readonly databaseUrl: string;
  /** smtp://…, several with spaces between. */
  readonly relay: string;
  /** As `open` has it. */
  readonly answerWithinMs?: number;
  /** This campaign as `send`; default: everything that is due, as `work`. */
  readonly campaign?: string;
  /** `work` until nothing is due. */
  readonly drain?: boolean;
}

const started = new Set<Sender>();

export async function startSender(options: SenderOptions): Promise<Sender> {
  const { databaseUrl, relay, campaign, drain, answerWithinMs, ...rest } = options;
  const app = await open({ databaseUrl, max: 4, answerWithinMs });
  const stopping = new AbortController();
  const aborting = new AbortController();
  const events: SendEvent[] = [];
  let looks: (() => void)[] = [];
  let over = false;
  const look = () => {
    const now = looks;
    looks = [];
    for (const one of now) one();
  };
  const workOptions: WorkOptions = {
    batch: 50,
    window: 20,
    leaseSeconds: 5,
    ...rest,
    relay: parseRelays(relay),
    signal: stopping.signal,
    abortSignal: aborting.signal,
    onEvent: (event) => {
      events.push(event);
      look();
    },
  };
  const running =
    campaign === undefined ? work(app, { ...workOptions, drain }) : send(app, campaign, workOptions);
  const end = running.finally(async () => {
    over = true;
    look();
    started.delete(sender);
    await app.close();
  });
  const sender: Sender = {
    app,
    end,
    events,
    stop: () => stopping.abort(),
    abort: () => aborting.abort(),
    event: (kind, fits = () => true) =>
      new Promise((resolve, reject) => {
        type Wanted = Extract<SendEvent, { kind: typeof kind }>;
        const find = () => {
          const found = events.find((event): event is Wanted => event.kind === kind && fits(event as Wanted));
          if (found !== undefined) resolve(found);
          else if (over) reject(new Error(`the worker ended without an event "${kind}"`));
          else looks.push(find);
        };
        find();
      }),
  };
  // A test that fails before it waits for the end must not fail a second time, elsewhere.
  end.catch(() => undefined);
  started.add(sender);
  return sender;
}

/** A worker that is told to stop keeps its results until the database takes them, which a test that failed may have made impossible. */
const GRACE_MS = 10_000;

/** Stops every worker that still runs and waits for it: for afterEach. */
export async function endSenders(): Promise<void> {
  const all = [...started];
  for (const sender of all) sender.stop();
  const patience = setTimeout(() => {
    for (const sender of all) sender.abort();
  }, GRACE_MS);
  await Promise.allSettled(all.map((sender) => sender.end));
  clearTimeout(patience);
}
