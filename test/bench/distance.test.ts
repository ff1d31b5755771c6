import { connect, createServer, type Server, type Socket } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { Child } from '../../bench/speed-child.ts';

const proxy = new URL('../../bench/distance.ts', import.meta.url);
const ROUND_TRIP_MS = 60;
/** Timers count in whole milliseconds, and a piece may be carried half of one early in each direction. */
const EARLY_MS = 2;

const ends: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end();
});

/** Behind the line: whatever `talk` does with a connection. Returns the near end. */
async function far(talk: (socket: Socket) => void): Promise<Socket> {
  const server: Server = createServer({ allowHalfOpen: true }, talk);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  ends.push(() => new Promise((resolve) => server.close(() => resolve())));
  const { port } = server.address() as { port: number };
  const line = Child.start(proxy, [String(port), String(ROUND_TRIP_MS)]);
  ends.push(() => line.stop());
  const near = connect({
    port: (await line.next<{ port: number }>()).port,
    host: '127.0.0.1',
    allowHalfOpen: true,
  });
  ends.push(async () => void near.destroy());
  await new Promise<void>((resolve) => near.once('connect', resolve));
  return near;
}

/** Reads until the other side ends. */
async function all(socket: Socket): Promise<Buffer> {
  const pieces: Buffer[] = [];
  // Not `for await`, which would destroy the socket at the end although it may still be written to.
  socket.on('data', (piece: Buffer) => pieces.push(piece));
  await new Promise<void>((resolve) => socket.once('end', resolve));
  return Buffer.concat(pieces);
}

describe('the line to somewhere far away', () => {
  it('takes a round trip for a question and its answer', async () => {
    const near = await far((socket) => socket.pipe(socket));
    for (let question = 0; question < 5; question++) {
      const start = performance.now();
      near.write('?');
      await new Promise((resolve) => near.once('data', resolve));
      expect(performance.now() - start).toBeGreaterThan(ROUND_TRIP_MS - EARLY_MS);
    }
  });

  it('carries everything, in order, and does not make a piece wait for the one before', async () => {
    const near = await far((socket) => socket.pipe(socket));
    const back = all(near);
    const sent: Buffer[] = [];
    const start = performance.now();
    for (let i = 0; i < 400; i++) {
      const piece = Buffer.alloc(1 + ((i * 7919) % 20_000), i % 256);
      sent.push(piece);
      near.write(piece);
      // Every piece leaves on its own, so that there are hundreds on their way.
      await new Promise(setImmediate);
    }
    near.end();
    expect((await back).equals(Buffer.concat(sent))).toBe(true);
    // One after the other they would take 400 round trips, 24 seconds.
    expect(performance.now() - start).toBeLessThan(100 * ROUND_TRIP_MS);
  });

  it('carries the end of one direction and leaves the other open', async () => {
    const near = await far((socket) => {
      // It answers only after the end of the question.
      void all(socket).then((question) => socket.end(`heard ${question.length}`));
    });
    near.end('a question');
    expect((await all(near)).toString()).toBe('heard 10');
  });

  it('breaks on both sides when one side breaks', async () => {
    const accepted = Promise.withResolvers<Socket>();
    const near = await far((socket) => accepted.resolve(socket));
    const there = await accepted.promise;
    const broken = new Promise<NodeJS.ErrnoException>((resolve) => there.once('error', resolve));
    there.resume();
    near.resetAndDestroy();
    expect((await broken).code).toBe('ECONNRESET');
  });
});
