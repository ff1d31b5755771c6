import { findProgram } from '../../bench/installed.ts';

/** Debian's Chromium on the PATH; undefined: it is not installed. */
export function chromiumPath(): string | undefined {
  for (const name of ['chromium', 'chromium-browser', 'google-chrome']) {
    const program = findProgram(name);
    if (program !== null) return program;
  }
  return undefined;
}
