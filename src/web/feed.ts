import type { LiveCampaign, Snapshot } from './snapshot.ts';

/** What a viewer looks at: the list, or one campaign by its number. */
export type Topic = 'list' | number;

/** What a page needs, in pieces that change by themselves; each is the JSON that goes out. */
type Cells = ReadonlyMap<string, string>;

/** Where a viewer's events go; false: it is gone, or does not read. */
export type Sink = (event: string, data: string) => boolean;

interface Viewer {
  readonly topic: Topic;
  readonly sink: Sink;
  /** Ends its stream: nothing more will come. */
  readonly end: () => void;
  /** It has had a whole state, and changes make sense to it. */
  told: boolean;
}

/** What failed, in words that a viewer may read, and as a code for those who have words of their own. */
export interface Failed {
  readonly code: string;
  readonly message: string;
}

/** Since when the database does not answer, and what it was that failed; null: it answers. */
export type Lost = (Failed & { readonly since: number }) | null;

export interface FeedOptions {
  readonly look: (watched: readonly number[]) => Promise<Snapshot>;
  readonly explain: (error: unknown) => Failed;
  /** Told once when looks begin to fail, with the error, and once when one succeeds again, with null. */
  readonly onTurn?: (error: unknown) => void;
  /** Milliseconds from the end of one look to the next. Default 400: with the statement's time a change is on the page well within a second. */
  readonly intervalMs?: number;
}

/** Milliseconds between two signs of life to viewers, so that a page knows silence from "nothing has changed". */
const BEAT_MS = 5_000;

/**
 * One loop over the database's counters for all viewers together. It looks only while a browser watches, and it sends what has
 * changed: the cost of a viewer is the bytes sent to it.
 */
export class Feed {
  readonly #options: FeedOptions;
  readonly #intervalMs: number;
  readonly #viewers = new Set<Viewer>();
  #cells = new Map<Topic, Cells>();
  #lookedAt = -Infinity;
  #lost: Lost = null;
  #timer: NodeJS.Timeout | undefined;
  #looking = false;
  #again = false;
  #beat: NodeJS.Timeout | undefined;
  #closed = false;

  constructor(options: FeedOptions) {
    this.#options = options;
    this.#intervalMs = options.intervalMs ?? 400;
  }

  get viewers(): number {
    return this.#viewers.size;
  }

  /**
   * From now on the sink is told: the whole state first, then what changes.
   * @param end called when the feed is closed, or the sink has said that it does not take any more
   * @returns what ends it from the viewer's side
   */
  watch(topic: Topic, sink: Sink, end: () => void): () => void {
    const viewer: Viewer = { topic, sink, end, told: false };
    if (this.#closed) {
      end();
      return () => undefined;
    }
    this.#viewers.add(viewer);
    if (this.#lost !== null) this.#send(viewer, 'database', JSON.stringify(this.#lost));
    const cells = this.#cells.get(topic);
    // Fifty pages that open at once are served from what was read for the first.
    const fresh = performance.now() - this.#lookedAt < 2 * this.#intervalMs;
    if (cells !== undefined && (fresh || this.#lost !== null)) this.#tellAll(viewer, cells);
    if (!viewer.told || this.#timer === undefined) this.poke();
    this.#beat ??= setInterval(() => this.#broadcast('beat', '{}'), BEAT_MS);
    return () => this.#drop(viewer);
  }

  /** Looks now instead of at the end of the interval: a viewer has come, or a button was pressed. */
  poke(): void {
    if (this.#closed || this.#viewers.size === 0) return;
    this.#stop();
    if (this.#looking) this.#again = true;
    else void this.#turn();
  }

  #stop(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }

  /** Ends the loop and every viewer's stream. */
  close(): void {
    this.#closed = true;
    for (const viewer of [...this.#viewers]) {
      this.#drop(viewer);
      viewer.end();
    }
  }

  async #turn(): Promise<void> {
    this.#timer = undefined;
    this.#looking = true;
    this.#again = false;
    const topics = new Set([...this.#viewers].map(({ topic }) => topic));
    try {
      const snapshot = await this.#options.look([...topics].filter((topic) => topic !== 'list'));
      this.#lookedAt = performance.now();
      if (this.#lost !== null) this.#found();
      this.#publish(topics, snapshot);
    } catch (error) {
      this.#lose(error);
    }
    this.#looking = false;
    if (this.#closed || this.#viewers.size === 0) return;
    this.#timer = setTimeout(() => void this.#turn(), this.#again ? 0 : this.#intervalMs);
  }

  #publish(topics: ReadonlySet<Topic>, snapshot: Snapshot): void {
    const before = this.#cells;
    this.#cells = new Map([...topics].map((topic) => [topic, cellsOf(topic, snapshot)]));
    for (const [topic, cells] of this.#cells) {
      const changes = changesBetween(before.get(topic), cells);
      for (const viewer of this.#viewers) {
        if (viewer.topic !== topic) continue;
        if (!viewer.told) this.#tellAll(viewer, cells);
        else if (changes !== null) this.#send(viewer, 'change', changes);
      }
    }
  }

  #lose(error: unknown): void {
    if (this.#lost !== null) return;
    const { code, message } = this.#options.explain(error);
    this.#lost = { since: Date.now(), code, message };
    this.#broadcast('database', JSON.stringify(this.#lost));
    this.#options.onTurn?.(error);
  }

  #found(): void {
    this.#lost = null;
    this.#broadcast('database', 'null');
    this.#options.onTurn?.(null);
  }

  #tellAll(viewer: Viewer, cells: Cells): void {
    viewer.told = true;
    this.#send(viewer, 'state', objectOf([...cells]));
  }

  #broadcast(event: string, data: string): void {
    for (const viewer of [...this.#viewers]) this.#send(viewer, event, data);
  }

  #send(viewer: Viewer, event: string, data: string): void {
    if (viewer.sink(event, data)) return;
    this.#drop(viewer);
    viewer.end();
  }

  #drop(viewer: Viewer): void {
    this.#viewers.delete(viewer);
    if (this.#viewers.size > 0) return;
    this.#stop();
    clearInterval(this.#beat);
    this.#beat = undefined;
  }
}

/** The pieces of a topic. Of the list each campaign is one; of a campaign everything but its numbers changes seldom. */
export function cellsOf(topic: Topic, { campaigns, failures, workers, spans, relays }: Snapshot): Cells {
  if (topic === 'list') {
    return new Map(campaigns.map((campaign) => [String(campaign.id), JSON.stringify(campaign)]));
  }
  const campaign: LiveCampaign | undefined = campaigns.find(({ id }) => id === topic);
  const own = <T extends { readonly campaign: number }>(all: readonly T[]) =>
    all.filter((one) => one.campaign === topic).map(({ campaign: _, ...rest }) => rest);
  const cells: Record<string, unknown> = {
    // Null: it was deleted.
    campaign: campaign ?? null,
    failures: own(failures),
    workers: workers.filter(({ of }) => of === campaign?.name).map(({ of: _, ...rest }) => rest),
    relays,
    spans: own(spans).map(({ at, sent, failed }) => [at, sent, failed]),
  };
  return new Map(Object.entries(cells).map(([key, value]) => [key, JSON.stringify(value)]));
}

/** What differs, as a JSON object with null for what is gone; null: nothing. */
export function changesBetween(before: Cells | undefined, now: Cells): string | null {
  const changed = [...now].filter(([key, text]) => before?.get(key) !== text);
  const gone = [...(before?.keys() ?? [])].filter((key) => !now.has(key));
  if (changed.length + gone.length === 0) return null;
  return objectOf([...changed, ...gone.map((key): [string, string] => [key, 'null'])]);
}

function objectOf(cells: readonly (readonly [key: string, json: string])[]): string {
  return `{${cells.map(([key, json]) => `${JSON.stringify(key)}:${json}`).join(',')}}`;
}
