import { setTimeout as wait } from 'node:timers/promises';
import { isTransient } from '../../src/database/prepare.ts';
import { DRAFT, type Share } from './campaigns.ts';
import type { Importer } from './importer.ts';
import type { Fault, Kind } from './plan.ts';
import type { SinkProcess } from './process.ts';
import type { TortureServer } from './server.ts';
import type { WorkerLife, Workers } from './workers.ts';

/** What is tortured. */
export interface Rig {
  readonly server: TortureServer;
  readonly sink: SinkProcess;
  readonly workers: Workers;
  readonly importer: Importer;
  readonly leaseSeconds: number;
  /** How long `stop-database` stops it, milliseconds. */
  readonly outageMs: number;
  /** Longer than the client waits for any reply, milliseconds. */
  readonly hangMs: number;
  /** People still to be imported, a slice for each importing process that is killed. */
  readonly slices: Share[];
  readonly say: (line: string) => void;
}

export interface Absence {
  readonly from: number;
  readonly to: number;
}

/** What a worker held when it was killed. */
export interface Death {
  readonly life: WorkerLife;
  readonly at: number;
  readonly held: readonly string[];
}

/** Beyond the lease by this much, milliseconds: two beats of the others and a look. */
const FROZEN_BEYOND_LEASE_MS = 1_200;
/** How long a full disk stays full at least, milliseconds. */
const DISK_FULL_MS = 1_500;
/** A worker that was killed is replaced after at most this, milliseconds. */
const REPLACED_WITHIN_MS = 600;
/** So many of the workers that are hit are at work; the others are hit whatever they do, also while they start. */
const AT_WORK = 0.8;
const HOLDS_WITHIN_MS = 6_000;
/** A worker that was asked to end has waited by then for every reply that is under way, milliseconds. */
const ENDS_WITHIN_MS = 60_000;
/** Waiting for a worker that can be hit. */
const LOOK_EVERY_MS = 20;
/** People of an import that is more than what a full disk has room for. */
const TOO_MANY_PEOPLE = 2_000;

const HELD = `
select r.address from worker w
join claim c on c.worker_id = w.worker_id and c.closed_at is null
join recipient r on r.campaign_id = c.campaign_id and r.claim_id = c.claim_id and r.send_state = 1
where w.pid = $1`;
/** Claims of a worker that is gone. */
const OPEN = `
select count(*) as n from worker w join claim c on c.worker_id = w.worker_id and c.closed_at is null
where w.pid = $1`;
const BEGAN = 'select extract(epoch from pg_postmaster_start_time())::float8 * 1000 as began';
const END_CONNECTIONS = `
select count(pg_terminate_backend(pid)) as n from pg_stat_activity
where datname = current_database() and application_name like 'sendstate%' and application_name <> 'sendstate-torture'`;

/** Carries faults out, one after the other; what goes on for a while goes on beside the next one. */
export class Torturer {
  readonly deaths: Death[] = [];
  readonly done = new Map<Kind, number>();
  /** From when to when the database was away, milliseconds since the epoch. */
  readonly absences: Absence[] = [];
  /** Promises of the importing process or of the full disk that were not kept. */
  readonly broken: string[] = [];
  readonly #rig: Rig;
  readonly #background = new Set<Promise<void>>();
  #failure: unknown = null;

  constructor(rig: Rig) {
    this.#rig = rig;
  }

  async strike(fault: Fault): Promise<void> {
    const { kind, chance } = fault;
    await this.#carryOut(kind, chance);
    this.done.set(kind, (this.done.get(kind) ?? 0) + 1);
    if (this.#failure !== null) throw this.#failure;
  }

  /** Waits for what still goes on: frozen workers, imports. */
  async settle(): Promise<void> {
    while (this.#background.size > 0) await Promise.all(this.#background);
    if (this.#failure !== null) throw this.#failure;
  }

  #beside(work: Promise<unknown>): void {
    const running = work.then(
      () => undefined,
      (error: unknown) => {
        this.#failure ??= error;
      },
    );
    this.#background.add(running);
    void running.then(() => this.#background.delete(running));
  }

  async #carryOut(kind: Kind, [whom, when, much]: Fault['chance']): Promise<void> {
    const { server, sink, say, outageMs, hangMs } = this.#rig;
    const some = (most: number) => 1 + Math.floor(much * most);
    switch (kind) {
      case 'kill-worker':
        await this.#kill(whom, when, much);
        break;
      case 'freeze-worker':
        await this.#freeze(whom, when);
        break;
      case 'term-worker':
        await this.#term(whom, when);
        break;
      case 'kill-import':
        await this.#killImport(when, much);
        break;
      case 'restart-database':
        await this.#away(() => server.crash(), much * 300);
        say('restart-database: immediate, recovered');
        break;
      case 'stop-database':
        await this.#away(() => server.halt(), outageMs);
        say(`stop-database: ${outageMs / 1000} s`);
        break;
      case 'end-connections': {
        const { rows } = await server.database.pool.query<{ n: number }>(END_CONNECTIONS);
        say(`end-connections: ${rows[0]?.n ?? 0}`);
        break;
      }
      case 'fill-disk':
        await this.#fillDisk();
        break;
      case 'refuse-relay':
        sink.tell({ kind: 'refuse', ms: 200 + much * 1_500 });
        say('refuse-relay');
        break;
      case 'reset-relay':
        sink.tell({ kind: 'reset' });
        say('reset-relay');
        break;
      case 'hang-relay':
        sink.tell({ kind: 'hang', ms: hangMs });
        say(`hang-relay: ${hangMs / 1000} s`);
        break;
      case 'drop-after-dot':
        sink.tell({ kind: 'drop', count: some(6) });
        say(`drop-after-dot: ${some(6)} connections`);
        break;
      default:
        sink.tell({ kind, count: some(12) });
        say(`${kind}: ${some(12)} times`);
        break;
    }
  }

  async #away(stop: () => Promise<void>, ms: number): Promise<void> {
    const from = Date.now();
    await stop();
    await wait(ms);
    await this.#rig.server.start();
    const { rows } = await this.#rig.server.database.pool.query<{ began: number }>(BEGAN);
    this.absences.push({ from, to: rows[0]?.began ?? Date.now() });
  }

  async #victim(chance: number): Promise<NonNullable<ReturnType<Workers['pick']>>> {
    for (;;) {
      const slot = this.#rig.workers.pick(chance);
      if (slot !== null) return slot;
      await wait(LOOK_EVERY_MS);
    }
  }

  async #kill(whom: number, when: number, much: number): Promise<void> {
    const { workers, say } = this.#rig;
    const slot = await this.#victim(whom);
    if (when < AT_WORK) await this.#untilItHolds(slot.life);
    await wait(when * 100);
    if (slot.command === null || slot.command.over) return await this.#kill(whom, when, much);
    const { life, at } = await workers.kill(slot, much * REPLACED_WITHIN_MS);
    const held = await this.#heldBy(life);
    this.deaths.push({ life, at, held });
    say(`kill-worker: ${life.name}, which held ${held.length}`);
  }

  /** In the middle of its work: it answers for everything that it held, and leaves no recipient in doubt. */
  async #term(whom: number, when: number): Promise<void> {
    const { server, workers, say } = this.#rig;
    const slot = await this.#victim(whom);
    await this.#untilItHolds(slot.life);
    await wait(when * 100);
    if (slot.command === null || slot.command.over) return await this.#term(whom, when);
    const held = slot.life === null ? 0 : (await this.#heldBy(slot.life)).length;
    const { life, ended } = await workers.term(slot, ENDS_WITHIN_MS);
    const { name, pid } = life;
    say(`term-worker: ${name}, which held ${held}`);
    const { rows } = await server.database.pool.query<{ n: number }>(OPEN, [pid]);
    const open = rows[0]?.n ?? 0;
    if (open > 0) this.broken.push(`${name} was asked to end and left ${open} claims`);
    // One that was just starting has nothing to put in order.
    if (ended.code !== 0 && (held > 0 || ended.signal !== 'SIGTERM'))
      this.broken.push(`${name} was asked to end: ${ended.signal ?? ended.code}, ${life.words().trim()}`);
  }

  /** For a while: the relay may be left alone at the moment, and no worker hold anything. */
  async #untilItHolds(life: WorkerLife | null): Promise<void> {
    const end = performance.now() + HOLDS_WITHIN_MS;
    while (life !== null && performance.now() < end && (await this.#heldBy(life)).length === 0)
      await wait(LOOK_EVERY_MS);
  }

  /** Nothing can be asked while the database is away; then this death says nothing about rescues. */
  async #heldBy({ pid }: WorkerLife): Promise<string[]> {
    try {
      const { rows } = await this.#rig.server.database.pool.query<{ address: string }>(HELD, [pid]);
      return rows.map(({ address }) => address);
    } catch (error) {
      if (!isTransient(error)) throw error;
      return [];
    }
  }

  /** Others go on meanwhile; of the last one that is awake no worker takes over. */
  async #freeze(whom: number, when: number): Promise<void> {
    const { workers, leaseSeconds, say } = this.#rig;
    while (workers.awake < 2) await wait(LOOK_EVERY_MS);
    const slot = await this.#victim(whom);
    if (when < AT_WORK) await this.#untilItHolds(slot.life);
    const ms = leaseSeconds * 1000 + FROZEN_BEYOND_LEASE_MS;
    say(`freeze-worker: ${slot.life?.name} for ${ms / 1000} s`);
    this.#beside(workers.freeze(slot, ms).then(({ name }) => say(`${name} wakes up`)));
  }

  async #killImport(when: number, much: number): Promise<void> {
    const { importer, slices, say } = this.#rig;
    const slice = slices.shift();
    if (slice === undefined) throw new Error('there is no slice left to import');
    const left = await importer.killed(slice, 0.5 + 0.4 * much);
    if (left > 0) this.broken.push(`an import that was killed left ${left} of its people`);
    const people = `${slice.from} to ${slice.to} of ${slice.campaign}`;
    say(`kill-import: ${people}; again from the beginning`);
    this.#beside(
      wait(when * 300)
        .then(() => importer.run(slice))
        .then(() => say(`import: ${people} are there`)),
    );
  }

  async #fillDisk(): Promise<void> {
    const { server, importer, say } = this.#rig;
    const before = await server.fullDisks();
    server.disk?.fill();
    const full = wait(DISK_FULL_MS);
    const { code, words } = await importer.refused(DRAFT, TOO_MANY_PEOPLE);
    await full;
    server.disk?.free();
    if (code === 0) this.broken.push('an import succeeded on a full disk');
    if (!/No space left|full/i.test(words)) this.broken.push(`an import on a full disk said: ${words}`);
    say(`fill-disk: ${(await server.fullDisks()) - before} statements were refused`);
  }
}
