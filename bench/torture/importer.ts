import { setTimeout as wait } from 'node:timers/promises';
import type { Database } from '../../src/database/connect.ts';
import { isTransient } from '../../src/database/prepare.ts';
import type { Share } from './campaigns.ts';
import { csv } from './people.ts';
import { Command } from './process.ts';

const LOOK_EVERY_MS = 20;
/** Times that an import is begun again when the database was away. */
const TRIES = 60;
/** An import begins its transaction within this, milliseconds. */
const PATIENCE_MS = 120_000;

export interface ImporterOptions {
  readonly database: Database;
  readonly env: Readonly<Record<string, string>>;
  readonly cwd: string;
}

/** `sendstate import`, from a pipe, so that the bench decides how far it is when it dies. */
export class Importer {
  readonly #options: ImporterOptions;
  #begun = 0;

  constructor(options: ImporterOptions) {
    this.#options = options;
  }

  /** A share of the people, again and again until they are in. */
  async run({ campaign, from, to }: Share): Promise<void> {
    for (let left = TRIES; ; left--) {
      const { command } = this.#begin(campaign);
      command.write(csv(from, to));
      command.closeInput();
      const { code } = await command.ended;
      if (code === 0) return;
      if (left === 1) throw new Error(`the import of ${from} to ${to} fails: ${command.lastWords}`);
      await wait(500);
    }
  }

  /**
   * The same, killed after a part of the rows went into the pipe and while its transaction is open.
   * @returns how many of its people are in the table all the same: an import is all or nothing
   */
  async killed({ campaign, from, to }: Share, part: number): Promise<number> {
    const text = csv(from, to);
    const { command, connection } = this.#begin(campaign);
    command.write(text.slice(0, Math.floor(text.length * part)));
    await this.#inTransaction(command, connection);
    command.signal('SIGKILL');
    await command.ended;
    const { rows } = await this.#options.database.pool.query<{ n: number }>(
      `select count(*) as n from campaign join recipient using (campaign_id)
       where name = $1 and (vars->>'number')::int between $2 and $3`,
      [campaign, from, to],
    );
    return rows[0]?.n ?? 0;
  }

  /** An import that the disk has no room for: its exit code and last words. */
  async refused(campaign: string, people: number): Promise<{ code: number | null; words: string }> {
    const { command } = this.#begin(campaign);
    command.write(csv(1, people));
    command.closeInput();
    const { code } = await command.ended;
    return { code, words: command.lastWords };
  }

  /** Each import has a name of its own on its connections, by which the server knows it. */
  #begin(campaign: string): { command: Command; connection: string } {
    const { env, cwd } = this.#options;
    const connection = `sendstate-import-${++this.#begun}`;
    const url = new URL(env.DATABASE_URL ?? '');
    url.searchParams.set('application_name', connection);
    const args = ['import', campaign, '-', '--no-rejects'];
    return { command: new Command(args, { ...env, DATABASE_URL: url.href }, cwd), connection };
  }

  /** This import holds the lock that an import takes, or its process has ended by itself. */
  async #inTransaction(command: Command, connection: string): Promise<void> {
    const end = performance.now() + PATIENCE_MS;
    while (!command.over) {
      if (performance.now() > end) throw new Error(`the import does not begin: ${command.lastWords}`);
      try {
        const { rows } = await this.#options.database.pool.query<{ open: boolean }>(
          `select exists (
             select from pg_locks l join pg_stat_activity a using (pid)
             where l.locktype = 'advisory' and l.granted and a.application_name = $1
           ) as open`,
          [connection],
        );
        if (rows[0]?.open === true) return;
      } catch (error) {
        if (!isTransient(error)) throw error;
      }
      await wait(LOOK_EVERY_MS);
    }
  }
}
