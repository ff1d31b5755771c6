import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';

/** The repository, absolute. */
export const ROOT = path.join(import.meta.dirname, '..', '..');

/** A file of the repository as text. */
export function textOf(file: string): string {
  return readFileSync(path.join(ROOT, file), 'utf8');
}

/** README.md and every page under docs/, relative to the repository. */
export function pages(): string[] {
  const docs = readdirSync(path.join(ROOT, 'docs'), { recursive: true, encoding: 'utf8' });
  return [
    'README.md',
    'CHANGELOG.md',
    ...docs.filter((file) => file.endsWith('.md')).map((file) => path.join('docs', file)),
  ];
}

export interface Block {
  readonly language: string;
  readonly code: string;
  /** The paragraph above it. */
  readonly before: string;
  /** The nearest heading above it. */
  readonly heading: string;
}

/** The fenced blocks of a page, in order. */
export function blocksOf(markdown: string): Block[] {
  const blocks: Block[] = [];
  let heading = '';
  let before: string[] = [];
  let open: { language: string; lines: string[] } | null = null;
  for (const line of markdown.split('\n')) {
    const fence = /^```(\w*)$/.exec(line);
    if (open !== null) {
      if (fence === null) open.lines.push(line);
      else {
        blocks.push({
          language: open.language,
          code: open.lines.join('\n'),
          before: before.join('\n').trim(),
          heading,
        });
        open = null;
        before = [];
      }
    } else if (fence !== null) open = { language: fence[1] ?? '', lines: [] };
    else if (line.startsWith('#')) {
      heading = line.replace(/^#+ /, '');
      before = [];
    } else if (line === '' && before.length > 0 && before.at(-1) !== '') before = [...before, ''];
    else if (line !== '') before = before.at(-1) === '' ? [line] : [...before, line];
  }
  return blocks;
}

/** The rows of every table of a text, cells trimmed, without header rows; `header` tells them apart. */
export function tablesOf(markdown: string): { readonly header: string[]; readonly rows: string[][] }[] {
  const tables: { header: string[]; rows: string[][] }[] = [];
  let current: { header: string[]; rows: string[][] } | null = null;
  for (const line of markdown.split('\n')) {
    if (!line.startsWith('|')) {
      current = null;
      continue;
    }
    const cells = line
      .replaceAll('\\|', '\u0000')
      .split('|')
      .slice(1, -1)
      .map((cell) => cell.replaceAll('\u0000', '|').trim());
    if (current === null) {
      current = { header: cells, rows: [] };
      tables.push(current);
    } else if (!cells.every((cell) => /^-+$/.test(cell))) current.rows.push(cells);
  }
  return tables;
}

/** The part of a page from one heading to the next of the same or a higher level. */
export function sectionOf(markdown: string, heading: RegExp): string {
  const lines = markdown.split('\n');
  const start = lines.findIndex((line) => /^#+ /.test(line) && heading.test(line));
  if (start < 0) throw new Error(`no heading ${heading}`);
  const level = /^#+/.exec(lines[start] ?? '')?.[0].length ?? 1;
  const length = lines.slice(start + 1).findIndex((line) => {
    const marks = /^#+(?= )/.exec(line)?.[0].length;
    return marks !== undefined && marks <= level;
  });
  return lines.slice(start + 1, length < 0 ? undefined : start + 1 + length).join('\n');
}

/** A page without its fenced blocks. */
export function proseOf(markdown: string): string {
  return markdown.replaceAll(/^```[\s\S]*?^```/gm, '');
}

/** What stands in backticks. */
export function codeIn(text: string): string[] {
  return [...text.matchAll(/`([^`]+)`/g)].map(([, code]) => code ?? '');
}

/** A line of a shell as words; quotes hold words together. Nothing is expanded. */
export function wordsOf(line: string): string[] {
  const words: string[] = [];
  for (const [word] of line.matchAll(/(?:'[^']*'|"[^"]*"|[^\s'"])+/g)) {
    if (word.startsWith('#')) break;
    words.push(word.replace(/'([^']*)'|"([^"]*)"/g, '$1$2'));
  }
  return words;
}

/** The lines of a shell block, those that end in a backslash put together. */
export function commandLines(code: string): string[] {
  return code
    .replaceAll(/\\\n\s*/g, '')
    .split('\n')
    .filter((line) => line.trim() !== '' && !line.startsWith('#'));
}
