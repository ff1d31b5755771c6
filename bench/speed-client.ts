import { open } from '../src/api/sendstate.ts';
import { send } from '../src/api/work.ts';
import { createDeliverer, type TransportName } from '../src/smtp/choose.ts';
import type { Deliverer } from '../src/smtp/deliverer.ts';
import { parseRelay } from '../src/smtp/relay.ts';
import { type CpuReading, cpuBetween, readCpu, type Watched } from './speed-cpu.ts';
import { person, preBuilt } from './speed-people.ts';
import { runTextbook } from './speed-textbook.ts';

/*
 * What is measured, in a process of its own that stays for all rounds: each contender has one, so that none works in another's
 * memory. Told a job it does it and answers with a Run.
 */

/** A relay at this port of 127.0.0.1; `query` as in SMTP_URL. */
interface To {
  readonly port: number;
  readonly query: string;
}

export type Job = { readonly watched: Watched } & (
  | { readonly kind: 'whole'; readonly databaseUrl: string; readonly campaign: string; readonly to: To }
  | {
      readonly kind: 'textbook';
      readonly databaseUrl: string;
      readonly port: number;
      readonly connections: number;
    }
  | { readonly kind: 'blast'; readonly count: number; readonly to: To }
  | { readonly kind: 'distance'; readonly count: number; readonly transport: TransportName; readonly to: To }
);

export interface Run {
  readonly seconds: number;
  readonly cpu: CpuReading;
}

async function measured(watched: Watched, work: () => Promise<void>): Promise<Run> {
  const before = readCpu(watched);
  const start = performance.now();
  await work();
  const seconds = (performance.now() - start) / 1000;
  return { seconds, cpu: cpuBetween(before, readCpu(watched)) };
}

const relayAt = ({ port, query }: To) => parseRelay(`smtp://127.0.0.1:${port}?${query}`);

/** The whole job as done with the library: from a campaign with people in it until it is finished. */
async function whole(job: Job & { kind: 'whole' }): Promise<Run> {
  const app = await open({ databaseUrl: job.databaseUrl, max: 6 });
  try {
    return await measured(job.watched, async () => {
      const end = await send(app, job.campaign, { relay: relayAt(job.to) });
      if (end !== 'ended') throw new Error(`the campaign stopped: ${end}`);
    });
  } finally {
    await app.close();
  }
}

const raw = preBuilt();

/** Hands over `count` mails, as many at once as the deliverer has use for, and waits until all are accepted. */
function pour(deliverer: Deliverer, count: number): Promise<void> {
  return new Promise((resolve, reject) => {
    let handed = 0;
    let answered = 0;
    const fill = (): void => {
      while (handed < count && handed - answered < deliverer.capacity) {
        const { address } = person(++handed);
        const mail = { from: 'news@example.com', to: address, raw, eightBit: false, smtputf8: false };
        deliverer.deliver(mail, (delivery) => {
          answered++;
          if (delivery.kind !== 'replied') reject(new Error(`${delivery.kind}: ${delivery.why}`));
          else if (delivery.stage !== 'final' || delivery.reply.code !== 250)
            reject(new Error(`${delivery.reply.code} ${delivery.reply.text}`));
          else if (answered === count) resolve();
          else fill();
        });
      }
    };
    fill();
  });
}

/** The same client without anything else: one finished message, no database. */
async function blast({ watched, to, count }: Job & { kind: 'blast' }): Promise<Run> {
  return await measured(watched, async () => {
    const deliverer = createDeliverer(relayAt(to));
    await pour(deliverer, count).finally(() => deliverer.close());
  });
}

/** One connection, which is already there when the clock starts. */
async function distance({ watched, to, count, transport }: Job & { kind: 'distance' }): Promise<Run> {
  const deliverer = createDeliverer(relayAt(to), transport);
  try {
    await pour(deliverer, 1);
    return await measured(watched, () => pour(deliverer, count));
  } finally {
    await deliverer.close();
  }
}

function run(job: Job): Promise<Run> {
  switch (job.kind) {
    case 'whole':
      return whole(job);
    case 'textbook':
      return measured(job.watched, () => runTextbook(job.databaseUrl, job.port, job.connections));
    case 'blast':
      return blast(job);
    case 'distance':
      return distance(job);
  }
}

// An error ends the process, and its last words are with the caller that waits for the answer.
process.on('message', (job: Job) => void run(job).then((result) => process.send?.(result)));
process.on('disconnect', () => process.exit());
