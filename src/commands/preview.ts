import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import type { Command } from 'commander';
import { preview, sendTest } from '../api/mails.ts';
import { SendstateError } from '../errors.ts';
import { printable } from '../report/format.ts';
import { deliveryWords } from '../smtp/deliverer.ts';
import { type Context, relaysOf, withDatabase } from './context.ts';
import { makeDirectory } from './directory.ts';

interface PreviewFlags {
  readonly as?: string;
  readonly out?: string;
}

async function runPreview(context: Context, name: string, flags: PreviewFlags): Promise<void> {
  const shown = await withDatabase(context, (app) => preview(app, name, flags.as));
  const { eml, html, text, ...head } = shown;
  if (flags.out !== undefined) {
    await makeDirectory('--out', flags.out);
    const files = [
      ['mail.eml', eml],
      ['mail.html', html],
      ['mail.txt', text],
    ] as const;
    for (const [file, content] of files) {
      if (content === null) continue;
      await writeFile(path.join(flags.out, file), content);
      context.err(`Wrote ${path.join(flags.out, file)}`);
    }
  }
  if (context.json) context.out(JSON.stringify({ ...head, html, text }));
  else if (flags.out === undefined) {
    context.out(printable(`From: ${head.from}`));
    context.out(printable(`To: ${head.to}`));
    context.out(printable(`Subject: ${head.subject}`));
    context.out('');
    context.out((text ?? html ?? '').replace(/[^\P{Cc}\n\t]/gu, '�'));
  }
}

/** `preview NAME`, `test NAME --to ME` */
export function registerPreview(program: Command, contextOf: (command: Command) => Context): void {
  program
    .command('preview')
    .description('render the mail of one recipient; nothing is sent')
    .argument('<name>', 'the campaign')
    .option('--as <address>', 'whose mail (default: the first recipient)')
    .option('--out <directory>', 'write mail.eml, mail.html and mail.txt there')
    .option('--json', 'print one JSON object')
    .action((name: string, flags: PreviewFlags, command: Command) =>
      runPreview(contextOf(command), name, flags),
    );
  program
    .command('test')
    .description('send one mail to yourself; no recipient changes')
    .argument('<name>', 'the campaign')
    .requiredOption('--to <address>', 'where to')
    .option('--as <address>', 'whose row to render (default: the first recipient)')
    .option('--json', 'print one JSON object')
    .action(async (name: string, { to, as }: { to: string; as?: string }, command: Command) => {
      const context = contextOf(command);
      const [relay, ...others] = relaysOf(context);
      const result = await withDatabase(context, (app) =>
        sendTest(app, name, { to, as, relay, dkim: context.config.dkim }),
      );
      const { delivery, sent } = result;
      const words = deliveryWords(delivery);
      if (context.json) context.out(JSON.stringify({ ...result, words }));
      else if (sent)
        context.out(
          printable(
            `Sent to ${to}, as ${result.renderedFor} would get it. The relay ${others.length === 0 ? '' : `${relay.label} `}said: ${words}`,
          ),
        );
      if (!sent) {
        throw new SendstateError('test-failed', printable(`The mail was not sent. ${words}`), {
          hint: 'See what is wrong with the relay: sendstate doctor',
        });
      }
    });
}
