import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, test } from 'vitest';

/*
 * Plain English: the subject of a sentence is a thing in the system (a worker, a recipient, the operator), so that a reader knows
 * what is meant. Pronouns for unnamed people are therefore not used in code, comments, messages, documentation and test titles.
 */

const ROOT = path.join(import.meta.dirname, '../..');

const FORBIDDEN =
  /\b(?:nobody|somebody|everybody|anybody|someone|anyone|everyone|no one|who(?:so|m)?ever|he|his|him|himself)\b/giu;

/** The Unix account of that name, as programs and their messages write it; and an address. */
const QUOTATION =
  /`nobody`|'nobody'|'nobody:65534'|postgres or nobody|user = nobody|\b(?:no|some)(?:body|one)@/gu;

/** Data that a test feeds to the program: words that a relay says, or a cell of a list. Each is an exact line's part. */
const DATA: Readonly<Record<string, readonly string[]>> = {
  'src/smtp/reply-patterns-sender.ts': ['he?lo'],
  'test/faults/memory.test.ts': ["'nobody,x"],
  'test/smtp/safety-rules.test.ts': ["'554 5.5.1 nobody'", "'of nobody known'"],
};

/** This file has to name what it forbids. */
const SELF = 'test/unit/english.test.ts';

const PLACES = [
  'src',
  'bench',
  'test',
  'docs',
  'examples',
  'README.md',
  'CHANGELOG.md',
  'SECURITY.md',
  'vitest.config.ts',
];
const TEXT = /\.(?:ts|mjs|js|css|html|md|sh|yml|json|hbs)$/u;

function forbiddenIn(text: string, data: readonly string[] = []): string[] {
  return text.split('\n').flatMap((line, index) => {
    const rest = data.reduce((left, part) => left.replaceAll(part, ''), line).replaceAll(QUOTATION, '');
    return [...rest.matchAll(FORBIDDEN)].map(([word]) => `${index + 1}: ${word}`);
  });
}

describe('plain English', () => {
  const files = execFileSync('git', ['ls-files', '--', ...PLACES], { cwd: ROOT, encoding: 'utf8' })
    .split('\n')
    .filter((file) => TEXT.test(file) && file !== SELF);

  test('no text of the project has a pronoun for unnamed people', () => {
    expect(files.length).toBeGreaterThan(300);
    const found = files.flatMap((file) =>
      forbiddenIn(readFileSync(path.join(ROOT, file), 'utf8'), DATA[file]).map((where) => `${file}:${where}`),
    );
    expect(found).toEqual([]);
  });

  test('every exception is still in use', () => {
    for (const [file, parts] of Object.entries(DATA)) {
      const text = readFileSync(path.join(ROOT, file), 'utf8');
      for (const part of parts) expect(text).toContain(part);
    }
  });

  test.each([
    ['Nobody fails for it', ['1: Nobody']],
    ['a\nwhoever asks, and everyone', ['2: whoever', '2: everyone']],
    ["the account `nobody`, or 'nobody'; nobody@example.com", []],
    ['no recipient fails for it', []],
  ])('%j has %j', (text, found) => {
    expect(forbiddenIn(text)).toEqual(found);
  });
});
