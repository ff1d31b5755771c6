import { readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { type CaptureOptions, type CaptureServer, startCapture } from '../../src/capture/capture.ts';
import { type FreshDatabase, type FreshOptions, freshDatabase } from './database.ts';
import { type CliOptions, type CliProcess, type Ended, endProcesses, runCli, startCli } from './process.ts';
import { makeScratch, removeScratch } from './scratch.ts';

/** A directory with files in it, a database and a relay: what a person has in front of them. */
export interface Shell {
  readonly fresh: FreshDatabase;
  readonly relay: CaptureServer;
  readonly directory: string;
  readonly env: Readonly<Record<string, string>>;
  run(args: readonly string[], options?: CliOptions): Promise<Ended>;
  start(args: readonly string[], options?: CliOptions): Promise<CliProcess>;
  write(file: string, content: string | Buffer): Promise<string>;
  read(file: string): Promise<string>;
  end(): Promise<void>;
}

export async function startShell(capture: CaptureOptions = {}, database: FreshOptions = {}): Promise<Shell> {
  const fresh = await freshDatabase(database);
  const relay = await startCapture(capture);
  const directory = await makeScratch('cli');
  const env = { DATABASE_URL: fresh.url, SMTP_URL: `${relay.url}?connections=2` };
  const options = (more: CliOptions = {}) => ({ cwd: directory, ...more, env: { ...env, ...more.env } });
  return {
    fresh,
    relay,
    directory,
    env,
    run: (args, more) => runCli(args, options(more)),
    start: (args, more) => startCli(args, options(more)),
    write: async (file, content) => {
      await writeFile(path.join(directory, file), content);
      return file;
    },
    read: (file) => readFile(path.join(directory, file), 'utf8'),
    end: async () => {
      await endProcesses();
      await relay.close();
      await fresh.drop();
      await removeScratch(directory);
    },
  };
}
