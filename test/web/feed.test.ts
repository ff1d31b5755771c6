import { afterEach, expect, test } from 'vitest';
import { cellsOf, changesBetween, Feed } from '../../src/web/feed.ts';
import type { LiveCampaign, Snapshot } from '../../src/web/snapshot.ts';
import { eventStream } from '../../src/web/stream.ts';

const outcomes = {
  sent: 0,
  rejected: 0,
  expired: 0,
  invalid: 0,
  unconfirmed: 0,
  suppressed: 0,
  cancelled: 0,
};

function campaign(id: number, sent: number): LiveCampaign {
  return {
    id,
    name: `campaign-${id}`,
    status: 'running',
    reason: null,
    total: 100,
    waiting: 100 - sent,
    retrying: 0,
    claimed: 0,
    done: sent,
    outcomes: { ...outcomes, sent },
    perSecond: 1,
    secondsLeft: 1,
    startAt: null,
    startedAt: 1,
    finishedAt: null,
  };
}

function snapshot(...campaigns: LiveCampaign[]): Snapshot {
  return { campaigns, failures: [], workers: [], relays: [], spans: [] };
}

const feeds: Feed[] = [];

/** A feed over a value that the test changes. */
function feedOver(now: { snapshot: Snapshot | Error; looks: number; watched: readonly number[] }): Feed {
  const feed = new Feed({
    look: async (watched) => {
      now.looks++;
      now.watched = watched;
      if (now.snapshot instanceof Error) throw now.snapshot;
      return now.snapshot;
    },
    explain: (error) => ({ code: 'away', message: error instanceof Error ? error.message : '' }),
    intervalMs: 10,
  });
  feeds.push(feed);
  return feed;
}

afterEach(() => {
  for (const feed of feeds.splice(0)) feed.close();
});

/** A viewer that keeps what it is told. */
function viewer(feed: Feed, topic: 'list' | number) {
  const told: [event: string, data: unknown][] = [];
  const state = { ended: 0 };
  const end = feed.watch(
    topic,
    (event, data) => {
      told.push([event, JSON.parse(data)]);
      return true;
    },
    () => state.ended++,
  );
  return { told, end, state };
}

test('the whole state first, then only what has changed', async () => {
  const now = { snapshot: snapshot(campaign(2, 0), campaign(1, 5)), looks: 0, watched: [] };
  const feed = feedOver(now);
  const { told } = viewer(feed, 'list');
  await expect.poll(() => told.length).toBe(1);
  expect(told[0]).toMatchObject(['state', { 1: { done: 5 }, 2: { done: 0 } }]);
  now.snapshot = snapshot(campaign(2, 7), campaign(1, 5));
  await expect.poll(() => told.length).toBe(2);
  expect(told[1]).toEqual(['change', { 2: campaign(2, 7) }]);
  now.snapshot = snapshot(campaign(2, 7));
  await expect.poll(() => told.length).toBe(3);
  expect(told[2]).toEqual(['change', { 1: null }]);
});

test('nothing is said while nothing changes, and nothing is asked while there is no viewer', async () => {
  const now = { snapshot: snapshot(campaign(1, 5)), looks: 0, watched: [] };
  const feed = feedOver(now);
  expect(now.looks).toBe(0);
  const { told, end } = viewer(feed, 1);
  await expect.poll(() => now.looks).toBeGreaterThan(5);
  expect(told).toHaveLength(1);
  end();
  expect(feed.viewers).toBe(0);
  const looks = now.looks;
  // For a later viewer there is a new query; between the two there was at most the look that was under way.
  await new Promise((resolve) => setTimeout(resolve, 60));
  expect(now.looks).toBeLessThanOrEqual(looks + 1);
});

test('fifty viewers cost the looks of one', async () => {
  const now = { snapshot: snapshot(campaign(1, 5)), looks: 0, watched: [] as readonly number[] };
  const feed = feedOver(now);
  const all = Array.from({ length: 50 }, () => viewer(feed, 1));
  await expect.poll(() => all.every(({ told }) => told.length === 1)).toBe(true);
  expect(now.looks).toBeLessThan(5);
  expect(now.watched).toEqual([1]);
  now.snapshot = snapshot(campaign(1, 6));
  await expect.poll(() => all.every(({ told }) => told.length === 2)).toBe(true);
});

test('who comes while others look is told everything, and they are not told again', async () => {
  const now = { snapshot: snapshot(campaign(1, 5), campaign(2, 5)), looks: 0, watched: [] };
  const feed = feedOver(now);
  const first = viewer(feed, 1);
  await expect.poll(() => first.told.length).toBe(1);
  const second = viewer(feed, 2);
  await expect.poll(() => second.told.length).toBe(1);
  expect(second.told[0]).toMatchObject(['state', { campaign: { id: 2 } }]);
  expect(first.told).toHaveLength(1);
});

test('a campaign that is gone is null', async () => {
  const feed = feedOver({ snapshot: snapshot(), looks: 0, watched: [] });
  const { told } = viewer(feed, 9);
  await expect.poll(() => told[0]).toMatchObject(['state', { campaign: null }]);
});

test('a lost database is said once, with since when; then that it is back', async () => {
  const now = { snapshot: snapshot(campaign(1, 5)) as Snapshot | Error, looks: 0, watched: [] };
  const feed = feedOver(now);
  const early = viewer(feed, 1);
  await expect.poll(() => early.told.length).toBe(1);
  now.snapshot = new Error('does not answer');
  await expect.poll(() => early.told.length).toBe(2);
  expect(early.told[1]).toMatchObject([
    'database',
    { code: 'away', message: 'does not answer', since: expect.any(Number) },
  ]);
  const late = viewer(feed, 1);
  expect(late.told.map(([event]) => event)).toEqual(['database', 'state']);
  now.snapshot = snapshot(campaign(1, 6));
  await expect.poll(() => early.told.length).toBe(4);
  expect(early.told.slice(2)).toEqual([
    ['database', null],
    ['change', { campaign: campaign(1, 6) }],
  ]);
  expect(late.told).toHaveLength(4);
});

test('one who comes alone while it was lost starts the loop again', async () => {
  const now = { snapshot: new Error('away') as Snapshot | Error, looks: 0, watched: [] };
  const feed = feedOver(now);
  const first = viewer(feed, 1);
  await expect.poll(() => first.told.length).toBe(1);
  first.end();
  now.snapshot = snapshot(campaign(1, 1));
  const second = viewer(feed, 1);
  await expect.poll(() => second.told.map(([event]) => event)).toEqual(['database', 'database', 'state']);
});

test('at the end every stream ends, and a later viewer is refused', async () => {
  const feed = feedOver({ snapshot: snapshot(campaign(1, 5)), looks: 0, watched: [] });
  const first = viewer(feed, 1);
  feed.close();
  expect(first.state.ended).toBe(1);
  expect(viewer(feed, 1).state.ended).toBe(1);
  expect(feed.viewers).toBe(0);
});

test('one who does not read is cut off instead of remembered', async () => {
  const now = { snapshot: snapshot(campaign(1, 0)), looks: 0, watched: [] };
  const feed = feedOver(now);
  let hungUp = 0;
  const { body } = eventStream(feed, 1, () => hungUp++);
  let sent = 0;
  await expect
    .poll(
      () => {
        now.snapshot = snapshot(campaign(1, ++sent));
        return feed.viewers;
      },
      { interval: 12, timeout: 10_000 },
    )
    .toBe(0);
  expect(sent).toBeGreaterThan(20);
  expect(hungUp).toBe(1);
  await body?.cancel();
});

test('what another campaign has is not in the pieces of this one', () => {
  const both = {
    ...snapshot(campaign(1, 1), campaign(2, 2)),
    failures: [
      { campaign: 1, outcome: 'rejected', reason: 'a', recipients: 1, example: null },
      { campaign: 2, outcome: 'rejected', reason: 'b', recipients: 1, example: null },
    ],
    workers: [
      { worker: 1, host: 'h', pid: 1, state: 'alive', of: 'campaign-1', holds: 1, doneLastMinute: 1 },
      { worker: 2, host: 'h', pid: 2, state: 'alive', of: 'campaign-2', holds: 1, doneLastMinute: 1 },
    ],
    spans: [
      { campaign: 1, at: 5_000, sent: 1, failed: 0 },
      { campaign: 2, at: 5_000, sent: 2, failed: 0 },
    ],
  } satisfies Snapshot;
  const cells = Object.fromEntries([...cellsOf(2, both)].map(([key, text]) => [key, JSON.parse(text)]));
  expect(cells).toMatchObject({
    campaign: { id: 2 },
    failures: [{ reason: 'b' }],
    workers: [{ worker: 2 }],
    spans: [[5_000, 2, 0]],
  });
  expect(changesBetween(cellsOf(2, both), cellsOf(2, both))).toBeNull();
});
