import { mkdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import type { Command } from 'commander';
import { cancel } from '../api/lifecycle.ts';
import { importPeople } from '../api/recipients.ts';
import { type App, open } from '../api/sendstate.ts';
import { send } from '../api/work.ts';
import { messageOf, SendstateError } from '../errors.ts';
import { bar, count, printable } from '../report/format.ts';
import { parseRelay } from '../smtp/relay.ts';
import type { Context } from './context.ts';
import { cancelAbandoned, createDemo, firstPeople } from './demo-campaign.ts';
import { CaptureProcess } from './demo-capture.ts';
import { type Done, program, report } from './demo-report.ts';
import { integer } from './options.ts';
import { Painter } from './painter.ts';
import { wordsOf } from './words.ts';
import { keepPainting } from './working.ts';

/** Rows in people.csv. */
const PEOPLE = 10_000;
interface DemoFlags {
  readonly recipients: number;
  readonly keep: number;
  readonly out: string;
}

async function runDemo(context: Context, flags: DemoFlags): Promise<void> {
  const { embedded, databaseUrl } = context.config;
  if (databaseUrl !== undefined)
    context.err('DATABASE_URL and SMTP_URL are not used: the demo brings a database and a relay of its own.');
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
      // It must not be found running later, with a relay that delivers.
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

async function sendDemo(
  context: Context,
  app: App,
  name: string,
  capture: CaptureProcess,
  limit: number,
): Promise<Done> {
  const signal = AbortSignal.any([context.signal, capture.gone]);
  const painter = new Painter(context);
  let stopPainting = () => painter.clear();
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
    stopPainting = keepPainting(app, name, painter);
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
    stopPainting();
  }
}

/** `demo` */
export function registerDemo(parent: Command, contextOf: (command: Command) => Context): void {
  parent
    .command('demo')
    .description(
      'the whole job with nothing installed: a database, a mail server that takes everything, 10,000 people',
    )
    .option('--recipients <n>', 'how many of the people in examples/people.csv', integer(1, PEOPLE), PEOPLE)
    .option('--keep <n>', 'how many of the mails to keep as .eml and .html', integer(1, PEOPLE), 3)
    .option('--out <directory>', 'where to keep them', 'sendstate-demo')
    .option('--json', 'print one JSON object')
    .action((flags: DemoFlags, command: Command) => runDemo(contextOf(command), flags));
}
