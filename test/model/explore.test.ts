import { describe, expect, test } from 'vitest';
import { explore } from './explore.ts';
import { ALL_GUARDS, type Guards } from './guards.ts';
import type { Scope } from './world.ts';

/**
 * Every history of two or three workers, their statements, the relay and what may break, within the bounds of a scope.
 * Small scopes are enough for what goes wrong between two owners of one row; the torture bench is for what is large.
 */
const QUIET = { deaths: 0, lostAnswers: 0, brokenConnections: 0, deferrals: 0, releases: 0 };
const TWO: Scope = {
  workers: 2,
  rows: 2,
  late: [],
  batch: 2,
  window: 1,
  onUnconfirmed: 'resend',
  budget: QUIET,
};

const SCOPES: Readonly<Record<string, Scope>> = {
  'a worker dies and a connection to the database breaks': {
    ...TWO,
    budget: { ...QUIET, deaths: 1, lostAnswers: 1 },
  },
  'the same, and the campaign holds who is in doubt': {
    ...TWO,
    onUnconfirmed: 'hold',
    budget: { ...QUIET, deaths: 1, lostAnswers: 1 },
  },
  'a worker dies, a relay defers, a connection to it breaks': {
    ...TWO,
    rows: 1,
    budget: { ...QUIET, deaths: 1, brokenConnections: 1, deferrals: 1 },
  },
  'a worker dies, another lets go of what it holds': {
    ...TWO,
    budget: { ...QUIET, deaths: 1, releases: 1 },
  },
  'an import commits late, behind the cursor, and a worker dies': {
    ...TWO,
    batch: 1,
    late: [0],
    budget: { ...QUIET, deaths: 1 },
  },
  'a worker dies and a connection to the relay breaks, and the campaign holds who is in doubt': {
    ...TWO,
    onUnconfirmed: 'hold',
    budget: { ...QUIET, deaths: 1, brokenConnections: 1 },
  },
  'a worker dies with a window of two of its three rows': {
    ...TWO,
    rows: 3,
    batch: 3,
    window: 2,
    budget: { ...QUIET, deaths: 1 },
  },
  'two of three workers die': { ...TWO, workers: 3, rows: 1, budget: { ...QUIET, deaths: 2 } },
};

describe('no recipient is lost, none has two owners, and only the window is in doubt', () => {
  test.each(Object.entries(SCOPES))('%s', { timeout: 120_000 }, (_, scope) => {
    const found = explore(scope);
    expect(found.broken).toBeNull();
    // A search that stopped at once would prove nothing.
    expect(found.states).toBeGreaterThan(2_000);
  });
});

/** These cannot matter while leases hold: a buried worker hands nothing over. statements.test.ts holds them against the SQL. */
type ForBadClocks = 'closedClaim' | 'livingClaims';

/** Without a guard: which promise is broken, in the smallest scope that shows it. */
const WITHOUT: Readonly<
  Record<Exclude<keyof Guards, ForBadClocks>, { readonly scope: Scope; readonly promise: RegExp }>
> = {
  claimNumber: {
    scope: { ...TWO, budget: { ...QUIET, deaths: 1 } },
    promise: /does not own it|does not say so/,
  },
  stateOne: { scope: { ...TWO, budget: { ...QUIET, deaths: 1 } }, promise: /counters/ },
  countChanged: { scope: { ...TWO, budget: { ...QUIET, deaths: 1 } }, promise: /counters/ },
  buryAfterLease: { scope: { ...TWO, budget: { ...QUIET, deaths: 1 } }, promise: /does not own it/ },
  ownLease: { scope: { ...TWO, budget: { ...QUIET, deaths: 1 } }, promise: /does not own it/ },
  durableMark: { scope: { ...TWO, budget: { ...QUIET, deaths: 1 } }, promise: /does not say so/ },
  window: { scope: { ...TWO, budget: { ...QUIET, deaths: 1 } }, promise: /more rows are in doubt/ },
  claimFirst: { scope: { ...TWO, budget: { ...QUIET, lostAnswers: 1 } }, promise: /does not own it/ },
  markStays: {
    scope: { ...TWO, budget: { ...QUIET, deaths: 1, lostAnswers: 1 } },
    promise: /does not say so/,
  },
  rescueNumber: {
    scope: { ...TWO, budget: { ...QUIET, deaths: 1, releases: 1 } },
    promise: /does not own it/,
  },
  buriedStaysBuried: { scope: { ...TWO, budget: { ...QUIET, deaths: 1 } }, promise: /does not own it/ },
  cursorIsAHint: { scope: { ...TWO, workers: 1, batch: 1, late: [0] }, promise: /never be finished/ },
  finishCountsClaimed: { scope: TWO, promise: /finished while/ },
  rescueUnknown: { scope: { ...TWO, budget: { ...QUIET, lostAnswers: 1 } }, promise: /never be finished/ },
  doubtWithinMark: { scope: { ...TWO, budget: { ...QUIET, deaths: 1 } }, promise: /does not say so/ },
};

describe('each guard is needed', () => {
  test.each(Object.entries(WITHOUT))(
    'without %s a promise is broken',
    { timeout: 120_000 },
    (guard, { scope, promise }) => {
      const { broken } = explore(scope, { ...ALL_GUARDS, [guard]: false });
      expect(broken?.promise).toMatch(promise);
      expect(broken?.way.length).toBeGreaterThan(0);
      expect(explore(scope).broken).toBeNull();
    },
  );
});
