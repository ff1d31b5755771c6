import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { simpleParser } from 'mailparser';
import { createTransport } from 'nodemailer';
import MailComposer from 'nodemailer/lib/mail-composer';
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from 'vitest';
import { CaptureProcess } from '../../src/commands/demo-capture.ts';
import { htmlPartOf } from '../../src/commands/demo-mail.ts';
import { demoQueries, tableLines, widthOf } from '../../src/commands/demo-tables.ts';
import { type Database, openDatabase } from '../../src/database/connect.ts';
import { ensureEmbedded, stopEmbedded } from '../../src/embedded/embedded.ts';
import { runningCampaign } from '../support/campaign.ts';
import { endProcesses, runCli, startCli } from '../support/process.ts';
import { makeScratch, removeScratch } from '../support/scratch.ts';

let cwd: string;

beforeAll(async () => {
  cwd = await makeScratch('demo');
});

afterEach(() => endProcesses());

afterAll(async () => {
  await stopEmbedded({ directory: path.join(cwd, '.sendstate'), outside: path.join(cwd, 'outside') });
  await removeScratch(cwd);
});

/** A database and a relay that never answer: the demo must not ask them. */
const ELSEWHERE = { DATABASE_URL: 'postgres://nobody@127.0.0.1:1/none', SMTP_URL: 'smtp://127.0.0.1:1' };
const env = { SENDSTATE_EMBEDDED_OUTSIDE: 'outside' };

/** Looks into the demo's database. */
async function inDatabase<T>(work: (database: Database) => Promise<T>): Promise<T> {
  const { url } = await ensureEmbedded({
    directory: path.join(cwd, '.sendstate'),
    outside: path.join(cwd, 'outside'),
  });
  const database = await openDatabase(url);
  try {
    return await work(database);
  } finally {
    await database.close();
  }
}

const ask = (sql: string): Promise<unknown[]> => inDatabase(async ({ pool }) => (await pool.query(sql)).rows);

async function refused(port: number): Promise<boolean> {
  const socket = connect(port, '127.0.0.1');
  try {
    await once(socket, 'connect');
    return false;
  } catch {
    return true;
  } finally {
    socket.destroy();
  }
}

describe('sendstate demo', () => {
  test('--json: one line, counted by the server that took the mails', async () => {
    const { code, stdout, stderr } = await runCli(['demo', '--recipients', '300', '--json'], { cwd, env });
    expect(code, stderr).toBe(0);
    expect(stdout).toMatch(
      /^\{"recipients":300,"sent":300,"unique":300,"lost":0,"duplicated":0,"importSeconds":[\d.]+,"sendSeconds":[\d.]+\}\n$/,
    );
  });

  test('again, for people: what happened, questions with answers, the mails, what to type next', async () => {
    const { code, stdout, stderr } = await runCli(
      ['demo', '--recipients', '200', '--keep', '2', '--out', 'mails'],
      {
        cwd,
        env: { ...env, ...ELSEWHERE },
      },
    );
    expect(code, stderr).toBe(0);
    expect(stderr).toContain('DATABASE_URL and SMTP_URL are not used');
    expect(stdout).toContain('Imported 200 people of examples/people.csv into demo-2 ');
    expect(stdout).toContain('200 mails to 200 addresses; 0 missing, 0 twice.');
    expect(stdout).toMatch(/finished +\| 200 +\| 200 +\| 0 /);
    expect(stdout).toMatch(/\| 2 +\| sent +\| 1 +\| 250 +\| 2\./);
    expect(stdout).toContain('DATABASE_URL="$(npx sendstate db url)" npx sendstate status demo-2');
    expect(stdout).toContain('npx sendstate db stop');
    expect((await readdir(path.join(cwd, 'mails', 'demo-2'))).sort()).toEqual([
      '1.eml',
      '1.html',
      '2.eml',
      '2.html',
    ]);
    expect(await readFile(path.join(cwd, 'mails', '.gitignore'), 'utf8')).toBe('*\n');
    const mail = await simpleParser(await readFile(path.join(cwd, 'mails', 'demo-2', '1.eml')));
    expect(mail.subject).toMatch(/님, [\d,]+포인트가 \d+월 \d+일에 사라집니다$/);
    const html = await readFile(path.join(cwd, 'mails', 'demo-2', '1.html'), 'utf8');
    expect(html.replaceAll('\r\n', '\n').trim()).toBe(String(mail.html).trim());
    expect(stdout).toContain(path.join(cwd, 'mails', 'demo-2', '1.html'));
  });

  test('stopped in the middle: nothing waits for a relay that delivers, and the server has ended', async () => {
    const cli = await startCli(['demo'], { cwd, env });
    await cli.says(/Imported 10,000 people/);
    cli.signal('SIGINT');
    const { code, stderr } = await cli.ended;
    expect([code, stderr]).toEqual([1, expect.stringContaining('The demo was stopped after')]);
    expect(await ask(`select status, waiting, claimed from campaign_progress where name = 'demo-3'`)).toEqual(
      [{ status: 'cancelled', waiting: 0, claimed: 0 }],
    );
  });

  test('one that was killed is cancelled by the next, one that works is not', async () => {
    await inDatabase(async (database) => {
      for (const name of ['demo-7', 'demo-8']) await runningCampaign(database, 5, { name });
      await database.pool.query(
        `update campaign set started_at = now() - interval '1 hour' where name = 'demo-7'`,
      );
    });
    const { code, stderr } = await runCli(['demo', '--recipients', '10', '--json'], { cwd, env });
    expect(code, stderr).toBe(0);
    expect(
      await ask(`select name, status, waiting from campaign_progress where total = 5 order by name`),
    ).toEqual([
      { name: 'demo-7', status: 'cancelled', waiting: 0 },
      { name: 'demo-8', status: 'running', waiting: 5 },
    ]);
    expect(await ask(`select status from campaign where name = 'demo-9'`)).toEqual([{ status: 'finished' }]);
  });

  test('wrong usage, and a place that cannot be written to', async () => {
    expect((await runCli(['demo', '--recipients', '10001'], { cwd, env })).code).toBe(2);
    await writeFile(path.join(cwd, 'file'), '');
    const { code, stderr } = await runCli(['demo', '--recipients', '1', '--out', 'file/mails'], { cwd, env });
    expect([code, stderr]).toEqual([1, expect.stringMatching(/Cannot put mails into .*\n.*--out DIRECTORY/)]);
  });
});

describe('the capture server as a process', () => {
  test('takes mails, counts them, and ends when told', async () => {
    const directory = path.join(cwd, 'captured');
    await mkdir(directory);
    const capture = await CaptureProcess.start(directory, 1);
    const transport = createTransport(capture.url);
    for (const to of ['a@example.com', 'b@example.com', 'b@example.com'])
      await transport.sendMail({ from: 'news@example.com', to, subject: 'x', text: 'y' });
    expect(await capture.counts()).toMatchObject({ accepted: 3, recipients: 2, twice: 1 });
    await capture.stop();
    expect(capture.gone.aborted).toBe(true);
    expect(await readdir(directory)).toEqual(['1.eml']);
    expect(await refused(Number(new URL(capture.url).port))).toBe(true);
    await expect(capture.counts()).rejects.toMatchObject({ code: 'demo-capture' });
  });

  test('says why it could not start', async () => {
    const file = path.join(cwd, 'no-directory');
    await writeFile(file, '');
    await expect(CaptureProcess.start(file, 1)).rejects.toMatchObject({
      code: 'demo-capture',
      message: expect.stringContaining('EEXIST'),
    });
  });

  test('ends when the process that started it is killed', async () => {
    const module = pathToFileURL(
      path.join(import.meta.dirname, '..', '..', 'src', 'commands', 'demo-capture.ts'),
    ).href;
    const script = `import { CaptureProcess } from '${module}'; console.log((await CaptureProcess.start('${cwd}', 1)).url);`;
    const parent = spawn(process.execPath, ['--input-type=module', '--eval', script], {
      cwd,
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const [url] = (await once(parent.stdout.setEncoding('utf8'), 'data')) as [string];
    const port = Number(new URL(url.trim()).port);
    expect(await refused(port)).toBe(false);
    parent.kill('SIGKILL');
    await vi.waitFor(async () => expect(await refused(port)).toBe(true), 10_000);
  });
});

describe('the html part of a mail', () => {
  const html =
    '<p>안녕 = <b>똠</b> & equals=3D\u00a0end of a line that is long enough to be broken somewhere, surely.  </p>\r\n';
  const cases: [name: string, options: Record<string, unknown>][] = [
    ['html alone', { html }],
    ['text and html', { text: 'hello', html }],
    ['in base64', { text: 'hello', html, textEncoding: 'base64' }],
    ['with an attachment', { text: 'hello', html, attachments: [{ filename: 'a.txt', content: 'a' }] }],
    ['with an inline picture', { html, attachments: [{ filename: 'a.png', content: 'a', cid: 'a@b' }] }],
  ];

  test.each(cases)('%s', async (_, options) => {
    const raw = await new MailComposer({ from: 'a@example.com', to: 'b@example.com', ...options })
      .compile()
      .build();
    expect(htmlPartOf(raw.toString('latin1'))?.toString('utf8').trim()).toBe(html.trim());
  });

  test('there is none', async () => {
    const raw = await new MailComposer({ from: 'a@example.com', to: 'b@example.com', text: html })
      .compile()
      .build();
    expect(htmlPartOf(raw.toString('latin1'))).toBeNull();
    expect(htmlPartOf('no header at all')).toBeNull();
  });
});

test('tables are as wide as a terminal draws them', () => {
  expect(['abc', '한글', '東京', 'ＡＢ', 'é', 'e\u0301', '👍'].map(widthOf)).toEqual([3, 4, 4, 4, 1, 1, 2]);
  expect(
    tableLines(
      ['city', 'n'],
      [
        ['서울', '1'],
        ['Zürich', '20'],
      ],
    ),
  ).toEqual([' city   | n', '--------+----', ' 서울   | 1', ' Zürich | 20']);
});

test('an address cannot leave its quotation marks', () => {
  expect(demoQueries('demo-1', "o'brien@example.com").join('\n')).toContain("'o''brien@example.com'");
});
