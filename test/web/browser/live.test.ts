/// <reference lib="dom" />
import type { Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, expect, test, vi } from 'vitest';
import { runningCampaign } from '../../support/campaign.ts';
import { eventually, legendOf, type Stage, startStage } from '../../support/page.ts';

/** Slow enough that a campaign of some hundred people is seen on its way. */
const SLOW = { replyDelayMs: 20 };

/** Milliseconds: a browser on a machine that does other things at the same time. */
vi.setConfig({ testTimeout: 120_000, hookTimeout: 120_000 });

let stage: Stage;

beforeAll(async () => {
  stage = await startStage(
    {},
    {
      ...SLOW,
      policy: (recipient) =>
        /person\d*5@/.test(recipient)
          ? { at: 'rcpt', reply: `550 5.1.1 <img src=x onerror=alert(1)> ${recipient} unknown` }
          : null,
    },
  );
});

afterEach(() => stage.clear());

afterAll(() => stage.end());

const CAMPAIGN = 'select campaign_id from campaign where name = $1';
const countOf = (name: string, outcome: string) =>
  stage.number(`select count(*) from recipient where campaign_id = (${CAMPAIGN}) and outcome::text = $2`, [
    name,
    outcome,
  ]);

/** How often the page has shown which number sent, in order: an observer in the page misses none. */
async function recordSent(page: Page): Promise<() => Promise<number[]>> {
  await page.evaluate(() => {
    const seen: number[] = [];
    Object.assign(window, { seen });
    const look = () => {
      const text = document.querySelector('#legend [data-key="sent"] b')?.textContent ?? '';
      const now = Number(text.replaceAll(',', ''));
      if (text !== '' && seen.at(-1) !== now) seen.push(now);
    };
    const legend = document.querySelector('#legend');
    if (legend !== null)
      new MutationObserver(look).observe(legend, { subtree: true, childList: true, characterData: true });
  });
  return () => page.evaluate(() => (window as unknown as { seen: number[] }).seen);
}

test('the numbers grow on the way and are those of the table at the end; what a relay says is text', async () => {
  const name = 'spring';
  await runningCampaign(stage.fresh.database, 400, { name });
  const page = await stage.open(`/campaigns/${name}`);
  const sent = await recordSent(page);
  await stage.worker('send', name);
  await eventually(() => page.locator('.status').textContent()).toBe('finished');
  await eventually(() => page.locator('#figures [data-slot="done"]').textContent()).toBe('100%');
  const seen = await sent();
  expect(seen.length).toBeGreaterThan(3);
  expect(seen).toEqual([...seen].sort((a, b) => a - b));
  expect(await legendOf(page)).toEqual({
    sent: await countOf(name, 'sent'),
    rejected: await countOf(name, 'rejected'),
  });
  expect(await page.locator('#bar').getAttribute('aria-label')).toBe('100% done: 360 sent, 40 rejected');
  const failure = page.locator('#failures tbody tr');
  expect(await failure.count()).toBe(1);
  expect(await failure.textContent()).toContain('40rejected550 5.1.1');
  await eventually(() => page.locator('.uplot canvas').count()).toBe(1);
  expect(await page.locator('#chart').getAttribute('aria-label')).toMatch(/at most [1-9]/);
  // The example leads to what happened to that person.
  await failure.locator('a').click();
  await page.waitForSelector('.found');
  expect(await page.locator('h1').textContent()).toMatch(/^What happened to person\d*5@example\.com$/);
  expect(await page.locator('.found').textContent()).toContain('5.1.1 <img src=x onerror=alert(1)>');
  expect(stage.wrong()).toEqual([]);
});

test('pause stops the sending, resume goes on, cancel asks first, retry puts back: each as SQL has it', async () => {
  const name = 'buttons';
  await runningCampaign(stage.fresh.database, 3_000, { name, rate: 150 });
  const page = await stage.open(`/campaigns/${name}`);
  await stage.worker('work', '--batch', '50');
  const statusIs = async (status: string) => {
    await eventually(() => page.locator('.status').textContent()).toBe(status);
    const { rows } = await stage.fresh.pool.query('select status from campaign where name = $1', [name]);
    expect(rows).toEqual([{ status }]);
  };
  await eventually(() => countOf(name, 'sent')).toBeGreaterThan(0);
  await page.getByRole('button', { name: 'Pause' }).click();
  await statusIs('paused');
  await eventually(() => page.locator('#said').textContent()).toBe('buttons is paused.');
  await eventually(() => stage.number(`select claimed from campaign_progress where name = $1`, [name])).toBe(
    0,
  );
  const pausedAt = await countOf(name, 'sent');
  await eventually(() => page.locator('#legend [data-key="sent"] b').textContent()).toBe(String(pausedAt));
  // The focus stays where the button was, now on the one that undoes it.
  expect(await page.evaluate(() => document.activeElement?.textContent)).toBe('Resume');
  await page.getByRole('button', { name: 'Resume' }).click();
  await statusIs('running');
  await eventually(() => countOf(name, 'sent')).toBeGreaterThan(pausedAt);

  await page.getByRole('button', { name: 'Cancel campaign' }).click();
  await page.getByRole('button', { name: 'No, leave it' }).click();
  await statusIs('running');
  await page.getByRole('button', { name: 'Cancel campaign' }).click();
  await page.getByRole('button', { name: 'Yes, go ahead' }).click();
  await statusIs('cancelled');
  await eventually(() => countOf(name, 'cancelled')).toBeGreaterThan(1_000);

  // The worker goes on looking; it does not cancel again a requeued recipient.
  await page.getByRole('button', { name: /^Retry cancelled/ }).click();
  await page.getByRole('button', { name: 'Yes, go ahead' }).click();
  await eventually(() => page.locator('#said').textContent()).toMatch(/people wait again\.$/);
  await statusIs('paused');
  expect(await countOf(name, 'cancelled')).toBe(0);
  await page.getByRole('button', { name: 'Resume' }).click();
  await statusIs('running');
  await page.getByRole('button', { name: 'Pause' }).click();
  await statusIs('paused');
  expect(stage.wrong()).toEqual([]);
});

test('a lost database is said plainly and since when, and the page goes on by itself', async () => {
  const name = 'lost';
  await runningCampaign(stage.fresh.database, 40, { name, status: 'paused' });
  const page = await stage.open(`/campaigns/${name}`);
  await eventually(() => legendOf(page)).toEqual({ waiting: 40 });
  stage.link.refuse();
  const banner = page.getByRole('alert');
  await eventually(() => banner.isVisible()).toBe(true);
  expect(await banner.textContent()).toMatch(/^The database has not answered since \d+:\d\d:\d\d/);
  // The last numbers stay.
  expect(await legendOf(page)).toEqual({ waiting: 40 });
  // A button says what is wrong, and does not hang.
  await page.getByRole('button', { name: 'Resume' }).click();
  await eventually(() => page.locator('#said').textContent()).toMatch(/database/);
  const late = await stage.open(`/campaigns/${name}`);
  expect(await late.locator('h1').textContent()).toBe('That did not work');
  await stage.fresh.pool.query(`update campaign set status_reason = 'while you were away' where name = $1`, [
    name,
  ]);
  stage.link.accept();
  await eventually(() => banner.isVisible()).toBe(false);
  await eventually(() => page.locator('#reason').textContent()).toBe('while you were away');
  await eventually(() => late.locator('h1').textContent()).toBe('lost');
});

/** Tabs of one profile: each holds a connection for its stream, and a browser gives a host six. */
const TABS = 5;

test('fifty pages open at once follow a campaign to its end, and all say what SQL says', async () => {
  const name = 'fifty';
  await runningCampaign(stage.fresh.database, 40, {
    name,
    status: 'paused',
  });
  const pages: Page[] = [];
  for (let i = 0; i < 50 / TABS; i++) {
    const first = await stage.open(`/campaigns/${name}`, { viewport: { width: 400, height: 300 } });
    const others = Array.from({ length: TABS - 1 }, async () => {
      const page = await first.context().newPage();
      await page.goto(first.url());
      return page;
    });
    pages.push(first, ...(await Promise.all(others)));
  }
  expect(pages).toHaveLength(50);
  const all = () => Promise.all(pages.map((page) => legendOf(page)));
  const everywhere = (legend: Record<string, number>) => Array<typeof legend>(50).fill(legend);
  await eventually(all).toEqual(everywhere({ waiting: 40 }));
  await stage.fresh.pool.query(`select suppress('fifty', 'person1@example.com')`);
  await eventually(all).toEqual(everywhere({ suppressed: 1, waiting: 39 }));
  const worker = await stage.worker('work');
  await stage.fresh.pool.query(`update campaign set status = 'running' where name = $1`, [name]);
  await worker.says(/fifty: finished|"now":"finished"/);
  const [sent, rejected] = [await countOf(name, 'sent'), await countOf(name, 'rejected')];
  expect([sent, rejected]).toEqual([35, 4]);
  await eventually(all).toEqual(everywhere({ sent, rejected, suppressed: 1 }));
  expect(stage.wrong()).toEqual([]);
}, 300_000);

test('the list shows each campaign and what becomes of it', async () => {
  const name = '봄-소식';
  await runningCampaign(stage.fresh.database, 20, { name, status: 'paused' });
  const page = await stage.open('/');
  const row = page.locator('#campaigns > li', { hasText: name });
  await eventually(() => row.locator('.status').textContent()).toBe('paused');
  await stage.fresh.pool.query(
    `update campaign set status = 'cancelled', finished_at = now() where name = $1`,
    [name],
  );
  await eventually(() => row.locator('.status').textContent()).toBe('cancelled');
  await runningCampaign(stage.fresh.database, 5, { name: 'new-one', status: 'paused' });
  await eventually(() => page.getByRole('link', { name: 'new-one' }).count()).toBe(1);
  await row.getByRole('link').click();
  await eventually(() => page.locator('h1').textContent()).toBe(name);
  expect(stage.wrong()).toEqual([]);
});
