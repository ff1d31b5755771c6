import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import type { Command } from 'commander';
import { type CaptureOptions, type CaptureServer, startCapture } from '../capture/capture.ts';
import { messageOf, SendstateError } from '../errors.ts';
import type { Context } from './context.ts';
import { makeDirectory } from './directory.ts';
import { integer } from './options.ts';

interface CaptureFlags {
  readonly port: number;
  readonly directory?: string;
  readonly keep: number;
}

/** What a capture process tells its parent, if it has one. */
export type CaptureMessage =
  | { readonly kind: 'listening'; readonly url: string }
  | {
      readonly kind: 'counts';
      readonly accepted: number;
      readonly recipients: number;
      readonly messageIds: number;
      readonly twice: number;
    };

function tell(message: CaptureMessage): void {
  process.send?.(message);
}

async function listen(options: CaptureOptions & { readonly port: number }): Promise<CaptureServer> {
  try {
    return await startCapture(options);
  } catch (error) {
    const { port } = options;
    throw new SendstateError(
      'capture-port',
      `Cannot listen at 127.0.0.1, port ${port}: ${messageOf(error)}`,
      {
        hint: 'Take another above 1024, or 0 for any free one: --port 0',
        cause: error,
      },
    );
  }
}

async function runCapture(context: Context, flags: CaptureFlags): Promise<void> {
  const { directory } = flags;
  if (directory !== undefined) await makeDirectory('--directory', directory);
  const writing: Promise<void>[] = [];
  let kept = 0;
  const server = await listen({
    port: flags.port,
    onMail: ({ raw }) => {
      if (directory === undefined || kept >= flags.keep) return;
      kept++;
      // The bytes are valid during this call only.
      writing.push(writeFile(path.join(directory, `${kept}.eml`), Buffer.from(raw)));
    },
  });
  const counts = (): CaptureMessage & { kind: 'counts' } => ({
    kind: 'counts',
    accepted: server.accepted,
    recipients: server.recipients.size,
    messageIds: server.messageIds.size,
    twice: [...server.recipients.values()].reduce((sum, times) => sum + times - 1, 0),
  });
  const end = Promise.withResolvers<void>();
  process.on('message', (message) => {
    if (message === 'counts') tell(counts());
    if (message === 'stop') end.resolve();
  });
  process.on('disconnect', () => end.resolve());
  context.signal.addEventListener('abort', () => end.resolve(), { once: true });
  context.err(`Taking every mail at ${server.url} and delivering none; stop with Ctrl-C.`);
  tell({ kind: 'listening', url: server.url });
  await end.promise;
  await Promise.all(writing);
  await server.close();
  const { kind: _, ...result } = counts();
  context.out(
    context.json ? JSON.stringify(result) : `${result.accepted} mails to ${result.recipients} addresses.`,
  );
}

/** `capture` */
export function registerCapture(program: Command, contextOf: (command: Command) => Context): void {
  program
    .command('capture')
    .description('a local SMTP server that takes every mail and delivers none, to try things out')
    .option('--port <n>', 'on 127.0.0.1', integer(0, 65_535), 2525)
    .option('--directory <directory>', 'write the first mails there as 1.eml, 2.eml …')
    .option('--keep <n>', 'how many to write', integer(1, 100_000), 100)
    .option('--json', 'print one JSON object at the end')
    .action((flags: CaptureFlags, command: Command) => runCapture(contextOf(command), flags));
}
