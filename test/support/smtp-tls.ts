import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

function path(name: string): string {
  return fileURLToPath(new URL(`./tls/${name}`, import.meta.url));
}

/** The authority that signed both certificates, as a file for `ca=`. */
export const CA_FILE = path('ca.pem');
/** Key and certificate for localhost and 127.0.0.1, as files. */
export const RELAY_FILES = { key: path('relay.key'), cert: path('relay.pem') };
/** Key and certificate for localhost and 127.0.0.1. */
export const RELAY_TLS = { key: readFileSync(path('relay.key')), cert: readFileSync(path('relay.pem')) };
/** The same names, expired in 2020. */
export const EXPIRED_TLS = {
  key: readFileSync(path('expired.key')),
  cert: readFileSync(path('expired.pem')),
};
