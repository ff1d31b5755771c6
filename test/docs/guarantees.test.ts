import { existsSync, readdirSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { ROOT, textOf } from './markdown.ts';

const page = textOf('docs/guarantees.md');
const LABELS = ['What happens', 'What you see', 'What it costs', 'What to do', 'Tests'];

interface Cited {
  /** Below test/. */
  readonly file: string;
  /** How the title of the test begins. */
  readonly title: string;
}

/** A label begins a line; what follows without one continues it. */
function unwrapped(lines: readonly string[]): string[] {
  const whole: string[] = [];
  for (const line of lines) {
    const last = whole.at(-1);
    if (last === undefined || LABELS.some((label) => line.startsWith(`${label}:`))) whole.push(line);
    else whole[whole.length - 1] = `${last} ${line}`;
  }
  return whole;
}

const faults = page
  .slice(page.indexOf('\n# Faults\n'))
  .split(/^### /m)
  .slice(1)
  .map((section) => {
    const [name = '', ...wrapped] = section.split(/^## /m)[0]?.trim().split('\n') ?? [];
    const lines = unwrapped(wrapped);
    const cited = [...(lines.at(-1) ?? '').matchAll(/`([\w/-]+\.test\.ts)` "([^"]+)"/g)].map(
      ([, file = '', title = '']): Cited => ({ file, title }),
    );
    return { name, lines, cited };
  });

/** The titles of a file's tests as they stand in the source, %s and all. */
function titlesOf(file: string): string[] {
  const source = textOf(`test/${file}`);
  const quoted = /(?:\b(?:test|it)|\))\(\s*(?:'((?:[^'\\]|\\.)+)'|"([^"]+)")/g;
  return [...source.matchAll(quoted)].flatMap((match) => {
    // Of test.each(…)('title' and describe.each(…)('title' it is the word before that tells.
    const words = source
      .slice(0, match.index + match[0].indexOf('('))
      .match(/\b(?:test|it|describe)\b(?=[.(<]|$)/g);
    return words?.at(-1) === 'describe' ? [] : [match[1] ?? match[2] ?? ''];
  });
}

describe.each(faults)('$name', ({ lines, cited }) => {
  test('says what happens, what you see, what it costs, what to do, and which tests show it', () => {
    expect(lines.map((line) => line.slice(0, line.indexOf(':')))).toEqual(LABELS);
    for (const line of lines) expect(line.slice(line.indexOf(':') + 1).trim()).not.toBe('');
    expect(cited.length).toBeGreaterThan(0);
  });

  test.each(cited)('$file has a test "$title"', ({ file, title }) => {
    expect(existsSync(path.join(ROOT, 'test', file))).toBe(true);
    expect(titlesOf(file).filter((known) => known.startsWith(title))).not.toEqual([]);
  });
});

test('every fault that is tested is on the page', () => {
  const cited = faults.flatMap((fault) => fault.cited);
  const files = readdirSync(path.join(ROOT, 'test/faults')).filter((name) => name.endsWith('.test.ts'));
  expect(files.length).toBeGreaterThan(10);
  const missing = files.flatMap((name) => {
    const titles = titlesOf(`faults/${name}`);
    expect(titles, name).not.toEqual([]);
    const named = cited.filter(({ file }) => file === `faults/${name}`);
    return titles
      .filter((title) => !named.some((one) => title.startsWith(one.title)))
      .map((title) => `${name}: ${title}`);
  });
  expect(missing).toEqual([]);
});

test('the promise stands on the page as it was given', () => {
  const words = page.replaceAll(/\s+/g, ' ');
  for (const sentence of [
    'No recipient is ever lost.',
    'None gets a second mail unless a process or a connection died between handing over and hearing back.',
    'At most one window of recipients per death can be in that position, each is named in the table, and the campaign decides whether they are sent again or held.',
  ])
    expect(words).toContain(sentence);
});
