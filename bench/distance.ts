import { connect, createServer, type Socket } from 'node:net';

/*
 * A line to somewhere far away, as a process of its own: `node bench/distance.ts PORT ROUND_TRIP_MS`, started with a
 * channel, on which it tells `{ port }`. What comes in on either side goes out on the other half a round trip later, in
 * order and however much it is: the line delays, it does not throttle. It ends when the channel closes.
 */

/** Bytes on their way in one direction before the sender is asked to wait. Far more than any window in use: 64 MiB. */
const MOST_BYTES_UNDERWAY = 64 * 1024 * 1024;

const target = Number(process.argv[2]);
const halfMs = Number(process.argv[3]) / 2;
if (!Number.isInteger(target) || !(halfMs >= 0)) throw new Error('distance.ts PORT ROUND_TRIP_MS');

/** Carries what `from` says to `to`, each piece when it is due; `null` is the end of the stream. */
function carry(from: Socket, to: Socket): void {
  const underway: { readonly due: number; readonly piece: Buffer | null }[] = [];
  let bytes = 0;
  let timer: NodeJS.Timeout | null = null;
  const arrive = (): void => {
    timer = null;
    const now = performance.now();
    while (underway.length > 0) {
      const next = underway[0] as (typeof underway)[number];
      // Timers count in whole milliseconds: half of one early is nearer than half of one late.
      if (next.due > now + 0.5) break;
      underway.shift();
      if (next.piece === null) {
        to.end();
      } else {
        bytes -= next.piece.length;
        to.write(next.piece);
      }
    }
    if (bytes < MOST_BYTES_UNDERWAY && from.isPaused()) from.resume();
    const [first] = underway;
    if (first !== undefined) timer = setTimeout(arrive, Math.max(0, first.due - now));
  };
  const leave = (piece: Buffer | null): void => {
    underway.push({ due: performance.now() + halfMs, piece });
    bytes += piece?.length ?? 0;
    if (bytes >= MOST_BYTES_UNDERWAY) from.pause();
    timer ??= setTimeout(arrive, halfMs);
  };
  from.on('data', leave);
  from.on('end', () => leave(null));
  // A line that breaks breaks on both sides, at once.
  from.on('error', () => to.resetAndDestroy());
  to.on('close', () => {
    if (timer !== null) clearTimeout(timer);
  });
}

const server = createServer({ allowHalfOpen: true, noDelay: true }, (near) => {
  const far = connect({ port: target, host: '127.0.0.1', allowHalfOpen: true, noDelay: true });
  carry(near, far);
  carry(far, near);
});
server.listen(0, '127.0.0.1', () => {
  const address = server.address();
  process.send?.({ port: typeof address === 'object' ? address?.port : 0 });
});
process.on('disconnect', () => process.exit());
