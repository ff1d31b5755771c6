import { createServer, type Socket } from 'node:net';
import { CaptureSession } from '../src/capture/capture-session.ts';
import { now } from './clock.ts';
import { type Expected, SinkBook } from './sink-book.ts';

/*
 * The other end of every run, a process of its own: takes mails, counts them by recipient, reads them, refuses those that
 * it is told to refuse, and answers as late as it is told. Spoken to in messages; ends when its channel closes.
 */

export type SinkRequest =
  | { readonly kind: 'begin'; readonly expected: Expected; readonly delayMs: number }
  | { readonly kind: 'accepted' }
  | { readonly kind: 'has'; readonly number: number }
  | { readonly kind: 'seen' };

const book = new SinkBook(now);
const sockets = new Set<Socket>();
let delayMs = 0;

const server = createServer({ noDelay: true }, (socket) => {
  sockets.add(socket);
  socket.on('close', () => sockets.delete(socket));
  new CaptureSession(socket, { replyDelayMs: delayMs }, book);
});

function answer(request: SinkRequest): object {
  switch (request.kind) {
    case 'begin':
      // A client that is still connected belongs to the run before.
      for (const socket of sockets) socket.destroy();
      delayMs = request.delayMs;
      book.begin(request.expected);
      return {};
    case 'accepted':
      return { accepted: book.accepted };
    case 'has':
      return { has: book.has(request.number) };
    case 'seen':
      return book.seen();
  }
}

process.on('message', (request: SinkRequest) => void process.send?.(answer(request)));
process.on('disconnect', () => process.exit());
// Ctrl-C reaches every process in the terminal; the driver ends this process when it has what it needs.
process.on('SIGINT', () => undefined);
server.listen({ port: 0, host: '127.0.0.1', backlog: 511 }, () => {
  const address = server.address();
  process.send?.({ port: typeof address === 'object' && address !== null ? address.port : 0 });
});
