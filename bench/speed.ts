import { flag, median, say, startBenchServer } from './server.ts';
import { startSink } from './sink.ts';
import type { Run } from './speed-client.ts';
import type { CpuReading } from './speed-cpu.ts';
import { measureDistance } from './speed-distance.ts';
import { measureGrowth } from './speed-growth.ts';
import { preBuilt } from './speed-people.ts';
import { type Contender, Rounds } from './speed-rounds.ts';

/*
 * How fast mails leave the table: the whole job through the public library, against the textbook's worker, against the same
 * client without a database, and against Postfix's own generator; then from far away, and at a million recipients. All in
 * one run, in turn; every run is checked at the sink and in the table.
 *
 *   npm run bench:speed                      about ten minutes
 *   npm run bench:speed -- --json            the last line is JSON
 *   npm run bench:speed -- --quick           less than a minute, to see that it works: its figures mean nothing
 *   npm run bench:speed -- --recipients 50000 --rounds 5 --connections 10 --textbook 5000 --large 1000000
 */
const quick = process.argv.includes('--quick');
const recipients = flag('recipients', quick ? 2_000 : 50_000);
const rounds = flag('rounds', quick ? 1 : 5);
const connections = flag('connections', 10);
const textbook = flag('textbook', quick ? 300 : 5_000);
const large = flag('large', quick ? 5_000 : 1_000_000);
const small = flag('small', quick ? 1_000 : 10_000);

const shown = (value: number) => Math.round(value).toLocaleString('en-US');
const rounded = (value: number, digits: number) => Number(value.toFixed(digits));

interface Medians {
  readonly mailsPerSecond: number;
  /** CPU microseconds a mail, by process. */
  readonly cpu: CpuReading;
}

function mediansOf(name: Contender, runs: readonly Run[]): Medians {
  const cpu = (part: keyof CpuReading) => {
    const found = runs.flatMap((run) => run.cpu[part] ?? []);
    return found.length === 0 ? null : (median(found) / count[name]) * 1e6;
  };
  return {
    mailsPerSecond: median(ratesOf(name, runs)),
    cpu: { client: cpu('client'), postgres: cpu('postgres'), sink: cpu('sink') },
  };
}

const count: Record<Contender, number> = {
  whole: recipients,
  textbook,
  blast: recipients,
  'smtp-source -d': recipients,
  'smtp-source': recipients,
};

/** All contenders, in turn, in an order that moves on by one with every round. */
async function compare(contest: Rounds): Promise<ReadonlyMap<Contender, readonly Run[]>> {
  const runs = new Map(contest.contenders.map((name) => [name, [] as Run[]]));
  for (let round = 0; round <= rounds; round++) {
    const from = round % contest.contenders.length;
    const order = [...contest.contenders.slice(from), ...contest.contenders.slice(0, from)];
    const words: string[] = [];
    for (const name of order) {
      const run = await contest.run(name);
      if (round > 0) runs.get(name)?.push(run);
      words.push(`${name} ${shown(count[name] / run.seconds)}`);
    }
    say(`${round === 0 ? 'warm-up' : `round ${round}`}: ${words.join(', ')} mails/s`);
  }
  for (const name of ['whole', 'textbook'] as const) {
    const seen = await contest.verify(name);
    say(
      `verified ${name}: ${seen.accepted} mails to ${seen.recipients} of ${count[name]} recipients, ${seen.twice} twice, every body read`,
    );
  }
  return runs;
}

const ratesOf = (name: Contender, runs: readonly Run[]) => runs.map(({ seconds }) => count[name] / seconds);

/** The median of the rounds' own ratios: what slows the machine down for a while slows both sides of a round. */
function ratioTo(name: Contender, runs: ReadonlyMap<Contender, readonly Run[]>): number {
  const theirs = ratesOf(name, runs.get(name) ?? []);
  const ours = ratesOf('whole', runs.get('whole') ?? []);
  return rounded(median(ours.map((rate, round) => rate / (theirs[round] ?? Number.NaN))), 3);
}

function printTable(runs: ReadonlyMap<Contender, readonly Run[]>): void {
  const micro = (value: number | null) => (value === null ? '–' : value.toFixed(1)).padStart(12);
  say(
    `\n${'CPU, µs a mail'.padStart(57)}\n${'contender'.padEnd(16)}${'mails'.padStart(9)}${'mails/s'.padStart(10)}${'client'.padStart(12)}${'postgres'.padStart(12)}${'sink'.padStart(12)}`,
  );
  for (const [name, found] of runs) {
    const { mailsPerSecond, cpu } = mediansOf(name, found);
    say(
      `${name.padEnd(16)}${shown(count[name]).padStart(9)}${shown(mailsPerSecond).padStart(10)}${micro(cpu.client)}${micro(cpu.postgres)}${micro(cpu.sink)}`,
    );
  }
  say('');
}

async function measure(server: Awaited<ReturnType<typeof startBenchServer>>) {
  const sink = await startSink();
  say(
    `PostgreSQL: ${server.source}; sink: ${sink.name}; ${shown(recipients)} recipients, ${connections} connections, ${preBuilt().length} bytes a mail, median of ${rounds} after a warm-up`,
  );
  try {
    const contest = await Rounds.open({
      databaseUrl: await server.database(),
      textbookUrl: await server.database({ migrated: false }),
      sink,
      count,
      connections,
    });
    const runs = await compare(contest).finally(() => contest.close());
    printTable(runs);
    const distance = await measureDistance(
      quick ? { seconds: 0.5, least: 4, rounds: 1 } : { seconds: 4, least: 10, rounds: 3 },
    );
    const before = await sink.accepted(0);
    const growth = await measureGrowth({
      databaseUrl: await server.database(),
      port: sink.port,
      connections,
      small,
      large,
      times: quick ? 1 : 4,
    });
    const arrived = (await sink.accepted(before + growth.mails)) - before;
    const far = distance[80];
    if (far === undefined) throw new Error('80 ms were not measured');
    return {
      mailsPerSecond: Math.round(median(ratesOf('whole', runs.get('whole') ?? []))),
      ratioToTextbook: ratioTo('textbook', runs),
      ratioToBlast: ratioTo('blast', runs),
      // As it is run by default, which opens a connection for each mail; with -d it keeps them open, see the table.
      ratioToSmtpSource: runs.has('smtp-source') ? ratioTo('smtp-source', runs) : null,
      distance: {
        grouped: rounded(far.grouped / far.nodemailer, 2),
        chunked: rounded(far.chunked / far.nodemailer, 2),
      },
      rssMb: rounded(growth.rssMb, 1),
      growthRatio: rounded(growth.growthRatio, 3),
      lost: contest.tally.lost + Math.max(0, growth.mails - arrived),
      duplicated: contest.tally.duplicated + Math.max(0, arrived - growth.mails),
    };
  } finally {
    await sink.stop();
  }
}

const server = await startBenchServer();
/** Ctrl-C ends the run, and what was started with it. */
const interrupted = new Promise<never>((_, reject) => {
  for (const signal of ['SIGINT', 'SIGTERM'] as const)
    process.once(signal, () => reject(new Error(`ended by ${signal}`)));
});
try {
  const result = await Promise.race([measure(server), interrupted]);
  say(
    `${shown(result.mailsPerSecond)} mails/s: ${result.ratioToTextbook} × the textbook's worker (12), ${result.ratioToBlast} of a blast without a database (0.5)`,
  );
  say(
    result.ratioToSmtpSource === null
      ? 'smtp-source is not installed (Debian: apt-get install postfix): not compared with it'
      : `${result.ratioToSmtpSource} × smtp-source with as many sessions (1); with -d it keeps its connections open, see the table`,
  );
  say(
    `80 ms away: grouped ${result.distance.grouped} × nodemailer (1.9), chunked ${result.distance.chunked} × (30)`,
  );
  say(
    `${shown(large)} recipients: ${result.rssMb} MB (150), a mail costs ${result.growthRatio} × what it costs at ${shown(small)} (1.1)`,
  );
  say(`lost ${result.lost}, duplicated ${result.duplicated}`);
  if (process.argv.includes('--json')) process.stdout.write(`${JSON.stringify(result)}\n`);
  if (result.lost + result.duplicated > 0) process.exitCode = 1;
} finally {
  await server.stop();
}
