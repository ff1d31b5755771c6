import { describe, expect, test } from 'vitest';
import { Doubts } from '../../bench/torture/doubts.ts';
import { copiesByAddress, readLog } from '../../bench/torture/log.ts';
import type { ClaimRow, Row } from '../../bench/torture/rows.ts';
import type { Silence, WorkerLife } from '../../bench/torture/workers.ts';
import { DIED } from '../../src/queue/rescue.ts';

const life = (name: string, pid: number, ...deaths: Silence[]): WorkerLife => ({
  ...{ name, pid, deaths, expected: false, unbidden: null, words: () => '' },
});
const killed = (at: number): Silence => ({ at, until: at + 5 });
const row = (address: string, more: Partial<Row> = {}): Row => ({
  ...{ campaign_id: 1, recipient_id: 1, address, outcome: 'sent', maybe_sent: 0, reply: null, claim_id: 1 },
  ...more,
});
const claim = (
  pid: number,
  claimed: number,
  closed: number | null,
  more: Partial<ClaimRow> = {},
): ClaimRow => ({
  ...{ campaign_id: 1, claim_id: 1, pid, claimed, closed, rescued: false, handed_through: 0 },
  ...more,
});

interface Story {
  readonly lives: readonly WorkerLife[];
  readonly claims?: readonly ClaimRow[];
  readonly rows?: readonly Row[];
  readonly log?: readonly string[];
  readonly policy?: 'resend' | 'hold';
}

function doubts({ lives, claims = [], rows = [], log = [], policy = 'resend' }: Story): Doubts {
  const read = readLog(log.map((line) => `${line}\n`).join(''));
  const policyOf = new Map([[1, policy]]);
  return new Doubts({ lives, window: 8, claims, rows, log: read, copies: copiesByAddress(read), policyOf });
}

describe('the bound of the torture bench', () => {
  test('counts a death at which a claim was open, and no other one', () => {
    const lives = [life('w1', 1, killed(1_000)), life('w2', 2, killed(1_000)), life('w3', 3, killed(1_000))];
    const claims = [claim(1, 900, 3_000), claim(2, 500, 999), claim(3, 1_100, null)];
    expect(doubts({ lives, claims }).bound).toBe(8);
    expect(doubts({ lives, claims: [...claims, claim(2, 990, null)] }).bound).toBe(16);
  });

  test('counts one window for a process that held claims of both campaigns', () => {
    const claims = [claim(1, 900, 3_000), claim(1, 900, 3_000, { campaign_id: 2 })];
    expect(doubts({ lives: [life('w1', 1, killed(1_000))], claims }).bound).toBe(8);
  });

  test('counts a silence in the middle of which a claim was made', () => {
    const lives = [life('w1', 1, { at: 1_000, until: 5_000 })];
    expect(doubts({ lives, claims: [claim(1, 4_000, 6_000)] }).bound).toBe(8);
  });

  test('counts what the sink took and cut off, or kept waiting until the client gave up', () => {
    const taken = ['N 10 1 1 w1 a@x', 'D 20 1', 'A 30 1'];
    const lives = [life('w1', 1)];
    expect(doubts({ lives, log: [...taken, 'C 40 1 drop'] }).bound).toBe(1);
    const overdue = doubts({ lives, log: [...taken, 'Q 5020 1'] });
    expect([overdue.bound, overdue.findUnexplained()]).toEqual([1, []]);
  });
});

describe('what the torture bench does not excuse', () => {
  test('a worker that lives and leaves before the reply', () => {
    const story = { lives: [life('w1', 1)], log: ['N 10 1 1 w1 a@x', 'D 20 1', 'A 30 1', 'Q 40 1'] };
    expect(doubts(story).bound).toBe(0);
    expect(doubts(story).findUnexplained()).toEqual(['w1 lives and left before the reply to a@x']);
    expect(doubts({ ...story, lives: [life('w1', 1, killed(38))] }).findUnexplained()).toEqual([]);
  });

  test('a second copy although the reply was read, and one that maybe_sent does not count', () => {
    const log = ['N 1 1 1 w1 a@x', 'A 2 1', 'R 3 1 250', 'N 4 2 1 w1 a@x', 'A 5 2', 'R 6 2 250'];
    expect(doubts({ lives: [life('w1', 1)], rows: [row('a@x')], log }).findUnexplained()).toEqual([
      'a@x got 2 mails and maybe_sent is 0',
      'a@x got a second mail although w1 had read the reply to the first',
    ]);
  });

  test('a copy that a silent worker finished when it woke up is its own, not that of the one who had sent it meanwhile', () => {
    const log = ['N 10 1 1 w1 a@x', 'N 30 2 2 w2 a@x', 'A 31 2', 'R 32 2 250', 'A 50 1', 'R 51 1 250'];
    const lives = [life('w1', 1, { at: 12, until: 45 }), life('w2', 2)];
    const rows = [row('a@x', { maybe_sent: 1, claim_id: 2 })];
    const claims = [claim(1, 5, 28), claim(2, 29, 40, { claim_id: 2 })];
    expect(doubts({ lives, rows, claims, log }).findUnexplained()).toEqual([]);
    // It held nothing when it fell silent.
    expect(doubts({ lives, rows, claims: claims.slice(1), log }).findUnexplained()).toHaveLength(1);
    // It never fell silent.
    const awake = [life('w1', 1), life('w2', 2)];
    expect(doubts({ lives: awake, rows, claims, log }).findUnexplained()).toHaveLength(1);
  });

  test('more duplicates than the window of a death', () => {
    const people = Array.from({ length: 9 }, (_, n) => `p${n}@x`);
    const log = people.flatMap((address, n) =>
      [1, 2].flatMap((copy) => {
        const mail = 2 * n + copy;
        return [
          `N ${copy} ${mail} ${mail} w${copy} ${address}`,
          `A ${copy} ${mail}`,
          `R ${copy} ${mail} 250`,
        ];
      }),
    );
    const story = {
      lives: [life('w1', 1, killed(2)), life('w2', 2)],
      claims: [claim(1, 0, null)],
      log,
    };
    const rows = people.map((address) => row(address, { maybe_sent: 1, claim_id: 2 }));
    expect(doubts({ ...story, rows }).findUnexplained()).toEqual([
      'w1 left 9 duplicates; its window allows 8',
    ]);
    expect(doubts({ ...story, rows: rows.slice(1) }).findUnexplained()).toEqual([]);
  });

  test('a held row whose mail was unanswered, but from another worker, or another time', () => {
    const held = row('a@x', { outcome: 'unconfirmed', maybe_sent: 1 });
    const story = {
      lives: [life('w1', 1), life('w2', 2)],
      rows: [held],
      policy: 'hold',
    } as const;
    const words = ['a@x is held and was never in doubt: null'];
    const under = (name: string, at: number) => [`N ${at} 1 1 ${name} a@x`, `C ${at + 1} 1 drop`];
    const claims = [claim(1, 100, 200)];
    expect(doubts({ ...story, claims, log: under('w1', 150) }).findUnexplained()).toEqual([]);
    expect(doubts({ ...story, claims, log: under('w2', 150) }).findUnexplained()).toEqual(words);
    expect(doubts({ ...story, claims, log: under('w1', 50) }).findUnexplained()).toEqual(words);
    expect(doubts({ ...story, claims, log: under('w1', 250) }).findUnexplained()).toEqual(words);
  });

  test('a held row within the mark of a claim that was not open when its worker died', () => {
    const story = {
      lives: [life('w1', 1, killed(500))],
      rows: [row('a@x', { outcome: 'unconfirmed', maybe_sent: 1, reply: DIED })],
      policy: 'hold',
    } as const;
    const within = { rescued: true, handed_through: 4 };
    expect(doubts({ ...story, claims: [claim(1, 100, 900, within)] }).findUnexplained()).toEqual([]);
    expect(doubts({ ...story, claims: [claim(1, 100, 400, within)] }).findUnexplained()).toHaveLength(1);
  });

  test('more held rows than the window of a death; what the relay cut off before it is not of them', () => {
    const people = Array.from({ length: 9 }, (_, n) => `p${n}@x`);
    const held = (reply: string) => (address: string, n: number) =>
      row(address, { recipient_id: n + 1, outcome: 'unconfirmed', maybe_sent: 1, reply });
    const claims = [claim(1, 0, 900, { rescued: true, handed_through: 9 })];
    const log = ['N 300 1 1 w1 p0@x', 'D 310 1', 'A 320 1', 'C 330 1 drop'];
    const story = { lives: [life('w1', 1, killed(500))], claims, policy: 'hold' } as const;
    expect(doubts({ ...story, rows: people.map(held(DIED)) }).findUnexplained()).toEqual([
      '9 were held after the death of w1; its window allows 8',
    ]);
    const rows = [held('read ECONNRESET')('p0@x', 0), ...people.map(held(DIED)).slice(1)];
    expect(doubts({ ...story, rows, log }).findUnexplained()).toEqual([]);
  });
});
