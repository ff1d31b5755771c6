import { afterAll, beforeAll, expect, test } from 'vitest';
import { report } from '../../src/api/report.ts';
import { openDatabase } from '../../src/database/connect.ts';
import { claimFresh } from '../../src/queue/claim.ts';
import { record } from '../../src/queue/record.ts';
import { readReport } from '../../src/report/report.ts';
import { registered, result, runningCampaign } from '../support/campaign.ts';
import { type Shell, startShell } from '../support/cli.ts';

let shell: Shell;
beforeAll(async () => {
  shell = await startShell();
});
afterAll(() => shell.end());

/** Forty people: 30 sent, 6 rejected, 2 in doubt and held, 2 waiting. */
async function halfDone(): Promise<string> {
  const { fresh } = shell;
  const { campaignId, name } = await runningCampaign(fresh.database, 40);
  await fresh.pool.query(
    `update recipient set address = replace(address, 'example.com', 'naver.example') where campaign_id = $1 and recipient_id % 2 = 0`,
    [campaignId],
  );
  const workerId = await registered(fresh.database);
  const claim = await claimFresh(fresh.database, { campaignId, workerId, limit: 40, after: 0 });
  const people = claim?.recipients ?? [];
  const claimId = claim?.claimId ?? 0;
  const unknown = { replyCode: 550, reason: '550 5.1.1 <…> unknown' };
  const results = people.slice(0, 38).map(({ recipientId }, index) => {
    if (index < 30) return result(claimId, recipientId, 'sent');
    if (index < 36) return result(claimId, recipientId, 'rejected', unknown);
    return result(claimId, recipientId, 'unconfirmed', { maybeSent: 1, reason: 'the reply was not seen' });
  });
  await record(fresh.database, campaignId, workerId, results, []);
  return name;
}

test('its sums are those of the table', async () => {
  const name = await halfDone();
  const found = await report(
    { database: shell.fresh.database, embedded: false, close: async () => undefined },
    name,
  );
  expect(found.progress).toMatchObject({ total: 40, done: 38, claimed: 2 });
  expect(found.maybeSent).toBe(2);
  expect(found.retriedRecipients).toBe(0);
  expect(found.failures.map(({ recipients, outcome }) => [outcome, recipients])).toEqual([
    ['rejected', 6],
    ['unconfirmed', 2],
  ]);
  expect(found.otherFailures).toBe(0);
  expect(found.domains.map(({ domain }) => domain).sort()).toEqual(['example.com', 'naver.example']);
  const sum = (of: 'recipients' | 'sent' | 'failed' | 'open') =>
    found.domains.reduce((all, one) => all + one[of], 0);
  expect([sum('recipients'), sum('sent'), sum('failed'), sum('open')]).toEqual([40, 30, 8, 2]);
  expect(found.curve.reduce((all, { sent, failed }) => all + sent + failed, 0)).toBe(38);
  expect(found.curveSeconds).toBe(5);
});

test('what happens while it is read is not in it', async () => {
  const { fresh } = shell;
  const name = await halfDone();
  const other = await openDatabase(fresh.url, { max: 1 });
  const client = await fresh.pool.connect();
  const query = client.query.bind(client);
  let statements = 0;
  client.query = (async (...args: Parameters<typeof query>) => {
    const answer = await query(...args);
    // begin, its kind, the progress; every recipient is gone before the rest is read.
    if (++statements === 3) await other.pool.query('delete from recipient');
    return answer;
  }) as typeof client.query;
  try {
    const lent = { connect: async () => client } as unknown as typeof fresh.pool;
    const found = await readReport({ ...fresh.database, pool: lent }, name);
    expect(found?.domains.reduce((sum, { recipients }) => sum + recipients, 0)).toBe(40);
    expect(found?.curve.reduce((sum, { sent, failed }) => sum + sent + failed, 0)).toBe(38);
  } finally {
    await other.close();
  }
});

test('one to send on shows no address, in no format', async () => {
  const name = await halfDone();
  for (const format of ['html', 'md', 'json', 'csv']) {
    const { stdout } = await shell.run(['report', name, '--mask', '--format', format]);
    expect(stdout).not.toMatch(/person\d+@/);
    expect(stdout).toContain('example.com');
  }
});

test('the command writes it in each format', async () => {
  const name = await halfDone();
  const html = await shell.run(['report', name, '--out', 'report.html']);
  expect(html).toMatchObject({ code: 0, stdout: '' });
  expect(await shell.read('report.html')).toContain('<svg');
  const printed = async (format: string) => (await shell.run(['report', name, '--format', format])).stdout;
  expect(JSON.parse(await printed('json'))).toMatchObject({ progress: { name, total: 40 }, maybeSent: 2 });
  expect(await printed('md')).toContain('| 6 | rejected |');
  expect(await printed('csv')).toContain('outcome,sent,,30');
  const nowhere = await shell.run(['report', name, '--out', 'no/x.html']);
  expect(nowhere.code).toBe(1);
  expect(nowhere.stderr).toMatch(/Cannot write no\/x\.html.*\nName a file/s);
  expect((await shell.run(['report', 'absent'])).stderr).toContain('absent');
});

test.each(['html', 'md', 'json', 'csv'])(
  '%s is the same on stdout and in a file, byte for byte, and holds nothing that a terminal obeys',
  async (format) => {
    const name = await halfDone();
    await shell.fresh.pool.query(
      `update failure set reason = E'550 \u001b[2J\u009b\r\n가' where campaign_id = (select campaign_id from campaign where name = $1)`,
      [name],
    );
    // A finished one, so that the two do not differ by the moment in which they were made.
    await shell.fresh.pool.query(
      `update campaign set status = 'finished', finished_at = now() where name = $1`,
      [name],
    );
    const file = `same.${format}`;
    expect((await shell.run(['report', name, '--format', format, '--out', file])).code).toBe(0);
    const { stdout } = await shell.run(['report', name, '--format', format]);
    const still = (text: string) => text.replace(/\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d(\.\d+)?)?/g, 'TIME');
    expect(still(stdout)).toBe(still(await shell.read(file)));
    expect(stdout).not.toMatch(/(?![\n\r\t])\p{Cc}/u);
    expect(stdout).toContain('가');
    if (format === 'csv') expect(stdout.split('\r\n').length).toBe(stdout.split('\n').length);
  },
);
