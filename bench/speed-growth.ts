import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { text } from 'node:stream/consumers';
import { open } from '../src/api/sendstate.ts';
import { median, say, sendstateCommand } from './server.ts';
import { checkTable, prepareCampaign, quiet } from './speed-campaign.ts';
import { Child } from './speed-child.ts';
import type { Job, Run } from './speed-client.ts';

export interface GrowthOptions {
  readonly databaseUrl: string;
  readonly port: number;
  readonly connections: number;
  /** Recipients of the small campaigns and of the large one. */
  readonly small: number;
  readonly large: number;
  /** Small campaigns before and after the large one; one more before them is discarded. */
  readonly times: number;
}

export interface GrowthFigures {
  /** Seconds from start to finish by the database's clock: the median of the small campaigns, and the large one. */
  readonly smallSeconds: number;
  readonly largeSeconds: number;
  /** What a mail of the large campaign cost, in mails of a small one. */
  readonly growthRatio: number;
  /** Peak resident memory of `sendstate send` during the large campaign, in units of 10^6 bytes. */
  readonly rssMb: number;
  /** Mails that were sent. */
  readonly mails: number;
}

const reportPeak = new URL('./report-peak.mjs', import.meta.url).href;

/**
 * Small campaigns by a process that is warm, before and after the large one; the large one by the command line, as
 * people do it. All lie in one database, and every one is timed by the database's clock.
 */
export async function measureGrowth(options: GrowthOptions): Promise<GrowthFigures> {
  const { databaseUrl, port, connections, small, large, times } = options;
  const app = await open({ databaseUrl });
  const client = Child.start(new URL('./speed-client.ts', import.meta.url));
  const seconds: number[] = [];
  const sendSmall = async (name: string) => {
    await prepareCampaign(app, name, small);
    const job: Job = {
      kind: 'whole',
      watched: { postgres: null, sink: null },
      databaseUrl,
      campaign: name,
      to: { port, query: `connections=${connections}` },
    };
    await client.ask<Run>(job);
    return await checkTable(app, name, small);
  };
  try {
    await prepareCampaign(app, 'large', large);
    await sendSmall('warm-up');
    for (let i = 0; i < times; i++) seconds.push(await sendSmall(`before-${i}`));
    await quiet(app);
    const rssMb = await sendLarge(databaseUrl, `smtp://127.0.0.1:${port}?connections=${connections}`);
    const largeSeconds = await checkTable(app, 'large', large);
    for (let i = 0; i < times; i++) seconds.push(await sendSmall(`after-${i}`));
    const smallSeconds = median(seconds);
    const growthRatio = largeSeconds / large / (smallSeconds / small);
    say(
      `${small} recipients in ${smallSeconds.toFixed(2)} s (median of ${seconds.length}), ${large} in ${largeSeconds.toFixed(2)} s with ${Math.round(rssMb)} MB at most`,
    );
    return { smallSeconds, largeSeconds, growthRatio, rssMb, mails: large + (2 * times + 1) * small };
  } finally {
    await client.stop();
    await app.close();
  }
}

/** `sendstate send large`; returns its peak resident memory. */
async function sendLarge(databaseUrl: string, smtpUrl: string): Promise<number> {
  // An empty folder: no .env is read.
  const cwd = await mkdtemp(path.join(tmpdir(), 'sendstate-bench-send-'));
  try {
    const child = spawn(
      process.execPath,
      ['--import', reportPeak, ...sendstateCommand(), 'send', 'large', '--json'],
      {
        cwd,
        env: { ...process.env, DATABASE_URL: databaseUrl, SMTP_URL: smtpUrl },
        stdio: ['ignore', 'ignore', 'pipe'],
      },
    );
    const exited = once(child, 'exit');
    const stderr = await text(child.stderr);
    const [code] = await exited;
    const peakKb = Number(/^peak-rss-kb (\d+)$/m.exec(stderr)?.[1]);
    if (code !== 0 || Number.isNaN(peakKb)) throw new Error(`sendstate send failed (${code}): ${stderr}`);
    return (peakKb * 1024) / 1e6;
  } finally {
    await rm(cwd, { recursive: true, force: true });
  }
}
