import { connect, createServer, type Socket } from 'node:net';

/** A link that a test can cut, freeze or refuse, in front of a relay or a database. */
export interface BadLink {
  readonly port: number;
  /** Connections that are open now. */
  readonly open: number;
  /** Connections taken so far. */
  readonly taken: number;
  /** From now on nothing that the server says reaches the client; what the client says still arrives. */
  freezeReplies(): void;
  /** What was held back goes on, in order. */
  thaw(): void;
  /** Connections that are open now never hear anything again and are not closed, as when the other machine lost its power. */
  strand(): void;
  /** Resets every connection. */
  cut(): void;
  /** Resets every connection and refuses new ones until `accept`. */
  refuse(): void;
  accept(): void;
  /** New connections lead to another port, as after a failover; those that are open stay where they are. */
  leadTo(port: number): void;
  /** Looks at every piece from the client before it goes on; `true` cuts that connection's replies off for good. */
  spy: ((piece: Buffer) => boolean) | null;
  close(): Promise<void>;
}

interface Link {
  readonly client: Socket;
  readonly server: Socket;
  held: Buffer[];
  deaf: boolean;
  stranded: boolean;
}

/** Starts a proxy on 127.0.0.1 to a port of the same machine. */
export async function startProxy(first: number): Promise<BadLink> {
  let to = first;
  const links = new Set<Link>();
  let frozen = false;
  let refusing = false;
  let taken = 0;

  const listener = createServer({ noDelay: true }, (client) => {
    taken++;
    if (refusing) {
      client.resetAndDestroy();
      return;
    }
    const server = connect({ port: to, host: '127.0.0.1', noDelay: true });
    const link: Link = { client, server, held: [], deaf: false, stranded: false };
    links.add(link);
    client.on('data', (piece) => {
      if (link.stranded) return;
      if (proxy.spy?.(piece) === true) link.deaf = true;
      server.write(piece);
    });
    server.on('data', (piece) => {
      if (link.stranded) return;
      if (link.deaf) {
        // The server has answered, so what it was asked is done; the client will never know.
        client.resetAndDestroy();
        server.destroy();
      } else if (frozen) link.held.push(piece);
      else client.write(piece);
    });
    for (const [one, other] of [
      [client, server],
      [server, client],
    ] as const) {
      one.on('error', () => other.destroy());
      one.on('close', () => {
        links.delete(link);
        other.destroy();
      });
    }
  });
  await new Promise<void>((resolve, reject) => {
    listener.once('error', reject);
    listener.listen(0, '127.0.0.1', resolve);
  });
  const address = listener.address();
  if (address === null || typeof address === 'string') throw new Error('the proxy has no port');

  const cut = () => {
    for (const { client, server } of links) {
      client.resetAndDestroy();
      server.destroy();
    }
  };
  const proxy: BadLink = {
    port: address.port,
    get open() {
      return links.size;
    },
    get taken() {
      return taken;
    },
    spy: null,
    freezeReplies: () => {
      frozen = true;
    },
    thaw: () => {
      frozen = false;
      for (const link of links) {
        for (const piece of link.held.splice(0)) link.client.write(piece);
      }
    },
    strand: () => {
      for (const link of links) link.stranded = true;
    },
    cut,
    refuse: () => {
      refusing = true;
      cut();
    },
    accept: () => {
      refusing = false;
    },
    leadTo: (port) => {
      to = port;
    },
    close: async () => {
      const closed = new Promise<void>((resolve) => listener.close(() => resolve()));
      cut();
      await closed;
    },
  };
  return proxy;
}

/** The same URL, through the proxy. */
export function through(url: string, proxy: BadLink): string {
  const changed = new URL(url);
  changed.hostname = '127.0.0.1';
  changed.port = String(proxy.port);
  return changed.href;
}
