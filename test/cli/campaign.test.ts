import { open } from 'node:fs/promises';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { createProgram } from '../../src/cli.ts';
import { runningCampaign } from '../support/campaign.ts';
import { type Shell, startShell } from '../support/cli.ts';
import { endProcesses } from '../support/process.ts';

let shell: Shell;
beforeAll(async () => {
  shell = await startShell({
    keep: 50,
    policy: (to) =>
      to.startsWith('kim') ? { at: 'rcpt', reply: '550 5.1.1 =HYPERLINK("http://evil") no such user' } : null,
  });
  await shell.write('mail.html', '<p>안녕하세요 {{이름}} &amp; <b>{{city}}</b></p>');
  await shell.write(
    'people.csv',
    '\uFEFF이름,email,city\r\n김,kim@example.com,서울\r\n"Lee, J.",lee@example.com,"a\nb"\r\nbad,not-an-address,x\r\n',
  );
});
afterEach(endProcesses);
afterAll(() => shell.end());

const run = (...args: string[]) => shell.run(args);
const json = async (...args: string[]) => {
  const ended = await run(...args, '--json');
  expect(ended).toMatchObject({ code: 0 });
  return JSON.parse(ended.stdout);
};

describe('the life of a campaign, as JSON: one document on stdout, every word to people on stderr', () => {
  test('create, import, preview, test, send, status, recipients, retry', async () => {
    expect(
      await json(
        'create',
        'spring',
        '--from',
        'News <news@example.com>',
        '--subject',
        '{{이름}}님',
        '--html',
        'mail.html',
      ),
    ).toEqual({ campaignId: expect.any(Number), name: 'spring' });
    expect(await json('import', 'spring', 'people.csv')).toMatchObject({
      imported: 2,
      invalid: 1,
      read: 3,
      rejectsFile: expect.stringContaining('rejects.csv'),
    });
    expect(
      await shell.read('people.csv.rejects.csv').catch(() => shell.read('people.rejects.csv')),
    ).toContain('not-an-address');
    expect(await json('preview', 'spring', '--as', 'LEE@example.com')).toMatchObject({
      subject: 'Lee, J.님',
      html: '<p>안녕하세요 Lee, J. &amp; <b>a\nb</b></p>',
    });
    expect(await json('test', 'spring', '--to', 'me@example.com', '--as', 'lee@example.com')).toMatchObject({
      sent: true,
      to: 'me@example.com',
    });
    expect(shell.relay.recipients.get('me@example.com')).toBe(1);
    expect(await json('send', 'spring')).toMatchObject({
      end: 'ended',
      status: 'finished',
      outcomes: { sent: 1, rejected: 1 },
      failures: [{ outcome: 'rejected', recipients: 1 }],
    });
    expect(await json('status', 'spring')).toMatchObject({
      progress: { name: 'spring', total: 2, done: 2 },
      workers: expect.any(Array),
    });
    expect(await json('status')).toMatchObject([{ name: 'spring' }]);
    const lines = (await run('recipients', 'spring', '--json')).stdout.trim().split('\n');
    expect(lines.map((line) => JSON.parse(line).address)).toEqual(['kim@example.com', 'lee@example.com']);
    expect(await json('retry', 'spring', '--outcome', 'rejected')).toMatchObject({ recipients: 1 });
    expect(await json('status', 'spring')).toMatchObject({ progress: { status: 'paused' } });
    expect(await json('send', 'spring')).toMatchObject({ outcomes: { sent: 1, rejected: 1 } });
    expect(shell.relay.recipients.get('lee@example.com')).toBe(1);
  });

  test('start, pause, resume, cancel, migrate, doctor', async () => {
    const { name } = await runningCampaign(shell.fresh.database, 2, { status: 'draft' });
    expect(await json('start', name, '--at', '2099-01-01T00:00:00Z')).toEqual({
      name,
      status: 'scheduled',
      startAt: '2099-01-01T00:00:00.000Z',
    });
    expect(await json('start', name)).toMatchObject({ status: 'running' });
    expect(await json('pause', name, '--reason', 'lunch')).toMatchObject({ status: 'paused' });
    expect(await json('status', name)).toMatchObject({ progress: { statusReason: 'lunch' } });
    expect(await json('resume', name)).toMatchObject({ status: 'running' });
    expect(await json('pause', name)).toMatchObject({ status: 'paused' });
    expect(await json('start', name, '--at', '2099-01-01T00:00:00Z')).toMatchObject({ status: 'scheduled' });
    expect(await json('pause', name)).toMatchObject({ status: 'paused' });
    expect(await json('resume', name)).toMatchObject({ status: 'scheduled' });
    expect((await run('pause', name)).code).toBe(0);
    expect((await run('resume', name)).stdout).toBe(`${name} starts at 2099-01-01T00:00:00.000Z.\n`);
    expect((await run('start', name, '--at', '2020-01-01T00:00:00Z')).stdout).toMatch(
      /was to start at 2020-01-01T00:00:00\.000Z; that has passed: it begins at once\./,
    );
    expect(await json('cancel', name)).toMatchObject({ status: 'cancelled', cancelled: 2 });
    expect(await json('migrate')).toEqual({ applied: [] });
    const found: { ok: boolean }[] = await json('doctor');
    expect(found.every(({ ok }) => ok)).toBe(true);
  });

  test('every command that a program might read has --json', () => {
    const without = createProgram()
      .commands.filter((command) => command.commands.length === 0)
      .filter((command) => !command.options.some(({ long }) => long === '--json'))
      .map((command) => command.name());
    expect(without).toEqual(['work', 'help']);
  });
});

describe('for people', () => {
  test('the report of a send goes to stdout and ends with what to do; progress stays on stderr', async () => {
    const { name } = await runningCampaign(shell.fresh.database, 3);
    const { code, stdout, stderr } = await run('send', name);
    expect(code).toBe(0);
    expect(stdout).toMatch(new RegExp(`^${name} is finished in \\d+ s: 3 sent\\.\n$`));
    expect(stderr).not.toContain('\u001b');
  });

  test('a campaign of which no mail was accepted ends with 1, and says why and what to do', async () => {
    const { campaignId, name } = await runningCampaign(shell.fresh.database, 0);
    await shell.fresh.pool.query(
      `insert into recipient (campaign_id, address, vars)
       select $1, 'kim' || i || '@example.com', '{"name": "Kim"}' from generate_series(1, 3) i`,
      [campaignId],
    );
    await shell.fresh.pool.query(
      `insert into counter (campaign_id, worker_id, lane, waiting) values ($1, 0, 0, 3)
       on conflict (campaign_id, worker_id, lane) do update set waiting = 3`,
      [campaignId],
    );
    const { code, stdout, stderr } = await run('send', name);
    expect(stdout).toContain('3 rejected');
    expect(stderr).toMatch(/none of its 3 mails was accepted; the most frequent reason: 550 5\.1\.1/);
    expect(stderr).toContain(`sendstate retry ${name} --outcome rejected`);
    expect(code).toBe(1);
  });

  test('--csv opens in Excel: byte order mark, CRLF, and no cell that is a formula', async () => {
    const { stdout } = await shell.run(['recipients', 'spring', '--outcome', 'rejected', '--csv']);
    expect(stdout.startsWith('\uFEFFaddress,send_state,outcome')).toBe(true);
    const [, row] = stdout.split('\r\n');
    expect(row).toContain('kim@example.com,2,rejected,');
    expect(row).toContain(`5.1.1 =HYPERLINK`);
    for (const cell of (row as string).split(',')) expect(cell).not.toMatch(/^"?[=+@-]/);
    const { stdout: none } = await shell.run(['recipients', 'spring', '--outcome', 'expired', '--csv']);
    expect(none).toMatch(/^\uFEFFaddress[^\n]*\r\n$/);
  });

  test('a reply that begins like a formula is quoted as text', async () => {
    const { campaignId, name } = await runningCampaign(shell.fresh.database, 1);
    await shell.fresh.pool.query(
      `update recipient set send_state = 2, outcome = 'rejected', reply_code = 550, reply = '=cmd|''/c calc''!A1' where campaign_id = $1`,
      [campaignId],
    );
    await shell.fresh.pool.query('update counter set waiting = 0, rejected = 1 where campaign_id = $1', [
      campaignId,
    ]);
    const { stdout } = await shell.run(['recipients', name, '--csv']);
    expect(stdout).toContain(`,550,'=cmd|`);
  });

  test('the list is written as it is read: a reader that has seen enough ends it without an error', async () => {
    const { name } = await runningCampaign(shell.fresh.database, 30_000);
    const list = await shell.start(['recipients', name]);
    await list.says(/person1@example\.com/);
    list.closeOutput();
    const { code, stderr } = await list.ended;
    expect(stderr).toBe('');
    expect(code).toBe(0);
  });

  test('the list cannot be written because the disk is full: 1, and one line that says so', async () => {
    const { name } = await runningCampaign(shell.fresh.database, 10);
    const full = await open('/dev/full', 'w');
    try {
      const { code, stderr } = await shell.run(['recipients', name], { stdout: full.fd });
      expect(stderr).toMatch(/^sendstate: The output cannot be written: ENOSPC.*\n$/);
      expect(code).toBe(1);
    } finally {
      await full.close();
    }
  });

  test('status --watch looks again until it has ended, and speaks plainly into a pipe', async () => {
    const { name } = await runningCampaign(shell.fresh.database, 5);
    const watch = await shell.start(['status', name, '--watch']);
    await watch.says(/0 of 5/);
    expect((await run('send', name)).code).toBe(0);
    const { code, stdout } = await watch.ended;
    expect(code).toBe(0);
    expect(stdout).toContain(`${name} is running`);
    expect(stdout).toMatch(new RegExp(`${name} is finished[\\s\\S]*5 of 5`));
    expect(stdout).not.toContain('\u001b');
  });

  test('status --watch ends on Ctrl-C', async () => {
    const watch = await shell.start(['status', '--watch']);
    await watch.says(/spring/);
    watch.signal('SIGINT');
    expect((await watch.ended).code).toBe(0);
  });
});

describe('what goes wrong says what happened and what to do: 1, on stderr', () => {
  const fails = async (args: string[], words: RegExp, hint: RegExp) => {
    const { code, stdout, stderr } = await run(...args);
    expect(stderr).toMatch(words);
    expect(stderr).toMatch(hint);
    expect(stderr).not.toMatch(/\n\s+at /);
    expect(stdout).toBe('');
    expect(code).toBe(1);
  };

  test('an unknown campaign, whatever the command', async () => {
    const commands = [
      ['preview', 'sping'],
      ['test', 'sping', '--to', 'me@example.com'],
      ['send', 'sping'],
      ['start', 'sping'],
      ['start', 'sping', '--at', '2099-01-01T00:00Z'],
      ['pause', 'sping'],
      ['resume', 'sping'],
      ['cancel', 'sping'],
      ['retry', 'sping', '--outcome', 'expired'],
      ['status', 'sping'],
      ['recipients', 'sping'],
      ['import', 'sping', 'people.csv'],
    ];
    for (let i = 0; i < commands.length; i += 3) {
      await Promise.all(
        commands
          .slice(i, i + 3)
          .map((args) =>
            fails(args, /^sendstate: There is no campaign "sping"/, /See them all: sendstate status/),
          ),
      );
    }
  });

  test.each([
    [
      'created twice',
      ['create', 'spring', '--from', 'a@example.com', '--subject', 's', '--html', 'mail.html'],
      /There is a campaign "spring" already/,
      /sendstate status spring/,
    ],
    [
      'a name that is none',
      ['create', '../x', '--from', 'a@example.com', '--subject', 's', '--html', 'mail.html'],
      /cannot be the name/,
      /letters, digits/,
    ],
    ['no body', ['create', 'n1', '--from', 'a@example.com', '--subject', 's'], /html|text/i, /--html|--text/],
    [
      'no such template',
      ['create', 'n2', '--from', 'a@example.com', '--subject', 's', '--html', 'none.html'],
      /file of --html cannot be read/,
      /none\.html/,
    ],
    [
      'a template in another encoding',
      ['create', 'n3', '--from', 'a@example.com', '--subject', 's', '--text', 'cp949.txt'],
      /file of --text cannot be read/,
      /UTF-8/,
    ],
    [
      'a template that does not parse',
      ['create', 'n4', '--from', 'a@example.com', '--subject', 's', '--html', 'broken.html'],
      /The html template is wrong on line \d/,
      /./,
    ],
    [
      'a sender that is none',
      ['create', 'n5', '--from', 'nobody', '--subject', 's', '--html', 'mail.html'],
      /from|sender/i,
      /./,
    ],
    [
      'an attachment that is not there',
      [
        'create',
        'n6',
        '--from',
        'a@example.com',
        '--subject',
        's',
        '--html',
        'mail.html',
        '--attach',
        'no.pdf',
      ],
      /no\.pdf cannot be read/,
      /\nIt must be a file that you may read/,
    ],
    [
      'a header that is sendstate’s own',
      [
        'create',
        'n7',
        '--from',
        'a@example.com',
        '--subject',
        's',
        '--html',
        'mail.html',
        '--header',
        'To: all@example.com',
      ],
      /"To" is a header that sendstate writes itself\nLeave it out/,
      /./,
    ],
    ['no such file', ['import', 'spring', 'none.csv'], /none\.csv/, /./],
    ['a directory', ['import', 'spring', '.'], /sendstate: /, /./],
    ['an empty file', ['import', 'spring', 'empty.csv'], /empty\.csv/, /./],
    ['no address column', ['import', 'spring', 'noaddress.csv'], /noaddress\.csv[\s\S]*address/i, /--map/],
    ['a column that is not there', ['import', 'spring', 'people.csv', '--map', 'email=Mail'], /Mail/, /./],
    ['an encoding that is none', ['import', 'spring', 'people.csv', '--encoding', 'klingon'], /klingon/, /./],
    [
      'a recipient that is not there',
      ['preview', 'spring', '--as', 'who@example.com'],
      /no recipient who@example\.com/,
      /sendstate recipients spring/,
    ],
    [
      'a directory that is a file',
      ['preview', 'spring', '--out', 'mail.html'],
      /Nothing can be written to mail\.html/,
      /--out DIRECTORY/,
    ],
    [
      'an address to test with that is none',
      ['test', 'spring', '--to', 'me@'],
      /Nothing can be sent to me@: nothing after the @/,
      /such as kim@example\.com/,
    ],
    ['a pause of what has ended', ['pause', 'spring'], /is finished; it cannot be paused/, /./],
    ['a cancel of what has ended', ['cancel', 'spring'], /is finished; it cannot be cancelled/, /./],
  ])('%s', async (_, args, words, hint) => {
    await shell.write('broken.html', '<p>\nx\n{{#if a}}\n</p>');
    await shell.write('cp949.txt', Buffer.from([0xb0, 0xa1, 0xb3, 0xaa]));
    await shell.write('empty.csv', '');
    await shell.write('noaddress.csv', 'a,b\n1,2\n');
    await fails(args, words, hint);
  });

  test('what cannot begin yet: start, send and preview of an empty draft, its pause and resume', async () => {
    const { name } = await runningCampaign(shell.fresh.database, 0, { status: 'draft' });
    await Promise.all([
      fails(['start', name], /has no recipients yet/, new RegExp(`sendstate import ${name}`)),
      fails(['send', name], /has no recipients yet/, new RegExp(`sendstate import ${name}`)),
      fails(['preview', name], /has no recipients to render for/, new RegExp(`sendstate import ${name}`)),
    ]);
    await Promise.all([
      fails(['pause', name], /is draft; it cannot be paused/, /Nothing of a draft is being sent/),
      fails(['resume', name], /is draft; it cannot be resumed/, new RegExp(`sendstate send ${name}`)),
    ]);
  });

  test.each([[['invalid']], [['unconfirmed', 'expired']], [[]]])(
    'a send that ends with %j says how to see whom, and names no other outcome',
    async (outcomes) => {
      const { campaignId, name } = await runningCampaign(shell.fresh.database, outcomes.length + 1);
      const query = (text: string, values: unknown[] = []) =>
        shell.fresh.pool.query(text, [campaignId, ...values]);
      for (const [index, outcome] of ['suppressed', ...outcomes].entries()) {
        await query(
          `update recipient set send_state = 2, outcome = $3 where campaign_id = $1 and address = $2`,
          [`person${index + 1}@example.com`, outcome],
        );
        await query(`update counter set waiting = waiting - 1, ${outcome} = 1 where campaign_id = $1`);
      }
      const { code, stdout } = await run('send', name);
      // None of its mails was accepted; a list that was suppressed as a whole is no failure.
      expect(code).toBe(outcomes.length > 0 ? 1 : 0);
      const named = [
        ...stdout.matchAll(new RegExp(`sendstate recipients ${name} --outcome (\\w+) --csv`, 'g')),
      ];
      expect(named.map(([, outcome]) => outcome).sort()).toEqual([...outcomes].sort());
    },
  );

  test.each([
    ['SMTP_URL', { SMTP_URL: 'localhost:25' }, /SMTP_URL|relay/i],
    ['DKIM_KEYS', { DKIM_KEYS: 'example.com:mail:/nope.pem' }, /DKIM key \/nope\.pem/],
  ])(
    'a wrong %s stops sending, and not the commands that only look, pause or cancel',
    async (_, env, words) => {
      const { name } = await runningCampaign(shell.fresh.database, 1, { rate: 0.001 });
      for (const verb of ['status', 'pause', 'resume', 'cancel']) {
        const { code, stderr } = await shell.run([verb, name], { env });
        expect([verb, code, stderr]).toEqual([verb, 0, '']);
      }
      const send = await shell.run(['send', name], { env });
      expect(send.code).toBe(1);
      expect(send.stderr).toMatch(words);
      // Beside what is to be said of the database.
      const doctor = await shell.run(['doctor'], { env });
      expect(doctor.code).toBe(1);
      expect(doctor.stdout).toMatch(/ok {4}counters/);
      expect(doctor.stdout).toMatch(words);
    },
  );

  test('a port that is taken and a directory that is a file: capture', async () => {
    const port = String(shell.relay.port);
    await fails(
      ['capture', '--port', port],
      /Cannot listen at 127\.0\.0\.1, port \d+: .*EADDRINUSE/,
      /--port 0/,
    );
    await fails(
      ['capture', '--port', '0', '--directory', 'mail.html'],
      /Nothing can be written to mail\.html/,
      /--directory DIRECTORY/,
    );
  });

  test('a paused campaign ends its send with 1 and its reason', async () => {
    const { name } = await runningCampaign(shell.fresh.database, 2_000, { rate: 20 });
    const send = await shell.start(['send', name]);
    const before = shell.relay.accepted;
    await shell.relay.waitFor(before + 3);
    await run('pause', name, '--reason', 'too early');
    const { code, stdout, stderr } = await send.ended;
    expect(stdout).toContain(`${name} is paused (too early)`);
    expect(stderr).toContain(`Campaign "${name}" was paused: too early\n`);
    expect(stderr).toContain(`sendstate resume ${name}`);
    expect(code).toBe(1);
    await run('cancel', name);
  });

  test('a relay that is not there: send waits and says so, doctor says what is wrong', async () => {
    const { name } = await runningCampaign(shell.fresh.database, 20);
    const env = { SMTP_URL: 'smtp://127.0.0.1:1' };
    const [send, doctor] = await Promise.all([
      shell.start(['send', name], { env }),
      shell.run(['doctor'], { env }),
    ]);
    expect(doctor.code).toBe(1);
    expect(doctor.stdout).toMatch(/WRONG relay: smtp:\/\/127\.0\.0\.1:1: connect ECONNREFUSED/);
    await send.says(/The relay is in trouble: .*Waiting; no recipient is charged/);
    send.signal('SIGTERM');
    const { code, stdout } = await send.ended;
    expect(stdout).toContain('20 waiting');
    expect(code).toBe(1);
    await run('cancel', name);
  });

  test('a database without tables, or with those of another version', async () => {
    const empty = await startShell({}, { migrated: false });
    try {
      const before = await empty.run(['status']);
      expect(before.code).toBe(1);
      expect(before.stderr).toContain('sendstate migrate');
      const [one, two] = await Promise.all([empty.run(['migrate']), empty.run(['migrate'])]);
      expect([one.code, two.code]).toEqual([0, 0]);
      expect(`${one.stdout}${two.stdout}`).toMatch(/Applied 0001/);
      const after = await empty.run(['status']);
      expect(after).toMatchObject({ code: 0 });
      expect(after.stdout).toContain('There is no campaign yet');
    } finally {
      await empty.end();
    }
  });
});

test('people come from a pipe as well', async () => {
  const { name } = await runningCampaign(shell.fresh.database, 0, { status: 'draft' });
  const { code, stdout } = await shell.run(['import', name, '-', '--no-rejects'], {
    input: 'email;name\na@example.com;A\nb@example.com;B\n',
  });
  expect(stdout).toContain('Imported 2 of 2 rows');
  expect(code).toBe(0);
});
