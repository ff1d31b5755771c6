import type { Socket } from 'node:net';
import type { TLSSocket } from 'node:tls';

/** What protects a connection. */
export interface TlsState {
  readonly protocol: string;
  readonly cipher: string;
  /** The certificate was checked and is valid for the relay's name. */
  readonly verified: boolean;
  readonly resumed: boolean;
}

/** The state of a connected socket's TLS; null when it has none. */
export function tlsStateOf(socket: Socket): TlsState | null {
  if (!('getCipher' in socket)) return null;
  const secure = socket as TLSSocket;
  return {
    protocol: secure.getProtocol() ?? 'unknown',
    cipher: secure.getCipher()?.name ?? 'unknown',
    verified: secure.authorized,
    resumed: secure.isSessionReused(),
  };
}
