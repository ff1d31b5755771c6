import { mkdir, readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import type { Command } from 'commander';
import { messageOf, SendstateError } from '../errors.ts';
import {
  campaigns,
  cancel,
  create,
  importPeople,
  open,
  parseRelay,
  type Sendstate,
  send,
  status,
} from '../index.ts';
import { bar, count, printable, progressLine } from '../progress/format.ts';
import type { Context } from './context.ts';
import { type CaptureCounts, CaptureProcess } from './demo-capture.ts';
import { type KeptMail, unpackMails } from './demo-mail.ts';
import { answerOf, demoQueries } from './demo-tables.ts';
import { integer } from './options.ts';
import { Painter } from './painter.ts';
import { wordsOf } from './working.ts';

/** Rows in people.csv. */
const PEOPLE = 10_000;
/** examples/ of the package, seen from src/commands/ and from dist/commands/ alike. */
const EXAMPLES = path.join(import.meta.dirname, '..', '..', 'examples');
/** How often the progress line is drawn, milliseconds. */
const PAINT_MS = 250;
/** A demo that runs for longer than this without a worker was killed, milliseconds. */
const ABANDONED_MS = 60_000;

interface DemoFlags {
  readonly recipients: number;
  readonly keep: number;
  readonly out: string;
}

interface Done {
  readonly recipients: number;
  readonly counts: CaptureCounts;
  readonly importSeconds: number;
  readonly sendSeconds: number;
}

async function runDemo(context: Context, flags: DemoFlags): Promise<void> {
  const { embedded, databaseUrl } = context.config;
  if (databaseUrl !== undefined)
    context.err(
      'DATABASE_URL and SMTP_URL are left alone: the demo brings a database and a relay of its own.',
    );
  const app = await open({ ...embedded, max: 6, say: context.err });
  try {
    await cancelAbandoned(app);
    const name = await createDemo(app);
    const directory = await makeDirectory(flags.out, name);
    const capture = await CaptureProcess.start(directory, flags.keep);
    let done: Done;
    try {
      done = await sendDemo(context, app, name, capture, flags.recipients);
    } catch (error) {
      // Nobody shall find it running later, with a relay that delivers.
      await cancel(app, name);
      throw error;
    } finally {
      await capture.stop();
    }
    await report(context, app, name, done, directory);
  } finally {
    await app.close();
  }
}

/** Demos that were killed in the middle must not wait for a worker with a real relay. */
async function cancelAbandoned(app: Sendstate): Promise<void> {
  for (const { name, startedAt, status: now } of await campaigns(app)) {
    if (!/^demo-\d+$/.test(name) || now !== 'running' || startedAt === null) continue;
    if (Date.now() - startedAt.getTime() < ABANDONED_MS) continue;
    const { workers } = await status(app, name);
    if (!workers.some(({ state }) => state === 'alive')) await cancel(app, name);
  }
}

/** A campaign under the first free name of demo-1, demo-2 … */
async function createDemo(app: Sendstate): Promise<string> {
  const html = await readFile(path.join(EXAMPLES, 'points.hbs'), 'utf8');
  const numbers = (await campaigns(app)).map(({ name }) => Number(/^demo-(\d{1,9})$/.exec(name)?.[1] ?? 0));
  for (let number = Math.max(0, ...numbers) + 1; ; number++) {
    const name = `demo-${number}`;
    try {
      await create(app, {
        name,
        html,
        from: '예시책방 <news@shop.example.com>',
        subject: '{{이름}}님, {{포인트}}포인트가 {{만료일}}에 사라집니다',
        headers: {
          'List-Unsubscribe': '<https://shop.example.com/unsubscribe/{{email}}>',
          'List-Unsubscribe-Post': 'List-Unsubscribe=One-Click',
        },
      });
      return name;
    } catch (error) {
      // Another demo took the name at this moment.
      if (!(error instanceof SendstateError) || error.code !== 'campaign-exists') throw error;
    }
  }
}

/** Where the mails of this demo go. The directory says of itself that no repository wants it. */
async function makeDirectory(out: string, name: string): Promise<string> {
  const directory = path.resolve(out, name);
  try {
    if ((await mkdir(path.resolve(out), { recursive: true })) !== undefined)
      await writeFile(path.resolve(out, '.gitignore'), '*\n');
    await mkdir(directory, { recursive: true });
  } catch (error) {
    throw new SendstateError('demo-directory', `Cannot put mails into ${directory}: ${messageOf(error)}`, {
      hint: 'Say where they may lie: sendstate demo --out DIRECTORY',
      cause: error,
    });
  }
  return directory;
}

/** The first `limit` people of people.csv. No cell of it holds a line break. */
async function* firstPeople(limit: number): AsyncGenerator<Buffer> {
  const lines = (await readFile(path.join(EXAMPLES, 'people.csv'), 'utf8')).split('\n');
  yield Buffer.from(`${lines.slice(0, limit + 1).join('\n')}\n`);
}

async function sendDemo(
  context: Context,
  app: Sendstate,
  name: string,
  capture: CaptureProcess,
  limit: number,
): Promise<Done> {
  const signal = AbortSignal.any([context.signal, capture.gone]);
  const painter = new Painter(context);
  const ask = async () => {
    try {
      painter.paint(progressLine((await status(app, name)).progress));
    } catch {
      // A line that is not drawn loses nothing; what is wrong with the database, the worker says.
    }
  };
  let timer: NodeJS.Timeout | undefined;
  try {
    const people = await importPeople(app, name, {
      from: firstPeople(limit),
      fileName: 'people.csv',
      rejects: null,
      signal,
      onProgress: ({ read }) => painter.paint(`${bar(read / limit, 24)} ${count(read)} people`),
    });
    painter.clear();
    if (!context.json)
      context.out(
        `Imported ${count(people.imported)} people of examples/people.csv into ${name} in ${people.seconds.toFixed(1)} s.`,
      );
    const began = performance.now();
    timer = setInterval(() => void ask(), PAINT_MS);
    const relay = parseRelay(capture.url);
    const end = await send(app, name, {
      relay,
      signal,
      abortSignal: context.abortSignal,
      onEvent: (event) => {
        const words = wordsOf(event);
        if (words !== null) painter.say(printable(words));
      },
    });
    const sendSeconds = (performance.now() - began) / 1000;
    const counts = await capture.counts();
    if (end !== 'ended')
      throw new SendstateError('demo-stopped', `The demo was stopped after ${count(counts.accepted)} mails`, {
        hint: `What became of the others: ${program()} status ${name}`,
      });
    return { recipients: people.imported, counts, importSeconds: people.seconds, sendSeconds };
  } finally {
    clearInterval(timer);
    painter.clear();
  }
}

async function report(
  context: Context,
  app: Sendstate,
  name: string,
  done: Done,
  directory: string,
): Promise<void> {
  const { recipients, counts, importSeconds, sendSeconds } = done;
  const lost = recipients - counts.recipients;
  if (lost !== 0 || counts.twice !== 0) context.fail();
  const mails = await unpackMails(directory);
  if (context.json) {
    const result = { recipients, sent: counts.accepted, unique: counts.recipients, lost };
    const seconds = { importSeconds: rounded(importSeconds), sendSeconds: rounded(sendSeconds) };
    context.out(JSON.stringify({ ...result, duplicated: counts.twice, ...seconds }));
    return;
  }
  const { out } = context;
  out(
    `Sent ${count(counts.accepted)} mails in ${sendSeconds.toFixed(1)} s: ${count(counts.accepted / sendSeconds)} a second.`,
  );
  out('');
  out('The server that took them is a process of its own and has counted for itself:');
  out(
    `  ${count(counts.accepted)} mails to ${count(counts.recipients)} addresses; ${count(lost)} missing, ${count(counts.twice)} twice.`,
  );
  out('');
  out('The same from the table, which anyone with psql may ask:');
  for (const query of demoQueries(name, mails[0]?.to ?? '')) {
    out('');
    for (const line of query.split('\n')) out(`  ${line}`);
    out('');
    for (const line of await answerOf(app, query)) out(`  ${printable(line)}`);
  }
  for (const line of nextLines(context, name, mails)) out(line);
}

const rounded = (seconds: number) => Math.round(seconds * 1000) / 1000;

/** How this program was called, so that what is shown can be typed. */
function program(): string {
  return process.env.npm_execpath !== undefined || import.meta.filename.endsWith('.ts')
    ? 'npx sendstate'
    : 'sendstate';
}

function nextLines({ config }: Context, name: string, mails: readonly KeptMail[]): string[] {
  const run = program();
  // Elsewhere the commands would ask the database of DATABASE_URL, which knows nothing of the demo.
  const here = config.databaseUrl === undefined ? run : `DATABASE_URL="$(${run} db url)" ${run}`;
  const kept = mails.map(({ to, html, eml }) => `  ${html ?? eml}  to ${printable(to)}`);
  return [
    '',
    ...(kept.length === 0
      ? []
      : ['Some of the mails, for a browser (the .eml beside it is for a mail program):']),
    ...kept,
    '',
    'Next:',
    `  ${here} status ${name}`,
    `  ${here} recipients ${name} --csv > people-sent.csv`,
    `  psql "$(${run} db url)"`,
    `  ${run} --help`,
    `PostgreSQL goes on running, with its files in ${config.embedded.directory}. Stop it: ${run} db stop`,
  ];
}

/** `demo` */
export function registerDemo(program: Command, contextOf: (command: Command) => Context): void {
  program
    .command('demo')
    .description(
      'the whole job with nothing installed: a database, a mail server that takes everything, 10,000 people',
    )
    .option('--recipients <n>', 'how many of the people in examples/people.csv', integer(1, PEOPLE), PEOPLE)
    .option('--keep <n>', 'how many of the mails to keep as .eml and .html', integer(0, PEOPLE), 3)
    .option('--out <directory>', 'where to keep them', 'sendstate-demo')
    .option('--json', 'print one JSON object')
    .action((flags: DemoFlags, command: Command) => runDemo(contextOf(command), flags));
}
