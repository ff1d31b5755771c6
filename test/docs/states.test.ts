import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { cancel, pause, resume, start } from '../../src/api/lifecycle.ts';
import type { Opened } from '../../src/api/open.ts';
import {
  CAMPAIGN_STATUSES,
  type CampaignStatus,
  OUTCOMES,
  RETRYABLE,
  type SendState,
} from '../../src/model/states.ts';
import { RELAY_STATES } from '../../src/relays/gate.ts';
import { runningCampaign } from '../support/campaign.ts';
import { type FreshDatabase, freshDatabase } from '../support/database.ts';
import { codeIn, sectionOf, tablesOf, textOf } from './markdown.ts';

/** The states of a row; the type says that there is no other. */
const STATES: Readonly<Record<SendState, string>> = { 0: 'waiting', 1: 'claimed', 2: 'done' };
const page = textOf('docs/states.md');
const [recipient, campaign] = [/^## A recipient$/, /^## A campaign$/].map((heading) =>
  sectionOf(page, heading),
) as [string, string];

let fresh: FreshDatabase;

beforeAll(async () => {
  fresh = await freshDatabase();
});

afterAll(() => fresh.drop());

async function wordsOf(type: string): Promise<string[]> {
  const { rows } = await fresh.pool.query<{ word: string }>(
    `select unnest(enum_range(null::${type}))::text as word`,
  );
  return rows.map(({ word }) => word);
}

/** The rows of the tables whose header begins with this word. */
const rowsOf = (section: string, first: string) =>
  tablesOf(section).flatMap(({ header, rows }) => (header[0] === first ? rows : []));

describe('a recipient', () => {
  test('the outcomes are those of the code and of the database, in this order', async () => {
    const outcomes = rowsOf(recipient, 'outcome').map(([first = '']) => codeIn(first)[0]);
    expect(outcomes).toEqual([...OUTCOMES]);
    expect(await wordsOf('outcome')).toEqual([...OUTCOMES]);
  });

  test('what may be retried is what the code lets be retried', () => {
    const retryable = rowsOf(recipient, 'outcome').filter(([, , retry]) => retry === 'yes');
    expect(retryable.map(([first = '']) => codeIn(first)[0])).toEqual([...RETRYABLE]);
  });

  test('the states are those of the code and the only ones that the table takes', async () => {
    expect(recipient).toContain(
      Object.entries(STATES)
        .map((state) => state.join(' '))
        .join(', '),
    );
    const states = new Set(rowsOf(recipient, 'from').flatMap(([from = '', to = '']) => [from, to]));
    expect([...states].sort()).toEqual(['0', '1', '2', '–']);
    const insert = (state: number) =>
      fresh.pool.query(
        `insert into recipient (campaign_id, address, send_state, outcome) values (0, $1, $2, $3)`,
        [`state${state}@example.com`, state, state === 2 ? 'sent' : null],
      );
    for (const state of Object.keys(STATES)) await insert(Number(state));
    await expect(insert(3)).rejects.toThrow(/recipient_send_state_check/);
  });

  test('every way from one state to another has an arrow', () => {
    const ways = new Set(rowsOf(recipient, 'from').map(([from, to]) => `${from} ${to}`));
    expect(ways).toEqual(new Set(['– 0', '0 1', '1 0', '1 2', '0 2', '2 0']));
  });
});

describe('a campaign', () => {
  const VERBS: Readonly<Record<string, (app: Opened, name: string) => Promise<unknown>>> = {
    start,
    pause,
    resume,
    cancel,
    schedule: (app, name) => start(app, name, new Date(Date.now() + 86_400_000)),
  };
  const app = (): Opened => ({ database: fresh.database, embedded: false, close: async () => undefined });
  /** verb → from → to */
  const arrows = rowsOf(campaign, 'verb').map(([verb = '', from = '', to = '']) => ({
    verb,
    from: from.split(', '),
    to,
  }));

  /** What the page says becomes of a campaign; null: the verb is refused. */
  function said(verb: string, status: CampaignStatus, waiting: boolean): string | null {
    const names = waiting ? [verb, `${verb}, with people waiting`] : [verb];
    return arrows.find((arrow) => names.includes(arrow.verb) && arrow.from.includes(status))?.to ?? null;
  }

  test('its states are those of the code and of the database', async () => {
    const named = [
      ...arrows.flatMap(({ from, to }) => [...from, to]),
      ...rowsOf(campaign, 'from').flatMap(([from = '', to = '']) => [...from.split(', '), to]),
    ];
    expect(new Set(named)).toEqual(new Set(CAMPAIGN_STATUSES));
    expect(await wordsOf('campaign_status')).toEqual([...CAMPAIGN_STATUSES]);
  });

  test.each(Object.keys(VERBS))('%s does in every state what the page says', async (verb) => {
    for (const status of CAMPAIGN_STATUSES) {
      for (const waiting of [true, false]) {
        const { name, campaignId } = await runningCampaign(fresh.database, 1, {
          status,
          start_at: new Date(),
        });
        if (!waiting) {
          await fresh.pool.query(`update counter set waiting = 0, sent = 1 where campaign_id = $1`, [
            campaignId,
          ]);
          await fresh.pool.query(
            `update recipient set send_state = 2, outcome = 'sent' where campaign_id = $1`,
            [campaignId],
          );
        }
        const refused = await VERBS[verb]?.(app(), name).then(
          () => null,
          (error: { code?: string }) => error.code,
        );
        const { rows } = await fresh.pool.query<{ status: string }>(
          'select status from campaign where name = $1',
          [name],
        );
        const to = said(verb, status, waiting);
        expect([verb, status, waiting, refused, rows[0]?.status]).toEqual([
          verb,
          status,
          waiting,
          to === null ? 'campaign-status' : null,
          to ?? status,
        ]);
      }
    }
  });
  test('resume before its time does what the page says; a start of now makes the time void', async () => {
    const scheduledFor = new Date(Date.now() + 86_400_000);
    const { name } = await runningCampaign(fresh.database, 1, {
      status: 'scheduled',
      start_at: scheduledFor,
    });
    await fresh.pool.query('update campaign set started_at = null where name = $1', [name]);
    await pause(app(), name);
    const resumed = await resume(app(), name);
    const line = arrows.find(({ verb }) => verb === 'resume, before `start_at`');
    expect([line?.from, line?.to]).toEqual([['paused'], resumed.status]);
    expect(resumed).toMatchObject({ startAt: scheduledFor, startedAt: null, statusReason: null });
    await start(app(), name);
    await pause(app(), name);
    expect((await resume(app(), name)).status).toBe('running');
  });
});

test('the states of a relay are those of the code and the only ones that the table takes', async () => {
  const section = sectionOf(page, /^## A relay$/);
  const states = rowsOf(section, 'state').map(([first = '']) => codeIn(first)[0]);
  expect(states).toEqual([...RELAY_STATES]);
  const insert = (state: string) =>
    fresh.pool.query(
      'insert into relay (worker_id, label, state, weight, in_flight, accepted) values (0, $1, $1, 1, 0, 0)',
      [state],
    );
  for (const state of RELAY_STATES) await insert(state);
  await expect(insert('elsewhere')).rejects.toThrow(/relay_state_check/);
});

test('every statement that an arrow names is where the page says', () => {
  const arrows = tablesOf(page).flatMap(({ header, rows }) =>
    header.includes('statement') ? rows.map((row) => row.at(-1) ?? '') : [],
  );
  expect(arrows.length).toBeGreaterThan(25);
  for (const arrow of arrows) {
    // `NAME` … in `file`, any number of names before each file.
    let names: string[] = [];
    for (const code of codeIn(arrow)) {
      if (!code.includes('/')) names.push(code);
      else {
        const text = textOf(code);
        for (const name of names) expect(text, `${name} in ${code}`).toMatch(new RegExp(`\\b${name}\\b`));
        names = [];
      }
    }
    expect(
      names.filter((name) => name !== 'released' && name !== 'worker_activity'),
      arrow,
    ).toEqual([]);
  }
});
