import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { claimFresh } from '../../src/queue/claim.ts';
import { DomainLimits, writeLimit } from '../../src/queue/domain-limit.ts';
import { drawTurns } from '../../src/queue/domain-pace.ts';
import { type Clocks, Heartbeat } from '../../src/queue/heartbeat.ts';
import { drawTokens } from '../../src/queue/pace.ts';
import { rescue } from '../../src/queue/rescue.ts';
import { RelayPace } from '../../src/relays/relay-pace.ts';
import { registered, runningCampaign } from '../support/campaign.ts';
import { type FreshDatabase, freshDatabase } from '../support/database.ts';

let fresh: FreshDatabase;
beforeAll(async () => {
  fresh = await freshDatabase();
});
afterAll(() => fresh.drop());

const LEASE = 10;
const HOUR = 3_600_000;

/** A machine whose clocks stand where they are put. */
class Machine implements Clocks {
  at = 0;
  wallAt = 1_700_000_000_000;
  readonly steady = () => this.at;
  readonly wall = () => this.wallAt;
  pass(ms: number): void {
    this.at += ms;
    this.wallAt += ms;
  }
}
const heartOf = (machine: Machine) => Heartbeat.register(fresh.database, 'test', LEASE, machine);
const markedDead = async (workerId: number) =>
  (await fresh.pool.query('select presumed_dead from worker where worker_id = $1', [workerId])).rows[0]
    ?.presumed_dead;

describe('the clock of the database, as a worker sees it', () => {
  // Seen from a machine whose own clock moves while the database's hardly does, the latter is set back; and the other way round.
  test('set back: the silence of others is judged anew', async () => {
    const machine = new Machine();
    const heart = await heartOf(machine);
    machine.pass(HOUR);
    expect(heart.steadySeconds).toBe(3600);
    expect(await heart.beat()).toBe(true);
    expect(heart.steadySeconds).toBe(0);
  });

  test('set forward: the silence of others is judged anew', async () => {
    const machine = new Machine();
    const heart = await heartOf(machine);
    machine.pass(1);
    // Less than would already look like a gap of its own.
    await fresh.pool.query('select pg_sleep($1)', [LEASE * 0.2 + 0.1]);
    expect(await heart.beat()).toBe(true);
    expect(heart.steadySeconds).toBe(0);
  });

  test('in step: nothing is judged anew', async () => {
    const heart = await Heartbeat.register(fresh.database, 'test', LEASE);
    const before = heart.steadySeconds;
    await fresh.pool.query('select pg_sleep(0.1)');
    expect(await heart.beat()).toBe(true);
    expect(heart.steadySeconds).toBeGreaterThanOrEqual(before + 0.1);
  });

  test('set back by an hour: a worker that died before is marked dead after a lease of the rescuer’s own', async () => {
    // Shorter than the server has been up, which is a reason of its own to wait.
    const lease = 1;
    const dead = await registered(fresh.database, lease);
    const alive = await registered(fresh.database, 60);
    await fresh.pool.query(
      `update worker set heartbeat_at = now() + interval '1 hour' where worker_id = $1`,
      [dead],
    );
    await rescue(fresh.database, { workerId: alive, steadySeconds: lease / 2 });
    expect(await markedDead(dead)).toBe(false);
    await rescue(fresh.database, { workerId: alive, steadySeconds: lease * 2 });
    expect(await markedDead(dead)).toBe(true);
    expect(await markedDead(alive)).toBe(false);
  });
});

describe('a machine that was suspended', () => {
  test.each([
    {
      slept: 'the steady clock',
      pass: (machine: Machine) => {
        machine.wallAt += HOUR;
      },
    },
    {
      slept: 'the wall clock',
      pass: (machine: Machine) => {
        machine.at += HOUR;
      },
    },
  ])('hands nothing over before it has beaten, although $slept slept with it', async ({ pass }) => {
    const machine = new Machine();
    const heart = await heartOf(machine);
    expect(heart.valid).toBe(true);
    pass(machine);
    expect(heart.valid).toBe(false);
    expect(await heart.beat()).toBe(true);
    expect(heart.valid).toBe(true);
  });
});

describe('a rate goes on when the clock is set back', () => {
  test('of a campaign', async () => {
    const { campaignId } = await runningCampaign(fresh.database, 0, { rate: 1000 });
    await drawTokens(fresh.database, campaignId, 1000);
    await fresh.pool.query(
      `update pace set tokens = 0, refilled_at = now() + interval '1 hour' where campaign_id = $1`,
      [campaignId],
    );
    const draw = () => drawTokens(fresh.database, campaignId, 1000);
    await expect.poll(draw, { timeout: 10_000, interval: 100 }).toBeGreaterThan(0);
  });

  test('of a recipient domain', async () => {
    const { campaignId } = await runningCampaign(fresh.database, 200);
    const workerId = await registered(fresh.database);
    await writeLimit(fresh.database, 'example.com', 100);
    const limits = new DomainLimits(fresh.database);
    await limits.refresh();
    let after = 0;
    const taken = async () => {
      const claim = await claimFresh(fresh.database, { campaignId, workerId, limit: 1, after });
      if (claim === null) throw new Error('no recipient is left to claim');
      after = claim.recipients[0]?.recipientId ?? 0;
      return (await drawTurns(fresh.database, workerId, claim, limits, false)).recipients.length;
    };
    expect(await taken()).toBe(1);
    await fresh.pool.query(
      `update domain_pace set tokens = 0, refilled_at = now() + interval '1 hour', queued_until = now()`,
    );
    await expect.poll(taken, { timeout: 10_000, interval: 100 }).toBe(1);
  });

  test('of a relay', async () => {
    await fresh.pool.query(
      `insert into relay_pace (label, tokens, granted, refilled_at) values ('slow', 0, 0, now() + interval '1 hour')`,
    );
    const pace = new RelayPace(
      fresh.database,
      'slow',
      100,
      async (work) => await work(),
      () => undefined,
    );
    const any = () => {
      pace.wanted();
      return pace.any;
    };
    await expect.poll(any, { timeout: 10_000, interval: 100 }).toBe(true);
    await pace.close();
  });
});
