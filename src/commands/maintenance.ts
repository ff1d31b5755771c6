import type { Command } from 'commander';
import { doctor, migrate } from '../index.ts';
import { printable } from '../progress/format.ts';
import { type Context, withDatabase } from './context.ts';

/** `migrate`, `doctor` */
export function registerMaintenance(program: Command, contextOf: (command: Command) => Context): void {
  program
    .command('migrate')
    .description('bring the database to this version; safe to run from many places at once')
    .option('--json', 'print one JSON object')
    .action((_: object, command: Command) => {
      const context = contextOf(command);
      return withDatabase(
        context,
        async (app) => {
          const applied = await migrate(app);
          if (context.json) context.out(JSON.stringify({ applied }));
          else
            context.out(
              applied.length === 0 ? 'The database is up to date.' : `Applied ${applied.join(', ')}.`,
            );
        },
        { check: false },
      );
    });
  program
    .command('doctor')
    .description('look at database, tables, counters, claims and relay: what is wrong and what to do')
    .option('--json', 'print one JSON object')
    .action((_: object, command: Command) => {
      const context = contextOf(command);
      return withDatabase(
        context,
        async (app) => {
          const found = await doctor(app, context.config.relay);
          if (context.json) context.out(JSON.stringify(found));
          else {
            for (const { what, ok, found: words, advice } of found) {
              context.out(printable(`${ok ? 'ok   ' : 'WRONG'} ${what}: ${words}`));
              if (advice !== null) context.out(printable(`      ${advice}`));
            }
          }
          if (found.some(({ ok }) => !ok)) context.fail();
        },
        { check: false },
      );
    });
}
