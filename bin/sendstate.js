#!/usr/bin/env -S node --max-semi-space-size=4 --max-old-space-size=256
/*
 * The command `sendstate`: of a clone its sources, which need no build, and of an installed package what was built. A
 * clone has src/, a package does not. In a clone `npx sendstate` finds the Node that package.json pins.
 *
 * The limits above keep a worker at 140 MB however many mails it sends: about 30 MB live, and without a limit V8 lets
 * garbage grow to 270 MB before it looks.
 */
import { existsSync } from 'node:fs';
import module from 'node:module';
import { fileURLToPath } from 'node:url';

const source = new URL('../src/cli.ts', import.meta.url);
const inClone = existsSync(source);

// What each needs first of what Node 20 lacks. Looked for before anything is called that an old Node may not have.
if (inClone ? !process.features.typescript : !('withResolvers' in Promise)) {
  process.stderr.write(
    `sendstate: Node ${process.versions.node} is too old; it takes 22.22 or later.${inClone ? ' In this clone run: npm ci, then npx sendstate' : ''}\n`,
  );
  process.exitCode = 1;
} else {
  // The second start takes 0.2 s instead of 0.6, and 25 MB less: types need not be taken out of the sources again. Beside the
  // sources and not in the directory for temporary files: whoever may write there could write what is run here.
  if (inClone)
    module.enableCompileCache(fileURLToPath(new URL('../node_modules/.cache/sendstate', import.meta.url)));
  const { main } = await import(inClone ? source.href : new URL('../dist/cli.js', import.meta.url).href);
  process.exitCode = await main();
}
