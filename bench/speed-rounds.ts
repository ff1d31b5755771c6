import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { type App, open } from '../src/api/sendstate.ts';
import { findProgram } from './installed.ts';
import type { Sink } from './sink.ts';
import { checkTable, prepareCampaign } from './speed-campaign.ts';
import { Child } from './speed-child.ts';
import type { Job, Run } from './speed-client.ts';
import { cpuBetween, endedChildrenSeconds, postmasterOf, readCpu } from './speed-cpu.ts';
import { preBuilt } from './speed-people.ts';
import { fillTextbook, textbookSent } from './speed-textbook.ts';
import type { Seen } from './speed-verify.ts';

export const CONTENDERS = ['whole', 'textbook', 'blast', 'smtp-source -d', 'smtp-source'] as const;
export type Contender = (typeof CONTENDERS)[number];

export interface Setting {
  readonly databaseUrl: string;
  readonly textbookUrl: string;
  readonly sink: Sink;
  /** Mails of a run. */
  readonly count: Readonly<Record<Contender, number>>;
  readonly connections: number;
}

/** What went wrong with mails, over all runs. */
export interface Tally {
  lost: number;
  duplicated: number;
}

const program = (name: string) => new URL(name, import.meta.url);

/** The contenders of the rounds, each with its process and its people, and what all their runs together lost or sent twice. */
export class Rounds {
  readonly tally: Tally = { lost: 0, duplicated: 0 };
  readonly #setting: Setting;
  readonly #app: App;
  readonly #textbook: App;
  readonly #postgres: number | null;
  readonly #clients = new Map<Contender, Child>();
  #accepted = 0;
  #campaigns = 0;

  private constructor(setting: Setting, app: App, textbook: App, postgres: number | null) {
    this.#setting = setting;
    this.#app = app;
    this.#textbook = textbook;
    this.#postgres = postgres;
  }

  static async open(setting: Setting): Promise<Rounds> {
    const app = await open({ databaseUrl: setting.databaseUrl });
    const textbook = await open({ databaseUrl: setting.textbookUrl, check: false });
    return new Rounds(setting, app, textbook, await postmasterOf(app));
  }

  /** Who can run here. */
  get contenders(): readonly Contender[] {
    const source = findProgram('smtp-source') !== null;
    return CONTENDERS.filter((name) => source || !name.startsWith('smtp-source'));
  }

  /** One run against the sink; its mails are counted there, and in the table where there is one. */
  async run(contender: Contender): Promise<Run> {
    const { sink, count } = this.#setting;
    const result = await this.#send(contender, sink.port);
    const expected = count[contender];
    const before = this.#accepted;
    this.#accepted = await sink.accepted(before + expected);
    const arrived = this.#accepted - before;
    this.tally.lost += Math.max(0, expected - arrived);
    this.tally.duplicated += Math.max(0, arrived - expected);
    return result;
  }

  /** The same job for the same people, to a sink that counts by recipient and reads every mail. */
  async verify(contender: 'whole' | 'textbook'): Promise<Seen> {
    const expected = this.#setting.count[contender];
    const reader = Child.start(program('./speed-verify.ts'));
    try {
      const { port } = await reader.next<{ port: number }>();
      await this.#send(contender, port);
      const seen = await reader.ask<Seen>('report');
      if (seen.wrong > 0) throw new Error(`${seen.wrong} mails of ${contender} are wrong: ${seen.why}`);
      if (seen.messageIds !== seen.recipients)
        throw new Error(`${seen.recipients} recipients got ${seen.messageIds} different Message-IDs`);
      this.tally.lost += expected - seen.recipients;
      this.tally.duplicated += seen.twice;
      return seen;
    } finally {
      await reader.stop();
    }
  }

  async close(): Promise<void> {
    await Promise.all([...this.#clients.values()].map((child) => child.stop()));
    await this.#app.close();
    await this.#textbook.close();
  }

  async #send(contender: Contender, port: number): Promise<Run> {
    const { databaseUrl, textbookUrl, count, connections, sink } = this.#setting;
    const watched = { postgres: this.#postgres, sink: sink.pid };
    const people = count[contender];
    const to = { port, query: `connections=${connections}` };
    switch (contender) {
      case 'whole': {
        const campaign = `whole-${++this.#campaigns}`;
        await prepareCampaign(this.#app, campaign, people);
        const run = await this.#ask(contender, { kind: 'whole', watched, databaseUrl, campaign, to });
        await checkTable(this.#app, campaign, people);
        return run;
      }
      case 'textbook': {
        const { pool } = this.#textbook.database;
        await fillTextbook(pool, people);
        const job = { kind: 'textbook', watched, databaseUrl: textbookUrl, port, connections } as const;
        const run = await this.#ask(contender, job);
        const sent = await textbookSent(pool);
        if (sent !== people) throw new Error(`the textbook's table says ${sent} sent, not ${people}`);
        return run;
      }
      case 'blast':
        return await this.#ask(contender, { kind: 'blast', watched, count: people, to });
      default:
        return await this.#source(port, people, contender === 'smtp-source -d' ? ['-d'] : []);
    }
  }

  async #ask(contender: Contender, job: Job): Promise<Run> {
    const known = this.#clients.get(contender);
    const client = known ?? Child.start(program('./speed-client.ts'));
    this.#clients.set(contender, client);
    return await client.ask<Run>(job);
  }

  /** Postfix's own generator, with a message as long as ours. */
  async #source(port: number, count: number, options: readonly string[]): Promise<Run> {
    const file = findProgram('smtp-source');
    if (file === null) throw new Error('smtp-source is not installed');
    const args = ['-s', this.#setting.connections, '-m', count, '-l', preBuilt().length, ...options];
    const ends = ['-f', 'news@example.com', '-t', 'person1@mail1.example.com', `127.0.0.1:${port}`];
    const watched = { postgres: null, sink: this.#setting.sink.pid };
    const before = { ...readCpu(watched), client: endedChildrenSeconds() };
    const start = performance.now();
    const child = spawn(file, [...args.map(String), ...ends], { stdio: ['ignore', 'ignore', 'pipe'] });
    let words = '';
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      words += text;
    });
    const [code] = await once(child, 'exit');
    const seconds = (performance.now() - start) / 1000;
    if (code !== 0) throw new Error(`smtp-source failed (${code}): ${words}`);
    const after = { ...readCpu(watched), client: endedChildrenSeconds() };
    return { seconds, cpu: cpuBetween(before, after) };
  }
}
