import { median, say } from './server.ts';
import { startCaptureSink } from './sink.ts';
import { Child } from './speed-child.ts';
import type { Job, Run } from './speed-client.ts';

const proxy = new URL('./distance.ts', import.meta.url);
const client = new URL('./speed-client.ts', import.meta.url);

/** Round trips, milliseconds: another city, another continent, the other side of the world. */
const ROUND_TRIPS = [20, 80, 200];

/** How a mail is spoken, and about how many mails a round trip carries: only to choose how many to measure. */
const WAYS = [
  { name: 'nodemailer', transport: 'nodemailer', mode: 'auto', perRoundTrip: 0.5 },
  { name: 'serial', transport: 'smtp', mode: 'serial', perRoundTrip: 0.25 },
  { name: 'grouped', transport: 'smtp', mode: 'grouped', perRoundTrip: 1 },
  { name: 'chunked', transport: 'smtp', mode: 'chunked', perRoundTrip: 16 },
] as const;

type Way = (typeof WAYS)[number]['name'];

export interface DistanceOptions {
  /** Seconds that one measurement may take, about. */
  readonly seconds: number;
  /** Mails at least, whatever time they take. */
  readonly least: number;
  /** Measurements of each, of which the median counts. */
  readonly rounds: number;
}

/** Mails at most: beyond, a figure gets no steadier. */
const MOST = 2_000;

/** Mails per second over one connection, by round trip and way. */
export type DistanceRates = Readonly<Record<number, Readonly<Record<Way, number>>>>;

/**
 * Measures every way of speaking to a relay behind a line of each length, one connection each. The four ways of one
 * line run at the same time: they wait nearly always, and do not wait for each other.
 */
export async function measureDistance(options: DistanceOptions): Promise<DistanceRates> {
  const sink = await startCaptureSink();
  const clients = WAYS.map((way) => ({ way, child: Child.start(client) }));
  const rates: Record<number, Record<Way, number>> = {};
  let sent = 0;
  try {
    for (const roundTrip of ROUND_TRIPS) {
      const line = Child.start(proxy, [String(sink.port), String(roundTrip)]);
      try {
        const { port } = await line.next<{ port: number }>();
        const found = clients.map(async ({ way, child }) => {
          const wanted = Math.round((options.seconds * 1000 * way.perRoundTrip) / roundTrip);
          const count = Math.min(Math.max(wanted, options.least), MOST);
          const runs: number[] = [];
          for (let round = 0; round < options.rounds; round++) {
            const job: Job = {
              kind: 'distance',
              watched: { postgres: null, sink: null },
              count,
              transport: way.transport,
              to: { port, query: `connections=1&mode=${way.mode}` },
            };
            runs.push(count / (await child.ask<Run>(job)).seconds);
            sent += count + 1;
          }
          return [way.name, median(runs)] as const;
        });
        rates[roundTrip] = Object.fromEntries(await Promise.all(found)) as Record<Way, number>;
        say(
          `${roundTrip} ms away, one connection: ${WAYS.map(({ name }) => `${name} ${rates[roundTrip]?.[name].toFixed(1)}`).join(', ')} mails/s`,
        );
      } finally {
        await line.stop();
      }
    }
    const accepted = await sink.accepted(sent);
    if (accepted !== sent) throw new Error(`${sent} mails went over the lines, ${accepted} arrived`);
  } finally {
    await Promise.all(clients.map(({ child }) => child.stop()));
    await sink.stop();
  }
  return rates;
}
