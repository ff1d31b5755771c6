import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import type { Command } from 'commander';
import fc from 'fast-check';
import { propertyOf, type Surroundings, type Target } from '../target.ts';
import { storableText } from './hostile-text.ts';
import { checkRun, Line } from './line.ts';

/** Of these only the arguments are read: they start servers, or end when they are told to. */
const LASTING = new Set(['demo', 'capture', 'db', 'work', 'send', 'serve']);

const word = fc.oneof(
  storableText,
  fc.constantFrom(
    'spring',
    'people.csv',
    'mail.txt',
    'sent',
    'rejected',
    '1',
    '0',
    '-1',
    '1e9',
    '5m',
    '50/s',
    'a=b',
    'X: y',
  ),
  fc.constantFrom(
    '2026-01-01',
    'News <a@b.kr>',
    '/nonexistent',
    '.',
    '--',
    '-',
    '--help',
    '--version',
    '-h',
    '',
  ),
);

/** Arguments for these commands as the program's own description of them suggests, and as it does not. */
function argumentsFor(commands: readonly Command[]): fc.Arbitrary<string[]> {
  return fc.constantFrom(...commands).chain((command) => {
    const options = command.options.filter(({ long }) => long !== '--watch');
    const option =
      options.length === 0
        ? fc.constant<string[]>([])
        : fc
            .constantFrom(...options)
            .chain((one) =>
              fc
                .tuple(fc.constant(one.long ?? ''), word)
                .map(([name, value]) => (one.required ? [name, value] : [name])),
            );
    const required = command.registeredArguments.map(() => word);
    return fc
      .tuple(fc.tuple(...required), fc.array(option, { maxLength: 3 }), fc.array(word, { maxLength: 1 }))
      .map(([given, options, more]) => [...pathTo(command), ...given, ...options.flat(), ...more]);
  });
}

/** `db start` is two words. */
function pathTo(command: Command): string[] {
  return command.parent === null ? [] : [...pathTo(command.parent), command.name()];
}

/** Words that are no command: those that are have a target each. */
const anything = fc
  .array(word, { maxLength: 4 })
  .filter(([first = '']) => ![...LASTING, '-'].some((name) => first.startsWith(name)) || first === '--help');

/** Standard input is where the next command comes from. */
const withoutInput = (args: fc.Arbitrary<string[]>) => args.filter((all) => !all.includes('-'));

/** A process with files in its directory, in which commands run one after the other. */
async function startLine({
  database,
}: Surroundings): Promise<{ line: Line; program: Command; end(): Promise<void> }> {
  const cwd = await mkdtemp(path.join(tmpdir(), 'sendstate-fuzz-'));
  await writeFile(path.join(cwd, 'mail.txt'), 'Dear {{name}}');
  await writeFile(path.join(cwd, 'people.csv'), 'email,name\nlee@example.com,Lee\n');
  const { pool } = await database();
  // Here, so that the other targets do not load every command.
  const { createProgram } = await import('../../../src/cli.ts');
  const line = new Line(cwd, pool.options.connectionString ?? '');
  return {
    line,
    program: createProgram(),
    end: async () => {
      await line.end();
      await rm(cwd, { recursive: true });
    },
  };
}

export const commands: Target = {
  name: 'commands',
  promise:
    'any arguments are obeyed or refused: exit code 0, 1 or 2, no stack, nothing that a terminal obeys',
  cases: 25,
  start: async (surroundings) => {
    const { line, program, end } = await startLine(surroundings);
    const known = argumentsFor(program.commands.filter((command) => !LASTING.has(command.name())));
    const args = withoutInput(fc.oneof({ weight: 6, arbitrary: known }, anything));
    return { property: propertyOf(args, async (given) => checkRun(given, await line.run(given))), end };
  },
};

export const lasting: Target = {
  name: 'lasting',
  promise:
    'the arguments of demo, capture, db, work, send and serve are read or refused: exit code 0 or 2, nothing that a terminal obeys',
  cases: 200,
  start: async (surroundings) => {
    const { line, program, end } = await startLine(surroundings);
    const known = program.commands
      .filter((command) => LASTING.has(command.name()))
      .flatMap((command) => [command, ...command.commands]);
    return {
      property: propertyOf(withoutInput(argumentsFor(known)), async (given) => {
        const run = await line.run(given, { parseOnly: true });
        assert.notEqual(run.code, 1);
        checkRun(given, run);
      }),
      end,
    };
  },
};
