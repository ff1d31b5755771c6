import { readFileSync } from 'node:fs';

/** This package's version, from its package.json: one level above src/ as above dist/. */
export const VERSION: string = (() => {
  const { version } = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')) as {
    version: string;
  };
  return version;
})();
