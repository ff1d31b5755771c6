import type { Command } from 'commander';

/** `help [COMMAND]`. Commander's own knows no commands below commands, and takes a mistyped one for none. */
export function registerHelp(program: Command): void {
  program
    .helpCommand(false)
    .command('help')
    .description('the commands, or the options of one')
    .argument('[command...]', 'such as: send, db start')
    .action((words: readonly string[]) => words.reduce(below, program).help());
}

function below(command: Command, word: string): Command {
  const found = command.commands.find((child) => child.name() === word);
  return found ?? command.error(`error: unknown command '${word}'`);
}
