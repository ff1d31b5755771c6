import { setTimeout as wait } from 'node:timers/promises';
import { create } from '../../src/api/create.ts';
import { pause, resume, start } from '../../src/api/lifecycle.ts';
import { migrate } from '../../src/api/open.ts';
import { importPeople } from '../../src/api/recipients.ts';
import { type App, open } from '../../src/api/sendstate.ts';
import { recipients, status } from '../../src/api/status.ts';
import { send } from '../../src/api/work.ts';
import { parseRelay } from '../../src/smtp/relay.ts';
import type { Consuming, DeadLetter, Design, Person, Place, Standing } from '../contract.ts';
import { dispatch } from '../dispatch-table.ts';
import { csvOf, MESSAGE } from '../list.ts';
import { createDatabase, databaseUrl, dropDatabase } from './database.ts';

/*
 * The product itself, through its public library and nothing else: `create`, `importPeople`, `send`. It composes and speaks
 * SMTP by itself, with the composer and the client that all other designs are given.
 */

const CAMPAIGN = 'bench';
/** First wait after a temporary failure, seconds: a benchmark cannot wait for five minutes. */
const RETRY_SECONDS = 1;
/** Seconds of silence after which others take over what a dead worker held; 15 in ordinary life. */
const LEASE_SECONDS = 4;
/** How often a paused campaign is looked at, milliseconds. */
const PAUSED_LOOK_MS = 50;
/** Clients of the queue without mail; `npm run bench:dispatch` has the same. */
const CLIENTS = 2;

async function within<T>(place: Place, work: (app: App) => Promise<T>): Promise<T> {
  const app = await open({ databaseUrl: databaseUrl(place), max: 6 });
  try {
    return await work(app);
  } finally {
    await app.close();
  }
}

async function prepare(place: Place): Promise<void> {
  await createDatabase(place);
  const app = await open({ databaseUrl: databaseUrl(place), check: false });
  try {
    await migrate(app);
    await create(app, {
      name: CAMPAIGN,
      ...MESSAGE,
      maxAttempts: place.maxAttempts,
      retryAfterSeconds: RETRY_SECONDS,
    });
  } finally {
    await app.close();
  }
}

async function publish(place: Place, people: AsyncIterable<readonly Person[]>): Promise<void> {
  await within(place, async (app) => {
    await importPeople(app, CAMPAIGN, { from: csvOf(people), rejects: null });
  });
}

async function consume(place: Place, { relay, signal }: Consuming): Promise<void> {
  if (relay === undefined || relay === null) throw new Error('the product sends mail: it needs a relay');
  await within(place, async (app) => {
    for (;;) {
      const options = { relay: parseRelay(relay), leaseSeconds: LEASE_SECONDS, signal };
      const { progress: before } = await status(app, CAMPAIGN);
      const end = await send(app, CAMPAIGN, { ...options, join: before.status === 'paused' });
      if (signal.aborted) return;
      const { progress } = await status(app, CAMPAIGN);
      if (progress.status === 'finished') return;
      if (progress.status !== 'paused' && progress.status !== 'running')
        throw new Error(`the campaign is ${progress.status} (${end})`);
      await wait(PAUSED_LOOK_MS);
    }
  });
}

async function drainWithoutMail(place: Place, settled: () => void): Promise<void> {
  const campaignId = await within(place, async (app) => (await start(app, CAMPAIGN)).campaignId);
  await dispatch(databaseUrl(place), campaignId, CLIENTS, 500, settled);
}

async function standing(place: Place): Promise<Standing> {
  const { progress } = await within(place, (app) => status(app, CAMPAIGN));
  const { waiting, retrying, claimed, outcomes } = progress;
  return {
    waiting: waiting - retrying,
    inFlight: claimed,
    sent: outcomes.sent,
    rejected: outcomes.rejected + outcomes.expired,
    retrying,
  };
}

async function deadLetters(place: Place): Promise<readonly DeadLetter[]> {
  return await within(place, async (app) => {
    const found: DeadLetter[] = [];
    for (const outcome of ['rejected', 'expired', 'invalid'] as const) {
      for await (const { address, reply } of recipients(app, CAMPAIGN, outcome))
        found.push({ address, reply: reply ?? '' });
    }
    return found;
  });
}

export const postgres: Design = {
  name: 'postgres',
  broker: 'postgres',
  tiers: ['A'],
  guarantees:
    'Every person is a row, imported in one transaction: all or none. A claim and the handed-over mark commit before a mail leaves, so that after a kill -9 only rows within the mark can get a second mail, and they are named.',
  cannotTell: 'Whether a mail whose reply was never seen has arrived; this cannot be known.',
  afterPublisherKilled: 'once',
  // One window of the product; its default where no other is asked for.
  twiceAtMost: (capacity) => Math.max(200, 4 * capacity),
  prepare,
  publish,
  consume,
  drainWithoutMail,
  standing,
  deadLetters,
  stopOne: async (place, { address }) =>
    await within(place, async ({ database }) => {
      const { rows } = await database.pool.query<{ done: boolean }>('select suppress($1, $2) as done', [
        CAMPAIGN,
        address,
      ]);
      return rows[0]?.done === true;
    }),
  pause: async (place) => {
    await within(place, (app) => pause(app, CAMPAIGN));
    return true;
  },
  resume: async (place) => {
    await within(place, (app) => resume(app, CAMPAIGN));
    return true;
  },
  dispose: dropDatabase,
};
