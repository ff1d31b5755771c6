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
/** A certificate for localhost alone, and one for 127.0.0.1 alone; `ca` is the file for `ca=`. */
export const NAME_TLS = alone('by-name');
export const ADDRESS_TLS = alone('by-address');

function alone(name: string): { key: Buffer; cert: Buffer; ca: string } {
  return {
    key: readFileSync(path(`${name}.key`)),
    cert: readFileSync(path(`${name}.pem`)),
    ca: path(`${name}.pem`),
  };
}
