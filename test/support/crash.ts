import { expect } from 'vitest';
import { type CaptureOptions, type CaptureServer, startCapture } from '../../src/capture/capture.ts';
import { countersAgree } from './campaign.ts';
import { type FreshDatabase, freshDatabase } from './database.ts';
import { type CliProcess, endProcesses, startCli } from './process.ts';
import { type BadLink, startProxy, through } from './proxy.ts';
import { type Truth, truth } from './truth.ts';

/** Recipients that one dead worker may leave in doubt. */
export const WINDOW = 40;
/** Short leases and small claims, so that a death is noticed within the patience of a test. */
export const FLAGS: readonly string[] = ['--lease', '2', '--window', String(WINDOW), '--batch', '100'];

/** A database, a relay in the test's own process, and a link that can be frozen or cut in front of each. */
export interface Scene {
  readonly fresh: FreshDatabase;
  /** Counts by recipient, so that what left does not depend on what any worker or table says. */
  readonly relay: CaptureServer;
  readonly toRelay: BadLink;
  readonly toDatabase: BadLink;
  /** A worker process whose relay is `relay` by way of `toRelay`; its database is reached directly. */
  cli(...args: string[]): Promise<CliProcess>;
  /** The same, its database by way of `toDatabase`. */
  cliThroughProxy(...args: string[]): Promise<CliProcess>;
  /** One number that a statement gives. */
  number(statement: string, values?: readonly unknown[]): Promise<number>;
  /** What must be true when everything has come to its end, whichever process died on the way. */
  whole(campaignId: number, people: number, deaths: number): Promise<Truth>;
  /** Ends the processes and everything else; also after a test that failed. */
  end(): Promise<void>;
}

export async function startScene(options: CaptureOptions = {}): Promise<Scene> {
  const fresh = await freshDatabase();
  const relay = await startCapture(options);
  const toRelay = await startProxy(relay.port);
  const toDatabase = await startProxy(Number(new URL(fresh.url).port));
  const smtp = `${through(relay.url, toRelay)}?connections=5`;
  const number = async (statement: string, values: readonly unknown[] = []) => {
    const { rows } = await fresh.pool.query<Record<string, number>>(statement, [...values]);
    return Number(Object.values(rows[0] ?? {})[0] ?? 0);
  };
  return {
    fresh,
    relay,
    toRelay,
    toDatabase,
    number,
    cli: (...args) => startCli(args, { env: { DATABASE_URL: fresh.url, SMTP_URL: smtp } }),
    cliThroughProxy: (...args) =>
      startCli(args, { env: { DATABASE_URL: through(fresh.url, toDatabase), SMTP_URL: smtp } }),
    whole: async (campaignId, people, deaths) => {
      const found = await truth(fresh.pool, campaignId, relay);
      expect(found).toMatchObject({
        status: 'finished',
        lost: [],
        unnamed: [],
        denied: [],
        stuck: 0,
        open: 0,
      });
      expect(found.duplicates).toBeLessThanOrEqual(deaths * WINDOW);
      expect(found.doubtful).toBeLessThanOrEqual(deaths * WINDOW);
      const counted = await countersAgree(fresh.database, campaignId);
      expect(Object.values(counted).reduce((sum, n) => sum + n, 0)).toBe(people);
      return found;
    },
    end: async () => {
      await endProcesses();
      await Promise.all([toRelay.close(), toDatabase.close(), relay.close()]);
      await fresh.drop();
    },
  };
}
