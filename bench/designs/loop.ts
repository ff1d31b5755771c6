import { createWriteStream } from 'node:fs';
import { mkdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { createTransport } from 'nodemailer';
import type { Consuming, Design, Person, Place } from '../contract.ts';
import { MESSAGE, RENDERED } from '../list.ts';

/*
 * No queue: a file, and for each row sendMail(). It is what people complain about, so it is here as they write it. Nothing
 * remembers where it was; a process that died begins at the first row again.
 */
const folderOf = ({ run }: Place) => path.join(tmpdir(), `sendstate-bench-loop-${run}`);
const fileOf = (place: Place) => path.join(folderOf(place), 'people.jsonl');

async function publish(place: Place, people: AsyncIterable<readonly Person[]>): Promise<void> {
  async function* lines() {
    for await (const piece of people) yield piece.map((one) => `${JSON.stringify(one)}\n`).join('');
  }
  await pipeline(Readable.from(lines()), createWriteStream(fileOf(place)));
}

async function read(place: Place): Promise<readonly Person[]> {
  const text = await readFile(fileOf(place), 'utf8');
  return text
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as Person);
}

/** One after the other, through nodemailer as it comes; a failure is written to the terminal and forgotten. */
async function sendEach(place: Place, { relay, signal }: Consuming): Promise<void> {
  if (relay === undefined || relay === null) throw new Error('the loop sends mail: it needs a relay');
  const { hostname: host, port } = new URL(relay);
  const transport = createTransport({ host, port: Number(port) });
  for (const { address, vars } of await read(place)) {
    if (signal.aborted) return;
    try {
      await transport.sendMail({
        from: MESSAGE.from,
        to: address,
        subject: RENDERED.subject(vars),
        text: RENDERED.text(vars),
        html: RENDERED.html(vars),
      });
    } catch (error) {
      process.stderr.write(`${address}: ${(error as Error).message}\n`);
    }
  }
}

/** The same loop with the client of all other designs, as many at once as that has use for. */
async function handOver(place: Place, { deliver, capacity, signal }: Consuming): Promise<void> {
  const people = await read(place);
  const all = Promise.withResolvers<void>();
  let next = 0;
  let inFlight = 0;
  const fill = (): void => {
    while (inFlight < capacity && next < people.length && !signal.aborted) {
      const person = people[next++] as Person;
      inFlight++;
      deliver(person, () => {
        inFlight--;
        fill();
      });
    }
    if (inFlight === 0) all.resolve();
  };
  fill();
  await all.promise;
}

const shared = {
  broker: 'none',
  tiers: ['C'],
  cannotTell: 'Anything: how far it is, who got no mail, where to go on. Only its log knows, if it was kept.',
  afterConsumerKilled: 'starts again',
  prepare: async (place: Place) => {
    await mkdir(folderOf(place), { recursive: true });
  },
  publish,
  standing: async () => ({ waiting: null, inFlight: null, sent: null, rejected: null, retrying: null }),
  deadLetters: async () => null,
  stopOne: async () => null,
  pause: async () => false,
  resume: async () => false,
  dispose: async (place: Place) => await rm(folderOf(place), { recursive: true, force: true }),
} as const satisfies Partial<Design>;

export const loop: Design = {
  ...shared,
  name: 'loop',
  oneAtATime: true,
  guarantees:
    'Nothing. A temporary failure is a person without a mail; a process that is started again sends to every person again.',
  consume: sendEach,
};

export const loopFast: Design = {
  ...shared,
  name: 'loop-fast',
  guarantees:
    'Nothing, as the loop; but with the SMTP client and the compiled message that the other designs have.',
  consume: handOver,
};
