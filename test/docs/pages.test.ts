import { existsSync, readdirSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { codeIn, pages, proseOf, ROOT, textOf } from './markdown.ts';

/** A heading as the anchor that GitHub makes of it. */
function anchorOf(heading: string): string {
  return heading
    .toLowerCase()
    .replaceAll(/[^\p{L}\p{N}\s_-]/gu, '')
    .replaceAll(' ', '-');
}

const anchorsOf = (page: string) =>
  textOf(page)
    .split('\n')
    .filter((line) => /^#+ /.test(line))
    .map((line) => anchorOf(line.replace(/^#+ /, '')));

const GENERATED = 'docs/benchmarks/queues.md';

/** Columns of a terminal: Hangul takes two. */
const columnsOf = (line: string) =>
  [...line].reduce((sum, char) => sum + (/\p{sc=Hangul}/u.test(char) ? 2 : 1), 0);

/** Tables cannot be wrapped, nor a line that is one link, one word or a list's item of one. */
const isProse = (line: string) =>
  !line.startsWith('|') && / \S+ /.test(line.trim().replace(/`[^`]*`|\[[^\]]*\]\([^)]*\)/g, 'x'));

describe.each(pages())('%s', (page) => {
  const text = proseOf(textOf(page));

  test('its links lead somewhere', () => {
    const links = [...text.matchAll(/\]\(([^)\s]+)\)/g)].map(([, link]) => link ?? '');
    for (const link of links.filter((link) => !/^[a-z]+:/.test(link))) {
      const [file = '', anchor] = link.split('#');
      const target = file === '' ? page : path.join(path.dirname(page), file);
      expect(existsSync(path.join(ROOT, target)), `${page}: ${link}`).toBe(true);
      if (anchor !== undefined) expect(anchorsOf(target), `${page}: ${link}`).toContain(anchor);
    }
  });

  test('the files that it names exist', () => {
    const files = codeIn(text).filter((code) =>
      /^(src|test|bench|docs|examples|migrations)\/[\w./-]*$/.test(code),
    );
    expect(files.filter((file) => !existsSync(path.join(ROOT, file)))).toEqual([]);
  });
});

test.each(pages().filter((page) => /^docs\/[\w-]+\.md$/.test(page)))(
  '%s begins with what it is for',
  (page) => {
    expect(textOf(page)).toMatch(/^# [^\n]+\n\n[A-Z][^\n]+\n/);
  },
);

test('the architecture names every folder, and begins in files that exist', () => {
  const named = codeIn(proseOf(textOf('docs/architecture.md')));
  const rooms = readdirSync(path.join(ROOT, 'src'), { withFileTypes: true }).filter((entry) =>
    entry.isDirectory(),
  );
  expect(named).toEqual(expect.arrayContaining(rooms.map(({ name }) => `src/${name}/`)));
});

test('the README leads to every page', () => {
  const readme = textOf('README.md');
  for (const page of pages()) {
    if (page === 'README.md' || page.startsWith('docs/decisions/')) continue;
    expect(readme).toContain(`](${page})`);
  }
});

test('the changelog has a place for what is new', () => {
  expect(textOf('CHANGELOG.md')).toMatch(
    /^## \[Unreleased\]\n\n### (Added|Changed|Fixed|Removed|Deprecated|Security)$/m,
  );
});

// The page of the queues is written by bench/report/, from figures.
test.each(pages().filter((page) => page !== GENERATED))('the prose of %s wraps at 100 columns', (page) => {
  const lines = proseOf(textOf(page)).split('\n');
  expect(lines.filter((line) => columnsOf(line) > 100 && isProse(line))).toEqual([]);
});
