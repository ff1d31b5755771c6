import { rm } from 'node:fs/promises';
import { afterEach, describe, expect, test, vi } from 'vitest';
import { type Composer, compileMessage } from '../../src/message/compose.ts';
import { type Shell, startShell } from '../support/cli.ts';

// Processes are started and leases run out: a few seconds, and many on a machine that does other things as well.
vi.setConfig({ testTimeout: 90_000 });

let shell: Shell | undefined;
afterEach(async () => {
  await shell?.end();
  shell = undefined;
});

/** CPU time that such a row may cost, seconds, on a slow machine; without bounds it is a minute to hours. */
const PATIENCE_SECONDS = 10;

function composer(parts: { html?: string; text?: string }): Composer {
  const source = {
    subject: 'Hello',
    sender: 'news@example.com',
    replyTo: null,
    headers: {},
    html: null,
    text: null,
  };
  return compileMessage({
    campaignId: 1,
    source: { ...source, ...parts },
    attachments: [],
    bounceTo: null,
    messageIdDomain: null,
  });
}

describe('a template that explodes', () => {
  const megabyte = '<'.repeat(1_000_000);
  const long = Array.from({ length: 9_999 }, () => 'a');
  test.each<
    [what: string, parts: { html?: string; text?: string }, vars: Record<string, unknown>, why: RegExp]
  >([
    [
      'a long value many times',
      { html: '{{v}}'.repeat(500), text: 'x' },
      { v: megabyte },
      /the html has more than 5000000 characters/,
    ],
    [
      'the same through Handlebars',
      { html: `{{#with o}}${'{{v}}'.repeat(500)}{{/with}}`, text: 'x' },
      { o: { v: megabyte } },
      /the html has more than 5000000 characters/,
    ],
    [
      'many turns',
      { text: '{{#each l}}{{#each @root.l}}x{{/each}}{{/each}}' },
      { l: long },
      /more than 10000 turns/,
    ],
    [
      'many steps that write nothing',
      { text: `{{#each l}}${'{{#if @first}}{{/if}}'.repeat(2000)}{{/each}}` },
      { l: long },
      /more than 300000 steps/,
    ],
    [
      'loops over nothing',
      { text: `{{#each l}}${'{{#each @root.m}}{{/each}}'.repeat(2000)}{{/each}}` },
      { l: long, m: [] },
      /more than 300000 steps/,
    ],
    [
      'html that is never closed',
      { html: '{{{v}}}' },
      { v: '<b>'.repeat(1_500_000) },
      /tags that are not closed/,
    ],
    [
      'links inside links',
      { html: '{{{v}}}' },
      { v: '<a href="x">'.repeat(400_000) },
      /tags that are not closed/,
    ],
    [
      'lists inside lists',
      { html: '{{{v}}}' },
      { v: '<ul><li>'.repeat(400) + 'x<br>'.repeat(100_000) },
      /lists inside each other/,
    ],
    ['tags without end', { html: '{{{v}}}' }, { v: '<br>'.repeat(1_200_000) }, /more than 200000 html tags/],
  ])('%s: the row is invalid and says why, within seconds', (_, parts, vars, why) => {
    const mail = composer(parts);
    const start = process.cpuUsage();
    const made = mail.compose({ recipientId: 1, address: 'kim@example.com', vars });
    expect(made).toMatchObject({ kind: 'invalid', why: expect.stringMatching(why) });
    const { user, system } = process.cpuUsage(start);
    expect((user + system) / 1e6).toBeLessThan(PATIENCE_SECONDS);
  });

  test('what is large and ordinary passes: a report of 5,000 rows, links with links in their text', () => {
    const rows = Array.from({ length: 5_000 }, (_, n) => ({ n, name: `Row ${n}` }));
    const report = '<table>{{#each rows}}<tr><td>{{n}}</td><td>{{name}}</td></tr>{{/each}}</table>';
    expect(
      composer({ html: report }).compose({ recipientId: 1, address: 'kim@example.com', vars: { rows } }),
    ).toHaveProperty('raw');
  });

  test('one row of a campaign: it alone ends as invalid, every other recipient gets the mail', async () => {
    shell = await startShell();
    await shell.write('t.txt', '{{#each l}}{{#each @root.l}}x{{/each}}{{/each}}');
    expect(
      (await shell.run(['create', 'boom', '--from', 'n@example.com', '--subject', 'Hi', '--text', 't.txt']))
        .code,
    ).toBe(0);
    await shell.fresh.pool.query(
      `insert into recipient (campaign_id, address, vars)
       select campaign_id, 'p' || i || '@example.com', jsonb_build_object('l', (select jsonb_agg(0) from generate_series(1, case i when 7 then 5000 else 2 end)))
       from campaign, generate_series(1, 20) i`,
    );
    await shell.fresh.pool.query(
      'insert into counter (campaign_id, worker_id, lane, waiting) select campaign_id, 0, 0, 20 from campaign',
    );
    await shell.run(['send', 'boom']);
    const { rows } = await shell.fresh.pool.query(
      'select outcome, count(*), min(reply) as reply from recipient group by outcome order by outcome',
    );
    expect(rows).toMatchObject([
      { outcome: 'sent', count: 19 },
      { outcome: 'invalid', count: 1, reply: expect.stringContaining('more than 10000 turns') },
    ]);
  });
});

test('a window full of the dearest rows, and a short lease: no worker is presumed dead, and all end as invalid', {
  timeout: 240_000,
}, async () => {
  shell = await startShell();
  const { pool } = shell.fresh;
  // Each goes to the bound of the steps: together they take longer than the lease.
  await shell.write('t.txt', `{{#each l}}${'{{#if @first}}{{/if}}'.repeat(2000)}{{/each}}`);
  const create = ['create', 'dear', '--from', 'n@example.com', '--subject', 'Hi', '--text', 't.txt'];
  expect((await shell.run(create)).code).toBe(0);
  await pool.query(
    `insert into recipient (campaign_id, address, vars)
     select campaign_id, 'p' || i || '@example.com', jsonb_build_object('l', (select jsonb_agg(0) from generate_series(1, 9999)))
     from campaign, generate_series(1, 80) i`,
  );
  await pool.query(
    'insert into counter (campaign_id, worker_id, lane, waiting) select campaign_id, 0, 0, 80 from campaign',
  );
  await shell.run(['start', 'dear']);
  const workers = ['work', '--drain', '--lease', '5', '--batch', '40', '--window', '80'];
  const ended = await Promise.all([shell.run(workers), shell.run(workers)]);
  expect(ended.map(({ code }) => code)).toEqual([0, 0]);
  const { rows } = await pool.query('select outcome, count(*) from recipient group by outcome');
  expect(rows).toEqual([{ outcome: 'invalid', count: 80 }]);
  expect((await pool.query('select 1 from worker where presumed_dead')).rowCount).toBe(0);
  expect((await pool.query(`select 1 from attempt where event in ('returned', 'ambiguous')`)).rowCount).toBe(
    0,
  );
});

describe('an attachment that vanished', () => {
  const campaign = async (): Promise<Shell> => {
    const made = await startShell({ keep: 5 });
    await made.write('a.txt', 'the first file');
    await made.write('b.txt', 'the second file');
    await made.write('t.txt', 'Hello');
    await made.write('people.csv', 'email\nkim@example.com\nlee@example.com\n');
    const files = ['--attach', 'a.txt', '--attach', 'b.txt'];
    const created = await made.run([
      'create',
      'files',
      '--from',
      'n@example.com',
      '--subject',
      'Hi',
      '--text',
      't.txt',
      ...files,
    ]);
    expect(created.stderr + created.code).toMatch(/0$/);
    expect((await made.run(['import', 'files', 'people.csv'])).code).toBe(0);
    return made;
  };

  test('from the disk: the mail has it all the same, because the bytes are in the database', async () => {
    shell = await campaign();
    await rm(`${shell.directory}/a.txt`);
    expect((await shell.run(['send', 'files'])).code).toBe(0);
    const [mail] = shell.relay.mails;
    expect(mail?.raw.toString()).toContain(Buffer.from('the first file').toString('base64'));
  });

  test('from the table: the campaign pauses and says so, and no recipient gets a mail without it', async () => {
    shell = await campaign();
    await shell.fresh.pool.query(`delete from attachment where filename = 'b.txt'`);
    const sent = await shell.run(['send', 'files']);
    expect(sent.code).toBe(1);
    expect(sent.stderr).toContain('1 of 2 attachments are gone');
    const { rows } = await shell.fresh.pool.query('select status, status_reason from campaign');
    expect(rows).toMatchObject([
      { status: 'paused', status_reason: expect.stringContaining('attachments are gone') },
    ]);
    expect(shell.relay.accepted).toBe(0);
  });
});
