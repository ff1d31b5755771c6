import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { type FreshDatabase, freshDatabase } from '../support/database.ts';
import { EVENTS, type Event } from './beside.ts';
import { type Edit, Endless, edited } from './edited.ts';
import { runHistories } from './histories.ts';

/**
 * The real statements against the model's, step by step: random histories of everything that workers and people do, late
 * records and repeated ones included. After each step the tables must be what the model says. So the two cannot drift.
 */
/** Which rows of those that are due at the same moment come first is the database's choice, so a seed is not quite a history. */
const SEED = 20261125;
const HISTORIES = 25;
const MOST_ROUNDS = 6;
const ONLY_RESEND: readonly Event[] = ['rescue that ends what was in doubt too often'];

let fresh: FreshDatabase;
beforeEach(async () => {
  // One connection: numbers of recipients come in hundreds for each, and here the last to be imported shall have the largest.
  fresh = await freshDatabase({ max: 1 });
});
afterEach(() => fresh.drop());

describe('the statements do what the model does', () => {
  test.each(['resend', 'hold'] as const)(
    '%s, and every event is come by',
    { timeout: 240_000 },
    async (policy) => {
      const missing = new Set(EVENTS.filter((event) => policy === 'resend' || !ONLY_RESEND.includes(event)));
      for (let round = 0; round < MOST_ROUNDS && missing.size > 0; round++) {
        const run = { onUnconfirmed: policy, seed: SEED + round, histories: HISTORIES };
        const { report, seen } = await runHistories(fresh.database, run);
        expect(report).toBe('');
        for (const event of seen.keys()) missing.delete(event);
      }
      expect([...missing]).toEqual([]);
    },
  );

  test.each(['resend', 'hold'] as const)('%s, any seed', { timeout: 120_000 }, async (onUnconfirmed) => {
    const { report } = await runHistories(fresh.database, { onUnconfirmed, histories: 5 });
    expect(report).toBe('');
  });
});

/** One piece of a statement less: the comparison must notice. */
const WITHOUT: Readonly<Record<string, Edit>> = {
  'the claim’s number in a record': { from: /t\.claim_id = r\.claim_id and /g, to: '' },
  'state 1 in a record': { from: / and t\.send_state = 1/g, to: '' },
  'a mark that never goes back': {
    from: /greatest\(c\.handed_through, m\.handed_through\)/g,
    to: 'm.handed_through',
  },
  'the claim that must be open for its mark': {
    from: /(?<=c\.claim_id = m\.claim_id) and c\.closed_at is null/g,
    to: '',
  },
  'the mark itself in a rescue': {
    from: /r\.recipient_id <= \(select handed_through/g,
    to: 'r.recipient_id < (select handed_through',
  },
  'the claim’s number in a rescue': { from: /(r\.)?claim_id = \$2 and (?=(r\.)?send_state)/g, to: '' },
  'state 1 in a rescue': { from: /(?<=claim_id = \$2) and (r\.)?send_state = 1/g, to: '' },
  'the bound of doubts in a rescue': {
    from: / or r\.maybe_sent \+ 1 >= \(select max_attempts from policy\)/g,
    to: '',
  },
  'cancelled campaigns in a rescue': {
    from: /case when \(select cancelled from policy\) then 'cancelled'::outcome end/g,
    to: 'null::outcome',
  },
  'the lease in a burial': {
    from: /and greatest\([^<]*<= now\(\) \+ lease[^<]*<= now\(\) \+ lease[^<]*< now\(\) - lease/g,
    to: 'and $2::float8 >= 0',
  },
  'the rescuer’s own silence in a burial': {
    from: /now\(\) - make_interval\(secs => \$2\)/g,
    to: "now() - make_interval(secs => $2) - interval '100 years'",
  },
  'burial in a beat': { from: /(?<=w\.worker_id = \$1) and w\.stopped_at is null/g, to: '' },
  'burial in a claim': {
    from: /and \(select stopped_at is null from worker where worker_id = \d+\)/g,
    to: '',
  },
  'the campaign’s state in a claim': {
    from: /and \(select status = 'running' from campaign where campaign_id = \d+\)/g,
    to: '',
  },
  'the claim’s number when turns are drawn': {
    from: /r\.claim_id = \$3 and /g,
    to: '$3::bigint is not null and ',
  },
  'state 1 when turns are drawn': { from: /(?<=r\.claim_id = \$3) and r\.send_state = 1/g, to: '' },
  'the campaign’s state in a sweep': {
    from: /and \(select status = 'cancelled' from campaign where campaign_id = \$1\)/g,
    to: '',
  },
};

describe('a statement without one of its guards is noticed', () => {
  test.each(Object.entries(WITHOUT))('%s', { timeout: 240_000 }, async (_, edit) => {
    const { db, changed } = edited(fresh.database, edit);
    let failure: unknown = null;
    for (let round = 0; round < MOST_ROUNDS && failure === null; round++) {
      const run = { onUnconfirmed: 'resend', seed: SEED + round, histories: HISTORIES } as const;
      ({ failure } = await runHistories(db, run));
    }
    expect(changed()).toBeGreaterThan(0);
    // By the comparison, or by what the table itself demands, and not because the server did not understand what was left.
    const noticed = /AssertionError|violates check constraint/.test(String(failure));
    expect(noticed || failure instanceof Endless, String(failure)).toBe(true);
  });
});
