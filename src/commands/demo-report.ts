import type { App } from '../api/sendstate.ts';
import { count, printable } from '../report/format.ts';
import type { Context } from './context.ts';
import type { CaptureCounts } from './demo-capture.ts';
import { type KeptMail, unpackMails } from './demo-mail.ts';
import { answerOf, demoQueries } from './demo-tables.ts';

/** How a demo ended, by the counts of the server that took the mails. */
export interface Done {
  readonly recipients: number;
  readonly counts: CaptureCounts;
  readonly importSeconds: number;
  readonly sendSeconds: number;
}

/** Says what happened: one JSON object, or a page for people. Fails the command when a mail is missing or came twice. */
export async function report(
  context: Context,
  app: App,
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
  out('The same from the table, which psql can ask:');
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
export function program(): string {
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
    `PostgreSQL goes on running, for the next command. Stop it: ${run} db stop`,
  ];
}
