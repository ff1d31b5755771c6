import { execFile } from 'node:child_process';
import { mkdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { promisify } from 'node:util';
import { sendstateCommand } from '../server.ts';
import { CAMPAIGNS, type CampaignName, DRAFT, type Policies, policyOf } from './campaigns.ts';
import { Importer } from './importer.ts';
import { TEXT } from './people.ts';
import type { SinkProcess } from './process.ts';
import type { TortureServer } from './server.ts';
import { Workers } from './workers.ts';

/** Connections of each worker. */
export const CONNECTIONS = 5;
/** What the client waits for a reply, seconds: short, so that a relay that hangs is given up within a run. */
const COMMAND_TIMEOUT = 4;
export const FINAL_TIMEOUT = 5;
/** No recipient may expire: a temporary failure is never the last one. */
const MAX_ATTEMPTS = 100;

export interface StageOptions {
  readonly policies: Policies;
  readonly workers: number;
  /** Arguments of `sendstate work`. */
  readonly workArguments: readonly string[];
  readonly say: (line: string) => void;
}

/** The campaigns with a draft beside them, and the commands that are given to them. */
export interface Stage {
  readonly campaignIds: Readonly<Record<CampaignName, number>>;
  readonly importer: Importer;
  start(name: CampaignName): Promise<void>;
  startWorkers(): Workers;
}

const execute = promisify(execFile);

export async function setStage(
  server: TortureServer,
  sink: SinkProcess,
  { policies, workers, workArguments, say }: StageOptions,
): Promise<Stage> {
  const cwd = path.join(server.scratch, 'work');
  await mkdir(cwd);
  await writeFile(path.join(cwd, 'text.hbs'), TEXT);
  const env = { DATABASE_URL: server.url };
  const sendstate = async (...args: string[]) => {
    await execute(process.execPath, [...sendstateCommand(), ...args], {
      cwd,
      env: { PATH: process.env.PATH, HOME: cwd, ...env },
    });
  };
  const create = async (name: string, policy: string) => {
    const message = [
      '--from',
      'Torture <news@example.com>',
      '--subject',
      'Hello {{number}}',
      '--text',
      'text.hbs',
    ];
    const retries = [
      '--max-attempts',
      String(MAX_ATTEMPTS),
      '--retry-after',
      '1s',
      '--on-unconfirmed',
      policy,
    ];
    await sendstate('create', name, ...message, ...retries);
    const { rows } = await server.database.pool.query<{ campaign_id: number }>(
      'select campaign_id from campaign where name = $1',
      [name],
    );
    return rows[0]?.campaign_id ?? 0;
  };
  await create(DRAFT, 'resend');
  const [one, other] = CAMPAIGNS;
  const campaignIds = {
    [one]: await create(one, policyOf(one, policies)),
    [other]: await create(other, policyOf(other, policies)),
  };
  const relay = (name: string) =>
    `smtp://127.0.0.1:${sink.port}?name=${name}&connections=${CONNECTIONS}` +
    `&connect-timeout=3&command-timeout=${COMMAND_TIMEOUT}&final-timeout=${FINAL_TIMEOUT}`;
  return {
    campaignIds,
    importer: new Importer({ database: server.database, env, cwd }),
    start: (name) => sendstate('start', name),
    startWorkers: () =>
      new Workers({
        count: workers,
        args: ['work', ...workArguments],
        cwd,
        env: (name) => ({ ...env, SMTP_URL: relay(name) }),
        say,
      }),
  };
}
