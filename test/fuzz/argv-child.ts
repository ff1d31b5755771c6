import { createInterface } from 'node:readline';
import { type Command, CommanderError } from 'commander';
import { createProgram, main } from '../../src/cli.ts';

/*
 * Runs the command line over and over in one process: `{ args, parseOnly }` as JSON in base64, a line on standard input, and after each run a
 * line `\u0001 EXIT CODE` on stdout and `\u0001` on stderr. An exception that was not caught ends the process, as it would the program.
 */

/** Reads the arguments as the program does, and does nothing with them. */
async function parse(args: readonly string[]): Promise<number> {
  const program = createProgram();
  for (const command of everyCommand(program))
    if (command.commands.length === 0) command.action(() => undefined);
  try {
    await program.parseAsync([...args], { from: 'user' });
    return 0;
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2;
    throw error;
  }
}

function everyCommand(command: Command): Command[] {
  return [command, ...command.commands.flatMap(everyCommand)];
}

// Each run listens to stdout anew, as the one run of a program does.
process.stdout.setMaxListeners(0);
for await (const line of createInterface({ input: process.stdin })) {
  const { args, parseOnly } = JSON.parse(Buffer.from(line, 'base64').toString()) as {
    args: string[];
    parseOnly: boolean;
  };
  process.argv = [process.execPath, 'sendstate', ...args];
  const code = parseOnly ? await parse(args) : await main();
  process.stderr.write('\u0001');
  process.stdout.write(`\n\u0001 ${code}\n`);
}
