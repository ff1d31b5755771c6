import { createInterface } from 'node:readline';
import { main } from '../../src/cli.ts';

/*
 * Runs the command line over and over in one process: a JSON array of arguments, as base64, a line on standard input, and after each run a
 * line `\u0001 EXIT CODE` on stdout and `\u0001` on stderr. An exception that nobody caught ends the process, as it would the program.
 */
// Each run listens to stdout anew, as the one run of a program does.
process.stdout.setMaxListeners(0);
for await (const line of createInterface({ input: process.stdin })) {
  process.argv = [
    process.execPath,
    'sendstate',
    ...(JSON.parse(Buffer.from(line, 'base64').toString()) as string[]),
  ];
  const code = await main();
  process.stderr.write('\u0001');
  process.stdout.write(`\n\u0001 ${code}\n`);
}
