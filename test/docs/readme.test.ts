import { execFile } from 'node:child_process';
import { cp, mkdir, readFile, symlink, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { promisify } from 'node:util';
import { afterAll, afterEach, beforeAll, expect, test, vi } from 'vitest';
import { type CaptureServer, startCapture } from '../../src/capture/capture.ts';
import { type FreshDatabase, freshDatabase } from '../support/database.ts';
import { type CliProcess, type Ended, endProcesses, runCli, startCli } from '../support/process.ts';
import { makeScratch, removeScratch } from '../support/scratch.ts';
import { type Block, blocksOf, commandLines, ROOT, textOf, wordsOf } from './markdown.ts';

const runFile = promisify(execFile);

const readme = textOf('README.md');
const blocks = blocksOf(readme);

/** People of the example that take part, so that this is quick. */
const PEOPLE = 400;

/** For a dozen processes one after the other, on a machine that does much else; milliseconds. */
const MANY = 120_000;

let fresh: FreshDatabase;
let capture: CaptureServer;
let cwd: string;

beforeAll(async () => {
  fresh = await freshDatabase();
  capture = await startCapture();
  cwd = await makeScratch('readme');
  await mkdir(path.join(cwd, 'examples'));
  await cp(path.join(ROOT, 'examples', 'points.hbs'), path.join(cwd, 'examples', 'points.hbs'));
  const people = (await readFile(path.join(ROOT, 'examples', 'people.csv'), 'utf8')).split('\n');
  await writeFile(path.join(cwd, 'examples', 'people.csv'), `${people.slice(0, PEOPLE + 1).join('\n')}\n`);
});

afterEach(() => endProcesses());

afterAll(async () => {
  await capture.close();
  await fresh.drop();
  await removeScratch(cwd);
});

function blockWith(words: string): Block {
  const found = blocks.find(({ code }) => code.includes(words));
  if (found === undefined) throw new Error(`README.md has no block with ${words}`);
  return found;
}

/** The commands of a block, each as what follows `npx sendstate`. */
function commandsOf(words: string): string[][] {
  const lines = commandLines(blockWith(words).code).map(wordsOf);
  return lines
    .filter(([first, second]) => first === 'npx' && second === 'sendstate')
    .map((line) => line.slice(2));
}

const env = (url = fresh.url) => ({ DATABASE_URL: url, SMTP_URL: capture.url });

/** Runs one command as a shell would, `> file` included. */
async function run(words: readonly string[], url?: string): Promise<Ended> {
  const into = words.indexOf('>');
  const ended = await runCli(into < 0 ? words : words.slice(0, into), { cwd, env: env(url) });
  if (into >= 0) await writeFile(path.join(cwd, words[into + 1] ?? ''), ended.stdout);
  return ended;
}

test(
  'the everyday commands, one after the other',
  async () => {
    const said = new Map<string, string>();
    for (const words of commandsOf('npx sendstate create spring')) {
      const { code, stdout, stderr } = await run(words);
      expect(code, `${words.join(' ')}\n${stderr}`).toBe(0);
      said.set(words[0] ?? '', stdout);
    }
    expect([...said.keys()]).toEqual([
      'create',
      'import',
      'preview',
      'test',
      'send',
      'status',
      'recipients',
      'retry',
    ]);
    expect(said.get('preview')).toContain('Subject: 임한별님, 6,580포인트가 2월 14일에 사라집니다');
    expect(said.get('send')).toContain(`${PEOPLE} sent`);
    expect(await readFile(path.join(cwd, 'rejected.csv'), 'utf8')).toContain('address,send_state,outcome');
    // And the mail of `test`.
    expect(capture.recipients.size).toBe(PEOPLE + 1);
  },
  MANY,
);

test('the questions in SQL', async () => {
  const questions = blockWith('from campaign_progress')
    .code.split(';')
    .filter((sql) => sql.trim() !== '');
  expect(questions).toHaveLength(3);
  const rows = await Promise.all(questions.map(async (sql) => (await fresh.pool.query(sql)).rows));
  expect(rows[0]).toMatchObject([{ name: 'spring', status: 'finished', done: PEOPLE, total: PEOPLE }]);
  expect(rows[1]).toEqual([]);
  expect(rows[2]).toMatchObject([{ name: 'spring', send_state: 2, outcome: 'sent', reply_code: 250 }]);
});

test(
  'start at a time, workers, pause, resume, cancel',
  async () => {
    const other = await freshDatabase();
    try {
      for (const words of commandsOf('npx sendstate create spring').slice(0, 2)) await run(words, other.url);
      for (const words of commandsOf('--at 2030')) {
        const ended = endless(words) ? await stopped(words, other) : await run(words, other.url);
        expect(ended.code, `${words.join(' ')}\n${ended.stderr}`).toBe(0);
      }
      const { rows } = await other.pool.query('select status, cancelled from campaign_progress');
      expect(rows).toEqual([{ status: 'cancelled', cancelled: PEOPLE }]);
    } finally {
      await other.drop();
    }
  },
  MANY,
);

const endless = (words: readonly string[]) => words[0] === 'work' && !words.includes('--drain');

/** Starts a worker and stops it once it works, or waits for its tick. */
async function stopped(words: readonly string[], { url, pool }: FreshDatabase): Promise<Ended> {
  const cli: CliProcess = await startCli(words, { cwd, env: env(url) });
  if (words.includes('--cron')) await cli.says(/Waiting for/);
  else
    await vi.waitFor(
      async () => expect((await pool.query('select from worker where stopped_at is null')).rowCount).toBe(1),
      10_000,
    );
  cli.signal('SIGTERM');
  return await cli.ended;
}

test('a database of one’s own', async () => {
  const empty = await freshDatabase({ migrated: false });
  try {
    const [migrate = [], doctor = []] = commandsOf('npx sendstate migrate');
    expect(await run(migrate, empty.url)).toMatchObject({
      code: 0,
      stdout: expect.stringContaining('Applied'),
    });
    expect(await run(doctor, empty.url)).toMatchObject({
      code: 0,
      stdout: expect.not.stringContaining('WRONG'),
    });
  } finally {
    await empty.drop();
  }
});

test('the capture server of the second terminal', async () => {
  const [words = []] = commandsOf('sendstate capture');
  const port = words.indexOf('--port') + 1;
  expect(blockWith('npx sendstate create spring').code).toContain(`SMTP_URL=smtp://127.0.0.1:${words[port]}`);
  const cli = await startCli(words.with(port, '0'), { cwd });
  await cli.says(/smtp:\/\/127\.0\.0\.1:\d+/);
  cli.signal('SIGINT');
  expect(await cli.ended).toMatchObject({ code: 0, stdout: '0 mails to 0 addresses.\n' });
});

/** The package as it is installed: what `npm run build` makes of the sources, where `import … from 'sendstate'` finds it. */
async function installPackage(): Promise<void> {
  const installed = path.join(cwd, 'node_modules', 'sendstate');
  await mkdir(installed, { recursive: true });
  for (const part of ['package.json', 'migrations'])
    await cp(path.join(ROOT, part), path.join(installed, part), { recursive: true });
  await symlink(path.join(ROOT, 'node_modules'), path.join(installed, 'node_modules'));
  const tsc = path.join(ROOT, 'node_modules', '.bin', 'tsc');
  await runFile(tsc, ['-p', 'tsconfig.build.json', '--outDir', path.join(installed, 'dist')], { cwd: ROOT });
}

test(
  'the library',
  async () => {
    await installPackage();
    const [block] = blocks.filter(({ language }) => language === 'ts');
    const code = (block?.code ?? '').replace('smtp://127.0.0.1:2525', capture.url);
    await writeFile(path.join(cwd, 'library.ts'), code);
    const { stdout } = await runFile(process.execPath, ['library.ts'], {
      cwd,
      env: { ...env(), PATH: process.env.PATH },
    });
    expect(stdout).toContain('autumn finished');
    expect(stdout).toContain(`sent: ${PEOPLE}`);
  },
  MANY,
);

test('the two commands at the top are scripts of the package', () => {
  const { scripts } = JSON.parse(textOf('package.json')) as { scripts: Record<string, string> };
  const named = [...readme.matchAll(/npm run ([\w:]+)|npm (test)\b/g)].map(
    ([, script, own]) => script ?? own ?? '',
  );
  expect(named).toEqual(expect.arrayContaining(['demo', 'test', 'bench:dispatch']));
  expect(Object.keys(scripts)).toEqual(expect.arrayContaining(named));
});
