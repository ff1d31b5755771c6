import { readFile, writeFile } from 'node:fs/promises';

/** A page with what stands between `<!-- NAME: begin -->` and `<!-- NAME: end -->` replaced. */
export function between(page: string, name: string, text: string): string {
  const begin = `<!-- ${name}: begin -->\n`;
  const end = `<!-- ${name}: end -->`;
  const from = page.indexOf(begin);
  const to = page.indexOf(end);
  if (from === -1 || to < from)
    throw new Error(`the page has no place for ${name}: ${begin.trim()} … ${end}`);
  return `${page.slice(0, from + begin.length)}${text}\n${page.slice(to)}`;
}

/** The same in a file. */
export async function writeBetween(file: string, name: string, text: string): Promise<void> {
  await writeFile(file, between(await readFile(file, 'utf8'), name, text));
}
