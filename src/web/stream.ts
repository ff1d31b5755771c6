import type { Feed, Topic } from './feed.ts';

/** Pieces that may wait for a reader who is slow; then it is cut off and comes again by itself for the whole state. */
const WAITING_PIECES = 64;
/** Milliseconds that a browser waits before it comes again. */
const COME_AGAIN_MS = 1_000;

/** The feed as server-sent events. @param hangUp ends the connection at once, with all that still waits for it */
export function eventStream(feed: Feed, topic: Topic, hangUp: () => void): Response {
  let end = () => {};
  let full = false;
  const body = new ReadableStream<Uint8Array>(
    {
      start: (controller) => {
        const write = (text: string): boolean => {
          full = (controller.desiredSize ?? 0) <= 0;
          if (full) return false;
          controller.enqueue(encoder.encode(text));
          return true;
        };
        write(`retry: ${COME_AGAIN_MS}\n\n`);
        end = feed.watch(
          topic,
          (event, data) => write(`event: ${event}\ndata: ${data}\n\n`),
          // A laptop that sleeps would hold what waits for it, and its connection, for hours.
          () => (full ? hangUp() : controller.close()),
        );
      },
      cancel: () => end(),
    },
    { highWaterMark: WAITING_PIECES },
  );
  return new Response(body, {
    headers: {
      'content-type': 'text/event-stream; charset=utf-8',
      // nginx collects answers otherwise.
      'x-accel-buffering': 'no',
    },
  });
}

const encoder = new TextEncoder();
