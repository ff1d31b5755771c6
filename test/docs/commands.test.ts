import { readdirSync } from 'node:fs';
import path from 'node:path';
import type { Command } from 'commander';
import { describe, expect, test } from 'vitest';
import { createProgram } from '../../src/cli.ts';
import { SendstateError } from '../../src/errors.ts';
import { parseRelay } from '../../src/smtp/relay.ts';
import {
  blocksOf,
  codeIn,
  commandLines,
  pages,
  proseOf,
  ROOT,
  sectionOf,
  tablesOf,
  textOf,
  wordsOf,
} from './markdown.ts';

const reference = textOf('docs/commands.md');

/** Commands that do something, by their full names: `send`, `db start`. */
function commandsOf(command: Command, before = ''): Map<string, Command> {
  const found = new Map<string, Command>();
  for (const child of command.commands) {
    const name = `${before}${child.name()}`;
    if (child.commands.length === 0) found.set(name, child);
    for (const [deeper, grandchild] of commandsOf(child, `${name} `)) found.set(deeper, grandchild);
  }
  return found;
}

const commands = commandsOf(createProgram());

/** `--name` of the options that people are told of. */
function optionsOf(command: Command): string[] {
  return command.options.filter(({ hidden }) => !hidden).map(({ long }) => long ?? '');
}

/** Headings such as "`create NAME`" are commands. */
const headings = [...reference.matchAll(/^## `([^`]+)`$/gm)].map(([, text]) => text ?? '');
const documented = new Map(headings.map((text) => [text.replace(/ \[?[A-Z].*$/, ''), text]));

test('every command has a section, and every section a command', () => {
  expect([...documented.keys()].sort()).toEqual([...commands.keys()].sort());
});

describe.each([...commands])('%s', (name, command) => {
  const section = sectionOf(
    reference,
    new RegExp(`^## \`${documented.get(name)?.replace(/[[\]]/g, '\\$&')}\`$`),
  );

  test('its options are those of the table', () => {
    const inTable = tablesOf(section).flatMap(({ rows }) =>
      rows.map(([first = '']) => /^`(--[\w-]+)/.exec(first)?.[1] ?? first),
    );
    expect(inTable.sort()).toEqual(optionsOf(command).sort());
  });

  test('options with a value are shown with one, others without', () => {
    const cells = tablesOf(section).flatMap(({ rows }) => rows.map(([first = '']) => codeIn(first)[0] ?? ''));
    for (const { long, required, optional, hidden } of command.options) {
      if (hidden) continue;
      const shown = cells.find((code) => code === long || code.startsWith(`${long} `));
      expect([long, shown?.includes(' ')]).toEqual([long, required || optional]);
    }
  });

  test('its arguments are those of the heading', () => {
    const shown = documented.get(name)?.match(/\[?[A-Z]+\]?/g) ?? [];
    const real = command.registeredArguments.map((argument) =>
      argument.required ? argument.name().toUpperCase() : `[${argument.name().toUpperCase()}]`,
    );
    expect(shown).toEqual(real);
  });
});

/** Every `sendstate …` in shell blocks and in backticks of all pages, with the page for messages. */
function shownCommands(): [page: string, line: string][] {
  const shown: [string, string][] = [];
  for (const page of pages()) {
    const text = textOf(page);
    const lines = blocksOf(text)
      .filter(({ language }) => language === 'sh' || language === 'ini')
      .flatMap(({ code }) => commandLines(code));
    const prose = proseOf(text);
    for (const line of [...lines, ...codeIn(prose)]) {
      for (const [, words] of line.matchAll(/(?:^|[\s/(])sendstate (.*)$/g)) shown.push([page, words ?? '']);
    }
  }
  return shown;
}

/** What is wrong with a command line, or null. */
function problemOf(line: string): string | null {
  const words = wordsOf(line.replace(/\)?"?$/, '')).filter((word) => !/^[|>&…]/.test(word));
  const [first = '', second = ''] = words;
  // Placeholders, and what commander has of its own.
  if (first === '' || /^(COMMAND|VERB|help|--help|--version)$/.test(first)) return null;
  const command = commands.get(`${first} ${second}`) ?? commands.get(first);
  if (command === undefined) return `there is no command ${first} ${second}`;
  const options = words.filter((word) => word.startsWith('--')).map((word) => word.replace(/=.*$/, ''));
  const unknown = options.filter((option) => !optionsOf(command).includes(option));
  return unknown.length === 0 ? null : `${first} has no ${unknown.join(' ')}`;
}

test('every command that a page shows exists, with its options', () => {
  const shown = shownCommands();
  expect(shown.length).toBeGreaterThan(30);
  const wrong = shown.flatMap(([page, line]) => {
    const problem = problemOf(line);
    return problem === null ? [] : [`${page}: sendstate ${line}: ${problem}`];
  });
  expect(wrong).toEqual([]);
});

describe('environment', () => {
  const sources = readdirSync(path.join(ROOT, 'src'), { recursive: true, encoding: 'utf8' })
    .filter((file) => file.endsWith('.ts'))
    .map((file) => textOf(path.join('src', file)));
  const read = new Set(
    sources.flatMap((text) => [
      ...[...text.matchAll(/process\.env\.([A-Z][A-Z_]+)/g)].map(([, name]) => name),
      ...[...text.matchAll(/\bvalue\('([A-Z][A-Z_]+)'/g)].map(([, name]) => name),
    ]),
  );

  test('every variable that is read is documented, and no other', () => {
    const section = sectionOf(reference, /^## Environment$/);
    const inTable = tablesOf(section).flatMap(({ rows }) => rows.map(([first = '']) => codeIn(first)[0]));
    expect(inTable.sort()).toEqual([...read].sort());
  });
});

describe('SMTP_URL', () => {
  const section = sectionOf(reference, /^## The relay/);
  const inTable = tablesOf(section).flatMap(({ rows }) => rows.map(([first = '']) => codeIn(first)[0] ?? ''));

  /** The parameters as the program itself lists them when a URL is wrong. */
  function parameters(): string[] {
    try {
      parseRelay('smtp://');
    } catch (error) {
      const hint = error instanceof SendstateError ? (error.hint ?? '') : '';
      return [...hint.matchAll(/([a-z-]+)=/g)].map(([, name]) => name ?? '');
    }
    throw new Error('a URL without a host was taken');
  }

  test('every parameter is documented, and no other', () => {
    expect(parameters().length).toBeGreaterThan(10);
    expect(inTable.sort()).toEqual(parameters().sort());
  });

  test('the defaults are those of the page', () => {
    const { port } = parseRelay('smtp://relay.example.com');
    const { secure, port: securePort } = parseRelay('smtps://relay.example.com');
    expect([port, parseRelay('smtp://u@relay.example.com').port, secure, securePort]).toEqual([
      25,
      587,
      true,
      465,
    ]);
    const relay = parseRelay('smtp://relay.example.com');
    const said = (name: string) =>
      Number(new RegExp(`^\\| \`${name}\` .*default (\\d+)`, 'm').exec(section)?.[1]);
    expect({
      connections: said('connections'),
      maxMessages: said('max-messages'),
      idleTimeoutMs: 1000 * said('idle-timeout'),
      connectTimeoutMs: 1000 * said('connect-timeout'),
      commandTimeoutMs: 1000 * said('command-timeout'),
      finalTimeoutMs: 1000 * said('final-timeout'),
    }).toEqual({
      connections: relay.connections,
      maxMessages: relay.maxMessages,
      idleTimeoutMs: relay.idleTimeoutMs,
      connectTimeoutMs: relay.connectTimeoutMs,
      commandTimeoutMs: relay.commandTimeoutMs,
      finalTimeoutMs: relay.finalTimeoutMs,
    });
  });

  test('every value that the page names is taken', () => {
    for (const [first = '', second = ''] of tablesOf(section).flatMap(({ rows }) => rows)) {
      const name = codeIn(first)[0];
      if (!['tls', 'verify', 'auth', 'auth-in-clear', 'mode'].includes(name ?? '')) continue;
      for (const value of codeIn(second)) {
        expect(
          () => parseRelay(`smtp://u:p@relay.example.com?${name}=${value}`),
          `${name}=${value}`,
        ).not.toThrow();
      }
    }
  });
});
