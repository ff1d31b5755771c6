import { existsSync } from 'node:fs';
import path from 'node:path';

/** Debian's Chromium on the PATH; undefined: it is not installed. */
export function chromiumPath(): string | undefined {
  const names = ['chromium', 'chromium-browser', 'google-chrome'];
  const places = (process.env.PATH ?? '').split(path.delimiter);
  return places
    .flatMap((place) => names.map((name) => path.join(place, name)))
    .find((file) => existsSync(file));
}
